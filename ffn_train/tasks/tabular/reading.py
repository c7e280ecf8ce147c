"""From a path to a pandas frame with named columns, and how it was read; nothing is executed."""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import lzma
import os
import re
import stat
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import IO, Any

import numpy as np

from ffn_train.config import places
from ffn_train.config.settings import SettingError, counted, first_line
from ffn_train.tasks.tabular.dialect import (
    LINES,
    MISSING,
    SEPARATORS,
    Dialect,
    Given,
    Numerals,
    find,
    header_and_units,
    records,
)

SAMPLE = 2**20  # characters in which the dialect is detected
_STREAM = re.compile(r"-|/dev/stdin|/(dev|proc/self)/fd/(\d+)")
_OPENERS: tuple[tuple[bytes, str, Callable[[Any], Any]], ...] = (
    (b"\x1f\x8b", "gzip", gzip.open),
    (b"BZh", "bz2", bz2.open),
    (b"\xfd7zXZ\0", "xz", lzma.open),
)
# the first bytes of other kinds of files, and what these are
_KINDS = (
    (rb"PAR1", "parquet"),
    (rb"\x93NUMPY", "npy"),
    (rb"\xd0\xcf\x11\xe0", "an Excel workbook of before 2007: save it as .xlsx or as CSV"),
    (rb"\x89HDF", "HDF5: save the table as CSV"),
    (rb"ARROW1|FEA1", "Arrow or Feather: save the table as parquet or as CSV"),
    (rb"SQLite format 3\0", "an SQLite database: save a table of it as CSV"),
    (rb"(7z\xbc\xaf|Rar!|\x28\xb5\x2f\xfd)", "a 7z, rar or zstd archive: unpack it"),
    (rb"%PDF", "a PDF document"),
    (rb"\x89PNG|\xff\xd8\xff|GIF8", "a picture"),
    (rb"\x80[\x02-\x05]", "a Python pickle, which is not read: save the table as CSV"),
    (rb"\{\\rtf", "a document of rich text"),
    (rb"(?s).{257}ustar", "a tar archive: unpack it"),
    (rb"(?i)\s*<(!doctype html|html)", "a web page: save the table itself"),
    (rb"\s*<\?xml", "XML: save the table as CSV"),
    (rb"\s*[\[{]\s*[\[{\"]", "JSON: save the table as CSV"),
    (rb"(?is)(\s*%[^\n]*\n|\s*\n)*\s*@relation\b", "ARFF, Weka's format: save the table as CSV"),
)
_BOMS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


