"""The marks in a table's numbers, and the settings with which more cells are numbers."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any

from ffn_train.tasks.tabular.cells import factorized
from ffn_train.tasks.tabular.numerals import MARKS, Numerals
from ffn_train.tasks.tabular.reading import Reading


class Marks:
    """Finds other marks than a table's with which a cell is a number."""

    def __init__(self, frame: Any, reading: Reading) -> None:
        self.numerals = reading.numerals
        self._frame = frame if reading.kind == "text" else {}  # elsewhere numbers have no marks

    @cached_property
    def _written(self) -> frozenset[str]:
        """The table's numbers as they are written, with 1 in place of the digits 1 to 9."""
        written = set()
        for _, cells in self._frame.items():
            if cells.dtype.kind not in "iufbmM":
                texts = (str(cell).strip() for cell in factorized(cells)[1])
                written |= {re.sub("[1-9]", "1", x) for x in texts if self.numerals.is_number(x)}
            elif cells.dtype.kind == "f" and (cells % 1 > 0).any():
                written.add(f"0{self.numerals.decimal}1")
        return frozenset(written)

    def others(self, cell: str) -> list[str]:
        """The settings with each of which, or else the pairs with which, a cell is a number."""
        return self._settings(cell, frozenset())

    def helping(self, cell: str) -> list[str]:
        """Those of the ``others`` with which all numbers of the table stay numbers."""
        return self._settings(cell, self._written)

    def _settings(self, cell: str, written: frozenset[str]) -> list[str]:
        cell, numerals = cell.strip(), self.numerals
        if numerals.is_number(cell):  # but not a finite one
            return []

        def helps(decimal: str, thousands: str) -> bool:
            return all(map(Numerals(decimal, thousands).is_number, (cell, *written)))

        words = {mark: word for word, mark in MARKS.items()}
        decimal = "," if numerals.decimal == "." else "."
        ways = []
        if any(helps(decimal, mark) for mark in ("", numerals.decimal)):
            ways.append(f"task.decimal={words[decimal]}")
        for mark in (decimal, " ", "'"):
            if mark != numerals.thousands and helps(numerals.decimal, mark):
                ways.append(f"task.thousands={words[mark]}")
        return ways or [
            f"task.decimal={words[decimal]} task.thousands={words[mark]}"
            for mark in (" ", "'")
            if helps(decimal, mark)
        ]
