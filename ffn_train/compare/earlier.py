"""What an earlier comparison wrote in a directory; only this is replaced or removed."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from ffn_train.compare.discovery import OUT
from ffn_train.config.sections import FORMATS
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
    """Raises SettingError for a file that something else wrote, OSError for a link.

    The folder ``comparison`` is a comparison's own: one of version 0.1.0 did not sign its figures.
    """
    for path in paths:
        if files.there(path) and path.parent.name != OUT and not _ours(path):
            raise SettingError(f"{path} exists; remove it, or name another directory by --out")


def remove_figures(out: Path, but: Collection[Path]) -> None:
    """Remove the figures of earlier comparisons, of which these are not."""
    for path in sorted(out.iterdir()):
        picture = path.suffix.removeprefix(".") in FORMATS and path not in but
        if picture and path.is_file() and not path.is_symlink() and _ours(path):
            path.unlink()
