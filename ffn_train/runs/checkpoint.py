"""Checkpoints: all that a run needs to go on exactly, in one file that is whole or absent.

``checkpoints/step-000000120.safetensors`` holds the flat parameter vector and the optimizer's
memory; its metadata hold, in one entry ``checkpoint`` of JSON, the step, counters, how long the log
was, and a checksum of it all: of several entries safetensors writes the order at random. The
batch order and the schedule are functions of the seed and the step, so there is nothing of them to
save. The last two checkpoints are kept: a damaged newest one leaves the one before.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ffn_train.nn.core import Array
from ffn_train.runs.files import CHECKPOINTS, make_folder, regular, write_whole

KEPT = 2
_PARAMETERS = "parameters"
_ENTRY = "checkpoint"


@dataclass(frozen=True)
class Checkpoint:
    """The state before row ``step``: parameters, optimizer memory, counters, log lengths."""

    step: int
    parameters: Array
    memory: Mapping[str, Array]
    hopeless_for: int
    scalars_bytes: int
    measures_rows: int


class Damaged(ValueError):
    """A checkpoint file that is not what was written; one line that names it."""


def write_checkpoint(run: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, and then delete all but the last two."""
    folder = make_folder(run / CHECKPOINTS)
    tensors = {_PARAMETERS: checkpoint.parameters, **checkpoint.memory}
    counters = {name: getattr(checkpoint, name) for name in _COUNTERS}
    entry = {"counters": counters, "sha256": _digest(tensors, counters)}
    path = folder / f"step-{checkpoint.step:09d}.safetensors"
    write_whole(path, save(tensors, {_ENTRY: json.dumps(entry)}))
    for old in checkpoints(run)[:-KEPT]:
        old.unlink(missing_ok=True)


_COUNTERS = ("step", "hopeless_for", "scalars_bytes", "measures_rows")


def checkpoints(run: Path) -> list[Path]:
    """The checkpoint files of a run, oldest first."""
    return [path for _, path in sorted(_by_step(run).items())]


def newest_step(run: Path) -> int | None:
    """The step of the newest checkpoint, by its name; None without one."""
    return max(_by_step(run), default=None)


def _by_step(run: Path) -> dict[int, Path]:
    found = {}
    for path in (run / CHECKPOINTS).glob("step-*"):
        if name := re.fullmatch(r"step-(\d{9,})\.safetensors", path.name):
            found[int(name[1])] = path
    return found


def read_checkpoint(path: Path) -> Checkpoint:
    """Read one checkpoint. Raises Damaged if it is cut short, altered or something else."""
    try:
        os.close(regular(path))  # a FIFO would be waited for
        with safe_open(path, framework="np") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata()
        if _ENTRY in metadata:
            metadata = json.loads(metadata[_ENTRY])
            counters = metadata["counters"]
        else:  # of version 0.1.0
            counters = json.loads(metadata["counters"])
        if metadata["sha256"] != _digest(tensors, counters):
            raise ValueError("its checksum does not match")
        parameters = tensors.pop(_PARAMETERS)
        values = {name: int(counters[name]) for name in _COUNTERS}
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise Damaged(f"{path}: {str(error).splitlines()[0]}") from None
    return Checkpoint(parameters=parameters, memory=tensors, **values)


def _digest(tensors: Mapping[str, Array], counters: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(counters, sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {tensors[name].shape}".encode())
        digest.update(np.ascontiguousarray(tensors[name]).data)
    return digest.hexdigest()
