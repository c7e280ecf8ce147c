"""The dialect of a table's text file, detected in its first lines: separator, numerals, header."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from ffn_train.config.settings import SettingError, counted
from ffn_train.tasks.tabular.numerals import (
    BLANKS,
    MISSING,
    NUMERAL,
    VERSION,
    Numerals,
    joined,
    numbers_in,
    numerals_of,
    typed,
)

SEPARATORS = {"comma": ",", "tab": "\t", "semicolon": ";", "pipe": "|", "blanks": " "}
LINES = 200  # that are examined
ALONE = "\x1f"  # in place of a separator, in a file of one column
_COMMENT = ("#", "%")
_GAPS = MISSING | BLANKS  # cells that are missing among numbers
_IsNumber = Callable[[str], bool]


@dataclass(frozen=True)
class Given:
    """The settings of a file's dialect; None where it is detected.

    ``separator``, ``decimal`` and ``thousands``: the characters themselves; ``skip``: the number of
    lines before the table; ``missing``: further cells that count as missing; ``version``: of the
    rules. Of a file for columns that are known already: ``columns``, their names, of which one
    alone is a header too, and ``words``, those whose cells are text whatever they look like.
    """

    separator: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    header: bool | None = None
    units: bool | None = None
    skip: int = 0
    missing: frozenset[str] = frozenset()
    version: int = VERSION
    columns: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Dialect:
    """How a text file writes its table.

    ``names``: of the columns, "" if unnamed; ``head``: their line, and that of the units, as they
    are written. ``body``: the offset of the rows in characters.
    ``header`` and ``units``: whether there are lines of names and of units; ``comments``: the
    number of comment lines before them. ``fields``: of most rows; ``remarks``: on what is unusual.
    """

    separator: str
    numerals: Numerals
    names: tuple[str, ...]
    body: int
    head: tuple[str, ...] = ()
    header: bool = True
    units: bool = False
    comments: int = 0
    fields: int = 0
    remarks: tuple[str, ...] = ()


@contextmanager
def any_length() -> Iterator[None]:
    """A context in which csv takes fields of any length, as pandas does."""
    before = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)


@any_length()
def records(lines: Sequence[str], separator: str) -> list[list[str]]:
    """The fields of each line that is not blank; a quoted field may contain line ends."""
    if separator == " ":  # or tabs, but no other blanks, as for pandas
        fields = (re.findall(r'"[^"]*"|[^ \t\r\n]+', line) for line in lines)
        return [row for row in fields if row]
    try:
        rows = list(csv.reader(lines, delimiter=separator, skipinitialspace=True))
    except csv.Error:
        raise SettingError("a quote is not closed") from None
    return [row for row in rows if len(row) > 1 or "".join(row).strip()]


def _bare(cell: str, separator: str) -> str:
    """A field of ``records`` without what is around it: between blanks quotes, else blanks."""
    return cell.strip('"') if separator == " " else cell.strip()


def _first(lines: Sequence[str], separator: str) -> list[str]:
    """The fields of the first record; of nothing but quotes an empty one."""
    return (records(lines, separator) or [[""]])[0]


def find(text: str, hints: Given, *, whole: bool) -> Dialect:
    """The dialect of a file from its beginning, or from the ``whole`` of it.

    Raises SettingError if there is no table, or an ambiguous one.
    """
    lines = re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+$", text)
    if not whole and len(lines) > 1:
        lines.pop()  # it may be incomplete
    start, comments, separator = _beginning(lines, hints)
    first = next((i for i in range(start, len(lines)) if lines[i].strip()), None)
    if first is None:
        raise SettingError("is empty: a header line and rows are needed")
    alone = hints.header is not False and lines[first].strip(' "\r\n') in hints.columns
    separator = ALONE if alone else separator or _separator(lines[first : first + LINES], hints)
    consumed = _lines_of_record(lines[first:], separator)
    head, rest = lines[first : first + consumed], lines[first + consumed :]
    if head[0].lstrip().startswith(("# ", "% ")):
        head = [head[0].lstrip()[2:], *head[1:]]
    names = [_bare(cell, separator) for cell in _first(head, separator)]
    rows = [[_bare(cell, separator) for cell in row] for row in records(rest[:LINES], separator)]
    numerals = numerals_of(
        [typed(cell) for row in rows for cell in row], hints.decimal, hints.thousands
    )
    if hints.version > 2 and names in rows:  # they are there again, and so may be the units
        others = [row for row in rows if row != names]
        others[1:] = [row for row in others[1:] if row != others[0]]
        rows = others if _names_numbers(names, others[1:], numerals.is_number) else rows
    header, units = header_and_units([names, *rows], numerals, hints)
    width = Counter(map(len, rows)).most_common(1)[0][0] if rows else len(names)
    if not header:
        return Dialect(
            separator,
            numerals,
            ("",) * width,
            _size(lines[:first]),
            header=False,
            fields=width,
            remarks=of_skipped(hints),
        )
    if separator not in (",", " ") and len(names) > 1:
        names[-1] = names[-1].rstrip(",").strip()  # a remnant of a former separator
    while len(names) > width and not names[-1]:  # separators that only this line ends with
        names.pop()
    remarks = []
    if width == len(names) + 1 and any(row[-1] for row in rows if len(row) == width):
        names.insert(0, "")  # a column of row names has no header
        remarks.append("one name fewer than columns: the first has none")
    body = first + consumed
    if units:
        while not lines[body].strip():
            body += 1
        body += _lines_of_record(lines[body:], separator)
    return Dialect(
        separator,
        numerals,
        tuple(names),
        _size(lines[:body]),
        tuple(line.strip() for line in lines[first:body] if line.strip()),
        units=units,
        comments=comments,
        fields=width,
        remarks=tuple(remarks),
    )


def of_skipped(hints: Given) -> tuple[str, ...]:
    """A remark on lines that are skipped, for a table without names that would tell if they are
    rows.
    """
    return (f"{counted(hints.skip, 'line')} above the rows left out",) if hints.skip else ()


def _size(lines: Sequence[str]) -> int:
    return sum(map(len, lines))


def _beginning(lines: Sequence[str], hints: Given) -> tuple[int, int, str | None]:
    """The first line of the table, the number of comment lines before it, and the separator."""
    separator = hints.separator
    start = next((i for i in range(hints.skip, len(lines)) if lines[i].strip()), len(lines))
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
    # the last comment is the header if it has as many fields as the row of numbers below it
    apart = separator or _separator(lines[commented[-1] : after + LINES], hints)
    last, below = (_first([lines[i]], apart) for i in (commented[-1], after))
    fields = len(last) - (apart == " " and last[0] in _COMMENT)
    if len(below) == fields > 1 and any(map(Numerals().is_number, below)):
        return commented[-1], len(commented) - 1, separator
    return after, len(commented), separator


@any_length()
def _lines_of_record(lines: Sequence[str], separator: str) -> int:
    """The number of lines of the first record."""
    if separator == " ":
        return 1
    reader = csv.reader(iter(lines), delimiter=separator, skipinitialspace=True)
    try:
        next(reader)
    except csv.Error:
        raise SettingError("a quote is not closed") from None
    return reader.line_num


def _separator(lines: Sequence[str], hints: Given) -> str:
    """The separator that splits most lines into equally many fields without other separators.

    Blanks, which divide at tabs too, do so in place of tabs only if they split two lines more
    alike (a single one with an empty cell and a cell too many is damaged) or divide numbers, and
    not if all that they divide are numbers with blanks between thousands. Raises SettingError if
    there is none, unless one column may be all that is needed, or if commas may as well stand in
    numbers between blanks.
    """
    best, score, even, divided, grouped = "", 0.0, 0, 0, False
    for separator in SEPARATORS.values():
        try:
            rows = records(lines, separator)
        except SettingError:
            continue
        if not rows:
            continue
        width, count = Counter(map(len, rows)).most_common(1)[0]
        if separator == " " and best == "\t" and (grouped or count < even + 2):
            return " " if divided >= max(count - 1, 1) and not grouped else "\t"
        rivals = {*SEPARATORS.values()} - {separator, " "}
        marked = [typed(cell.strip()) for row in rows for cell in row]
        cells = [joined(cell) for cell in marked]
        whole = sum(not rivals & {*cell} or bool(NUMERAL.fullmatch(cell)) for cell in cells)
        fits = count / len(rows) * whole / len(cells) if width > 1 else 0
        if fits > score + 1e-9:
            best, score, even = separator, fits, count
            divided = sum(any(map(numbers_in, row)) for row in rows)
            spaced = any(" " in cell for cell in {*marked} - {*cells})
            grouped = hints.thousands == " " or (spaced and not divided)
        elif separator == " " and best == "," and fits > score - 1e-9:
            if not all(NUMERAL.fullmatch(cell) for cell in cells):
                raise SettingError(
                    "may be separated by commas, or by blanks with commas in numbers: set "
                    "task.separator=comma or task.separator=blanks"
                )
            best = separator
    if not best and hints.columns:
        return ALONE
    if not best:
        line = lines[0].strip()
        excerpt = line if len(line) <= 40 else f"{line[:37]}..."
        raise SettingError(
            f"has only one column, {excerpt!r}; inputs and target are needed, "
            f"separated by {', '.join([*SEPARATORS][:-1])} or blanks (task.separator=semicolon)"
        )
    return best


def header_and_units(
    rows: Sequence[Sequence[str]], numerals: Numerals, hints: Given
) -> tuple[bool, bool]:
    """Whether the first of these rows has the columns' names, and the second their units.

    Raises SettingError if the first may be a title above the names, with fewer cells than these.
    """
    number = cache(numerals.is_number)
    blank = {word for word in hints.missing if not number(word)}
    first, *rest = ([cell if cell not in blank else "" for cell in row] for row in rows)
    header = hints.header
    if header is None:
        header = _is_header(first, rest, number) and _may_name(first, rest, numerals)
    units = header and bool(rest) and (_units(rest, number) if hints.units is None else hints.units)
    detected = units and hints.header is None and hints.units is None
    if detected and _is_title(rows[0], rows[1]):
        raise SettingError(
            "has a first line with fewer cells than the second: set "
            f"task.skip={hints.skip + 1} if it is a title, task.header=true if it has the names"
        )
    return header, units


def _is_title(first: Sequence[str], second: Sequence[str]) -> bool:
    """Whether a line has more empty cells than the next, besides the name of an index."""
    empty = [place for place, cell in enumerate(first[: len(second)]) if not cell]
    return empty != [0] and len(empty) > sum(cell in _GAPS for cell in second)


def _is_header(first: Sequence[str], rows: Sequence[Sequence[str]], number: _IsNumber) -> bool:
    """Whether the first line names the columns.

    It does not if it has only numbers, but for those that pandas gives to columns: nothing above
    the index, and 0, 1, 2, ... It does if it has a word above a column of numbers.
    Otherwise it does unless one of its words occurs again below it, or has the form of all words
    below it, as dates have. Where no column is numbers, half of its words must occur again, since a
    name may be a word of its column.
    """
    if all(number(cell) or cell in _GAPS for cell in first):
        counts = [row[0] for row in rows[:3]] == ["0", "1", "2"]
        return counts and len(first) > 2 and [*first] == ["", *map(str, range(len(first) - 1))]
    if _names_numbers(first, rows, number):
        return True
    columns, numeric = _columns([row for row in rows if len(row) == len(first)], number)
    words = [i for i in range(len(columns)) if i not in numeric and (numeric or first[i])]
    again = [i for i in words if first[i] in columns[i]]
    if not numeric:
        return not words or 2 * len(again) < len(words)
    return not again and not any(_goes_on(first[i], columns[i]) for i in words)


def _names_numbers(first: Sequence[str], rows: Sequence[Sequence[str]], number: _IsNumber) -> bool:
    """Whether the first line has a word above a column of numbers."""
    _, numeric = _columns([row for row in rows if len(row) == len(first)], number)
    return any(not number(first[i]) and first[i] not in _GAPS for i in numeric)


def _may_name(first: Sequence[str], rows: Sequence[Sequence[str]], numerals: Numerals) -> bool:
    """Whether the numbers above columns of numbers may be names: years or wavelengths are in order,
    and a single one or two are whole.
    """
    numeric = _columns([row for row in rows if len(row) == len(first)], numerals.is_number)[1]
    cells = [numerals.value(first[i]) for i in numeric if first[i] not in _GAPS]
    values = [value for value in cells if value is not None]
    if len(values) < len(cells) or not values:
        return True
    pairs = list(pairwise(values))
    names = [first[i] for i in numeric if first[i] not in _GAPS]
    ordered = all(a < b for a, b in pairs) or all(a > b for a, b in pairs)
    ordered |= names == sorted({*names})  # as text is sorted: 1, 10, 2
    return ordered and (len(values) > 2 or all(value.is_integer() for value in values))


def _goes_on(word: str, below: Sequence[str]) -> bool:
    """Whether a word with digits has the form of those below it."""
    form, *forms = (
        re.sub(r"[^\W\d]+", "a", re.sub(r"\d+", "0", cell))
        for cell in (word, *(cell for cell in below if cell not in _GAPS))
    )
    return "0" in form and {*forms} == {form}


def _units(rows: Sequence[Sequence[str]], number: _IsNumber) -> bool:
    """Whether the first row has words, and no number of any marks, above the columns of numbers."""
    first, *below = rows
    numeric = _columns([row for row in below if len(row) == len(first)], number)[1]
    words = [first[i] for i in numeric if first[i] not in _GAPS]
    marks = (number, Numerals(".", ",").is_number, Numerals(",", ".").is_number)
    return bool(words) and not any(is_one(word) for is_one in marks for word in words)


def _columns(
    rows: Sequence[Sequence[str]], number: _IsNumber
) -> tuple[list[tuple[str, ...]], list[int]]:
    """The columns, and the indices of those whose present cells are all numbers."""
    columns = list(zip(*rows, strict=True))
    present = [[cell for cell in column if cell not in _GAPS] for column in columns]
    return columns, [i for i, cells in enumerate(present) if cells and all(map(number, cells))]
