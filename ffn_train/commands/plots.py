"""python -m ffn_train.plots: a run's figures drawn again from its directory."""

from __future__ import annotations

from collections.abc import Sequence

from ffn_train.commands.options import Parser, words
from ffn_train.runs import load_run


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw what the command line asks for; exits 2, with one line, for a mistake in it."""
    from ffn_train.plots import FIGURES, draw

    parser = Parser(
        "plots",
        "Draw the figures of finished or unfinished runs again, into RUN_DIR/plots.",
    )
    parser.add_argument("runs", nargs="+", metavar="RUN_DIR", help="a run's directory")
    parser.add_argument(
        "--figures", type=words, metavar="NAME,...", help=f"of {', '.join(FIGURES)}; default: all"
    )
    parser.add_formats()
    options = parser.parse(arguments)
    with parser.mistakes():
        for path in options.runs:
            for written in draw(load_run(path), figures=options.figures, formats=options.formats):
                print(written)
