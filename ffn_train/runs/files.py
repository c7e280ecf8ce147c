"""The files of a run's directory, each written whole or not at all.

config.json         every setting, resolved
provenance.json     command, commit, versions, BLAS and threads, seed, parameters, times
layout.json         the columns of the measures: parameter tensors and quantities
theory.json         what theory predicts for the first batch (see ffn_train.runs.predictions)
scalars.csv         one row a step
measures.npy        one record a measured step; measures-N.npy of what is measured every N steps
weights.safetensors the final weights by name
summary.json        written last: the outcome in figures; present only when the run has ended
checkpoints/        the last two states that the run can go on from
plots/              the figures
status.json         running, finished, diverged, interrupted or failed, and why
.lock               held by the process that writes here
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ffn_train.config.settings import first_line

CONFIG = "config.json"
PROVENANCE = "provenance.json"
LAYOUT = "layout.json"
THEORY = "theory.json"
SCALARS = "scalars.csv"
MEASURES = "measures.npy"
WEIGHTS = "weights.safetensors"
SUMMARY = "summary.json"
PLOTS = "plots"
CHECKPOINTS = "checkpoints"
STATUS = "status.json"
LOCK = ".lock"

SCHEMA = 2  # of the files that are written; those of this and of older ones are read


class RunError(ValueError):
    """A run directory that cannot be read: one line that names the file."""


def write_whole(path: Path, content: bytes) -> None:
    """Write aside, flush to disk, rename: readers see the old file or the new one, whole.

    Raises OSError that names the file.
    """
    with naming(path):
        handle, aside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(aside, 0o666 & ~mask)  # mkstemp's own mode shuts everyone else out
            os.replace(aside, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(aside)
            raise


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """A context whose OSError names this file, whatever it was raised for."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None


def write_json(path: Path, content: Any) -> None:
    """A JSON file, whole; NaN and infinities are written as null, which every reader takes."""
    text = json.dumps(finite(content), indent=2, ensure_ascii=False, allow_nan=False)
    write_whole(path, (text + "\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file. Raises RunError, in one line that names the file."""
    with damaged(path, OSError, ValueError, RecursionError):
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("expected a JSON object")
        schema = content.get("schema", 1)
        if not isinstance(schema, int) or schema > SCHEMA:
            newer = f"schema {schema!r}; this one reads up to {SCHEMA}"
            raise ValueError(f"made by a newer version ({newer})")
        return content


@contextmanager
def damaged(path: Path, *errors: type[Exception]) -> Iterator[None]:
    """A context in which these errors mean that a file is damaged: RunError, which names it."""
    try:
        yield
    except errors as error:
        raise RunError(f"{path}: {first_line(error)}") from None


def finite(value: Any) -> Any:
    """What JSON holds of a value: null for NaN and infinities, lists for tuples."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value
