"""How a table was read, and the names that its columns have then."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ffn_train.config.settings import counted
from ffn_train.tasks.tabular.dialect import SEPARATORS
from ffn_train.tasks.tabular.numerals import Numerals

SKIP = "task.skip leaves out lines above the names"  # where the first line may be a title


@dataclass(frozen=True)
class Reading:
    """How a file was read, so that others can be read in the same way.

    ``unnamed``: the names given to columns without one; ``renamed``: the names given to the second
    and further columns of the same name, with that name. ``container``: the compression or archive.
    ``categorical``: the columns that are so in pandas. ``remarks``: what else is to be said.
    """

    kind: str
    rows: int
    container: str = ""
    encoding: str = ""
    separator: str = ""
    decimal: str = "."
    thousands: str = ""
    header: bool = True
    units: bool = False
    comments: int = 0
    unnamed: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    categorical: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def numerals(self) -> Numerals:
        return Numerals(self.decimal, self.thousands)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def says(self) -> str:
        """The format of the file, in a line."""
        words = {mark: word for word, mark in SEPARATORS.items()}
        phrases = [self.kind]
        if self.separator:
            phrases = [f"separated by {words.get(self.separator, repr(self.separator))}"]
        phrases += [f"{self.decimal!r} is the decimal mark"] if self.decimal != "." else []
        phrases += [f"{self.thousands!r} between thousands"] if self.thousands else []
        phrases += [] if self.header else ["no header (task.header=true: there is one)"]
        phrases += ["a row of units left out (task.units=false keeps it)"] if self.units else []
        phrases += [f"{counted(self.comments, 'line')} of comments"] if self.comments else []
        phrases += self.remarks
        phrases += [self.encoding] if self.encoding not in ("", "utf-8", "utf-8-sig") else []
        phrases += [f"from {self.container}"] if self.container else []
        return ", ".join([*phrases, counted(self.rows, "row")])


def unused(kind: str) -> tuple[str, ...]:
    """The settings of how a file is read that have no effect on a table of this kind."""
    if kind == "text":
        return ()
    of_text = ("separator", "encoding")
    return of_text if kind.startswith("Excel") else (*of_text, "header", "units", "skip")


def unique(given: Iterable[Any]) -> tuple[list[str], tuple[str, ...], dict[str, str]]:
    """Unique names of all columns, without blanks around; those given to unnamed ones; those given
    to duplicates, with the original name.
    """
    names = [str(name).strip() for name in given]
    result: dict[str, None] = {}  # in their order
    counts: Counter[str] = Counter()
    unnamed, renamed = [], {}
    given_names = {*names}
    for index, name in enumerate(names):
        stem = name or f"column{index}"
        unique_name = stem
        while unique_name in result or (unique_name != name and unique_name in given_names):
            counts[stem] += 1
            unique_name = f"{stem}.{counts[stem]}"
        result[unique_name] = None
        if not name:
            unnamed.append(unique_name)
        elif unique_name != name:
            renamed[unique_name] = name
    return [*result], tuple(unnamed), renamed
