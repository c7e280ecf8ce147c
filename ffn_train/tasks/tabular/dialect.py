"""How a text file writes its table, found from its first lines: separator, numerals, header."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ffn_train.config.settings import SettingError

SEPARATORS = {"comma": ",", "tab": "\t", "semicolon": ";", "pipe": "|", "blanks": " "}
MARKS = {"none": "", "point": ".", "comma": ",", "blank": " ", "apostrophe": "'"}
# the cells that count as missing; longer lists would take words of categories
MISSING = frozenset(
    ("", "NA", "N/A", "n/a", "na", "nan", "NaN", "NAN", "null", "NULL", "None", "?", "-", "#N/A")
)
LINES = 200  # that are looked at
_COMMENT = ("#", "%")
_NUMERAL = re.compile(r"[-+]?\d([\d.,]*\d)?(e[-+]?\d+)?", re.A | re.I)  # with any marks
_AROUND = re.compile(r"([-+]?)\s*[$€£¥]?\s*(.*?)\s*[%€$£¥]?", re.S)
_PLAIN = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?|[-+]?inf(inity)?", re.A | re.I)


@dataclass(frozen=True)
class Numerals:
    """How numbers are written: the decimal mark, and the mark between thousands or ""."""

    decimal: str = "."
    thousands: str = ""

    def value(self, cell: str) -> float | None:
        """The number that a cell holds, NaN for one that counts as missing, None for a text.

        A currency's sign and a percent sign are left out: 45% is 45.
        """
        cell = cell.strip()
        if cell in MISSING:
            return float("nan")
        parts = _AROUND.fullmatch(cell)
        sign, digits = parts.groups() if parts else ("", cell)
        if self.thousands and self.thousands in digits:
            mark, decimal = re.escape(self.thousands), re.escape(self.decimal)
            if not re.fullmatch(rf"\d{{1,3}}({mark}\d{{3}})+({decimal}\d*)?", digits, re.A):
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


@dataclass(frozen=True)
class Given:
    """What settings say of a file; None where it is to be found.

    ``separator``, ``decimal`` and ``thousands`` are the characters themselves, ``skip`` counts the
    lines before the table.
    """

    separator: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    header: bool | None = None
    units: bool | None = None
    skip: int = 0


@dataclass(frozen=True)
class Dialect:
    """``names``: of the columns, "" for those without one. ``body``: where the rows begin, counted
    in characters. ``header`` and ``units``: whether a line of names and one of units stand there;
    ``comments``: the lines of comments in front of them.
    """

    separator: str
    numerals: Numerals
    names: tuple[str, ...]
    body: int
    header: bool = True
    units: bool = False
    comments: int = 0


def records(lines: Sequence[str], separator: str) -> list[list[str]]:
    """The fields of each line that is not blank; a quoted field may hold line ends."""
    if separator == " ":
        return [re.findall(r'"[^"]*"|\S+', line) for line in lines if line.strip()]
    try:
        rows = list(csv.reader(lines, delimiter=separator, skipinitialspace=True))
    except csv.Error:
        raise SettingError("a quote is opened and not closed") from None
    return [row for row in rows if len(row) > 1 or "".join(row).strip()]


def find(text: str, given: Given, *, whole: bool) -> Dialect:
    """The dialect of a file that begins with this text, or is it where it is ``whole``.

    Raises SettingError where there is no table in it, or none that can be read in one way only.
    """
    lines = re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+$", text)
    if not whole and len(lines) > 1:
        lines.pop()  # it may be cut
    start, comments, separator = _beginning(lines, given)
    first = next((i for i in range(start, len(lines)) if lines[i].strip()), None)
    if first is None:
        raise SettingError("is empty: a header line and rows are needed")
    separator = separator or _separator(lines[first : first + LINES])
    consumed = _lines_of_record(lines[first:], separator)
    head, rest = lines[first : first + consumed], lines[first + consumed :]
    names = [cell.strip() for cell in records(head, separator)[0]]
    if separator == " ":
        names = [name.strip('"') for name in names]
    if head[0].lstrip().startswith(("# ", "% ")):
        names = [cell.strip() for cell in records([head[0].lstrip()[2:], *head[1:]], separator)[0]]
    rows = [[cell.strip() for cell in row] for row in records(rest[:LINES], separator)]
    numerals = _numerals([cell for row in rows for cell in row], given)
    header, units = header_and_units([names, *rows], numerals, given)
    if not header:
        return Dialect(separator, numerals, ("",) * len(names), _size(lines[:first]), False)
    if separator not in (",", " ") and len(names) > 1:
        names[-1] = names[-1].rstrip(",").strip()  # left there by who changed the separator
    width = Counter(map(len, rows)).most_common(1)[0][0] if rows else len(names)
    if width == len(names) + 1 and any(row[-1] for row in rows if len(row) == width):
        names.insert(0, "")  # the rows have names, which have none
    body = first + consumed
    if units:
        while not lines[body].strip():
            body += 1
        body += _lines_of_record(lines[body:], separator)
    return Dialect(separator, numerals, tuple(names), _size(lines[:body]), True, units, comments)


def _size(lines: Sequence[str]) -> int:
    return sum(map(len, lines))


def _beginning(lines: Sequence[str], given: Given) -> tuple[int, int, str | None]:
    """The line that the table begins in, how many of comments are before, and the separator."""
    start, separator = given.skip, given.separator
    marked = re.fullmatch(r'"?sep=(.)"?\s*', lines[start] if start < len(lines) else "", re.I)
    if marked:
        start, separator = start + 1, separator or marked[1]
    after = start
    while after < len(lines) and (
        lines[after].lstrip().startswith(_COMMENT) or not lines[after].strip()
    ):
        after += 1
    commented = [i for i in range(start, after) if lines[i].strip()]
    if not commented or after == len(lines):
        return start, 0, separator
    # the last of them is the header where it has as many fields as the row of numbers below it
    apart = separator or _separator(lines[commented[-1] : after + LINES])
    last, below = (records([lines[i]], apart)[0] for i in (commented[-1], after))
    fields = len(last) - (apart == " " and last[0] in _COMMENT)
    if len(below) == fields > 1 and any(map(Numerals().is_number, below)):
        return commented[-1], len(commented) - 1, separator
    return after, len(commented), separator


def _lines_of_record(lines: Sequence[str], separator: str) -> int:
    """How many lines the first record takes."""
    if separator == " ":
        return 1
    reader = csv.reader(iter(lines), delimiter=separator, skipinitialspace=True)
    try:
        next(reader)
    except csv.Error:
        raise SettingError("a quote is opened and not closed") from None
    return reader.line_num


def _separator(lines: Sequence[str]) -> str:
    """The separator that parts most lines into as many fields, most of them whole."""
    best, score = "", 0.0
    for separator in SEPARATORS.values():
        try:
            rows = records(lines, separator)
        except SettingError:
            continue
        if not rows:
            continue
        width, count = Counter(map(len, rows)).most_common(1)[0]
        others = {*SEPARATORS.values()} - {separator, " "}
        cells = [cell.strip() for row in rows for cell in row]
        whole = sum(not others & {*cell} or bool(_NUMERAL.fullmatch(cell)) for cell in cells)
        fits = count / len(rows) * whole / len(cells) if width > 1 else 0
        if fits > score + 1e-9:
            best, score = separator, fits
    if not best:
        line = lines[0].strip()
        shown = line if len(line) <= 40 else f"{line[:37]}..."
        raise SettingError(
            f"has one column only, {shown!r}; inputs and target are needed, "
            f"separated by {', '.join([*SEPARATORS][:-1])} or blanks (task.separator=semicolon)"
        )
    return best


def _numerals(cells: Sequence[str], given: Given) -> Numerals:
    """The marks of numbers, from cells in which only one reading is possible."""
    if given.decimal is not None:
        return Numerals(given.decimal, given.thousands or "")
    decimals, groups, unclear = set(), set(), ""
    if given.thousands:
        groups.add(given.thousands)
    for cell in cells:
        parts = _AROUND.fullmatch(cell)
        digits = parts[2] if parts else ""
        marks = "".join(re.findall(r"[.,]", digits))
        if not marks or not _NUMERAL.fullmatch(digits):
            continue
        last = marks[-1]
        grouped = re.fullmatch(r"[1-9]\d{0,2}([.,]\d{3})+", digits)
        if len({*marks}) == 2 and marks.count(last) == 1:
            decimals.add(last)
            groups.add(marks[0])
        elif len(marks) > 1 and grouped:
            groups.add(last)
        elif len(marks) == 1 and not grouped:
            decimals.add(last)
        elif len(marks) == 1 and last == ",":
            unclear = unclear or cell
    if given.thousands is not None:
        groups, unclear = {given.thousands} - {""}, ""
    decimal = "," if decimals == {","} and "," not in groups else "."
    if unclear and not decimals and not groups:
        number = unclear.replace(",", "")
        raise SettingError(
            f"has numbers such as {unclear!r}, which may be {number} or {unclear.replace(',', '.')}"
            ": say task.thousands=comma or task.decimal=comma"
        )
    if unclear and decimal == ".":
        groups.add(",")
    mark = "." if decimal == "," else ","
    own = groups - {".", ","}
    return Numerals(decimal, own.pop() if own else mark if mark in groups else "")


def header_and_units(
    rows: Sequence[Sequence[str]], numerals: Numerals, given: Given
) -> tuple[bool, bool]:
    """Whether the first of these rows has the columns' names, and the second their units."""
    first, *rest = rows
    header = _is_header(first, rest, numerals) if given.header is None else given.header
    units = (
        header and bool(rest) and (_units(rest, numerals) if given.units is None else given.units)
    )
    return header, units


