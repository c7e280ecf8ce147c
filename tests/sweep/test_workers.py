"""A sweep's processes and directories: workers that are lost, and paths that lead elsewhere."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from contextlib import chdir, suppress
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl

from ffn_train.config.kept import kept
from ffn_train.config.settings import SettingError
from ffn_train.running import Notify
from ffn_train.runs import RunError, files
from ffn_train.runs.checkpoint import newest_step
from ffn_train.runs.lock import in_use
from ffn_train.sweep import launcher, manifest
from ffn_train.sweep import run as sweep_run
from ffn_train.sweep.job import STOP, run_job
from ffn_train.sweep.manifest import read
from tests.support.command import process, start
from tests.support.small_runs import NOTES, SMALL

TINY = (*SMALL, "hydra/launcher=serial")


@cache
def plan(*overrides: str) -> sweep_run.Plan:
    """Of a sweep in the directory ``sweep``."""
    return sweep_run.check([*TINY, "sweep.dir=sweep", *overrides])


def swept(sweep: Path, *overrides: str) -> list[str]:
    assert sweep.name == "sweep"
    with chdir(sweep.parent):
        entries = sweep_run.run_sweep(plan(*overrides), NOTES.append).entries
    return [entry.status(sweep).state for entry in entries]


@pytest.mark.parametrize(("losses", "state"), [(2, "finished"), (9, "pending")])
def test_workers_that_are_lost_before_their_first_job_are_replaced(
    losses: int, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch, count = launcher.launch, 0

    def losing(*arguments: Any) -> None:
        nonlocal count
        count += 1
        if count <= losses:
            raise BrokenProcessPool("a worker was killed")
        launch(*arguments)

    monkeypatch.setattr(launcher, "launch", losing)
    NOTES.clear()
    assert swept(tmp_path / "sweep", "seed=0,1") == [state] * 2
    assert sum("the workers were lost" in note for note in NOTES) == min(losses, 3)


@pytest.mark.parametrize(("short", "batches"), [(2**40, [3, 2]), (0, [1] * 5)])
def test_short_jobs_go_to_a_worker_several_at_a_time(
    short: int, batches: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dispatched, task = [], launcher._task

    def counted(config: Any) -> str:
        dispatched.append(str(config.job).count("_"))
        return task(config)

    monkeypatch.setattr(launcher, "_task", counted)
    monkeypatch.setattr(launcher, "SHARE", 1)
    monkeypatch.setattr(launcher, "MOST", 3)
    monkeypatch.setattr(launcher, "allowed_cores", lambda: 1)
    monkeypatch.setattr(sweep_run, "SHORT", short)
    plan.cache_clear()
    states = swept(tmp_path / "sweep", "seed=range(0,5)", "hydra/launcher=serial")
    assert states == ["finished"] * 5
    assert dispatched == batches


def test_batches_become_smaller_so_that_the_cores_end_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(launcher, "allowed_cores", lambda: 2)
    jobs = [str(number) for number in range(32)]
    batches = [*launcher._batches(jobs, 64)]
    assert [*map(len, batches)] == [10, 7, 5, 3, 2, 1, 1, 1, 1, 1]
    assert [job for batch in batches for job in batch] == jobs
    assert [*map(len, launcher._batches(jobs, 1))] == [1] * 32


def test_hydra_composes_no_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    composed = []
    load = ConfigLoaderImpl.load_configuration

    def counted(self: ConfigLoaderImpl, config_name: str, *arguments: Any, **more: Any) -> Any:
        composed.append(config_name)
        return load(self, config_name, *arguments, **more)

    monkeypatch.setattr(ConfigLoaderImpl, "load_configuration", counted)
    plan.cache_clear()
    assert swept(tmp_path / "sweep", "seed=0,1,2") == ["finished"] * 3
    assert composed == ["config", "launch", "launch"]  # to check the launcher, and to launch


def test_a_launcher_that_cannot_launch_is_a_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("sbatch: not found")

    monkeypatch.setattr(launcher, "launch", broken)
    with pytest.raises(SettingError, match="no job could be launched: sbatch: not found"):
        swept(tmp_path / "sweep", "seed=0,1")


def children(parent: int) -> list[int]:
    """The processes that one has started and that have not ended."""
    collected = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == parent and fields[0] != "Z":
                    collected.append(int(entry.name))
    return collected


def alive(process: int) -> bool:
    with suppress(OSError):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return fields[0] != "Z"
    return False


def test_workers_of_a_killed_parent_end_with_a_checkpoint(tmp_path: Path) -> None:
    pytest.importorskip("joblib", reason="joblib is not installed (extra 'parallel')")
    sweep = tmp_path / "sweep"
    long = ("trainer.steps=1000000", "checkpoint.every=900000", f"sweep.dir={sweep}")
    three = "hydra.launcher.n_jobs=3"  # of which one has nothing to do
    started = start("-m", *SMALL, *long, "seed=0,1", three, cwd=tmp_path, session=True)
    while not any(file.stat().st_size > 2000 for file in sweep.glob(f"jobs/*/{files.SCALARS}")):
        assert started.running()
        time.sleep(0.02)
    orphans = children(started.pid)
    assert len(orphans) >= 3
    started.send_signal(signal.SIGKILL)
    started.wait()
    end = time.monotonic() + 5
    while any(map(alive, orphans)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(alive, orphans))
    jobs = list(sweep.glob(f"jobs/*/{files.SCALARS}"))
    assert not any(in_use(job.parent) for job in jobs)
    assert any(newest_step(job.parent) for job in jobs)


def test_idle_workers_end_and_others_can_take_their_place() -> None:
    loky = pytest.importorskip("joblib.externals.loky", reason="joblib is not installed")
    for _ in range(2):
        worker = loky.get_reusable_executor(max_workers=1).submit(os.getpid).result()
        assert alive(worker)
        launcher.end_workers()
        launcher.end_workers()  # there are none any more
        end = time.monotonic() + 30
        while alive(worker) and time.monotonic() < end:
            time.sleep(0.02)
        assert not alive(worker)


def test_closed_streams_fail_no_worker(tmp_path: Path) -> None:
    pytest.importorskip("joblib", reason="joblib is not installed (extra 'parallel')")
    arguments = ["-m", "ffn_train", "-m", *SMALL, "seed=0,1", "sweep.dir=sweep"]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&- 2>&-', "sh", sys.executable, *arguments],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert "2 finished of 2 jobs" in done.stdout


def forge(sweep: Path, **changes: Any) -> str:
    """Let the manifest say something else of its only job; the job's digest."""
    path = sweep / manifest.MANIFEST
    content = json.loads(path.read_text())
    content["jobs"][0] |= changes
    path.write_text(json.dumps(content))
    return str(content["jobs"][0]["digest"])


