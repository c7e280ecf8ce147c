"""All that is wrong with a table's columns in one message, with settings to paste."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ffn_train.config.settings import SettingError, printable
from ffn_train.tasks.tabular.cells import (
    factorized,
    shown,
)
from ffn_train.tasks.tabular.reading import SKIP

WORDS = 10  # more different words among numbers are no marks of missing cells
LONG = 200  # characters of a cell that no message repeats in full
LISTED = 20  # columns or problems in a message before the rest is only counted


def paste(key: str, names: Iterable[str]) -> str:
    """The setting that lists these names, quoted for a shell."""
    literal = (name.replace("${", r"\${").replace('"', r"\"") for name in names)
    apart = re.compile(r"[,\[\]'\"]|^\s*$|^null$", re.I)
    quoted = [f'"{name}"' if apart.search(name) else name for name in literal]
    return printable(shlex.quote(f"{key}=[{','.join(quoted)}]")).replace("\n", "\\n")


class Problems:
    """Collects all problems with columns for one message."""

    def __init__(self) -> None:
        self._found: list[tuple[str, str]] = []
        self._advice: dict[str, list[str]] = {}

    def add(self, name: str, trouble: str, *advice: str, missing: Iterable[str] = ()) -> None:
        """``advice``: settings, or names of those that list columns and, ``missing``, cells."""
        self._found.append((name, trouble))
        for line in advice:
            listed = missing if line == "missing" else [name]
            self._advice.setdefault(line, []).extend(listed)

    def refuse(self, source: str, untitled: Sequence[str]) -> None:
        if not self._found:
            return
        phrases = [f"column {shown(name)} {trouble}" for name, trouble in self._found[:LISTED]]
        if len(self._found) > LISTED:
            phrases.append(f"and {len(self._found) - LISTED} more columns")
        ways = []
        for advice, listed in self._advice.items():
            if "=" in advice:
                ways.append(advice)
            elif listed:
                ways.append(paste(f"task.{advice}", dict.fromkeys(listed)))
        phrases += [f"what helps: {' or '.join(ways)}"] if ways else []
        phrases += [SKIP] if {*untitled} & {name for name, _ in self._found} else []
        raise SettingError(f"{source}: {'; '.join(phrases)}")


def wrong_cells(cells: Any, wrong: Any, kind: str = "finite number") -> str:
    """How many cells are wrong, in words with the first of them."""
    places = np.flatnonzero(wrong)
    first = str(cells.iloc[places[0]])
    many = f"{len(places):,} cells that are" if len(places) > 1 else "a cell that is"
    row = cells.index[places[0]] + 1  # in the file, of which empty rows are left out by now
    return f"{many} no {kind}, such as {shown(first)} in row {row}"


def as_missing(cells: Any) -> list[str]:
    """The words that ``task.missing`` may list for these cells; none if they are too many different
    ones, too long or hard to paste.
    """
    words = [*dict.fromkeys(str(cell).strip() for cell in factorized(cells)[1])]
    many = len(words) > WORDS or sum(map(len, words)) > LONG
    return [] if many or not "".join(words).isprintable() else words
