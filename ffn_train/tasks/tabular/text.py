"""From text to a pandas frame; the parser is pandas'."""

from __future__ import annotations

import codecs
import csv
import io
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import IO, Any

import numpy as np

from ffn_train.config.settings import SettingError, counted
from ffn_train.tasks.tabular.cells import factorized, shown
from ffn_train.tasks.tabular.dialect import LINES, Dialect, Given, any_length, find, records
from ffn_train.tasks.tabular.numerals import (
    MISSING,
    Numerals,
    has_decimals,
    missing_words,
    of_points,
)
from ffn_train.tasks.tabular.pieces import fast_and_exact, in_pieces
from ffn_train.tasks.tabular.reading import SKIP, Reading, unique

MOST_NOTES = 10  # lines below a table that may be no rows
SAMPLE = 2**20  # characters in which the dialect is detected
LARGEST_SAMPLE = 2**26  # the same where lines are long
_FOOTNOTE = re.compile(r"\W*[^\W\d_]+( [^\W\d_]+){0,3}: .|[*†]+\s?[^\W\d]")
_BOMS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


def text(
    reopened: Callable[[], IO[bytes]],
    encoding: str,
    container: str,
    hints: Given,
    path: str | None = None,
) -> tuple[Any, Reading]:
    """The table in a text file, which is opened once more for each time that it is read.

    ``path`` leads to the same text, if any does.
    """

    def decoded(after: int) -> IO[str]:
        stream = io.TextIOWrapper(reopened(), encoding, newline="")
        stream.read(after)
        return stream

    sample, whole = _sample(decoded(0))
    if "\0" in sample:
        line = sample.count("\n", 0, sample.index("\0")) + 1
        raise SettingError(f"is not text: line {line} has a null byte")
    marked = sample.startswith("\ufeff")  # a mark that this encoding leaves in
    dialect = find(sample[marked:], hints, whole=whole)
    body = marked + dialect.body
    names, unnamed, renamed = unique(dialect.names)
    words = [place for place, name in enumerate(names) if name in hints.words]
    spaced = _spaced(sample[body:], dialect.separator)
    options = _options(dialect, missing_words(hints.version), words, spaced=spaced)
    as_bytes = codecs.lookup(encoding).name.startswith("utf-8")  # pandas decodes that, and faster

    def parsed(**more: Any) -> Any:
        rows: IO[Any] = reopened() if as_bytes else decoded(body)
        if as_bytes:
            left_out = 3 if encoding == "utf-8-sig" and not marked else 0
            rows.read(len(sample[:body].encode()) + left_out)
        return _parsed(_Rows(rows), dialect, {**options, **more}, lambda: decoded(body))

    frame, remarks = None, dialect.remarks
    if as_bytes and path is not None and not whole:
        frame = in_pieces(path, sample[:body], options)
    if frame is None:
        frame = parsed()
    again: list[int] = []
    if hints.version > 2 and _has_names_again(frame, dialect):
        again = [n for n, line in enumerate(decoded(body)) if line.strip() in dialect.head]
    if again:
        parsed = partial(parsed, skiprows=again)
        frame = parsed()
        remarks += (f"{counted(len(again), 'line')} with the names again left out",)
    if len(frame) and frame.iloc[:, -1].isna().any():
        count, notes = _footnotes(decoded(body), dialect)
        if notes:
            frame = parsed(nrows=count - len(again))
            lines = counted(len(notes), "line")
            remarks += (f"{lines} below the table left out, {shown(notes[0])}",)
    detected = hints.decimal is None and hints.thousands is None
    if dialect.separator == ";" and detected and dialect.numerals == Numerals():
        remarks += _points(frame, parsed)  # since a decimal comma is likely there
    for place, name in enumerate(dialect.names):
        if dialect.header and not name and _marks_alone(frame[place]):
            frame[place] = float("nan")  # a remnant of a former separator
    frame.columns = names
    return frame, Reading(
        kind="text",
        rows=len(frame),
        container=container,
        encoding=encoding,
        separator=dialect.separator,
        decimal=dialect.numerals.decimal,
        thousands=dialect.numerals.thousands,
        header=dialect.header,
        units=dialect.units,
        comments=dialect.comments,
        unnamed=unnamed,
        renamed=renamed,
        remarks=remarks,
    )