@pytest.fixture(scope="module")
def one_job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of one job, which has ended; tests work on copies."""
    sweep = tmp_path_factory.mktemp("one") / "sweep"
    assert swept(sweep, "seed=0") == ["finished"]
    return sweep


def test_a_worker_parses_the_manifest_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = []
    read_json = files.read_json

    def counted(path: Path, *content: bytes) -> dict[str, Any]:
        parsed.append(path.name)
        return read_json(path, *content)

    sweep = tmp_path / "sweep"
    assert swept(sweep, "seed=0,1,2") == ["finished"] * 3
    digests = [job.digest for job in read(sweep)]
    monkeypatch.setattr(manifest, "read_json", counted)
    manifest._texts.cache_clear()
    assert [run_job(str(sweep), digest) for digest in digests] == ["finished"] * 3
    assert parsed == [manifest.MANIFEST]
    forge(sweep, directory="jobs/other")  # the first job's: it is another file now
    assert run_job(str(sweep), digests[1]) == "finished"
    assert parsed == [manifest.MANIFEST] * 2


def test_a_job_that_has_not_begun_reads_nothing_once_the_sweep_stops(
    one_job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = Path(shutil.copytree(one_job, tmp_path / "sweep"))
    (sweep / STOP).touch()
    monkeypatch.setattr(files, "read_bytes", None)
    assert run_job(str(sweep), "any") == "pending"


@pytest.mark.parametrize("key", ["trainer", "model", "threads", "seed"])
def test_a_job_that_was_altered_in_the_manifest_is_refused(
    key: str, one_job: Path, tmp_path: Path
) -> None:
    sweep = Path(shutil.copytree(one_job, tmp_path / "sweep"))
    (job,) = json.loads((sweep / "manifest.json").read_text())["jobs"]
    (path,) = (sweep / "jobs").iterdir()
    (path / files.SUMMARY).unlink()
    changed = {"trainer": {"steps": 9}, "model": {"width": 7}, "threads": 2, "seed": 1}[key]
    if isinstance(changed, dict):
        changed = {**job["config"][key], **changed}
    digest = forge(sweep, config={**job["config"], key: changed})
    differs = r"manifest\.json: it is not what was written \(its digest differs\)"
    with pytest.raises(RunError, match=differs):
        run_job(str(sweep), digest)
    with pytest.raises(SettingError, match=differs):
        swept(sweep, "seed=0")
    assert not (path / files.SUMMARY).exists()
    forge(sweep, config=job["config"])
    assert swept(sweep, "seed=0") == ["finished"]


@pytest.mark.parametrize(
    "directory", ["../escape", "/tmp/escape", "jobs/..", "jobs/a/../../../escape", "", "jobs/", 7]
)
def test_a_manifest_names_no_directory_outside(
    directory: str, one_job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep, escape = Path(shutil.copytree(one_job, tmp_path / "sweep")), tmp_path / "escape"
    escape.mkdir()
    (escape / files.CONFIG).write_text("{ not ours")
    monkeypatch.setattr(manifest, "check_digest", lambda *_: None)  # as in one that has none
    digest = forge(sweep, directory=directory)
    with pytest.raises(RunError, match=r"manifest\.json: "):
        read(sweep)
    with pytest.raises(RunError):
        run_job(str(sweep), digest)
    with pytest.raises(SettingError):
        swept(sweep, "seed=0")
    assert [(p.name, p.read_text()) for p in escape.iterdir()] == [(files.CONFIG, "{ not ours")]


@pytest.mark.parametrize("link", ["jobs", "job", "logs", "log", "damaged"])
def test_a_sweep_follows_no_link(link: str, one_job: Path, tmp_path: Path) -> None:
    sweep, elsewhere = Path(shutil.copytree(one_job, tmp_path / "sweep")), tmp_path / "elsewhere"
    (job,) = (sweep / "jobs").iterdir()
    (log,) = (sweep / "logs").iterdir()
    (job / files.SUMMARY).write_text("{")  # it is to be set aside and run again
    damaged = sweep / "damaged"
    path = {"jobs": job.parent, "job": job, "logs": log.parent, "log": log, "damaged": damaged}[
        link
    ]
    if path == damaged:
        elsewhere.mkdir()
    else:
        path.rename(elsewhere)
    path.symlink_to(elsewhere)
    before = {p: p.stat().st_mtime_ns for p in (elsewhere, *elsewhere.rglob("*"))}
    with suppress(SettingError, OSError):
        assert swept(sweep, "seed=0") == ["failed"]
    assert {p: p.stat().st_mtime_ns for p in (elsewhere, *elsewhere.rglob("*"))} == before


def test_a_log_that_cannot_be_written_fails_the_job_with_the_reason(
    one_job: Path, tmp_path: Path
) -> None:
    sweep = Path(shutil.copytree(one_job, tmp_path / "sweep"))
    (sweep / "logs").rename(tmp_path / "logs")
    (sweep / "logs").write_text("mine")
    assert swept(sweep, "seed=0,1") == ["finished", "failed"]
    (reason,) = (job.status(sweep).reason for job in read(sweep)[1:])
    assert "File exists" in reason
    assert "logs" in reason
    (sweep / "logs").unlink()
    assert swept(sweep, "seed=0,1") == ["finished"] * 2


@pytest.mark.parametrize("others", [False, True])
def test_a_failure_that_cannot_be_written_down_is_told(
    others: bool, one_job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = Path(shutil.copytree(one_job, tmp_path / "sweep"))

    def full(where: Path, job: Path, reason: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(job))

    def failing(sweep: Path, path: Path, notify: Notify) -> None:
        if "seed=1" in path.name:
            raise SettingError("on purpose")

    monkeypatch.setattr("ffn_train.sweep.job._failed", full)
    monkeypatch.setattr("ffn_train.sweep.job._set_aside_if_damaged", failing)
    NOTES.clear()
    if others:
        assert swept(sweep, "seed=2,1") == ["finished", "pending"]
        assert sum("not all jobs were run ([Errno 28] No space left" in n for n in NOTES) == 3
    else:
        with pytest.raises(SettingError, match=r"no job could be launched: .*No space left on"):
            swept(sweep, "seed=0,1")


def test_a_directory_that_no_run_was_made_in_is_not_moved(one_job: Path, tmp_path: Path) -> None:
    sweep = Path(shutil.copytree(one_job, tmp_path / "sweep"))
    (job,) = (sweep / "jobs").iterdir()
    for file in (files.LOCK, files.STATUS, files.SUMMARY):
        os.unlink(job / file)
    (job / files.CONFIG).write_text("{ not ours")
    assert swept(sweep, "seed=0") == ["failed"]
    assert (job / files.CONFIG).read_text() == "{ not ours"
    assert not (sweep / "damaged").exists()


def test_a_job_alone_keeps_nothing_while_it_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its table's frame would take as much memory again as the rows that it trains on."""
    worked_out: list[str] = []

    def job(_: str, digest: str) -> str:
        for _again in range(2):
            kept("table", None, lambda: worked_out.append(digest))
        return "finished"

    monkeypatch.setattr("ffn_train.sweep.job.run_job", job)
    assert launcher._task(SimpleNamespace(sweep="s", job="job_a_b")) == "finished, finished"
    assert worked_out == ["a"]
    assert launcher._task(SimpleNamespace(sweep="s", job="job_c")) == "finished"
    assert worked_out == ["a", "c", "c"]


