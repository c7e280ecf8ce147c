"""The parser of the commands that are not Hydra's: a mistake costs one line, without the usage."""

from __future__ import annotations

import argparse
import os
import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NoReturn, TextIO

from ffn_train.config.sections import FORMATS
from ffn_train.config.settings import SettingError, nearest, printable
from ffn_train.runs.files import RunError


class Parser(argparse.ArgumentParser):
    """``python -m ffn_train.NAME``; an unknown option is answered with the nearest one."""

    def __init__(self, name: str, description: str, **options: Any) -> None:
        self.program = f"ffn_train.{name}" if name else "ffn_train"
        super().__init__(prog=f"python -m {self.program}", description=description, **options)

    def parse(self, arguments: Sequence[str] | None) -> argparse.Namespace:
        """The options among the arguments (None: the command line's), in any order with the rest.

        Unknown options come first: without them the rest may seem to be missing.
        """
        given = list(sys.argv[1:] if arguments is None else arguments)
        options = [text for action in self._actions for text in action.option_strings]
        for text in given[: given.index("--")] if "--" in given else given:
            word = text.partition("=")[0]
            short = [o for o in options if len(o) == 2 and text.startswith(o)]
            known = short or any(option.startswith(word) for option in options)
            if word.startswith("-") and word != "-" and not known:
                self.error(f"{word} is not an option{nearest(word, options)}")
        return self.parse_intermixed_args(given)

    def add_formats(self) -> None:
        """Add ``--formats``, of the figures that the command writes."""
        self.add_argument(
            "--formats",
            type=words,
            default=["png"],
            metavar="NAME,...",
            help=f"of {', '.join(FORMATS)}; default: png",
        )

    @contextmanager
    def mistakes(self, elsewhere: str = "") -> Iterator[None]:
        """A context whose mistakes end the command; ``elsewhere`` is said where a file fails it."""
        try:
            yield
        except (SettingError, RunError) as error:
            self.error(str(error))
        except BrokenPipeError:
            raise
        except OSError as error:
            self.error(f"{os_error(error)}{elsewhere}")

    def notify(self, line: str) -> None:
        """Tell a person something, on stderr."""
        tell(f"{self.program}: {line}")

    def error(self, message: str) -> NoReturn:
        """Exits 2."""
        self.notify(message)
        sys.exit(2)


def say(text: str) -> None:
    """Print what was asked for; nothing in it is acted on by the terminal."""
    print(_fitted(text, sys.stdout), flush=True)


def mention(text: str) -> None:
    """Print what may not be read to its end, where the files are wanted all the same."""
    with suppress(BrokenPipeError):
        say(text)


def tell(line: str) -> None:
    """Tell a person something, in a line on stderr, if there is anybody to be told."""
    with suppress(OSError, ValueError):  # stderr is closed
        print(_fitted(line.replace("\n", "\\n"), sys.stderr), file=sys.stderr, flush=True)


def columns(stream: TextIO) -> int | None:
    """How many characters a line of the terminal has; None of a pipe or a file."""
    if not stream.isatty():
        return None
    return int(os.environ.get("COLUMNS") or os.get_terminal_size(stream.fileno()).columns) or 80


def _fitted(text: str, stream: TextIO) -> str:
    """The text as it is printed: on a terminal its lines end between words."""
    width, shown = columns(stream), printable(text)
    if width is None:
        return shown
    return "\n".join(part for line in shown.split("\n") for part in wrapped(line, width))


def wrapped(line: str, width: int) -> list[str]:
    """A line in parts of so many characters, each below the second column of what it begins with.

    A command that is to be pasted stays whole.
    """
    if len(line) <= width:
        return [line]
    words, start, pasted = line.partition("python -m ")
    second = re.match(r"\S.*? {2,}(?=\S)", words)
    indent = second.end() if second and second.end() <= width / 2 else 0
    parts = textwrap.wrap(
        words,
        width,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [*parts, f"{start}{pasted}"] if start else parts


def words(text: str) -> list[str]:
    """``a,b`` as a list."""
    return [word.strip() for word in text.split(",") if word.strip()]


def os_error(error: OSError) -> str:
    """What the operating system refused, with the file's name if it gives one."""
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"