def _sample(stream: IO[str]) -> tuple[str, bool]:
    """The beginning of a text, with several of its longest lines, and whether it is all."""
    sample, wanted = "", SAMPLE
    while True:
        sample += stream.read(wanted - len(sample))
        longest = max(map(len, re.split(r"[\r\n]", sample)))
        if len(sample) < wanted or 4 * longest < wanted or wanted == LARGEST_SAMPLE:
            return sample, len(sample) < wanted
        wanted *= 2


def _has_names_again(frame: Any, dialect: Dialect) -> bool:
    """Whether a row has the names of all columns, as where files were put one below the other."""
    named = [place for place, name in enumerate(dialect.names) if name not in MISSING]
    if not dialect.header or not named or any(frame[place].dtype.kind in "iufb" for place in named):
        return False
    same = np.ones(len(frame), bool)
    for place in named:
        same[same] = frame[place][same].astype(str).str.strip() == dialect.names[place]
    return bool(same.any())


def _marks_alone(cells: Any) -> bool:
    """Whether a column has nothing but separators in its cells."""
    if cells.dtype.kind in "iufb":
        return False
    words = factorized(cells)[1].astype(str)
    return bool(len(words) and words.str.fullmatch(r"[,;|\s]*").all())


def _points(frame: Any, parsed: Callable[..., Any]) -> tuple[str, ...]:
    """What ``of_points`` says of all rows; ``parsed``: these once more, with options of pandas.

    A number that cannot be one of thousands settles it, so that most files are not read again.
    """
    read = [place for place in frame if frame[place].dtype.kind == "f"]
    for place in read:
        size = np.abs(frame[place].to_numpy())
        parts = size[(np.trunc(size) != size) & np.isfinite(size)]
        if ((parts < 1) | (parts > 1000) | (np.rint(parts * 1000) / 1000 != parts)).any():
            return ()

    def words(rows: int) -> list[list[str]]:
        written = parsed(usecols=read, dtype=str, nrows=rows) if read else {}
        columns = [written[place] if place in read else frame[place] for place in frame]
        texts = [factorized(cells)[1] for cells in columns if cells.dtype.kind not in "iub"]
        return [cells.astype(str).tolist() for cells in texts]

    few = min(LINES, len(frame))
    return () if has_decimals(words(few)) else tuple(of_points(words(len(frame))))


@any_length()
def _footnotes(stream: IO[str], dialect: Dialect) -> tuple[int, list[str]]:
    """The number of a table's rows, and the lines such as "Source: WHO" below them.

    Raises SettingError for any other row with too few fields, which pandas silently fills up: only
    needed if a last cell is missing.
    """
    width, number = len(dialect.names), 0
    rows = _numbered(stream, dialect)
    for number, row in rows:
        if len(row) < width:
            last = [row, *(row for _, row in islice(rows, MOST_NOTES))]
            lines = [dialect.separator.join(row) for row in last]
            short = len(last) <= MOST_NOTES and max(map(len, last)) < width
            if short and all(map(_FOOTNOTE.match, lines)):
                return number - 1, lines
            raise SettingError(
                f"has {counted(len(row), 'field')} in row {number} where there are {width} "
                f"columns: {shown(lines[0])}"
            )
    return number, []


