"""The commands' parser, which reports an error in one line without the usage, and their output."""

from __future__ import annotations

import argparse
import errno
import math
import os
import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn, TextIO

from ffn_train.config.outside import place_in_part
from ffn_train.config.sections import FORMATS
from ffn_train.config.settings import SettingError, UserError, nearest, one_of, printable

MODULES = ("compare", "gradcheck", "plots", "reproduce", "theory")  # python -m ffn_train.NAME
_LIMITS = ("--xlim", "--ylim")
_WIDTHS = {"single": 3.5, "double": 7.0}  # inches: a column of a two-column page, and both
# a disk that is full or fails: the place that was named could be written to
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_lost: list[OSError] = []  # see mention


class Parser(argparse.ArgumentParser):
    """The parser of a command, "" for training; for an unknown option it names the nearest."""

    def __init__(self, name: str, description: str, **options: Any) -> None:
        self.program = f"ffn_train.{name}" if name else "ffn_train"
        typed = self.program if name in ("", *MODULES) else f"ffn_train {name}"
        super().__init__(prog=f"python -m {typed}", description=description, **options)
        self.register("type", Path, _path)

    def parse(self, arguments: Sequence[str] | None) -> argparse.Namespace:
        """Parse the arguments (None: the command line's), with options in any position.

        Unknown options are reported first: they could make other arguments seem to be missing.
        """
        typed = _joined(sys.argv[1:] if arguments is None else arguments)
        options = [text for action in self._actions for text in action.option_strings]
        for text in typed[: typed.index("--")] if "--" in typed else typed:
            word = text.partition("=")[0]
            short = [o for o in options if len(o) == 2 and text.startswith(o)]
            recognised = short or any(option.startswith(word) for option in options)
            if word.startswith("-") and word != "-" and not recognised:
                self.error(f"{word} is not an option{nearest(word, options)}")
        return self.parse_intermixed_args(typed)

    def add_network(self) -> None:
        """Add the options that say which weights of a run, and with which parts."""
        self.add_argument(
            "--weights",
            choices=("best", "last"),
            help="of the best validation score or the last step; default: the best if they were "
            "kept",
        )
        self.add_parts("parts of your own that the run has")

    def add_parts(self, parts: str) -> None:
        """Add the option ``--parts``, for such parts."""
        self.add_argument(
            "--parts",
            type=words,
            default=[],
            metavar="FILE,...",
            help=f"Python files or packages with {parts}; they are run",
        )

    def add_formats(self) -> None:
        """Add the option ``--formats`` for a command that writes figures."""
        self.add_argument(
            "--formats",
            type=words,
            default=["png"],
            metavar="NAME,...",
            help=f"of {', '.join(FORMATS)}; default: png",
        )

    def add_appearance(self) -> None:
        """Add the options that ``appearance`` reads."""
        self.add_argument(
            "--only-panel", type=int, metavar="N", help="only the N-th panel of each figure, from 1"
        )
        self.add_argument(
            "--width",
            metavar="NAME",
            help="of a figure with its legends: single (3.5 in) or double (7 in) column of a page",
        )
        for name in _LIMITS:
            self.add_argument(
                name, metavar="LOW,HIGH", help=f"the limits of the {name[2]} axis of curves"
            )
        self.add_argument(
            "--no-title",
            dest="title",
            action="store_false",
            help="no header, for use with a caption",
        )
        self.add_argument(
            "--no-markers", dest="markers", action="store_false", help="curves without markers"
        )

    def appearance(self, options: argparse.Namespace) -> dict[str, Any]:
        """The fields of an ``Appearance``. Raises SettingError."""
        if options.width is not None:
            one_of("--width", options.width, _WIDTHS)
        return {
            "inches": _WIDTHS.get(options.width),
            **{name: _ends(name, getattr(options, name)) for name in ("xlim", "ylim")},
            **{name: getattr(options, name) for name in ("only_panel", "title", "markers")},
        }

    @contextmanager
    def mistakes(self, elsewhere: str = "") -> Iterator[None]:
        """A context whose user errors end the command, ``elsewhere`` added to those of files.

        The status is 2, also for a place that cannot be used, and 1 for a disk that fails.
        """
        try:
            yield
        except UserError as error:
            self.error(str(error))
        except BrokenPipeError:
            raise
        except OSError as error:
            if place_in_part(error):
                raise
            self.notify(f"{os_error(error)}{elsewhere}")
            sys.exit(1 if error.errno in DISK else 2)

    def notify(self, line: str) -> None:
        """Print a message of this command on stderr."""
        tell(f"{self.program}: {line}")

    def error(self, message: str) -> NoReturn:
        """Print the message on stderr and exit with status 2."""
        self.notify(message)
        sys.exit(2)