@dataclass(frozen=True)
class Reading:
    """How a file was read, so that others can be read in the same way.

    ``unnamed``: the names given to columns without one; ``renamed``: the names given to the second
    and further columns of the same name, with that name. ``container``: the compression or archive.
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
        phrases += [self.encoding] if self.encoding not in ("", "utf-8", "utf-8-sig") else []
        phrases += [f"from {self.container}"] if self.container else []
        return ", ".join([*phrases, counted(self.rows, "row")])


def is_stream(path: str) -> bool:
    """Whether a path is standard input or a file descriptor, which can be read only once."""
    return _STREAM.fullmatch(path) is not None


def read(
    path: str, options: Given, *, encoding: str | None = None, largest: int = 2**32
) -> tuple[Any, Reading]:
    """The table in a file, as a pandas frame, and how it was read.

    Cells are numbers, text, or NaN if missing. ``largest``: bytes, uncompressed. Raises
    SettingError, without the path, for a file that is not a table.
    """
    try:
        with _opened(path, largest) as file:
            return _table(file, options, encoding, largest)
    except (
        OSError,
        EOFError,
        lzma.LZMAError,
        zipfile.BadZipFile,
        zlib.error,
        RuntimeError,
    ) as error:
        # also for "~nobody" and a path with a null byte
        reason = getattr(error, "strerror", None) or first_line(error)
        raise SettingError(f"cannot be read: {reason}") from error
    except UnicodeError as error:
        raise SettingError(
            f"is not {encoding or 'UTF-8'} text ({getattr(error, 'reason', error)}): set its "
            "encoding, for example task.encoding=cp1252"
        ) from error


def _opened(path: str, largest: int) -> IO[bytes]:
    stream = _STREAM.fullmatch(path)
    if stream:
        return io.BytesIO(_content(int(stream[2] or 0), largest))
    if "://" in path:
        raise SettingError("is an address: addresses are not read, only files")
    if "\0" in path:
        raise SettingError("does not exist: there is no such file")
    file_path = places.find(path)
    try:
        kind = stat.S_IFMT(
            os.stat(file_path).st_mode
        )  # first, since opening a device may have effects
        if kind == stat.S_IFDIR:
            raise SettingError("is a directory; a file is needed")
        if kind != stat.S_IFREG:
            raise SettingError("is a pipe or a device, not a file (- is standard input)")
        file = open(file_path, "rb", opener=lambda name, flags: os.open(name, flags | _NOT_WAITING))  # noqa: SIM115
    except FileNotFoundError:
        raise SettingError("does not exist: there is no such file") from None
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise SettingError("is a pipe or a device, not a file (- is standard input)")
    return file


_NOT_WAITING = getattr(os, "O_NONBLOCK", 0)


@cache
def _content(number: int, largest: int) -> bytes:
    """The content of a file descriptor, cached because standard input can be read only once."""
    with os.fdopen(os.dup(number), "rb") as file:
        content = file.read(largest + 1)
    if len(content) > largest:
        raise _too_large(largest)
    return content


def _too_large(largest: int) -> SettingError:
    return SettingError(
        f"is larger than {largest / 2**30:g} GiB, uncompressed (task.largest is the limit, in GiB)"
    )


class _Limited(io.RawIOBase):
    """A binary file that raises SettingError once more than ``largest`` bytes have been read."""

    def __init__(self, file: IO[bytes], largest: int) -> None:
        self._file, self._left, self._largest = file, largest, largest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count: int = self._file.readinto(buffer)  # type: ignore[attr-defined]
        self._left -= count
        if self._left < 0:
            raise _too_large(self._largest)
        return count


def _table(
    file: IO[bytes], hints: Given, encoding: str | None, largest: int
) -> tuple[Any, Reading]:
    content, start, container = _unpacked(file, largest)
    if start.startswith(b"PK\x03\x04"):
        packed = zipfile.ZipFile(io.BytesIO(content.read()))
        names = [member.filename for member in _members(packed)]
        if sum(member.file_size for member in packed.infolist()) > largest:
            raise _too_large(largest)
        if any(name.startswith("xl/") for name in names):
            return _excel(packed, hints)
        if "mimetype" in names:
            raise SettingError("is an OpenDocument file: save the table as CSV")
        if names and all(name.endswith(".npy") for name in names):
            return _arrays({name[:-4]: packed.open(name) for name in names}, "npz")
        raise SettingError(f"is an archive of {len(names)} files: unpack it, and name one")
    for pattern, kind in _KINDS:
        if re.match(pattern, start):
            if kind == "npy":
                return _arrays({"": content}, kind)
            if kind == "parquet":
                return _parquet(io.BytesIO(content.read()), largest)
            raise SettingError(f"is {kind}")
    encoding = encoding or _encoding(start)

    def again() -> IO[bytes]:
        file.seek(0)
        return _unpacked(file, largest)[0]

    return _text(again, encoding, container, hints)


def _unpacked(file: IO[bytes], largest: int) -> tuple[io.BufferedReader, bytes, str]:
    """A file's uncompressed content, its first bytes, and its compression."""

    def limited(content: Any) -> io.BufferedReader:
        return io.BufferedReader(_Limited(content, largest), 2**16)

    content = limited(file)
    start = content.peek(2**12)
    for magic, name, opener in _OPENERS:
        if start.startswith(magic):
            content = limited(opener(content))
            return content, content.peek(2**12), name
    if start.startswith(b"PK\x03\x04"):
        packed = zipfile.ZipFile(file)
        members = _members(packed)
        if len(members) == 1 and not members[0].filename.endswith(".npy"):
            content = limited(packed.open(members[0]))
            return content, content.peek(2**12), "zip"
        file.seek(0)
        content = limited(file)
    return content, start, ""


