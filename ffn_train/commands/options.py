"""The parser of the commands that are not Hydra's: a mistake costs one line, without the usage."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from ffn_train.config.settings import nearest


class Parser(argparse.ArgumentParser):
    """``python -m ffn_train.NAME``; an unknown option is answered with the nearest one."""

    def __init__(self, name: str, description: str) -> None:
        super().__init__(prog=f"python -m ffn_train.{name}", description=description)
        self.name = name

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Unknown options are told first: without them the rest may seem to be missing."""
        given = list(sys.argv[1:] if args is None else args)
        options = [text for action in self._actions for text in action.option_strings]
        for text in given[: given.index("--")] if "--" in given else given:
            word = text.partition("=")[0]
            short = [o for o in options if len(o) == 2 and text.startswith(o)]
            known = short or any(option.startswith(word) for option in options)
            if word.startswith("-") and word != "-" and not known:
                self.error(f"{word} is not an option{nearest(word, options)}")
        return super().parse_known_args(given, namespace)

    def error(self, message: str) -> NoReturn:
        """Exits 2."""
        print(f"ffn_train.{self.name}: {message}", file=sys.stderr)
        sys.exit(2)