def free(out: Path, *endings: str) -> Path:
    """The file that --out names. Raises SettingError for a run's or a sweep's own file, and for a
    file with another ending.
    """
    from ffn_train.runs import files  # NumPy comes with it, for which --help does not wait

    if files.OWN.fullmatch(out.name) and out.exists():
        raise SettingError(f"--out {out} is a file of a run or a sweep; name another")
    if endings and out.suffix.lower() not in ("", *endings):
        raise SettingError(f"--out must end in {endings[0]}, as what it writes is, got {out}")
    return out


def say(text: str) -> None:
    """Print a result on stdout, without control characters."""
    print(_fitted(text, sys.stdout), flush=True)


def mention(text: str) -> None:
    """``say``, but an unusable stdout is ignored, so that the command still writes its files.

    A full disk behind it is told by ``check_mentioned``, at the command's end.
    """
    try:
        say(text)
    except OSError as error:
        if error.errno in DISK:
            _lost.append(error)


def check_mentioned() -> None:
    """Raises the OSError of the disk that has lost what was mentioned, if any."""
    if _lost:
        raise _lost.pop()


def tell(line: str) -> None:
    """Print a message in one line on stderr, if stderr is open."""
    with suppress(OSError, ValueError):
        print(_fitted(line.replace("\n", "\\n"), sys.stderr), file=sys.stderr, flush=True)


def columns(stream: TextIO) -> int | None:
    """The terminal's width in characters; None for a pipe or a file."""
    if not stream.isatty():
        return None
    with suppress(KeyError, ValueError):
        if (width := int(os.environ["COLUMNS"])) > 0:
            return width
    return os.get_terminal_size(stream.fileno()).columns or 80


def _fitted(text: str, stream: TextIO) -> str:
    """The text without control characters, wrapped between words on a terminal."""
    width, safe = columns(stream), printable(text)
    if width is None:
        return safe
    return "\n".join(part for line in safe.split("\n") for part in wrapped(line, width))


def wrapped(line: str, width: int) -> list[str]:
    """A line in parts of at most ``width`` characters, indented to its second column, if any.

    A command to be pasted is not broken.
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


def _path(text: str) -> Path:
    """The path that an argument names: an empty one, as of an unset variable, would be here."""
    if not text.strip():
        raise argparse.ArgumentTypeError(f"a path is expected, got {text!r}")
    return Path(text)


def words(text: str) -> list[str]:
    """``a,b`` as a list."""
    return [word.strip() for word in text.split(",") if word.strip()]


def os_error(error: OSError) -> str:
    """The operating system's message, with the file's name if it has one."""
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"


def _joined(typed: Sequence[str]) -> list[str]:
    """The words, with ``--ylim -1,2`` as one: ``-1,2`` by itself reads as an option."""
    joined: list[str] = []
    for word in typed:
        if joined and joined[-1] in _LIMITS and word.startswith("-") and "," in word:
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def _ends(name: str, text: str | None) -> tuple[float, float] | None:
    """``LOW,HIGH`` as numbers. Raises SettingError."""
    if text is None:
        return None
    with suppress(ValueError):
        low, high = (float(word) for word in text.split(","))
        if -math.inf < low < high < math.inf:
            return low, high
    raise SettingError(f"--{name} must be LOW,HIGH, two ascending numbers, got {text!r}")
