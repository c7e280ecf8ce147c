"""ffn-train clean: what runs and sweeps have left and no longer need, listed or removed."""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from ffn_train.commands.options import Parser, say
from ffn_train.compare.discovery import OUT, is_run
from ffn_train.config.settings import SettingError
from ffn_train.report.table import aligned
from ffn_train.running.resumption import last_usable
from ffn_train.runs import RunError, files
from ffn_train.runs.checkpoint import Damaged, checkpoints, read_checkpoint
from ffn_train.runs.directory import claim, in_use
from ffn_train.sweep.manifest import MANIFEST

MINUTE = 60  # seconds; no figure or table takes longer to be written, and nobody locks those
_DRAWN = re.compile(r"[\w-]+\.(png|svg|pdf|csv)")


def main(arguments: Sequence[str] | None = None) -> None:
    """List what can go, with sizes, and remove it with ``--yes``; exits 2 for a mistake."""
    parser = Parser(
        "clean",
        "List old and damaged checkpoints and temporary files of killed processes in and below "
        "directories; with --yes, remove them. The newest usable checkpoint of each run stays, to "
        "resume or extend it, and what is in use is left alone.",
    )
    parser.prog = "python -m ffn_train clean"
    parser.add_argument("directories", nargs="+", type=Path, metavar="DIR", help="where to look")
    parser.add_argument("--yes", action="store_true", help="remove what is listed")
    options = parser.parse(arguments)
    with parser.mistakes():
        for root in options.directories:
            if not root.is_dir():
                raise SettingError(f"{root} is not a directory")
        rows, total = [], 0
        for place in dict.fromkeys(each for root in options.directories for each in _places(root)):
            if in_use(place):
                parser.notify(f"left alone, since it is in use: {place}")
                continue
            for path, what in superfluous(place):
                size = path.lstat().st_size
                rows.append((str(path), f"{size:,} bytes", what))
                total += size
            if options.yes:
                _remove(place)
    for line in aligned(rows, left=(0, 2)) if rows else []:
        say(line)
    then = "removed" if options.yes else "--yes removes them"
    say(f"{len(rows)} files, {total:,} bytes{f'; {then}' if rows else ''}")


def superfluous(place: Path) -> list[tuple[Path, str]]:
    """The files of a run's or sweep's directory that can go, and what each of them is."""
    old = time.time() - MINUTE
    folders = (place, place / files.CHECKPOINTS)
    left = [path for folder in folders for path in _temporary(folder, files.LOCKED)]
    for folder in (place / files.PLOTS, place / OUT):
        left += [path for path in _temporary(folder, _DRAWN) if path.lstat().st_mtime < old]
    return [
        *((path, "left half-written") for path in left),
        *_checkpoints(place),
    ]


def _places(root: Path) -> Iterator[Path]:
    """The directories of runs and sweeps in and below one; no link is followed."""
    for folder, inside, _ in os.walk(root):
        inside[:] = sorted(name for name in inside if not name.startswith("."))
        if is_run(Path(folder)) or (Path(folder) / MANIFEST).is_file():
            yield Path(folder)


def _temporary(folder: Path, names: re.Pattern[str]) -> list[Path]:
    return [] if folder.is_symlink() else files.temporary(folder, names)


def _checkpoints(run: Path) -> list[tuple[Path, str]]:
    """The damaged checkpoints, and those before the newest that the run can be resumed from."""
    try:
        last = last_usable(run)
    except RunError:
        return []
    damaged, steps, usable = [], {}, []
    for path in checkpoints(run):
        if not (stat.S_ISREG(path.lstat().st_mode) and os.access(path, os.R_OK)):
            continue  # it is not what this program made, or somebody else's
        try:
            checkpoint = read_checkpoint(path)
        except Damaged:
            damaged.append((path, "a damaged checkpoint"))
            continue
        steps[path] = checkpoint.step
        with suppress(Damaged):  # its logs are not what they were
            checkpoint.check(run, checkpoint.identity)
            usable += [checkpoint.step] if checkpoint.step <= last else []
    older = [path for path, step in steps.items() if usable and step < max(usable)]
    return [*damaged, *((path, "an older checkpoint") for path in older)]


def _remove(place: Path) -> None:
    with claim("DIR", place, place):  # which removes half-written files, too
        for path, _ in superfluous(place):
            path.unlink(missing_ok=True)
