"""python -m ffn_train.plots: a run's figures drawn again from its directory."""

from __future__ import annotations

from collections.abc import Sequence

from ffn_train.commands.options import Parser
from ffn_train.config.settings import SettingError
from ffn_train.runs import RunError, load_run


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw what the command line asks for; exits 2, with one line, for a mistake in it."""
    from ffn_train.plots import FIGURES, FORMATS, draw

    parser = Parser(
        "plots",
        "Draw the figures of finished or unfinished runs again, into RUN_DIR/plots.",
    )
    parser.add_argument("runs", nargs="+", metavar="RUN_DIR", help="a run's directory")
    parser.add_argument(
        "--figures", type=_words, metavar="NAME,...", help=f"of {', '.join(FIGURES)}; default: all"
    )
    parser.add_argument(
        "--formats",
        type=_words,
        default=["png"],
        metavar="NAME,...",
        help=f"of {', '.join(FORMATS)}; default: png",
    )
    options = parser.parse_args(arguments)
    try:
        for path in options.runs:
            for written in draw(load_run(path), figures=options.figures, formats=options.formats):
                print(written)
    except (RunError, SettingError) as error:
        parser.error(str(error))
    except OSError as error:
        parser.error(f"{error.filename or 'cannot write'}: {error.strerror or error}")


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]
