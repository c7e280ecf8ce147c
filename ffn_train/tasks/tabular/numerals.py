"""The numbers in a table's cells, and the marks in them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ffn_train.config.settings import SettingError

MARKS = {"none": "", "point": ".", "comma": ",", "blank": " ", "apostrophe": "'"}
# the cells that count as missing; a longer list would include words of categories
_ALWAYS = frozenset(
    ("", "NA", "N/A", "n/a", "na", "nan", "NaN", "NAN", "null", "NULL", "None", "?", "-", "#N/A")
)
_ERRORS = ("<NA>", "NaT", "#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NUM!", "#NAME?")
MISSING = _ALWAYS.union(_ERRORS)
BLANKS = frozenset([".", "*", "**", "***"])  # missing too among numbers; words of a category
NUMERAL = re.compile(  # with any mark of decimals, or of groups and any other of decimals
    r"[-+]?(\d+([.,]\d+)?|\d{1,3}((,\d{2,3})+(\.\d+)?|(\.\d{2,3})+(,\d+)?))(e[-+]?\d+)?",
    re.A | re.I,
)
_TYPESET = str.maketrans(
    "\u2212\u2019\xa0\u2009\u202f", "-'   "
)  # minus, apostrophe, narrow blanks
_AROUND = re.compile(r"([-+]?)\s*[$€£¥]?\s*(.*?)\s*[%€$£¥]?", re.S)
_INDIAN = r"[1-9]\d?(,\d{2})+,\d{3}"
_GROUPED = re.compile(rf"[1-9]\d{{0,2}}([.,]\d{{3}})+|{_INDIAN}")
_SPACED = re.compile(r"[-+]?[1-9]\d{0,2}([ '])\d{3}(\1\d{3})*(?:([.,])\d+)?", re.A)
_MARK = re.compile(r"[.,]")
_PLAIN = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?|[-+]?inf(inity)?", re.A | re.I)


VERSION = 3  # of the rules by which cells are read: see ``Columns``


def missing_words(version: int) -> frozenset[str]:
    """The cells that count as missing by the rules of a version."""
    return MISSING if version > 2 else _ALWAYS


def typed(cell: str) -> str:
    """The cell with the marks of a keyboard in the place of those of a typesetter."""
    return cell if cell.isascii() else cell.translate(_TYPESET)


@dataclass(frozen=True)
class Numerals:
    """The format of numbers: the decimal mark, and the mark between thousands or ""."""

    decimal: str = "."
    thousands: str = ""

    def value(self, cell: str) -> float | None:
        """The number in a cell, NaN if it counts as missing, None for text.

        Currency and percent signs are ignored: 45% is 45.
        """
        cell = typed(cell.strip())
        if cell in MISSING or cell in BLANKS:
            return float("nan")
        if self.decimal == "." and not self.thousands and _PLAIN.fullmatch(cell):
            return float(cell)
        parts = _AROUND.fullmatch(cell)
        sign, digits = parts.groups() if parts else ("", cell)
        if self.thousands and self.thousands in digits:
            mark, decimal = re.escape(self.thousands), re.escape(self.decimal)
            groups = rf"[1-9]\d?\d?({mark}\d{{3}})+" + f"|{_INDIAN}" * (self.thousands == ",")
            if not re.fullmatch(rf"({groups})({decimal}\d*)?", digits, re.A):
                return None
            digits = digits.replace(self.thousands, "")
        if self.decimal != ".":
            if "." in digits:
                return None
            digits = digits.replace(self.decimal, ".", 1)
        return float(sign + digits) if _PLAIN.fullmatch(sign + digits) else None

    def is_number(self, cell: str) -> bool:
        value = self.value(cell)
        return value is not None and value == value


def numbers_in(cell: str) -> bool:
    """Whether a cell is several numbers, divided by blanks."""
    parts = joined(typed(cell)).split()
    numbers = (_PLAIN.fullmatch(p) or NUMERAL.fullmatch(p) or p in MISSING for p in parts)
    return len(parts) > 1 and all(numbers)


def joined(cell: str) -> str:
    """The cell without the blanks or apostrophes between thousands, if it is such a number."""
    return re.sub("[ ']", "", cell) if _SPACED.fullmatch(cell) else cell


def numerals_of(
    cells: Sequence[str], given_decimal: str | None, given_thousands: str | None
) -> Numerals:
    """The marks of numbers, as given or else from unambiguous cells; of no cells the usual ones.

    Raises SettingError if all are ambiguous.
    """
    if given_decimal is not None and given_thousands is not None:
        return Numerals(given_decimal, given_thousands)
    decimals, groups, unclear = set(), set(), ""
    if given_thousands:
        groups.add(given_thousands)
    for cell in cells:
        digits = _digits(cell)
        spaced = _SPACED.fullmatch(digits)
        if spaced and spaced[3]:
            groups.add(spaced[1])
            decimals.add(spaced[3])
            continue
        marks = _MARK.findall(digits)
        if not marks or not NUMERAL.fullmatch(digits):
            continue
        last = marks[-1]
        grouped = _GROUPED.fullmatch(digits)
        if len({*marks}) == 2 and marks.count(last) == 1:
            decimals.add(last)
            groups.add(marks[0])
        elif len(marks) > 1 and grouped:
            groups.add(last)
        elif len(marks) == 1 and not grouped:
            decimals.add(last)
        elif len(marks) == 1 and given_decimal is not None:
            groups.add(last)
        elif len(marks) == 1 and last == ",":
            unclear = unclear or cell
    if given_thousands is not None:
        groups, unclear = {given_thousands} - {""}, ""
    comma = given_thousands == "." or (decimals == {","} and "," not in groups)
    decimal = given_decimal or ("," if comma else ".")
    if unclear and not decimals and not groups:
        raise _unclear(unclear, "comma")
    if unclear and decimal == ".":
        groups.add(",")
    mark = "." if decimal == "," else ","
    unusual = groups - {".", ","}
    return Numerals(decimal, mark if mark in groups else min(unusual, default=""))


def has_decimals(words: Sequence[Sequence[str]]) -> bool:
    """Whether a number has a point that cannot be between thousands."""
    return not all(map(_GROUPED.fullmatch, _with_points(words)))


def of_points(words: Sequence[Sequence[str]]) -> list[str]:
    """A remark if all numbers with points have three digits after each: these may be thousands.

    ``words``: the different cells of each column. Raises SettingError if a column has whole numbers
    below 1000 too, beside which they would not be a thousandth throughout.
    """
    pointed = _with_points(words)
    if not pointed or has_decimals(words):
        return []
    for column in words:
        cells = [_digits(typed(cell)) for cell in column]
        if {*pointed} & {*cells} and any(re.fullmatch(r"[1-9]\d{0,2}", cell) for cell in cells):
            raise _unclear(pointed[0], "point")
    whole = pointed[0].replace(".", "")
    return [f"{pointed[0]} has decimals (task.thousands=point makes it {whole})"]


def _with_points(words: Sequence[Sequence[str]]) -> list[str]:
    cells = (_digits(typed(cell)) for column in words for cell in column if "." in cell)
    return [cell for cell in cells if NUMERAL.fullmatch(cell)]


def _unclear(cell: str, mark: str) -> SettingError:
    """The error of numbers such as in this cell, whose only mark may be of two kinds."""
    number = cell.replace(MARKS[mark], "")
    return SettingError(
        f"has numbers such as {cell!r}, which may be {number} or {cell.replace(MARKS[mark], '.')}: "
        f"set task.thousands={mark} or task.decimal={mark}"
    )


def _digits(cell: str) -> str:
    """A number without its sign, currency and percent sign."""
    parts = _AROUND.fullmatch(cell)
    return parts[2] if parts else ""
