"""Systems that lack what Linux has: another kind of lock, no alarm, no count of cores or memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

WITHOUT = """
import os, signal, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in ("fcntl", "resource"):
            raise ImportError(f"No module named {name!r}")

sys.meta_path.insert(0, Missing())
for place, names in (
    (signal, ("SIGALRM", "setitimer", "SIGHUP", "pthread_sigmask")),
    (os, ("sysconf", "sched_getaffinity", "fork", "geteuid", "O_NOFOLLOW", "O_NONBLOCK")),
):
    for name in names:
        delattr(place, name)
"""
COMMANDS = """
import runpy
from pathlib import Path

TINY = ["model.depth=2", "model.width=4", "trainer.steps=6", "checkpoint.every=2", "task.rows=40"]

def command(module, *words):
    sys.argv = [module, *words]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        assert not ended.code, (words, ended.code)

command("ffn_train", "run.dir=run", *TINY)
Path("run/summary.json").unlink()  # killed before it
command("ffn_train", "run.dir=run", *TINY)
command("ffn_train", "-m", "sweep.dir=sweep", "hydra/launcher=serial", "seed=0,1", *TINY)
command("ffn_train.compare", "sweep")
"""
HOLD = """
from contextlib import ExitStack
from pathlib import Path
from ffn_train.runs.directory import claim

with claim("run.dir", Path("held"), Path()):
    print("held", flush=True)
    sys.stdin.readline()
"""
LOOK = """
from pathlib import Path
from ffn_train.config.settings import SettingError
from ffn_train.runs.directory import claim
from ffn_train.runs.lock import in_use

try:
    with claim("run.dir", Path("held"), Path()):
        print("free")
except SettingError as error:
    print(in_use(Path("held")), error)
"""


def test_runs_sweeps_and_comparisons_need_none_of_it(tmp_path: Path) -> None:
    done = started(tmp_path, COMMANDS, encoding="ascii")
    out, errors = done.communicate(timeout=120)
    assert done.returncode == 0, errors
    assert "Traceback" not in errors
    assert "2 runs: 2 finished" in out
    assert (tmp_path / "sweep" / "comparison" / "loss_curves.png").is_file()


@pytest.mark.parametrize("ends", ["released", "killed"])
def test_two_processes_still_exclude_each_other(tmp_path: Path, ends: str) -> None:
    holder = started(tmp_path, HOLD)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    assert look(tmp_path) == "True run.dir=held is in use by another process\n"
    if ends == "killed":
        holder.kill()
    holder.communicate("\n")
    assert look(tmp_path) == "free\n"


def look(place: Path) -> str:
    return started(place, LOOK).communicate()[0]


def started(place: Path, code: str, encoding: str = "utf-8") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WITHOUT + code],
        cwd=place,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding=encoding,
    )
