"""What an earlier comparison wrote in a directory; only this is replaced or removed."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ffn_train.config.settings import SettingError
from ffn_train.runs import files

MAKER = "ffn_train.compare"  # of a figure, in its file's metadata
# what tells the other files from those of the same names that something else wrote
_SIGNS = {
    "groups.csv": b",metric,",
    "runs.csv": b",directory\n",
    "times.csv": b"directory,",
    "index.html": b"<body data-adler32=",
}


def _ours(path: Path) -> bool:
    return _SIGNS.get(path.name, MAKER.encode()) in files.read_bytes(path)


def check(paths: Iterable[Path]) -> None:
    """Raises SettingError for files that something else wrote, OSError for what is no file.

    Where the tables are a comparison's, so are the figures: older versions did not sign them.
    """
    foreign = [path for path in paths if files.there(path) and not _ours(path)]
    foreign = [path for path in foreign if path.name in _SIGNS or not tables(path.parent)]
    if foreign:
        exist, them = ("exists", "it") if len(foreign) == 1 else ("exist", "them")
        listed = ", ".join(map(str, foreign))
        raise SettingError(f"{listed} {exist}; remove {them}, or name another directory by --out")


def tables(out: Path) -> list[bytes]:
    """The contents of the tables that tell which runs an earlier comparison had, if it was one."""
    found = []
    for path in (out / "groups.csv", out / "runs.csv"):
        with suppress(OSError):
            found += [files.read_bytes(path)] if _ours(path) else []
    return found


def remove_figures(figures: Iterable[Path]) -> None:
    """Remove those of these figures that an earlier comparison wrote."""
    for path in figures:
        with suppress(OSError):  # of what is not there, is no file or cannot be read
            if _ours(path):
                path.unlink()
