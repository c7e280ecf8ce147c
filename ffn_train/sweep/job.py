"""One job of a sweep, run in a process that a launcher starts."""

from __future__ import annotations

import os
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from ffn_train.config.outside import located, place_in_part
from ffn_train.config.settings import SettingError, printable
from ffn_train.nn.engine import check_engine
from ffn_train.running import Notify
from ffn_train.running.execution import execute
from ffn_train.running.experiment import build_experiment
from ffn_train.running.interruption import Interrupted
from ffn_train.runs import RunError, files
from ffn_train.runs.files import read_json
from ffn_train.runs.lock import in_use
from ffn_train.runs.status import ENDED, Status
from ffn_train.sweep.manifest import read_job

LOGS = "logs"
STOP = ".stop"
FAILED = ".failed"
DAMAGED = "damaged"


def run_job(sweep: str, digest: str) -> str:
    """Start or resume the job with this digest and return its state.

    Messages of the run, and the traceback if it fails, go to ``logs/NAME.log``. With ``fail_fast``
    a job does not start once another has failed. The file ``STOP`` in the sweep's directory makes
    all jobs, wherever they run, end with a checkpoint. Raises RunError if the manifest is damaged,
    OSError if the job's failure cannot be written down.
    """
    stop = Path(sweep) / STOP
    if stop.exists():
        return "pending"
    entry = read_job(Path(sweep), digest)
    path = Path(sweep) / entry.directory
    while in_use(path) and not stop.exists():  # by a worker that outlived a killed sweep
        time.sleep(0.2)
    if (state := entry.status(Path(sweep)).state) in ENDED:
        return state
    if stop.exists() or (entry.config["fail_fast"] and (Path(sweep) / FAILED).exists()):
        return "pending"
    try:
        name = files.make_folder(Path(sweep) / LOGS) / f"{path.name}.log"
        log = open(name, "a", encoding="utf-8", opener=files.regular)  # noqa: SIM115
    except OSError as error:
        _failed(Path(sweep), path, str(error))
        return entry.status(Path(sweep)).state
    with log:

        def notify(line: str) -> None:
            with suppress(OSError):  # a full disk will fail the run itself
                print(printable(line), file=log, flush=True)

        try:
            _set_aside_if_damaged(Path(sweep), path, notify)
            engine = usable(entry.config.get("engine", "numpy"), notify)
            config = {**entry.config, "engine": engine}
            experiment = build_experiment(_config(config, path))
            if changed := entry.changed(entry.read_again()):
                what = "; ".join(changed)
                raise SettingError(f"the sweep was begun with something else: {what}")
            run = execute(experiment, notify, stop=stop, progress=False)
            if run.state != "finished":
                notify(entry.status(Path(sweep)).reason)
        except Interrupted as error:
            notify(f"interrupted by {error}")
        except KeyboardInterrupt:
            notify("interrupted before it started")
        except BaseException as error:
            plain = isinstance(error, (SettingError, OSError)) and not place_in_part(error)
            notify(str(error) if plain else traceback.format_exc())
            _failed(Path(sweep), path, str(error) if plain else located(error))
    return entry.status(Path(sweep)).state


def usable(engine: str, notify: Notify) -> str:
    """The engine, or numpy if it is not installed here; ``notify`` gets a line then.

    An engine that was asked for by name is checked before a sweep starts; so this is one that
    engine=auto meant when the sweep began, maybe on another machine.
    """
    try:
        return check_engine(engine)
    except SettingError as error:
        notify(f"warning: {error}; going on with engine=numpy, which rounds differently")
        return "numpy"


def _set_aside_if_damaged(sweep: Path, path: Path, notify: Notify) -> None:
    """Move a directory with unreadable files to ``damaged/``, so that the job starts again.

    Raises SettingError if no run was made in the directory: it belongs to somebody else.
    """
    try:
        for name in (files.CONFIG, files.PROVENANCE, files.SUMMARY, files.STATUS):
            if (path / name).is_file():
                read_json(path / name)
    except RunError as error:
        if not any((path / name).is_file() for name in (files.LOCK, files.STATUS)):
            raise SettingError(
                f"{error}; no run was made in this directory, so it is left alone"
            ) from None
        aside = files.make_folder(sweep / DAMAGED) / f"{path.name}-{time.time_ns()}"
        path.rename(aside)
        notify(f"{error}; the directory was moved to {aside}")


def _failed(sweep: Path, path: Path, reason: str) -> None:
    path.mkdir(parents=True, exist_ok=True)
    mark(sweep / FAILED)
    Status("failed", reason).write(path)


def mark(path: Path) -> None:
    """Make an empty file as a signal to other processes."""
    os.close(files.regular(path, os.O_CREAT | os.O_WRONLY))


def _config(config: Any, path: Path) -> dict[str, Any]:
    """The job's own configuration: its directory, one BLAS thread, no figures unless requested.

    With one thread all launchers give the same bytes.
    """
    plot = {**config["plot"], "when": "always" if config["plot"]["when"] == "always" else "never"}
    threads = 1 if config["threads"] == "auto" else config["threads"]
    return {**config, "run": {"dir": str(path)}, "plot": plot, "threads": threads}