def _members(packed: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """An archive's files, without those that macOS adds."""
    files = [member for member in packed.infolist() if not member.is_dir()]
    return [member for member in files if not member.filename.startswith("__MACOSX/")]


def _text(
    reopened: Callable[[], IO[bytes]], encoding: str, container: str, hints: Given
) -> tuple[Any, Reading]:
    def decoded(after: int) -> IO[str]:
        stream = io.TextIOWrapper(reopened(), encoding, newline="")
        stream.read(after)
        return stream

    sample = decoded(0).read(SAMPLE)
    if "\0" in sample:
        line = sample.count("\n", 0, sample.index("\0")) + 1
        raise SettingError(f"is not text: line {line} has a null byte")
    marked = sample.startswith("\ufeff")  # a mark that this encoding leaves in
    dialect = find(sample[marked:], hints, whole=len(sample) < SAMPLE)
    body = marked + dialect.body
    rows: IO[Any]
    if codecs.lookup(encoding).name.startswith("utf-8"):  # pandas itself decodes that, and faster
        rows = reopened()
        left_out = 3 if encoding == "utf-8-sig" and not marked else 0
        rows.read(len(sample[:body].encode()) + left_out)
    else:
        rows = decoded(body)
    frame = _parsed(_Rows(rows), dialect, spaced=_spaced(sample[body:], dialect.separator))
    if len(frame) and frame.iloc[:, -1].isna().any():
        _refuse_short(decoded(body), dialect)
    names, unnamed, renamed = unique(dialect.names)
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
    )


def unique(names: Sequence[str]) -> tuple[list[str], tuple[str, ...], dict[str, str]]:
    """Unique names of all columns; those given to unnamed ones; those given to duplicates, with
    the original name.
    """
    result: list[str] = []
    unnamed, renamed = [], {}
    given_names = {*names}
    for index, name in enumerate(names):
        stem, count = name or f"column{index}", 0
        unique_name = stem
        while unique_name in result or (unique_name != name and unique_name in given_names):
            count += 1
            unique_name = f"{stem}.{count}"
        result.append(unique_name)
        if not name:
            unnamed.append(unique_name)
        elif unique_name != name:
            renamed[unique_name] = name
    return result, tuple(unnamed), renamed


def _refuse_short(stream: IO[str], dialect: Dialect) -> None:
    """Raises SettingError for a row with too few fields, which pandas silently fills up.

    Only needed if a last cell is missing.
    """
    width = len(dialect.names)
    if dialect.separator == " ":
        rows = (records([line], " ")[0] for line in stream if line.strip())
    else:
        reader = csv.reader(stream, delimiter=dialect.separator, skipinitialspace=True)
        rows = (row for row in reader if len(row) > 1 or "".join(row).strip())
    for number, row in enumerate(rows, 1):
        if len(row) < width:
            raise SettingError(
                f"has {counted(len(row), 'field')} in row {number} where there are {width} columns"
            )


def _encoding(start: bytes) -> str:
    for mark, name in _BOMS:
        if start.startswith(mark):
            return name
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
    """Whether blanks follow separators; skipping them slows pandas down."""
    return separator != " " and re.search(rf"(^|{re.escape(separator)}) ", text, re.M) is not None


def _parsed(rows: _Rows, dialect: Dialect, *, spaced: bool) -> Any:
    import pandas as pd

    exact: dict[str, Any] = {}
    if tuple(map(int, pd.__version__.split(".")[:2])) < (3, 1):  # the only way from then on
        exact = {"float_precision": "round_trip"}
    blanks = dialect.separator == " "
    try:
        with warnings.catch_warnings():
            # otherwise a first row that is too long would be truncated
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
                rows,
                sep=r"\s+" if blanks else dialect.separator,
                header=None,
                names=range(len(dialect.names)),
                index_col=False,
                decimal=dialect.numerals.decimal,
                keep_default_na=False,
                na_values=sorted(MISSING),
                skipinitialspace=spaced,
                low_memory=False,
                **exact,
            )
    except pd.errors.ParserWarning:
        raise SettingError(
            f"has more fields in its first row than the {len(dialect.names)} columns"
        ) from None
    except pd.errors.EmptyDataError:
        return pd.DataFrame(columns=range(len(dialect.names)))
    except (pd.errors.ParserError, csv.Error, OverflowError) as error:
        raise SettingError(_reason(str(error), dialect)) from None
    return frame


def _reason(message: str, dialect: Dialect) -> str:
    """The message of pandas about a row that does not fit, reworded."""
    fields = re.search(r"Expected \d+ fields in line (\d+), saw (\d+)", message)
    if fields:
        return (
            f"has {fields[2]} fields in row {fields[1]} where there are {len(dialect.names)} "
            "columns"
        )
    opened = re.search(r"EOF inside string starting at row (\d+)", message)
    if opened:
        return f"has a quote in row {int(opened[1]) + 1} that is not closed"
    return f"cannot be read: {message.strip().splitlines()[0]}"


