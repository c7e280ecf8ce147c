"""ffn-train clean: lists or removes files that runs and sweeps no longer need."""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

from ffn_train.commands.options import Parser, say
from ffn_train.compare.discovery import OUT, is_run
from ffn_train.config.settings import SettingError, counted
from ffn_train.interop.export import NAMES as EXPORTS
from ffn_train.report.table import aligned
from ffn_train.running.resumption import last_usable
from ffn_train.runs import RunError, files
from ffn_train.runs.checkpoint import checkpoints, read_checkpoint
from ffn_train.runs.directory import claim
from ffn_train.runs.lock import in_use
from ffn_train.sweep.manifest import MANIFEST

MINUTE = 60  # seconds; writing one of these takes less, and they have no lock
_UNLOCKED = re.compile(  # figures, tables and exports
    r"[\w-]+\.(png|svg|pdf|csv)|model\.(json|py|safetensors|onnx)|records\.parquet|events\..+"
)


def main(arguments: Sequence[str] | None = None) -> None:
    """List superfluous files with their sizes; with ``--yes`` remove them. Exits 2 on errors."""
    parser = Parser(
        "clean",
        "List old and damaged checkpoints and temporary files of killed processes in and below "
        "directories; with --yes, remove them. The newest usable checkpoint of each run stays, so "
        "that it can be resumed or extended. Directories in use are left alone.",
    )
    parser.add_argument("directories", nargs="+", type=Path, metavar="DIR", help="where to look")
    parser.add_argument("--yes", action="store_true", help="remove what is listed")
    options = parser.parse(arguments)
    with parser.mistakes():
        for root in options.directories:
            if not root.is_dir():
                raise SettingError(f"{root} is not a directory")
        rows, total = [], 0
        for directory in dict.fromkeys(
            each for root in options.directories for each in _places(root)
        ):
            if in_use(directory):
                parser.notify(f"in use, left alone: {directory}")
                continue
            found = [(path, "half-written", _size(path)) for path in _half_written(directory)]
            # with the lock, which removes some of them, nobody writes checkpoints
            with claim("DIR", directory, directory) if options.yes else nullcontext():
                found += [(path, what, _size(path)) for path, what in _checkpoints(directory)]
                for path, _, _ in found if options.yes else ():
                    path.unlink(missing_ok=True)
            rows += [(str(path), counted(size, "byte"), what) for path, what, size in found]
            total += sum(size for _, _, size in found)
    for line in aligned(rows, left=(0, 2)) if rows else []:
        say(line)
    then = "removed" if options.yes else "--yes removes them"
    say(f"{counted(len(rows), 'file')}, {counted(total, 'byte')}{f'; {then}' if rows else ''}")


def _size(path: Path) -> int:
    return path.lstat().st_size


def _half_written(directory: Path) -> list[Path]:
    """The temporary files of killed processes in a run's or sweep's directory."""
    old = time.time() - MINUTE
    folders = (directory, directory / files.CHECKPOINTS)
    half_written = [path for folder in folders for path in _temporary(folder, files.LOCKED)]
    for name in ("", files.PLOTS, OUT, EXPORTS["tensorboard"]):
        unlocked = _temporary(directory / name, _UNLOCKED)
        half_written += [path for path in unlocked if path.lstat().st_mtime < old]
    return half_written


def _places(root: Path) -> Iterator[Path]:
    """The directories of runs and sweeps in and below ``root``; links are not followed."""
    for folder, inside, _ in os.walk(root):
        inside[:] = sorted(name for name in inside if not name.startswith("."))
        if is_run(Path(folder)) or (Path(folder) / MANIFEST).is_file():
            yield Path(folder)


def _temporary(folder: Path, names: re.Pattern[str]) -> list[Path]:
    return [] if folder.is_symlink() else files.temporary(folder, names)


def _checkpoints(run: Path) -> list[tuple[Path, str]]:
    """The damaged checkpoints, and those older than the newest usable one."""
    try:
        last = last_usable(run)
    except RunError:
        return []
    damaged, steps, usable = [], {}, []
    for path in checkpoints(run):
        if not (stat.S_ISREG(path.lstat().st_mode) and os.access(path, os.R_OK)):
            continue  # not made by this program, or another user's
        try:
            checkpoint = read_checkpoint(path)
        except RunError:
            damaged.append((path, "a damaged checkpoint"))
            continue
        steps[path] = checkpoint.step
        with suppress(RunError):  # the logs no longer match it
            checkpoint.check(run, checkpoint.identity)
            usable += [checkpoint.step] if checkpoint.step <= last else []
    older = [path for path, step in steps.items() if usable and step < max(usable)]
    return [*damaged, *((path, "an older checkpoint") for path in older)]
