"""From a path to the bytes of its file, uncompressed, and no more of them than a limit."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import re
import stat
import zipfile
from collections.abc import Callable
from functools import cache
from typing import IO, Any

from ffn_train.config import places
from ffn_train.config.settings import SettingError

_STREAM = re.compile(r"-|/dev/stdin|/(dev|proc/self)/fd/(\d+)")
_NOT_WAITING = getattr(os, "O_NONBLOCK", 0)
_OPENERS: tuple[tuple[bytes, str, Callable[[Any], Any]], ...] = (
    (b"\x1f\x8b", "gzip", gzip.open),
    (b"BZh", "bz2", bz2.open),
    (b"\xfd7zXZ\0", "xz", lzma.open),
)


def is_stream(path: str) -> bool:
    """Whether a path is standard input or a file descriptor, which can be read only once."""
    return _STREAM.fullmatch(path) is not None


def opened(path: str, largest: int) -> IO[bytes]:
    """The file at a path, or the stream that it names. Raises SettingError if it is neither."""
    stream = _STREAM.fullmatch(path)
    if stream:
        return io.BytesIO(_content(int(stream[2] or 0), largest))
    if "://" in path:
        raise SettingError("is an address: addresses are not read, only files")
    if "\0" in path:
        raise SettingError("does not exist: there is no such file")
    file_path = places.find(path)
    try:
        _refuse_others(os.stat(file_path))  # first, since opening a device may have effects
        return open(file_path, "rb", opener=_regular)
    except FileNotFoundError:
        raise SettingError("does not exist: there is no such file") from None


def path_of(file: IO[bytes], largest: int) -> str | None:
    """A path to this very file, whatever becomes of its name; None if it has none or is larger."""
    try:
        path = f"/proc/self/fd/{file.fileno()}"
        return path if os.path.getsize(path) <= largest else None
    except OSError:  # it is in memory, or the system has no such paths
        return None


def _regular(path: str, flags: int) -> int:
    handle = os.open(path, flags | _NOT_WAITING)
    try:
        _refuse_others(os.fstat(handle))  # once more, since it may have been replaced
    except SettingError:
        os.close(handle)
        raise
    return handle


def _refuse_others(found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise SettingError("is a directory; a file is needed")
    if not stat.S_ISREG(found.st_mode):
        raise SettingError("is a pipe or a device, not a file (- is standard input)")


@cache
def _content(number: int, largest: int) -> bytes:
    """The content of a file descriptor, cached because standard input can be read only once."""
    with os.fdopen(os.dup(number), "rb") as file:
        content = file.read(largest + 1)
    if len(content) > largest:
        raise too_large(largest)
    return content


def too_large(largest: int) -> SettingError:
    """The error of a file with more bytes than this, uncompressed."""
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
            raise too_large(self._largest)
        return count


def unpacked(file: IO[bytes], largest: int) -> tuple[io.BufferedReader, bytes, str]:
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
        files = members(packed)
        if len(files) == 1 and not files[0].filename.endswith(".npy"):
            content = limited(packed.open(files[0]))
            return content, content.peek(2**12), "zip"
        file.seek(0)
        content = limited(file)
    return content, start, ""


def members(packed: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """An archive's files, without those that macOS adds."""
    files = [member for member in packed.infolist() if not member.is_dir()]
    return [member for member in files if not member.filename.startswith("__MACOSX/")]
