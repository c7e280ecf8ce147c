"""python -m ffn_train.plots: redraws a run's figures from its directory."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ffn_train.commands.options import Parser, say, words
from ffn_train.config.composition import load_parts
from ffn_train.config.outside import load
from ffn_train.config.registry import choices
from ffn_train.plots import Undrawn, draw
from ffn_train.plots.appearance import Appearance
from ffn_train.runs import load_run


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the requested figures; exits 2 with one line on errors.

    A figure whose code fails is such an error, once all others are drawn.
    """
    parser = Parser(
        "plots",
        "Redraw the figures of finished or unfinished runs into RUN_DIR/plots.",
    )
    parser.add_argument(
        "runs", nargs="+", metavar="RUN_DIR", help="a run's directory; parts=[FILE] is --parts FILE"
    )
    parser.add_argument(
        "--figures",
        type=words,
        metavar="NAME,...",
        help=f"of {', '.join(choices('figure'))}; default: all",
    )
    parser.add_parts("figures of your own")
    parser.add_appearance()
    parser.add_formats()
    options = parser.parse(arguments)
    with parser.mistakes():
        part_words = [text for text in options.runs if text.startswith("parts=")]
        load(options.parts)
        load_parts(part_words)
        appearance = Appearance(**parser.appearance(options))
        chosen = {"figures": options.figures, "formats": options.formats, "appearance": appearance}
        failed = False
        for path in (text for text in options.runs if text not in part_words):
            try:
                written = draw(load_run(path), **chosen, notify=parser.notify)
            except Undrawn as error:
                written, failed = error.written, True
                for name, reason in error.reasons.items():
                    parser.notify(f"figure {name} of {path} left out: {reason}")
            for figure in written:
                say(str(figure))
    if failed:
        sys.exit(2)
