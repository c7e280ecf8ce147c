"""A run's directory belongs to one process at a time, and what it did not make is left alone."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import sys
import time
from pathlib import Path

import filelock
import pytest

from ffn_train.config.settings import SettingError
from ffn_train.runs import files
from ffn_train.runs.directory import claim
from ffn_train.runs.lock import in_use
from ffn_train.runs.status import Status, status
from tests.support.command import Forked, as_nobody
from tests.support.small_runs import config, run_in


def test_the_lock_ends_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "run"

    def hold() -> None:
        with claim("run.dir", path, tmp_path):
            (tmp_path / "held").touch()
            time.sleep(60)

    holder = Forked(hold, cwd=tmp_path)
    while not (tmp_path / "held").exists():
        time.sleep(0.01)
    assert in_use(path)
    with (
        pytest.raises(SettingError, match="in use by another process"),
        claim("run.dir", path, tmp_path),
    ):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert not in_use(path)
    with claim("run.dir", path, tmp_path):
        assert in_use(path)


def test_where_the_system_has_no_locks_a_file_names_the_holder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filelock, "has_fcntl", False)
    monkeypatch.setattr(sys, "platform", "other")
    path = tmp_path / "run"
    assert not in_use(path)
    with claim("run.dir", path, tmp_path):
        assert in_use(path)
        with (
            pytest.raises(SettingError, match="in use by another run of this process"),
            claim("run.dir", path, tmp_path),
        ):
            pass
    assert not in_use(path)
    with claim("run.dir", path, tmp_path):
        assert in_use(path)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_named_with_the_remedy(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    path = tmp_path / "run"
    with pytest.raises(SettingError) as caught:
        run_in(path, config())
    reason = os.strerror(number)
    remedy = "run.dir=PATH names another place"
    assert str(caught.value) == f"run.dir={path} cannot be locked: {reason}; {remedy}"
    assert not in_use(path)


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    path = tmp_path / "run"
    path.mkdir()
    (path / files.LOCK).symlink_to(tmp_path / "thesis.tex")
    with pytest.raises(SettingError, match="it is a link"):
        run_in(path, config())
    assert not in_use(path)
    assert (tmp_path / "thesis.tex").read_text() == "mine"
    (path / files.LOCK).unlink()
    (path / files.LOCK).symlink_to(tmp_path / "new")
    with pytest.raises(SettingError, match="it is a link"):
        run_in(path, config())
    assert not (tmp_path / "new").exists()


def test_looking_for_a_lock_makes_and_writes_nothing(tmp_path: Path) -> None:
    assert not in_use(tmp_path)
    assert not in_use(tmp_path / "nowhere")
    assert not list(tmp_path.iterdir())
    (tmp_path / files.LOCK).write_text("what a process wrote here")
    before = (tmp_path / files.LOCK).stat()
    assert not in_use(tmp_path)
    after = (tmp_path / files.LOCK).stat()
    assert (after.st_mtime_ns, after.st_size) == (before.st_mtime_ns, before.st_size)
    (tmp_path / files.LOCK).unlink()
    os.mkfifo(tmp_path / files.LOCK)
    assert not in_use(tmp_path)  # and does not wait for somebody to write


def test_a_read_only_directory_costs_one_line(seen_by_all: Path) -> None:
    path = seen_by_all / "run"
    path.mkdir(mode=0o555)

    def refused() -> None:
        try:
            run_in(path, config())
        except SettingError as error:
            print(error)

    done = as_nobody(refused, seen_by_all)
    assert done.stderr == ""
    assert done.stdout == f"run.dir={path} cannot be written to: Permission denied\n"
    assert not list(path.iterdir())


def test_somebody_elses_run_is_seen_to_be_under_way(seen_by_all: Path) -> None:
    path = seen_by_all / "run"
    with claim("run.dir", path, seen_by_all):
        Status("running").write(path)
        for file in (path, path / files.LOCK, path / files.STATUS):
            file.chmod(0o755 if file == path else 0o444)
        done = as_nobody(lambda: print(status(path).state), seen_by_all)
    assert (done.stdout, done.stderr) == ("running\n", "")
    done = as_nobody(lambda: print(status(path).state), seen_by_all)
    assert (done.stdout, done.stderr) == ("interrupted\n", "")


def test_what_killed_processes_left_half_written_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "run"
    run_in(path, config())
    ours = [
        *(path / f".{name}.ab12_xyz" for name in ("summary.json", "weights.safetensors")),
        path / files.CHECKPOINTS / ".step-000000004.safetensors.k3k3k3k3",
    ]
    others = [path / ".notes.txt.ab12_xyz", path / ".summary.json.before", path / "summary.json~"]
    for file in (*ours, *others):
        file.write_bytes(b"half")
    (path / ".config.json.ab12_xyz").mkdir()
    run_in(path, config())
    assert not any(file.exists() for file in ours)
    assert all(file.read_bytes() == b"half" for file in others)
    assert (path / ".config.json.ab12_xyz").is_dir()
