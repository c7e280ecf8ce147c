"""A command's file operations: recorded, replayed to any point, and what a power loss leaves then.

The recorder sees what Python code does through ``open`` and ``os``; strace sees every system call.
Both give the same operations, so that one can be checked against the other.
"""

from __future__ import annotations

import builtins
import io
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

APPENDED = -1  # the offset of what is written at the end, wherever that is
CHANGING = ("write", "truncate", "sync", "rename", "unlink", "mkdir", "rmdir", "create")


class Operation(NamedTuple):
    """``kind``: open, or one of ``CHANGING``. Paths are relative to the traced directory.

    ``number``: the offset of a write, the length of a truncation, the flags of an open or create.
    """

    kind: str
    path: str = ""
    handle: int = -1
    number: int = 0
    data: bytes = b""
    target: str = ""

    def __str__(self) -> str:
        size = f" {len(self.data)} bytes" if self.kind == "write" else ""
        return f"{self.kind} {self.path}{size}{f' to {self.target}' if self.target else ''}"

    def comparable(self) -> tuple[str, str, int, int, str]:
        """The same for two executions: temporary files have random names, and times differ."""
        plain = re.compile(r"\.[a-z0-9_]{8}$")
        path, target = (plain.sub(".*", text) for text in (self.path, self.target))
        number = self.number if self.kind in ("write", "truncate") else 0
        return self.kind, path, number, len(self.data), target


def _opened(path: str, handle: int, flags: int, existed: bool) -> Operation:
    changes = flags & os.O_TRUNC or (flags & os.O_CREAT and not existed)
    return Operation("create" if changes else "open", path, handle, flags)


def _inside(root: Path, path: str) -> str | None:
    """The path relative to the root, "" for itself; None outside."""
    if path == str(root):
        return ""
    return os.path.relpath(path, root) if path.startswith(f"{root}{os.sep}") else None


@contextmanager
def recorded(root: Path) -> Iterator[list[Operation]]:
    """A context that lists the operations on files in ``root`` by this process."""
    operations: list[Operation] = []
    root = root.resolve()
    real_open, real = io.open, {name: getattr(os, name) for name in _PATHS}
    descriptor, fsync = os.open, os.fsync

    def inside(path: Any, folder: int | None = None) -> str | None:
        """``folder``: the descriptor of what the path is relative to."""
        start = "" if folder is None else os.readlink(f"/proc/self/fd/{folder}")
        return _inside(root, os.path.abspath(os.path.join(start, os.fsdecode(path))))

    def name_of(handle: int) -> str | None:
        return inside(os.readlink(f"/proc/self/fd/{handle}").removesuffix(" (deleted)"))

    def note(kind: str, path: str | None, **more: Any) -> None:
        if path is not None:
            operations.append(Operation(kind, path, **more))

    class Raw(io.FileIO):
        def write(self, content: Any, /) -> int:
            data = bytes(content)
            offset = APPENDED if "a" in self.mode else self.tell()
            written = super().write(data)
            name = name_of(self.fileno())
            note("write", name, handle=self.fileno(), number=offset, data=data[:written])
            return written

        def truncate(self, size: int | None = None, /) -> int:
            length = super().truncate(size)
            note("truncate", name_of(self.fileno()), handle=self.fileno(), number=length)
            return length

    def opening(path: Any, flags: int, mode: int = 0o777, **more: Any) -> int:
        existed = os.path.lexists(path)
        handle: int = descriptor(path, flags, mode, **more)
        if (name := inside(path)) is not None:
            operations.append(_opened(name, handle, flags, existed))
        return handle

    def opens(
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Callable[[str, int], int] | None = None,
    ) -> Any:
        if not set(mode) & set("wax+"):
            return real_open(file, mode, buffering, encoding, errors, newline, closefd, opener)
        opener = opener or (lambda path, flags: opening(path, flags, 0o666))
        raw = Raw(file, mode.replace("t", ""), closefd, opener)
        if not buffering:
            return raw
        buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        if "b" in mode:
            return buffered
        return io.TextIOWrapper(buffered, encoding, errors, newline)

    def synced(handle: int) -> None:
        fsync(handle)
        note("sync", name_of(handle), handle=handle)

    def changing(name: str) -> Callable[..., Any]:
        def change(path: Any, *more: Any, **options: Any) -> Any:
            result = real[name](path, *more, **options)
            target = inside(more[0]) or "" if _PATHS[name] == "rename" else ""
            note(_PATHS[name], inside(path, options.get("dir_fd")), target=target)
            return result

        return change

    with (
        patch.object(builtins, "open", opens),
        patch.object(io, "open", opens),
        patch.object(os, "open", opening),
        patch.object(os, "fsync", synced),
        patch.dict(vars(os), {name: changing(name) for name in _PATHS}),
    ):
        yield operations


