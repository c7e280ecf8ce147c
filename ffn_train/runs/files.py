"""The files of a run's directory, written atomically and read only if they are regular files.

config.json         every setting, resolved
provenance.json     command, commit, versions, BLAS and threads, seed, parameters, times
layout.json         the columns of the measures: parameter tensors and quantities
data.json           columns, their coding and standardisation, the rows of each part
theory.json         the theory's predictions for the first batch (see ffn_train.runs.theory)
scalars.csv         one row per step
measures.npy        one record per measured step; measures-N.npy: quantities measured every N steps
weights.safetensors the final weights by name; weights-best.safetensors those of the best score
predictions.npz     the model's predictions for the validation rows (see ffn_train.runs.outputs)
summary.json        the results; present once the run has ended, before its figures are drawn
checkpoints/        the last two states that the run can resume from
plots/              the figures
status.json         running, finished, stopped, diverged, interrupted or failed, and why
.lock               held by the process that writes to the directory
"""

from __future__ import annotations

import errno
import io
import json
import math
import os
import re
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ffn_train.config.settings import UserError, first_line

CONFIG = "config.json"
PROVENANCE = "provenance.json"
LAYOUT = "layout.json"
DATA = "data.json"
THEORY = "theory.json"
SCALARS = "scalars.csv"
MEASURES = "measures.npy"
WEIGHTS = "weights.safetensors"
BEST = "weights-best.safetensors"
PREDICTIONS = "predictions.npz"
LATE = (WEIGHTS, BEST, PREDICTIONS)  # read when asked for
SUMMARY = "summary.json"
PLOTS = "plots"
CHECKPOINTS = "checkpoints"
STATUS = "status.json"
LOCK = ".lock"

SCHEMA = 2  # of the files that are written; older ones are read as well

LARGEST = 2**32  # bytes of a file that is read: more than a run writes
LATEST = 2**53  # steps, the limit of whole numbers in float64
LARGEST_JSON = 2**28
_LARGEST_HEADER = 2**16
_DIGITS = 300  # of a whole number; longer ones exceed float64
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_TEMPORARY = re.compile(r"\.(.+)\.[a-z0-9_]{8}")  # mkstemp's name for a file of this name
LOCKED = re.compile(  # files that only the holder of the lock writes
    r"(config|provenance|layout|data|theory|summary|status|manifest)\.json"
    r"|(weights(-best)?|step-\d{9,})\.safetensors|predictions\.npz"
)
OWN = re.compile(rf"{LOCKED.pattern}|scalars\.csv|measures(-\d+)?\.npy")  # no result's name


class RunError(UserError):
    """A run directory that cannot be read; the message names the file."""


