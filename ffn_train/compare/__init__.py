"""Comparison of many runs: their groups, tables and figures, from their directories alone.

    comparison = collect([Path("outputs/sweeps/depths")], Options(), notify=print)
    write_figures(comparison, Path("comparison"), ["png"])
    write_tables(comparison, Path("comparison"))
    write_page(comparison, Path("comparison"))

A figure is a module of ``figures/`` with a ``NAME`` and a ``draw(comparison)``, which returns None
where the runs have nothing to show in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ffn_train.compare.comparison import Comparison, Options, collect
from ffn_train.compare.discovery import OUT
from ffn_train.compare.page import html
from ffn_train.compare.tables import GROUPS, RUNS, TIMES_FILE, tables
from ffn_train.compare.terminal import table
from ffn_train.runs import files

__all__ = [
    "Comparison",
    "Options",
    "collect",
    "table",
    "write_figures",
    "write_page",
    "write_tables",
]

PAGE = "index.html"
OTHERS = (GROUPS, RUNS, TIMES_FILE, PAGE)  # what is written besides figures


def write_tables(comparison: Comparison, out: Path) -> None:
    """Write the tables, each file atomically. Raises OSError that names the file."""
    out.mkdir(parents=True, exist_ok=True)
    for name, content in tables(comparison).items():
        files.write_whole(out / name, content.encode(), durable=False)


def write_figures(
    comparison: Comparison, out: Path, formats: Sequence[str], processes: int = 1
) -> list[Path]:
    """Write the figures in each format and return their paths; without a format, write nothing.

    All are drawn before one is written. Each file is replaced atomically. ``processes``: the
    figures are drawn in so many forked ones, which a process with threads (or with JAX or PyTorch)
    must not ask for.
    Raises SettingError for an unknown format, an option of the comparison that a figure cannot have
    or a file that no comparison wrote, OSError that names the file.
    """
    if not formats:
        return []
    from ffn_train.compare import figures  # late: it imports matplotlib

    return figures.write_figures(comparison, out, formats, processes)


def write_page(comparison: Comparison, out: Path) -> Path:
    """Write the interactive page, whole. Raises OSError that names the file."""
    out.mkdir(parents=True, exist_ok=True)
    name = out.resolve().parent.name if out.name == OUT else out.resolve().name
    files.write_whole(out / PAGE, html(comparison, name).encode(), durable=False)
    return out / PAGE