_PATHS = {
    "replace": "rename",
    "rename": "rename",
    "unlink": "unlink",
    "remove": "unlink",
    "mkdir": "mkdir",
    "rmdir": "rmdir",
}

STRACE = (
    *("strace", "-f", "-xx", "-s", "100000000", "-e"),
    "trace=openat,close,read,write,lseek,ftruncate,fsync,fdatasync,rename,renameat,renameat2,"
    "unlink,unlinkat,mkdir,mkdirat,rmdir,chdir",
)
_CALL = re.compile(r"\d+ +(\w+)\((.*)\) += (-?\d+)")
_QUOTED = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_FLAGS = {name: getattr(os, name) for name in ("O_CREAT", "O_TRUNC", "O_APPEND")}


def of_strace(log: str, root: Path) -> list[Operation]:
    """The operations on files in ``root`` in a log that ``STRACE`` wrote, while it was the working
    directory.
    """
    root, operations, inside_now = root.resolve(), list[Operation](), False
    handles, places = dict[int, str](), dict[int, int]()
    names = set[str]()  # of the files and folders that there are

    def inside(text: bytes) -> str | None:
        path = os.fsdecode(text)
        known = path.startswith("/") or inside_now
        return _inside(root, os.path.normpath(root / path)) if known else None

    def note(operation: Operation) -> None:
        if inside_now:
            operations.append(operation)

    process = log.split(maxsplit=1)[0]  # not the programs that it starts
    for line in log.splitlines():
        call = _CALL.match(line)
        if call is None or call[3].startswith("-") or not line.startswith(f"{process} "):
            continue
        name, arguments, value = re.sub("at2?$", "", call[1]), call[2], int(call[3])
        texts = [bytes.fromhex(text.replace("\\x", "")) for text in _QUOTED.findall(arguments)]
        handle = int(number[0]) if (number := re.match(r"\d+", arguments)) else -1
        if name == "chdir":
            inside_now = os.fsdecode(texts[0]) == str(root)
        elif name == "open":
            handles.pop(value, None)
            if (path := inside(texts[0])) is not None:
                flags = sum(bit for word, bit in _FLAGS.items() if word in arguments)
                note(_opened(path, value, flags, path in names))
                handles[value], places[value] = path, APPENDED if flags & os.O_APPEND else 0
                names.add(path)
        elif name in ("rename", "unlink", "mkdir", "rmdir"):
            path, *more = map(inside, texts)
            if path is not None:
                kind = "rmdir" if "AT_REMOVEDIR" in arguments else name
                target = (more[0] or "") if kind == "rename" else ""
                note(Operation(kind, path, target=target))
                names.discard(path)
                names.add(target or (path if kind == "mkdir" else ""))
        elif handle in handles:
            path, place = handles[handle], places[handle]
            if name == "write":
                note(Operation("write", path, handle, place, texts[0][:value]))
            elif name == "ftruncate":
                note(Operation("truncate", path, handle, int(arguments.rpartition(",")[2])))
            elif name in ("fsync", "fdatasync"):
                note(Operation("sync", path, handle))
            elif name == "close":
                del handles[handle]
            if place != APPENDED:
                moved = {"read": place + value, "write": place + value, "lseek": value}
                places[handle] = moved.get(name, place)
    return operations


class File:
    """A file's content, and what of it is on the disk for certain."""

    def __init__(self, content: bytes = b"") -> None:
        self.content, self.durable = bytearray(content), content


FOLDER = File()
Content = Mapping[str, bytes | None]  # of files, by path; None for a folder