def _is_header(first: Sequence[str], rows: Sequence[Sequence[str]], numerals: Numerals) -> bool:
    """Whether the first line names the columns: not if it is numbers only, nor if it goes on below.

    It does where it has a word above a column of numbers. Where it has numbers above all of these,
    it still does unless one of its words is found again in a column of words.
    """
    number = numerals.is_number
    if all(number(cell) or cell in MISSING for cell in first):
        return False
    columns, numeric = _columns([row for row in rows if len(row) == len(first)], numerals)
    if not numeric or any(not number(first[i]) and first[i] not in MISSING for i in numeric):
        return True
    words = [i for i in range(len(columns)) if i not in numeric]
    return not any(first[i] in columns[i] for i in words)


def _units(rows: Sequence[Sequence[str]], numerals: Numerals) -> bool:
    """Whether the first row has words and no number in the columns that have only numbers below."""
    first, *below = rows
    numeric = _columns([row for row in below if len(row) == len(first)], numerals)[1]
    values = [numerals.value(first[i]) for i in numeric]
    return None in values and all(value is None or value != value for value in values)


def _columns(
    rows: Sequence[Sequence[str]], numerals: Numerals
) -> tuple[list[tuple[str, ...]], list[int]]:
    """The columns, and the places of those in which all cells that are there are numbers."""
    columns = list(zip(*rows, strict=True))
    present = [[cell for cell in column if cell not in MISSING] for column in columns]
    return columns, [
        i for i, cells in enumerate(present) if cells and all(map(numerals.is_number, cells))
    ]