def _framed(columns: Mapping[str, Any], kind: str) -> tuple[Any, Reading]:
    import pandas as pd

    frame = pd.DataFrame(dict(columns))
    return frame, Reading(kind=kind, rows=len(frame))


def _arrays(files: Mapping[str, Any], kind: str) -> tuple[Any, Reading]:
    """The columns of NumPy's arrays: a matrix x has the columns x0, x1, ..."""
    columns: dict[str, Any] = {}
    for name, file in files.items():
        try:
            array = np.lib.format.read_array(file, allow_pickle=False)
        except (ValueError, MemoryError, EOFError, SyntaxError) as error:
            objects = "objects, which are not read" in str(error) or "allow_pickle" in str(error)
            reason = "Python objects, which are not read" if objects else first_line(error)
            raise SettingError(
                f"has a NumPy array {name!r} that cannot be used: {reason}"
            ) from error
        if array.dtype.names and array.ndim == 1:
            columns |= {field: array[field] for field in array.dtype.names}
        elif array.ndim == 2 and array.shape[1] > 1:
            columns |= {f"{name or 'column'}{i}": array[:, i] for i in range(array.shape[1])}
        elif array.ndim in (1, 2):
            columns[name or "column0"] = array.reshape(-1)
        else:
            raise SettingError(f"has an array {name!r} of shape {array.shape}: rows are needed")
    lengths = {name: column.shape for name, column in columns.items()}
    if len({*lengths.values()}) > 1 or any(len(shape) > 1 for shape in lengths.values()):
        listed = ", ".join(f"{name} has {shape[0]}" for name, shape in lengths.items())
        raise SettingError(f"has arrays of different lengths: {listed}")
    return _framed(columns, kind)


def _excel(packed: zipfile.ZipFile, hints: Given) -> tuple[Any, Reading]:
    """The first sheet of a workbook that is not empty."""
    import pandas as pd

    try:
        import openpyxl  # noqa: F401
    except ImportError:
        raise SettingError(
            "is an Excel workbook: pip install 'ffn_train[excel]' reads it, or save it as CSV"
        ) from None
    file = packed.fp
    assert file is not None
    try:
        sheets = pd.read_excel(
            io.BytesIO(_whole(file)),
            sheet_name=None,
            header=None,
            engine="openpyxl",
            keep_default_na=False,
            na_values=sorted(MISSING),
        )
    except Exception as error:  # openpyxl raises any for a damaged workbook
        raise SettingError(
            f"is an Excel workbook that cannot be read: {first_line(error)}"
        ) from error
    skipped = [sheet.iloc[hints.skip :] for sheet in sheets.values()]
    filled = [sheet.dropna(how="all").dropna(how="all", axis=1) for sheet in skipped]
    cells = next((sheet for sheet in filled if sheet.size), None)
    if cells is None:
        raise SettingError("is empty: a header line and rows are needed")
    top = cells.head(LINES).astype(object).where(cells.head(LINES).notna(), "").astype(str)
    rows = [[cell.strip() for cell in row] for row in top.to_numpy().tolist()]
    header, units = header_and_units(rows, Numerals(), hints)
    names, unnamed, renamed = unique(rows[0] if header else [""] * cells.shape[1])
    frame = cells.iloc[header + units :].reset_index(drop=True).infer_objects()
    frame.columns = names
    return frame, Reading(
        kind="Excel" if len(filled) == 1 else f"Excel, the first of {len(filled)} sheets",
        rows=len(frame),
        header=header,
        units=units,
        unnamed=unnamed,
        renamed=renamed,
    )


def _whole(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


def _parquet(file: io.BytesIO, largest: int) -> tuple[Any, Reading]:
    import pandas as pd

    try:
        from pyarrow import parquet
    except ImportError:
        raise SettingError(
            "is a parquet file: pip install 'ffn_train[parquet]' reads it, or save it as CSV"
        ) from None
    try:
        about = parquet.ParquetFile(file).metadata
        if sum(about.row_group(i).total_byte_size for i in range(about.num_row_groups)) > largest:
            raise _too_large(largest)
        frame = pd.read_parquet(file, engine="pyarrow")
        frame = frame.reset_index(drop=not any(frame.index.names))
    except SettingError:
        raise
    except Exception as error:  # Arrow raises any for a damaged file
        raise SettingError(f"is a parquet file that cannot be read: {first_line(error)}") from error
    names, unnamed, renamed = unique([str(name) for name in frame.columns])
    frame.columns = names
    return frame, Reading("parquet", len(frame), unnamed=unnamed, renamed=renamed)
