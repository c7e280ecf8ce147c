"""python -m ffn_train.compare: runs and sweeps side by side."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from ffn_train.config.settings import SettingError, one_of

if TYPE_CHECKING:
    from ffn_train.compare import Comparison

ELSEWHERE = Path("outputs") / "comparison"  # of runs that are not in one directory


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        _notify(message)  # one line, without the usage
        sys.exit(2)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table and write tables and figures; exits 2, with one line, for a mistake."""
    from ffn_train.compare import Options, collect
    from ffn_train.compare.metrics import METRICS

    parser = _Parser(
        prog="python -m ffn_train.compare",
        description="Compare runs, finished or not: which settings differ, mean and spread over "
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
        type=_words,
        metavar="KEY,...",
        help="settings to group by; default: all that differ but the seed. A key may be shortened "
        "(depth) where that is not ambiguous",
    )
    parser.add_argument("--x", metavar="KEY", help="the setting on the axis; default: the depth")
    parser.add_argument("--color", metavar="KEY", help="the setting that the colour shows")
    parser.add_argument("--panel", metavar="KEY", help="the setting that has a panel a value")
    parser.add_argument("--metric", metavar="NAME", help=f"of {', '.join(METRICS)}")
    parser.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="CONDITION",
        help="only runs that meet it: 'depth>=16', 'residual!=none'; = != >= <= > <; repeatable",
    )
    parser.add_argument(
        "--formats",
        type=_words,
        default=["png"],
        metavar="NAME,...",
        help="of png, svg, pdf; default: png",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help=f"where to write; default: comparison/ in the directory, {ELSEWHERE} for several",
    )
    options = parser.parse_args(arguments)
    chosen = Options(
        by=options.by,
        x=options.x,
        color=options.color,
        panel=options.panel,
        metric=options.metric,
        where=options.where,
    )
    try:
        _check(options.formats)
        comparison = collect(options.directories, chosen, _notify)
        present(comparison, options.out or _out(options.directories), options.formats)
    except SettingError as error:
        parser.error(str(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        parser.error(f"{where}{error.strerror or error}; --out DIR writes elsewhere")


def _check(formats: Sequence[str]) -> None:
    from ffn_train.plots import FORMATS

    if not formats:
        raise SettingError(f"--formats must name some of {', '.join(FORMATS)}, got none")
    for kind in formats:
        one_of("--formats", kind, FORMATS)


def present(comparison: Comparison, out: Path, formats: Sequence[str]) -> None:
    """Write the tables, print the one of the groups, draw the figures, and say where.

    Nothing is printed where nothing can be written.
    """
    from ffn_train.compare import table, write_figures, write_tables
    from ffn_train.compare.terminal import WIDTH

    write_tables(comparison, out)
    _say(table(comparison, shutil.get_terminal_size((WIDTH, 0)).columns))
    figures = write_figures(comparison, out, formats)
    names = ", ".join(dict.fromkeys(path.stem for path in figures))
    _say(f"tables{f' and figures ({names})' if names else ''} in {out}")


def _say(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:  # whoever read it has seen enough; the files are wanted all the same
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _out(directories: Sequence[Path]) -> Path:
    from ffn_train.compare.discovery import OUT, is_run

    if len(directories) == 1 and not is_run(directories[0]):
        return directories[0] / OUT
    return ELSEWHERE


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _notify(line: str) -> None:
    print(f"ffn_train.compare: {line}", file=sys.stderr)
