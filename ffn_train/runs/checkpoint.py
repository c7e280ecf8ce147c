"""Checkpoints: the state from which a run resumes exactly, in one atomically written file.

``checkpoints/step-000000120.safetensors`` holds the flat parameter vector, the optimizer's memory
and, if kept, the best parameters. Its metadata have one JSON entry ``checkpoint`` (safetensors
writes several in random order) with the step, counters, the lengths of the logs and a checksum of
everything. Batch order and schedule are functions of seed and step, so they need no state. The last
two checkpoints are kept, in case the newest is damaged. A checkpoint records the digests of its run
and of the logs, so that it is not used with others.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from ffn_train.nn.core import Array
from ffn_train.runs import records
from ffn_train.runs.files import (
    CHECKPOINTS,
    MEASURES,
    SCALARS,
    RunError,
    damaged,
    make_folder,
    read_bytes,
    read_records,
    regular,
    write_whole,
)
from ffn_train.runs.old_names import NAMES
from ffn_train.runs.tensors import pieces
from ffn_train.train.stopping import Progress

KEPT = 2
_PARAMETERS = "parameters"
_ENTRY = "checkpoint"


@dataclass(frozen=True)
class Logs:
    """The lengths of a run's logs, in bytes of the scalars and rows of each file of measures, and
    the SHA-256 of that much of each; checkpoints of old versions have no digests.
    """

    scalars_bytes: int
    measures_rows: Mapping[str, int]
    digests: Mapping[str, str] = field(default_factory=dict)


NO_LOGS = Logs(0, {})


@dataclass(frozen=True)
class Checkpoint:
    """The state before row ``step``: parameters, memory, progress, and the logs.

    ``identity``: the digest of the run's ``Identity``; "" in a checkpoint of an old version.
    """

    step: int
    parameters: Array
    memory: Mapping[str, Array]
    progress: Progress
    logs: Logs
    identity: str = ""

    def check(self, run: Path, identity: str) -> None:
        """Raises RunError if it does not belong to the run with this identity, or does not match
        its logs.
        """
        name = checkpoint_path(run, self.step)
        if self.identity not in ("", identity):
            raise RunError(f"{name}: it belongs to another run")
        for log, length in {SCALARS: self.logs.scalars_bytes, **self.logs.measures_rows}.items():
            with damaged(run / log, OSError):
                rows: Any = read_bytes(run / log) if log == SCALARS else read_records(run / log)
            if len(rows) < length:
                raise RunError(f"{run / log}: it has lost rows")
            digest = hashlib.sha256(rows[:length]).hexdigest()
            if self.logs.digests.get(log, digest) != digest:
                raise RunError(f"{name}: {log} has changed since")


def write_checkpoint(run: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, then delete all but the last two."""
    make_folder(run / CHECKPOINTS)
    tensors = {_PARAMETERS: checkpoint.parameters, **checkpoint.memory}
    counters = {
        "step": checkpoint.step,
        **records.to_json(checkpoint.progress),
        "identity": checkpoint.identity,
        **asdict(checkpoint.logs),
    }
    entry = {"counters": counters, "sha256": _digest(tensors, counters)}
    content = pieces(tensors, {_ENTRY: json.dumps(entry)})
    write_whole(checkpoint_path(run, checkpoint.step), content)
    for old in checkpoints(run)[:-KEPT]:
        old.unlink(missing_ok=True)


def checkpoint_path(run: Path, step: int) -> Path:
    """The path of the checkpoint of a step."""
    return run / CHECKPOINTS / f"step-{step:09d}.safetensors"


def checkpoints(run: Path) -> list[Path]:
    """The checkpoint files of a run, oldest first; a link to a folder is not followed."""
    folder = run / CHECKPOINTS
    paths = [] if folder.is_symlink() else folder.glob("step-*.safetensors")
    return sorted((path for path in paths if re.fullmatch(r"step-\d{9,}", path.stem)), key=_step)


def discard_after(run: Path, step: int) -> None:
    """Delete the checkpoints after the step from which a run goes on: they would count as its
    newest ones.
    """
    for path in checkpoints(run):
        if _step(path) > step:
            path.unlink(missing_ok=True)


def newest_step(run: Path) -> int | None:
    """The step of the newest checkpoint, by its file name; None if there is none."""
    return max(map(_step, checkpoints(run)), default=None)


def _step(checkpoint: Path) -> int:
    return int(checkpoint.stem.removeprefix("step-"))


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint. Raises RunError if it is truncated, altered or something else."""
    with damaged(path, OSError, SafetensorError, ValueError, KeyError, TypeError):
        os.close(regular(path))  # opening a FIFO would block
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
        known = {NAMES.get(k, k): value for k, value in counters.items() if value is not None}
        if isinstance(rows := known["measures_rows"], int):
            known["measures_rows"] = {MEASURES: rows}
        return Checkpoint(
            step=int(known["step"]),
            parameters=tensors.pop(_PARAMETERS),
            memory=tensors,
            progress=records.from_json(Progress, known),
            logs=records.from_json(Logs, known),
            identity=known.get("identity", ""),
        )


def _digest(tensors: Mapping[str, Array], counters: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(counters, sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {tensors[name].shape}".encode())
        digest.update(np.ascontiguousarray(tensors[name]).data)
    return digest.hexdigest()
