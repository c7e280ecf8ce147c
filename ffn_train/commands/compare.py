"""python -m ffn_train.compare: runs and sweeps side by side."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from ffn_train.commands.options import Parser, columns, mention, words
from ffn_train.config.sections import FORMATS
from ffn_train.config.settings import SettingError, one_of, some_of
from ffn_train.runs.files import make_folder

if TYPE_CHECKING:
    from ffn_train.compare import Comparison

_WIDTHS = {"single": 3.5, "double": 7.0}  # inches: a column of a two-column page, and both
ELSEWHERE = Path("outputs") / "comparison"  # of runs that are not in one directory


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table and write tables and figures; exits 2, with one line, for a mistake."""
    from ffn_train.compare import Options, collect
    from ffn_train.compare.metrics import STANDARD

    parser = Parser(
        "compare",
        "Compare runs, finished or not: which settings differ, mean and spread over "
        "seeds, tables and figures.",
    )
    parser.add_argument(
        "directories",
        nargs="+",
        type=Path,
        metavar="DIR",
        help="a run, a sweep, or a directory that holds some",
    )
    parser.add_argument(
        "--by",
        type=words,
        metavar="KEY,...",
        help="settings to group by; default: all that differ but the seed. A key may be shortened "
        "(depth) where that is not ambiguous",
    )
    parser.add_argument("--x", metavar="KEY", help="the setting on the axis; default: the depth")
    parser.add_argument("--color", metavar="KEY", help="the setting that the colour shows")
    parser.add_argument("--panel", metavar="KEY", help="the setting that has a panel a value")
    parser.add_argument("--metric", metavar="NAME", help=f"of {', '.join(STANDARD)}")
    parser.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="CONDITION",
        help="only runs that meet it: 'depth>=16', 'residual!=none'; = != >= <= > <; repeatable",
    )
    parser.add_argument("--figures", type=words, metavar="NAME,...", help="only these")
    parser.add_argument(
        "--only-panel", type=int, metavar="N", help="of each figure the N-th panel alone, from 1"
    )
    parser.add_argument(
        "--width",
        metavar="NAME",
        help="of a figure with its legends: single (3.5 in) or double (7 in), a page's columns",
    )
    for name in ("--xlim", "--ylim"):
        parser.add_argument(
            name, metavar="LOW,HIGH", help=f"the ends of the {name[2]} axis of curves"
        )
    parser.add_argument(
        "--no-title", dest="title", action="store_false", help="no header, for a caption's sake"
    )
    parser.add_argument(
        "--no-markers", dest="markers", action="store_false", help="curves without markers"
    )
    parser.add_formats()
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help=f"where to write; default: comparison/ in the directory, {ELSEWHERE} for several",
    )
    options = parser.parse(arguments)
    with parser.mistakes("; --out DIR writes elsewhere"):
        if options.width is not None:
            one_of("--width", options.width, _WIDTHS)
        if options.figures is not None:
            from ffn_train.compare.figures import FIGURES  # late: it imports matplotlib

            some_of("--figures", options.figures, FIGURES)
        options.inches = _WIDTHS.get(options.width)
        options.xlim, options.ylim = (
            _ends(name, getattr(options, name)) for name in ("xlim", "ylim")
        )
        chosen = Options(**{field.name: getattr(options, field.name) for field in fields(Options)})
        formats = some_of("--formats", options.formats, FORMATS)
        comparison = collect(options.directories, chosen, parser.notify)
        present(comparison, options.out or _out(options.directories), formats)


def _ends(name: str, text: str | None) -> tuple[float, float] | None:
    """``LOW,HIGH`` as numbers. Raises SettingError."""
    if text is None:
        return None
    try:
        low, high = (float(word) for word in text.split(","))
        if -math.inf < low < high < math.inf:
            return low, high
    except ValueError:
        pass
    raise SettingError(f"--{name} must be LOW,HIGH, two ascending numbers, got {text!r}")


def present(comparison: Comparison, out: Path, formats: Sequence[str]) -> None:
    """Write the tables, print the one of the groups, draw the figures, and say where.

    Nothing is printed where nothing can be written.
    """
    from ffn_train.compare import table, write_figures, write_tables

    write_tables(comparison, out)
    mention(table(comparison, columns(sys.stdout) or sys.maxsize))
    figures = write_figures(comparison, out, formats)
    names = ", ".join(dict.fromkeys(path.stem for path in figures))
    mention(f"tables{f' and figures ({names})' if names else ''} in {out}")


def _out(directories: Sequence[Path]) -> Path:
    from ffn_train.compare.discovery import OUT, is_run

    if len(directories) == 1 and not is_run(directories[0]):
        return make_folder(directories[0] / OUT)
    return ELSEWHERE
