"""How every command starts and ends, also on interrupts and closed pipes."""

from __future__ import annotations

import atexit
import gc
import importlib
import io
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

COMMANDS = (
    *("predict", "diff", "compare", "plots", "view", "theory", "gradcheck", "check", "reproduce"),
    *("export", "clean"),
)
INTERRUPTED = 130  # the shell's exit status for Ctrl-C: 128 + SIGINT
UNREAD = 141  # the shell's exit status for a closed pipe, as of `| head`: 128 + SIGPIPE


def main() -> None:
    """``ffn-train [COMMAND] ...`` and ``python -m ffn_train ...``; without a command, train."""
    _search_here()
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    if word in COMMANDS:
        run(sys.argv.pop(1))
        return
    if word[:1].isalpha() and not {*"=./"} & {*word}:
        from ffn_train.config.keys import DECLARED, GROUPS
        from ffn_train.config.sections import Settings
        from ffn_train.config.settings import nearest, sections

        hint = nearest(word, COMMANDS)
        if hint or word not in (*GROUPS, *DECLARED, *sections(Settings)):
            _tell(f"ffn_train: {word} is not a command ({', '.join(COMMANDS)}){hint}")
            sys.exit(2)
    run("train")


def run(name: str) -> None:
    """Import a command of this folder and call its ``main``.

    Exits 130 on an interrupt, silently 141 on a closed pipe, and 1 when out of memory or disk. With
    the user's own parts loaded, an exception is one line that says where it comes from.
    """
    program = "ffn_train" if name == "train" else f"ffn_train.{name}"
    os.environ["MPLBACKEND"] = "agg"  # a notebook sets one that may not be installed
    # the default run makes 254,000 objects and little garbage: no collection; at exit 0.15 s
    gc.set_threshold(300_000, 20, 20)
    atexit.register(gc.freeze)
    try:
        _streams()
        command = _imported(name, program)
        command()
        from ffn_train.commands.options import check_mentioned  # which the command has imported

        check_mentioned()
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
        sys.exit(UNREAD)
    except MemoryError as error:
        _tell(f"{program}: not enough memory: {str(error) or 'none is left'}")
        sys.exit(1)
    except KeyboardInterrupt:
        _tell(f"{program}: interrupted")
        sys.exit(INTERRUPTED)
    except BaseException as error:
        full = _of_disk(error)
        line = full or _of_parts(error)
        if not line:
            raise
        _tell(f"{program}: {line}")
        if full:
            _drop_output()
        sys.exit(1 if full else 2)
    finally:
        _end_silently()  # the interpreter's own end would print a traceback


def _search_here() -> None:
    """Look for parts in the working directory, also in a script, which lacks what `python -m` has;
    but behind Python's own modules, for a file there may be called random.py.
    """
    if sys.flags.safe_path:
        return
    with suppress(OSError):  # a working directory that has been removed
        if sys.path[0] == os.getcwd():
            del sys.path[0]
    installed = (k for k, path in enumerate(sys.path) if path.endswith("-packages"))
    sys.path.insert(next(installed, len(sys.path)), "")


def _drop_output() -> None:
    """Lose what is left for stdout; otherwise the interpreter would fail again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _of_parts(error: BaseException) -> str:
    """The line for an error with the user's own parts loaded.

    "" if none are, or if the command itself has ended; a part must not end it.
    """
    outside = sys.modules.get("ffn_train.config.outside")
    if outside is None or not outside.loaded():
        return ""
    if isinstance(error, SystemExit) and not outside.place_in_part(error):
        return ""
    return str(outside.origin(error))


def _of_disk(error: BaseException) -> str:
    """The line for a full or failing disk, of which the command knows no place but stdout."""
    from ffn_train.commands.options import DISK, os_error

    return os_error(error) if isinstance(error, OSError) and error.errno in DISK else ""


def _tell(line: str) -> None:
    """``options.tell``, usable even if its module's imports fail."""
    from ffn_train.config.settings import printable

    print(printable(line), file=sys.stderr)


def _streams() -> None:
    """Make the standard streams writable, whatever the shell has done to them.

    A closed one becomes the null device, also for the workers of a sweep; otherwise the next opened
    file would get its number. Characters that stdout's encoding lacks are escaped.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = open(os.devnull, mode, encoding="utf-8")  # noqa: SIM115 for good
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)
    if isinstance(sys.stdout, io.TextIOWrapper):
        with suppress(OSError):  # a closed pipe, which the first write reports
            sys.stdout.reconfigure(errors="backslashreplace")


def _imported(name: str, program: str) -> Callable[[], None]:
    """The command's ``main``. During the import Ctrl-C ends the process silently: half-imported
    libraries would raise errors of their own.
    """
    ours = _end_silently()
    try:
        command: Callable[[], None] = importlib.import_module(f"ffn_train.commands.{name}").main
    except ImportError as error:  # as where `ulimit -v` leaves no room for NumPy's libraries
        reason = " ".join(str(error).split())[:300]
        _tell(f"{program} cannot start: {reason}")
        sys.exit(1)
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
    return command


def _end_silently() -> bool:
    """Let SIGINT end the process silently from now on; False where that is not ours to decide."""
    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) != signal.SIG_IGN
    )
    if ours:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    return ours
