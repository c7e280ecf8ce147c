"""How every command starts: interrupted at any moment, also while it imports, it says so."""

from __future__ import annotations

import atexit
import gc
import importlib
import sys

COMMANDS = ("compare", "plots", "theory", "gradcheck", "reproduce")
INTERRUPTED = 130  # the shell's exit status for Ctrl-C: 128 + SIGINT


def main() -> None:
    """``ffn-train [COMMAND] ...``, as ``python -m ffn_train`` too; without a command it trains."""
    run(sys.argv.pop(1) if sys.argv[1:2] and sys.argv[1] in COMMANDS else "train")


def run(name: str) -> None:
    """Import a command of this folder and call its ``main``."""
    atexit.register(gc.freeze)  # all goes at once; to look for garbage in it first takes 0.15 s
    try:
        importlib.import_module(f"ffn_train.commands.{name}").main()
    except KeyboardInterrupt:
        program = "ffn_train" if name == "train" else f"ffn_train.{name}"
        print(f"{program}: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
