"""How every command starts: interrupted at any moment, also while it imports, it says so."""

from __future__ import annotations

import atexit
import gc
import importlib
import io
import os
import sys

from ffn_train.config.outside import loaded, origin

COMMANDS = ("compare", "plots", "theory", "gradcheck", "reproduce", "clean")
INTERRUPTED = 130  # the shell's exit status for Ctrl-C: 128 + SIGINT


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

    An exception where parts of one's own are in use is a line that says where it comes from.
    """
    program = "ffn_train" if name == "train" else f"ffn_train.{name}"
    _streams()
    os.environ["MPLBACKEND"] = "agg"  # a notebook's need not be installed here; it is not used
    atexit.register(gc.freeze)  # all goes at once; to look for garbage in it first takes 0.15 s
    try:
        importlib.import_module(f"ffn_train.commands.{name}").main()
    except Exception as error:
        if not loaded():
            raise
        print(f"{program}: {origin(error)}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)


def _streams() -> None:
    """Standard streams that can always be written to, whatever the shell has made of them.

    One that is closed leads nowhere; otherwise the next file to be opened would get its number.
    What stdout's encoding lacks is written as an escape.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 for good
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