def _numbered(stream: IO[str], dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """The fields of each row, with its number from 1 on; blank lines are no rows."""
    if dialect.separator == " ":
        return enumerate((row for line in stream for row in records([line], " ")), 1)
    reader = csv.reader(stream, delimiter=dialect.separator, skipinitialspace=True)
    return enumerate((row for row in reader if len(row) > 1 or "".join(row).strip()), 1)


def encoding_of(start: bytes, given: str | None) -> str:
    """The encoding of text that begins with these bytes: as given, but for a byte order mark.

    Text in an encoding that is not Unicode's does not begin with one.
    """
    if given and codecs.lookup(given).name.startswith("utf"):
        return given
    for mark, name in _BOMS:
        if start.startswith(mark):
            return name
    if given:
        return given
    even, odd = start[0::2].count(0), start[1::2].count(0)
    if len(start) >= 8 and max(even, odd) > len(start) / 4 and min(even, odd) < len(start) / 40:
        return "utf-16-be" if even > odd else "utf-16-le"
    return "utf-8"


class _Rows:
    """A stream as pandas takes it, which would decode a file of bytes before its parser does."""

    def __init__(self, stream: IO[Any]) -> None:
        self.read = stream.read
        self._stream = stream

    def __iter__(self) -> Iterator[Any]:  # pandas requires it of a file
        return iter(self._stream)


def _spaced(text: str, separator: str) -> bool:
    """Whether blanks follow separators or begin lines; skipping them slows pandas down."""
    return separator != " " and any(f"{mark} " in text for mark in (separator, "\n", "\r"))


def _options(
    dialect: Dialect, missing: frozenset[str], words: Sequence[int], *, spaced: bool
) -> dict[str, Any]:
    """How pandas reads the rows, apart from where they are; ``words``: text columns, by place."""
    return {
        "sep": r"\s+" if dialect.separator == " " else dialect.separator,
        "header": None,
        "names": range(len(dialect.names)),
        "index_col": False,
        "decimal": dialect.numerals.decimal,
        "keep_default_na": False,
        "na_values": sorted(missing),
        "skipinitialspace": spaced,
        "dtype": dict.fromkeys(words, str) or None,
    }


def _parsed(
    rows: _Rows, dialect: Dialect, options: Mapping[str, Any], again: Callable[[], IO[str]]
) -> Any:
    """The frame of the rows; ``again``: their text once more, for what is wrong with it."""
    import pandas as pd

    exact: dict[str, Any] = {}
    if not fast_and_exact():
        exact = {"float_precision": "round_trip"}
    try:
        with warnings.catch_warnings():
            # otherwise a first row that is too long would be truncated
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(rows, low_memory=False, **options, **exact)
    except pd.errors.ParserWarning:
        raise SettingError(
            f"has more fields in its first row than the {len(dialect.names)} columns"
            f"{_title(dialect)}"
        ) from None
    except pd.errors.EmptyDataError:
        return pd.DataFrame(columns=range(len(dialect.names)))
    except (pd.errors.ParserError, csv.Error, OverflowError) as error:
        raise SettingError(_reason(str(error), dialect, again())) from None
    return frame


def _title(dialect: Dialect) -> str:
    """What to set if the line of names is none, since it is shorter than most rows."""
    short = dialect.header and len(dialect.names) < dialect.fields
    return f"; {SKIP}" if short else ""


@any_length()
def _reason(message: str, dialect: Dialect, stream: IO[str]) -> str:
    """The message of pandas about a row that does not fit, reworded; pandas counts blank lines."""
    width = len(dialect.names)
    fields = re.search(r"Expected \d+ fields in line (\d+), saw (\d+)", message)
    if fields:
        longer = ((n, len(row)) for n, row in _numbered(stream, dialect) if len(row) > width)
        row, many = next(longer, (fields[1], fields[2]))
        return f"has {many} fields in row {row} where there are {width} columns{_title(dialect)}"
    opened = re.search(r"EOF inside string starting at row (\d+)", message)
    if opened:
        row = int(opened[1]) + 1
        if dialect.separator != " ":  # the open field is that of the last row
            row = max((n for n, _ in _numbered(stream, dialect)), default=row)
        return f"has a quote in row {row} that is not closed"
    return f"cannot be read: {message.strip().splitlines()[0]}"