LOUD = """
from ffn_train.parts import Logger, choice

@choice("logger", "loud")
class Loud(Logger):
    def log(self, step, scalars, measures):
        print("seen by a logger", end="")
"""


SILENT = """
from ffn_train.parts import StepQuantity, choice

@choice("quantity", "silent")
class Silent(StepQuantity):
    per, symbol, equation, needs = "run", "s", "s", ("gradient",)

    def value(self, step, memory, out):
        open("nowhere")
"""


def test_a_job_that_a_part_ends_says_where(parts_folder: Path) -> None:
    (parts_folder / "silent.py").write_text(SILENT)
    chosen = ("parts=silent.py", "measure.quantities=silent", "seed=0,1")
    plan = sweep_run.check([*TINY, *chosen, "sweep.dir=sweep"])
    for entry in sweep_run.run_sweep(plan, NOTES.append).entries:
        status = entry.status(Path("sweep"))
        assert status.state == "failed"
        assert status.reason.startswith("parts=silent.py, line 9, in value: FileNotFoundError: ")


def test_what_a_worker_has_printed_is_not_lost_when_it_ends(tmp_path: Path) -> None:
    (tmp_path / "loud.py").write_text(LOUD)
    parts = ("parts=loud.py", "logger=loud", "trainer.steps=2", "log.every=5")
    done = process("-m", "seed=0,1", *SMALL[:3], *parts, "sweep.dir=sweep", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("seen by a logger") == 4  # in the first and the last row of each job