def write_whole(
    path: Path, content: bytes | Sequence[bytes | memoryview], *, durable: bool = True
) -> None:
    """Write a file atomically: readers see the old content or the new one.

    ``durable``: also flush the directory; otherwise a power loss may bring the old file back until
    something durable is written to the same directory. Raises OSError that names the file, also
    where a link or anything but a regular file is in its place, which stays.
    """
    check_replaceable(path)
    with naming(path):
        handle, aside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.writelines([content] if isinstance(content, bytes) else content)
                file.flush()
                os.fsync(file.fileno())
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(aside, 0o666 & ~mask)  # mkstemp's mode excludes other users
            os.replace(aside, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(aside)
            raise
        if durable:
            flush_directory(path.parent)


def check_replaceable(path: Path) -> None:
    """Raises OSError, which names the path, unless it is a regular file or nothing is there."""
    with naming(unlinked(path)), suppress(FileNotFoundError):
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")


def flush_directory(path: Path) -> None:
    """Flush the names in a directory to disk, if the system supports that."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:  # Windows opens no directory
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EBADF):  # not on this file system
            raise
    finally:
        os.close(handle)


def unlinked(path: Path) -> Path:
    """The path of what is to be written. Raises OSError that names it if it is a link."""
    with naming(path):
        if path.is_symlink():
            raise OSError(errno.ELOOP, "it is a link, which is not written through")
    return path


def make_folder(path: Path) -> Path:
    """Make a folder in a run's or sweep's directory durably, unless it exists.

    Raises OSError that names it, also for a link, which could lead anywhere.
    """
    with naming(path):
        try:
            unlinked(path).mkdir()
        except FileExistsError:
            if not path.is_dir():
                raise
        else:
            flush_directory(path.parent)
    return path


def temporary(folder: Path, names: re.Pattern[str] = LOCKED) -> list[Path]:
    """The temporary files that killed processes left of files with these names."""
    leftovers = []
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            name = _TEMPORARY.fullmatch(entry.name)
            if name and names.fullmatch(name[1]) and entry.is_file(follow_symlinks=False):
                leftovers.append(Path(entry.path))
    return sorted(leftovers)


def regular(path: str | Path, flags: int = os.O_RDONLY) -> int:
    """Open a regular file without blocking, as an ``opener`` of ``open``.

    Raises OSError that names the file, also for a link.
    """
    with naming(path):
        try:
            handle = os.open(path, flags | _NO_LINKS, 0o666)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.EMLINK):
                raise OSError(error.errno, "it is a link, which is not followed") from None
            raise
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise OSError(errno.EINVAL, "it is not a regular file")
    return handle


def there(path: Path) -> bool:
    """Whether a path exists; what is not a regular file is reported when it is read."""
    return os.path.lexists(path)


def read_bytes(path: Path, largest: int = LARGEST) -> bytes:
    """A regular file's content. Raises OSError that names it, also if it is too large."""
    with naming(path), open(path, "rb", buffering=0, opener=regular) as file:
        size = os.fstat(file.fileno()).st_size
        if size > largest:
            raise OSError(errno.EFBIG, f"{size} bytes are too many to read")
        return file.readall()


class naming:
    """A context whose OSError names this file; as a generator it would slow each row down."""

    def __init__(self, path: str | Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror, str(self._path)) from None


def read_records(path: Path, content: bytes | None = None) -> NDArray[np.void]:
    """The records (rows,) of a .npy file, as many as its header declares.

    ``content``: the file's, if it has been read. Raises RunError.
    """
    # a header may be any Python literal, so that reading it may raise any exception
    with damaged(path, Exception):
        records = parse_npy(read_bytes(path) if content is None else content)
        if records.dtype.names is None or records.ndim != 1:
            raise ValueError("it has no records")
        if "step" in records.dtype.names:
            check_steps(records["step"])
        return records


def parse_npy(content: bytes) -> NDArray[Any]:
    """The array in the content of a .npy file, without pickle. May raise any exception."""
    return np.lib.format.read_array(io.BytesIO(content), max_header_size=_LARGEST_HEADER)


def check_steps(steps: NDArray[Any]) -> None:
    """Raises ValueError unless the steps are increasing whole numbers below ``LATEST``."""
    whole = np.all((steps >= 0) & (steps < LATEST) & (steps == np.floor(steps)))
    if not whole or np.any(np.diff(steps) <= 0):
        raise ValueError("its steps are not increasing whole numbers")


def write_json(path: Path, content: Any, *, durable: bool = True) -> None:
    """Write a JSON file atomically; NaN and infinities become null."""
    text = json.dumps(finite(content), indent=2, ensure_ascii=False, allow_nan=False)
    write_whole(path, (text + "\n").encode(), durable=durable)


def read_json(path: Path, content: bytes | None = None) -> dict[str, Any]:
    """A JSON object from a file; ``content``: the file's, if it has been read. Raises RunError."""
    with damaged(path, OSError, ValueError):
        return json_object(read_bytes(path, LARGEST_JSON) if content is None else content)


def json_object(text: bytes) -> dict[str, Any]:
    """The JSON object in a text. Raises ValueError, in words for a user."""
    try:
        content = json.loads(
            text.decode(), parse_int=_whole, parse_float=_number, parse_constant=_number
        )
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        what = "it is damaged (not JSON)" if text.strip() else "it is empty"
        raise ValueError(f"{what}: restore a copy of it, or use another directory") from None
    if not isinstance(content, dict):
        raise ValueError("expected a JSON object")
    schema = content.get("schema", 1)
    if not isinstance(schema, int) or schema > SCHEMA:
        newer = f"schema {schema!r}; this one reads up to {SCHEMA}"
        raise ValueError(f"made by a newer version ({newer})")
    return content


@contextmanager
def damaged(path: Path, *errors: type[Exception]) -> Iterator[None]:
    """A context that turns these errors into a RunError that names the file."""
    try:
        yield
    except errors as error:
        reason = (error.strerror or error) if isinstance(error, OSError) else first_line(error)
        raise RunError(f"{path}: {reason}") from None


def _whole(text: str) -> int:
    if len(text) > _DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is not a finite number")
    return value


def finite(value: Any) -> Any:
    """The value as JSON can hold it: None for NaN and infinities, lists for tuples."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
