"""Finds the runs in and below run directories, sweeps and directories of these."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ffn_train.config.settings import SettingError, counted
from ffn_train.running import Notify
from ffn_train.runs import RunError, files
from ffn_train.sweep.manifest import JOBS, MANIFEST, read

OUT = "comparison"
_NO_RUNS = (files.CHECKPOINTS, files.PLOTS, OUT)  # directories that are not searched


@dataclass(frozen=True)
class Place:
    """A run's directory; ``label``: its path below the common root of the requested directories.

    ``config``: a job's settings in its sweep's manifest, since it may not have started; ``rank``:
    the job's position there.
    """

    path: Path
    label: str
    config: Mapping[str, Any] | None = None
    rank: int = 0


def find(roots: Sequence[str | Path], notify: Notify) -> list[Place]:
    """The runs in and below the directories, each once, in the order of their labels.

    Raises SettingError without a directory, or for one that does not exist.
    """
    if not roots:
        raise SettingError("no directory is given, in which there may be runs")
    paths = [Path(root) for root in roots]
    for path in paths:
        if not path.is_dir():
            raise SettingError(f"{path} is not a directory")
    resolved = [path.resolve() for path in paths]
    base = os.path.commonpath([root.parent if is_run(root) else root for root in resolved])
    places: dict[Path, Place] = {}
    for root in resolved:
        for path, config, rank in _below(root, notify):
            if path not in places or places[path].config is None:
                label = Path(os.path.relpath(path, base)).as_posix()
                label = label.encode(errors="backslashreplace").decode()  # of names in other bytes
                places[path] = Place(path, label, config, rank)
    return sorted(places.values(), key=lambda place: place.label)


def is_run(path: Path) -> bool:
    """Whether a directory is a run's, including a run that failed before it started; False for one
    that may not be looked into.
    """
    return any(os.path.isfile(path / name) for name in (files.CONFIG, files.STATUS))


def recorded_elsewhere(path: Path) -> bool:
    """Whether another program recorded the run: such a directory has neither settings nor
    provenance. A directory of this program without settings has lost them.
    """
    native = any((path / name).is_file() for name in (files.CONFIG, files.PROVENANCE))
    return not native and (path / files.LAYOUT).is_file()


def _below(path: Path, notify: Notify) -> Iterator[tuple[Path, Mapping[str, Any] | None, int]]:
    if is_run(path):
        yield path, None, 0
        return
    if os.path.isfile(path / MANIFEST):
        try:
            entries = read(path)
        except RunError as error:
            notify(f"{error}; searching the directory for its jobs")
        else:
            for rank, job in enumerate(entries):
                yield path / job.directory, job.config, rank
            listed = {path / job.directory for job in entries}
            others = [job for job in (path / JOBS).glob("*") if job not in listed and is_run(job)]
            if others:
                notify(
                    f"left out: {counted(len(others), 'run')} in {path / JOBS} that its "
                    f"{MANIFEST} does not list"
                )
            return
    try:
        inside = sorted(entry.name for entry in os.scandir(path) if entry.is_dir())
    except OSError as error:
        notify(f"{path}: {error.strerror}")
        return
    for name in inside:
        if name.startswith(".") or name in _NO_RUNS:
            continue
        if not (path / name).is_symlink():
            yield from _below(path / name, notify)
        elif is_run(path / name):  # other links may lead in circles
            yield (path / name).resolve(), None, 0
