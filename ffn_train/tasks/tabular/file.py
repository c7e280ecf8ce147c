"""From a path to a pandas frame with named columns, and how it was read: by its first bytes."""

from __future__ import annotations

import codecs
import io
import lzma
import re
import zipfile
import zlib
from contextlib import suppress
from typing import IO, Any

from ffn_train.config.settings import SettingError, first_line
from ffn_train.tasks.tabular.binary import arrays, excel, parquet
from ffn_train.tasks.tabular.content import members, opened, path_of, too_large, unpacked
from ffn_train.tasks.tabular.dialect import Given
from ffn_train.tasks.tabular.reading import Reading
from ffn_train.tasks.tabular.text import encoding_of, text

# the first bytes of other kinds of files, and what these are
_KINDS = (
    (rb"PAR1", "parquet"),
    (rb"\x93NUMPY", "npy"),
    (rb"\xd0\xcf\x11\xe0", "an Excel workbook of before 2007: save it as .xlsx or as CSV"),
    (rb"\x89HDF", "HDF5: save the table as CSV"),
    (rb"ARROW1|FEA1", "Arrow or Feather: save the table as parquet or as CSV"),
    (rb"SQLite format 3\0", "an SQLite database: save a table of it as CSV"),
    (rb"(7z\xbc\xaf|Rar!|\x28\xb5\x2f\xfd)", "a 7z, rar or zstd archive: unpack it"),
    (rb"PK\x05\x06", "an empty archive"),
    (rb"\x1f\x8b|BZh[1-9]|\xfd7zXZ\0", "compressed twice: unpack it"),
    (rb"%PDF", "a PDF document"),
    (rb"\x89PNG|\xff\xd8\xff|GIF8", "a picture"),
    (rb"\x80[\x02-\x05]", "a Python pickle, which is not read: save the table as CSV"),
    (rb"\{\\rtf", "a document of rich text"),
    (rb"(?s).{257}ustar", "a tar archive: unpack it"),
    (rb"<stata_dta>|[\x6c-\x73][\x01\x02]\x01\0", "a data set of Stata: save it as CSV"),
    (rb"\0{12}\xc2\xea\x81\x60", "a data set of SAS: save it as CSV"),
    (rb"\$FL[23]@\(#\)", "a data set of SPSS: save it as CSV"),
    (rb"RD[AX][23]\n|X\n\0\0\0[\x02\x03]", "R's own format: save the table as CSV"),
    (rb"MATLAB 5\.0 MAT-file", "MATLAB's own format: save the table as CSV"),
    (rb"(?i)\s*<(!doctype html|html|table)\b", "a web page: save the table itself"),
    (rb"\s*<\?xml", "XML: save the table as CSV"),
    (rb"\s*[\[{]\s*[\[{\"]", "JSON: save the table as CSV"),
    (rb"(?is)(\s*%[^\n]*\n|\s*\n)*\s*@relation\b", "ARFF, Weka's format: save the table as CSV"),
)


def read(
    path: str, options: Given, *, encoding: str | None = None, largest: int = 2**32
) -> tuple[Any, Reading]:
    """The table in a file, as a pandas frame, and how it was read.

    Cells are numbers, text, or NaN if missing. ``largest``: bytes, uncompressed. Raises
    SettingError, without the path, for a file that is not a table.
    """
    try:
        with opened(path, largest) as file:
            return _table(file, options, encoding, largest)
    except (
        OSError,
        EOFError,
        lzma.LZMAError,
        zipfile.BadZipFile,
        zlib.error,
        RuntimeError,
        UnicodeEncodeError,  # of the path
    ) as error:
        # also for "~nobody" and a path with a null byte
        reason = getattr(error, "strerror", None) or first_line(error)
        raise SettingError(f"cannot be read: {reason}") from error
    except UnicodeError as error:
        ways = " or ".join(_encodings(getattr(error, "object", b""), encoding or "utf-8"))
        raise SettingError(
            f"is not {encoding or 'UTF-8'} text ({getattr(error, 'reason', error)}): set its "
            f"encoding, for example task.encoding={ways}"
        ) from error


def _encodings(text: bytes, failed: str) -> list[str]:
    """The encodings that may be a text's: UTF-8 if it can be read so, otherwise those of Europe
    where letters that are not ASCII are few or mostly stand alone, and those of East Asia in which
    it can be read where some do not.
    """
    if _decodes(text, "utf-8"):
        return ["utf-8"]
    words = re.findall(rb"(?s)[\x82\x83].|[\x80-\xff]+", text)  # kana may end in ASCII
    few = 10 * sum(map(len, words)) < len(re.findall(rb"[A-Za-z]", text))
    pairs = 0 if few else sum(len(word) > 1 for word in words)
    fitting = ["cp1252" if 2 * pairs <= len(words) else "cp1251"]
    for name in ("cp949", "gbk", "big5", "shift_jis") if 4 * pairs > len(words) else ():
        if _decodes(text, name):
            fitting.insert(-1, name)
    others = [name for name in fitting if codecs.lookup(name).name != codecs.lookup(failed).name]
    return others or ["latin-1"]


def _decodes(text: bytes, encoding: str) -> bool:
    """Whether a text, which may end within a letter, can be read in an encoding."""
    with suppress(UnicodeDecodeError):
        codecs.getincrementaldecoder(encoding)().decode(text)
        return True
    return False


def _table(
    file: IO[bytes], hints: Given, encoding: str | None, largest: int
) -> tuple[Any, Reading]:
    content, start, container = unpacked(file, largest)
    if start.startswith(b"PK\x03\x04"):
        whole = io.BytesIO(content.read())
        packed = zipfile.ZipFile(whole)
        names = [member.filename for member in members(packed)]
        if sum(member.file_size for member in packed.infolist()) > largest:
            raise too_large(largest)
        if any(name.startswith("xl/") for name in names):
            return excel(whole, hints)
        if "mimetype" in names:
            raise SettingError("is an OpenDocument file: save the table as CSV")
        if names and all(name.endswith(".npy") for name in names):
            return arrays({name[:-4]: packed.open(name) for name in names}, "npz", hints)
        raise SettingError(f"is an archive of {len(names)} files: unpack it, and name one")
    for pattern, kind in _KINDS:
        if re.match(pattern, start):
            if kind == "npy":
                return arrays({"": content}, kind, hints)
            if kind == "parquet":
                return parquet(io.BytesIO(content.read()), hints, largest)
            raise SettingError(f"is {kind}")
    encoding = encoding_of(start, encoding)

    def again() -> IO[bytes]:
        file.seek(0)
        return unpacked(file, largest)[0]

    return text(again, encoding, container, hints, None if container else path_of(file, largest))
