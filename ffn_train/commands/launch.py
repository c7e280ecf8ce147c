"""How every command starts and ends: also where it is interrupted, or nobody reads what it says."""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

COMMANDS = ("compare", "plots", "theory", "gradcheck", "reproduce")
INTERRUPTED = 130  # the shell's exit status for Ctrl-C: 128 + SIGINT
UNREAD = 141  # and for a pipe that nobody reads any more, as of `| head`: 128 + SIGPIPE


def main() -> None:
    """``ffn-train [COMMAND] ...``, as ``python -m ffn_train`` too; without a command it trains."""
    run(sys.argv.pop(1) if sys.argv[1:2] and sys.argv[1] in COMMANDS else "train")


def run(name: str) -> None:
    """Import a command of this folder and call its ``main``.

    Exits 130 when interrupted, 141, without a word, when what it prints to is closed, and 1 where
    the memory does not suffice.
    """
    program = "ffn_train" if name == "train" else f"ffn_train.{name}"
    atexit.register(gc.freeze)  # all goes at once; to look for garbage in it first takes 0.15 s
    for stream in ("stdout", "stderr"):
        if getattr(sys, stream) is None:  # closed by the shell: `>&-`
            setattr(sys, stream, open(os.devnull, "w"))  # noqa: SIM115 open to the end
    try:
        command = _imported(name, program)
        command()
        sys.stdout.flush()
    except BrokenPipeError:
        # else the interpreter tries again to write what is left, and complains
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(UNREAD)
    except MemoryError as error:
        print(f"{program}: not enough memory: {str(error) or 'none is left'}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)


def _imported(name: str, program: str) -> Callable[[], None]:
    """The command's ``main``. In between Ctrl-C ends the process without a word: libraries that are
    half imported would answer it with errors of their own."""
    try:
        with _deaf_to_interrupts():
            command: Callable[[], None] = importlib.import_module(f"ffn_train.commands.{name}").main
    except ImportError as error:  # as where `ulimit -v` leaves no room for NumPy's libraries
        reason = " ".join(str(error).split())[:300]
        print(f"{program} cannot start: {reason}", file=sys.stderr)
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
