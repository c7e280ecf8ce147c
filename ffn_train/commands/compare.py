"""python -m ffn_train.compare: runs and sweeps side by side."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from ffn_train import compare
from ffn_train.commands.options import Parser, columns, mention, words
from ffn_train.compare import earlier
from ffn_train.compare.discovery import OUT, is_run
from ffn_train.compare.metrics import STANDARD
from ffn_train.compare.reading import MANY
from ffn_train.config.sections import FORMATS
from ffn_train.config.settings import some_of
from ffn_train.plots import uncollected
from ffn_train.runs.files import unlinked
from ffn_train.train.threads import allowed_cores

ELSEWHERE = Path("outputs") / "comparison"  # for several directories


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table and write tables and figures; exits 2 with one line on errors."""
    parser = Parser(
        "compare",
        "Compare runs, finished or not: the settings that differ, mean and spread over "
        "seeds, tables and figures.",
    )
    parser.add_argument(
        "directories",
        nargs="+",
        type=Path,
        metavar="DIR",
        help="a run, a sweep, or a directory that contains some",
    )
    parser.add_argument(
        "--by",
        type=words,
        metavar="KEY,...",
        help="settings to group by; default: all that differ except the seed. A key may be "
        "shortened (depth) if that is not ambiguous",
    )
    parser.add_argument(
        "--x",
        metavar="KEY",
        help="the setting on the axis; default: a searched number, a learning rate or the depth",
    )
    parser.add_argument("--color", metavar="KEY", help="the setting that the colour shows")
    parser.add_argument("--panel", metavar="KEY", help="the setting with a panel per value")
    parser.add_argument("--metric", metavar="NAME", help=f"of {', '.join(STANDARD)}")
    parser.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="CONDITION",
        help="only matching runs: 'depth>=16', 'residual!=none'; = != >= <= > <; repeatable",
    )
    parser.add_argument("--figures", type=words, metavar="NAME,...", help="only these")
    parser.add_appearance()
    parser.add_formats()
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help=f"where to write; default: comparison/ in the directory, {ELSEWHERE} for several",
    )
    options = parser.parse(arguments)
    with uncollected(), parser.mistakes("; --out DIR writes elsewhere"):
        if options.figures is not None:
            from ffn_train.compare.figures import FIGURES  # late: it imports matplotlib

            some_of("--figures", options.figures, FIGURES)
        looks = parser.appearance(options)
        names = [field.name for field in fields(compare.Options) if field.name not in looks]
        chosen = compare.Options(**{name: getattr(options, name) for name in names}, **looks)
        formats = some_of("--formats", options.formats, FORMATS)
        processes = allowed_cores()
        comparison = compare.collect(options.directories, chosen, parser.notify, processes)
        if len(comparison.cases) < MANY:
            processes = 1
        page = present(comparison, options.out or _out(options.directories), formats, processes)
        mention(f"to look at: {page}")


def present(
    comparison: compare.Comparison, out: Path, formats: Sequence[str], processes: int = 1
) -> Path:
    """Write tables, figures and the page, whose file is returned; print the table of the groups.

    Nothing is printed if writing fails, and nothing is written if a figure refuses an option or a
    file is in the way. Figures of earlier comparisons of other runs are removed.
    """
    from ffn_train.compare.figures import FIGURES  # late: it imports matplotlib

    before = earlier.tables(out)
    earlier.check(out / name for name in compare.OTHERS)
    figures = compare.write_figures(comparison, out, formats, processes)
    compare.write_tables(comparison, out)
    page = compare.write_page(comparison, out)
    if earlier.tables(out) != before:
        named = {out / f"{name}.{kind}" for name in FIGURES for kind in FORMATS}
        earlier.remove_figures(named - {*figures})
    mention(compare.table(comparison, columns(sys.stdout) or sys.maxsize))
    names = ", ".join(dict.fromkeys(path.stem for path in figures))
    mention(f"tables{f' and figures ({names})' if names else ''} in {out}")
    return page


def _out(directories: Sequence[Path]) -> Path:
    if len(directories) == 1 and not is_run(directories[0]):
        return unlinked(directories[0] / OUT)
    return ELSEWHERE