class Disk:
    """A directory to which operations are applied, with what a power loss may undo.

    A file's bytes are safe once the file is synced, a name once its folder is. Until then each may
    be there or not, whatever was done first.
    """

    def __init__(self, content: Content) -> None:
        self._names = {p: FOLDER if c is None else File(c) for p, c in content.items()}
        self._safe = dict(self._names)
        self._pending: list[dict[str, File | None]] = []  # changes of names, None: removed
        self._handles: dict[int, File | str] = {}

    def apply(self, operation: Operation, kept: int | None = None) -> None:
        """``kept``: how many bytes of a write arrive; all by default."""
        kind, path, handle = operation.kind, operation.path, operation.handle
        file = self._handles.get(handle)
        if kind in ("open", "create"):
            if path not in self._names and kind == "create":
                self._rename({path: File()})
            opened = self._names.get(path, FOLDER)
            if operation.number & os.O_TRUNC:
                opened.content.clear()
            self._handles[handle] = path if opened is FOLDER else opened
        elif kind == "mkdir":
            self._rename({path: FOLDER})
        elif kind in ("unlink", "rmdir"):
            self._rename({path: None})
        elif kind == "rename":
            self._rename({path: None, operation.target: self._names[path]})
        elif kind == "sync" and isinstance(file, File):
            file.durable = bytes(file.content)
        elif kind == "sync":
            self._settle(str(file))
        elif isinstance(file, File) and kind == "truncate":
            del file.content[operation.number :]
            file.content.extend(bytes(operation.number - len(file.content)))
        elif isinstance(file, File):
            data = operation.data[:kept]
            start = len(file.content) if operation.number == APPENDED else operation.number
            file.content.extend(bytes(max(0, start - len(file.content))))
            file.content[start : start + len(data)] = data

    def _rename(self, change: dict[str, File | None]) -> None:
        self._pending.append(change)
        _change(self._names, change)

    def _settle(self, folder: str) -> None:
        """The names in a folder are on the disk."""
        for change in list(self._pending):
            if folder in map(os.path.dirname, change):
                _change(self._safe, change)
                self._pending.remove(change)

    def content(self) -> Content:
        """What the end of the process leaves."""
        return _content(self._names, {})

    def losses(self) -> Iterator[tuple[str, Callable[[], Content]]]:
        """What a power loss may leave, described; the content is made when it is asked for.

        Names: all, none, all but one, or only one of those that are not safe; with each of these
        the bytes of all files that are not safe kept, lost, or replaced by zeros; and with all
        names the bytes of each file lost alone.
        """
        count = len(self._pending)
        chosen = {"all names kept": [*range(count)], "new names lost": []}
        for number in range(count) if count > 1 else ():
            chosen[f"new name {number} lost"] = [at for at in range(count) if at != number]
            chosen[f"only new name {number} kept"] = [number]
        unsafe = {
            path: file
            for path, file in self._names.items()
            if file is not FOLDER and bytes(file.content) != file.durable
        }
        # a file that only lost names lead to has lost bytes, too
        everything = {id(f): f for change in self._pending for f in change.values() if f}
        everything |= {id(file): file for file in unsafe.values()}
        lost = {number: file.durable for number, file in everything.items()}
        zeros = {
            number: file.durable + bytes(max(0, len(file.content) - len(file.durable)))
            for number, file in everything.items()
        }
        nothing: dict[int, bytes] = {}
        for words, kept in chosen.items():
            names = dict(self._safe)
            for at in kept:
                _change(names, self._pending[at])
            for bytes_of, replaced in (("kept", nothing), ("lost", lost), ("zeros", zeros)):
                yield f"{words}, unsynced bytes {bytes_of}", partial(_content, names, replaced)
        for path, file in unsafe.items():
            lone = {id(file): file.durable}
            yield (
                f"all names kept, unsynced bytes of {path} lost",
                partial(_content, self._names, lone),
            )


def _change(names: dict[str, File], change: Mapping[str, File | None]) -> None:
    for path, file in change.items():
        if file is None:
            names.pop(path, None)
        else:
            names[path] = file


def _content(names: Mapping[str, File], replaced: Mapping[int, bytes]) -> Content:
    """Paths whose folder is lost are lost, too."""
    content: dict[str, bytes | None] = {}
    for path in sorted(names):
        parent, file = os.path.dirname(path), names[path]
        if not parent or (parent in content and content[parent] is None):
            whole = replaced.get(id(file), bytes(file.content))
            content[path] = None if file is FOLDER else whole
    return content


def read_directory(root: Path) -> dict[str, bytes | None]:
    """The regular files and folders in a directory; sockets, links and the like are left out."""
    content: dict[str, bytes | None] = {}
    for path in sorted(root.rglob("*")):
        if path.is_dir() or path.is_file():
            name = str(path.relative_to(root))
            content[name] = None if path.is_dir() else path.read_bytes()
    return content


def write_directory(root: Path, content: Content) -> None:
    """Make the directory hold this and nothing else."""
    for path in sorted(root.rglob("*"), reverse=True) if root.exists() else ():
        with suppress(FileNotFoundError):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    root.mkdir(parents=True, exist_ok=True)
    for name, data in content.items():
        if data is None:
            (root / name).mkdir()
        else:
            (root / name).write_bytes(data)
