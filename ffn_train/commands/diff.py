"""python -m ffn_train diff: in which settings two runs differ."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ffn_train.commands.help import value
from ffn_train.commands.options import Parser, say
from ffn_train.report.table import aligned
from ffn_train.runs import load_run
from ffn_train.using.difference import difference


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table of the settings; exits 2 with one line on errors."""
    parser = Parser("diff", "Print the settings in which two runs differ, with both values.")
    parser.add_argument("first", type=Path, metavar="RUN_DIR")
    parser.add_argument("second", type=Path, metavar="RUN_DIR")
    options = parser.parse(arguments)
    with parser.mistakes():
        runs = [load_run(path) for path in (options.first, options.second)]
        pairs = difference(*runs)
    if not pairs:
        say("no setting differs")
        return
    head = ("setting", str(options.first), str(options.second))
    rows = [head, *((key, *map(value, values)) for key, values in pairs.items())]
    say("\n".join(aligned(rows, left=(0, 1, 2))))
