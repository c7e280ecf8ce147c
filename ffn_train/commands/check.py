"""ffn-train check FILE.py: are a user's backward passes right, and if not, what is wrong?"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ffn_train.commands.options import Parser, say
from ffn_train.config.settings import SettingError
from ffn_train.teach import check_bench
from ffn_train.teach.check import TEXTBOOK
from ffn_train.teach.child import Child, Unanswered


def main(arguments: Sequence[str] | None = None) -> None:
    """Exits 0 if all that the file defines is right, 1 if not, 2 if something cannot be checked."""
    parser = Parser(
        "check",
        f"Check the functions that a file defines: {', '.join(TEXTBOOK)}, any pair "
        "forward(x, *parameters), backward(dy, x, *parameters), also as the methods of a class, "
        "and losses with their gradients, loss(y, t), loss_grad(y, t). Gradients are compared with "
        "centred differences, and the mistake in a wrong one is named. The file is run, with your "
        "rights, in a separate process with limits on time, memory and output.",
    )
    parser.add_argument(
        "file", type=Path, metavar="FILE.py", help="the file that defines the functions"
    )
    parser.add_argument("--seconds", metavar="N", default="60", help="time limit; default: 60")
    options = parser.parse(arguments)
    path: Path = options.file
    with parser.mistakes():
        if not path.is_file():
            raise SettingError(f"{path} is not a file")
        if path.suffix == ".ipynb":
            what = "is a notebook: call ffn_train.check_gradients(forward, backward) there"
            raise SettingError(f"{path} {what}, or save the functions as a .py file")
        seconds = _seconds(options.seconds)
    try:
        with Child(path.resolve(), seconds) as child:
            report = check_bench(child)
            if not report.findings:
                raise Unanswered(
                    f"it defines none of {', '.join(TEXTBOOK)}, no pair forward, backward, as "
                    "functions or methods of a class, and no loss with its gradient"
                )
    except Unanswered as error:
        parser.error(f"{path} cannot be checked: {error}")
    say(str(report))
    sys.exit(report.status)


def _seconds(text: str) -> float:
    """A time limit. Raises SettingError."""
    with suppress(ValueError):
        if 0 < (seconds := float(text)) <= 3600:
            return seconds
    raise SettingError(f"--seconds must be a number in (0, 3600], got {text!r}")
