"""How every command starts and ends: also where it is interrupted, or nobody reads what it says."""

from __future__ import annotations

import atexit
import gc
import importlib
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

COMMANDS = ("compare", "plots", "theory", "gradcheck", "reproduce", "clean")
INTERRUPTED = 130  # the shell's exit status for Ctrl-C: 128 + SIGINT
UNREAD = 141  # and for a pipe that nobody reads any more, as of `| head`: 128 + SIGPIPE


def main() -> None:
    """``ffn-train [COMMAND] ...``, as ``python -m ffn_train`` too; without a command it trains."""
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    if word in COMMANDS:
        run(sys.argv.pop(1))
        return
    if word.isalpha():
        from ffn_train.config.settings import nearest

        if hint := nearest(word, COMMANDS):
            print(f"ffn_train: {word} is not a command{hint}", file=sys.stderr)
            sys.exit(2)
    run("train")


def run(name: str) -> None:
    """Import a command of this folder and call its ``main``.

    Exits 130 when interrupted, 141, without a word, when what it prints to is closed, and 1 where
    the memory does not suffice. An exception where parts of one's own are in use is a line that
    says where it comes from.
    """
    program = "ffn_train" if name == "train" else f"ffn_train.{name}"
    os.environ["MPLBACKEND"] = "agg"  # a notebook's need not be installed here; it is not used
    atexit.register(gc.freeze)  # all goes at once; to look for garbage in it first takes 0.15 s
    try:
        _streams()
        command = _imported(name, program)
        command()
        sys.stdout.flush()
    except BrokenPipeError:
        # else the interpreter tries again to write what is left, and complains
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(UNREAD)
    except MemoryError as error:
        _tell(f"{program}: not enough memory: {str(error) or 'none is left'}")
        sys.exit(1)
    except SystemExit:
        raise
    except KeyboardInterrupt:
        _tell(f"{program}: interrupted")
        sys.exit(INTERRUPTED)
    except BaseException as error:
        from ffn_train.config.outside import loaded, origin  # late: Ctrl-C while it is imported

        if not loaded():
            raise
        _tell(f"{program}: {origin(error)}")
        sys.exit(2)


def _tell(line: str) -> None:
    """``options.tell`` where its imports may be what fails."""
    from ffn_train.config.settings import printable

    print(printable(line), file=sys.stderr)


def _streams() -> None:
    """Standard streams that can always be written to, whatever the shell has made of them.

    One that is closed leads nowhere; otherwise the next file to be opened would get its number.
    What stdout's encoding lacks is written as an escape.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 for good
    if isinstance(sys.stdout, io.TextIOWrapper):
        with suppress(OSError):  # nobody reads it any more, which is found out by writing
            sys.stdout.reconfigure(errors="backslashreplace")


def _imported(name: str, program: str) -> Callable[[], None]:
    """The command's ``main``. In between Ctrl-C ends the process without a word: libraries that are
    half imported would answer it with errors of their own."""
    try:
        with _deaf_to_interrupts():
            command: Callable[[], None] = importlib.import_module(f"ffn_train.commands.{name}").main
    except ImportError as error:  # as where `ulimit -v` leaves no room for NumPy's libraries
        reason = " ".join(str(error).split())[:300]
        _tell(f"{program} cannot start: {reason}")
        sys.exit(1)
    return command


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """A context in which SIGINT does what it does to a program that knows nothing of it."""
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    ):
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
