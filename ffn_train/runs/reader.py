"""Reads a run's directory back as typed objects; nothing in it is ever executed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ffn_train.nn.core import Array, Floats
from ffn_train.runs import files
from ffn_train.runs.files import RunError, damaged, read_json
from ffn_train.runs.measures import Measures
from ffn_train.runs.predictions import Ratio, Theory, parse, worst
from ffn_train.runs.status import written_status
from ffn_train.train.measures import row_dtype


@dataclass(frozen=True)
class Run:
    """One run as its directory tells it; ``summary`` is None while it has not ended.

    ``state`` is running, finished, diverged, interrupted or failed, as the run last wrote it down:
    one that was killed still says running. ``theory`` is None for a run older than its predictions.
    """

    path: Path
    config: dict[str, Any]
    provenance: dict[str, Any]
    scalars: dict[str, Floats]
    measures: Measures
    summary: dict[str, Any] | None
    state: str | None
    theory: Theory | None

    @property
    def shown_theory(self) -> Theory | None:
        """What figures show of theory; None without a row of step 0 or with plot.theory=false."""
        section = self.config.get("plot")
        hidden = isinstance(section, dict) and section.get("theory") is False
        first = self.measures.step[:1]
        return self.theory if first.size and first[0] == 0 and not hidden else None

    @property
    def dtype(self) -> np.dtype[Any]:
        """What the run computed in."""
        return np.dtype("float32" if self.provenance.get("dtype") == "float32" else "float64")

    def vanished(self, row: int) -> int | None:
        """The largest l at which |dLoss/dx_l| of a row is below the dtype's range; None if none is.

        Below it is less than the smallest number of full precision: a subnormal number or 0.
        """
        flow = self.measures.signal_gradient_rms[row]
        below = np.flatnonzero(flow < np.finfo(self.dtype).tiny)
        return int(below[-1]) if below.size else None

    @property
    def worst_ratio(self) -> Ratio | None:
        """measured/predicted at step 0 where it is furthest from 1; None without a prediction."""
        measures, tiny = self.measures, float(np.finfo(self.dtype).tiny)
        if not len(measures.step) or measures.step[0] != 0:
            return None
        signal, gradient = measures.signal_gradient_rms[0], measures.gradient_norm[0]
        return worst(self.theory, measures.tensors, signal, gradient, tiny)

    def weights(self) -> dict[str, Array]:
        """The final weights by name, in the model's order.

        Raises RunError if there are none or the file is damaged.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        path = self.path / files.WEIGHTS
        with damaged(path, OSError, SafetensorError, ValueError):
            weights = load(path.read_bytes())
            lost = [name for name in self.measures.tensors if name not in weights]
            if lost:
                raise ValueError(f"it has no tensor {lost[0]!r}")
            return {name: weights[name] for name in self.measures.tensors}


def load_run(path: str | Path) -> Run:
    """Read the run in a directory, finished or not.

    Raises RunError, in one line that names the file, for a directory that is no run or is damaged.
    """
    path = Path(path)
    if not (path / files.CONFIG).is_file():
        raise RunError(f"{path} is not a run directory: it has no {files.CONFIG}")
    summary = read_json(path / files.SUMMARY) if (path / files.SUMMARY).is_file() else None
    status, measures = written_status(path), _measures(path)
    state = None if status is None else status.state
    return Run(
        path=path,
        config=read_json(path / files.CONFIG),
        provenance=read_json(path / files.PROVENANCE),
        scalars=_scalars(path / files.SCALARS),
        measures=measures,
        summary=summary,
        state=state if summary is None else summary.get("state", state),
        theory=_theory(path / files.THEORY, measures),
    )


def _scalars(path: Path) -> dict[str, Floats]:
    with damaged(path, OSError, ValueError):
        whole, _, _ = path.read_text(encoding="utf-8").rpartition("\n")  # less a killed half row
        if not whole:
            return {"step": np.zeros(0)}
        header, *body = whole.splitlines()
        names = header.split(",")
        if names[0] != "step":
            raise ValueError("expected a table whose first column is step")
        if any(line.count(",") != len(names) - 1 for line in body):
            raise ValueError(f"a row has not {len(names)} fields")
        cells = ",".join(body).split(",") if body else []
        table = np.array([float(cell or "nan") for cell in cells], dtype=np.float64)
        table = table.reshape(len(body), len(names))
    return {name: table[:, index] for index, name in enumerate(names)}


def _measures(path: Path) -> Measures:
    names, depth = _layout(path / files.LAYOUT)
    file = path / files.MEASURES
    with damaged(file, OSError, ValueError, EOFError, MemoryError):
        rows = np.load(file, allow_pickle=False)
        if rows.dtype != row_dtype(len(names), depth) or rows.ndim != 1:
            raise ValueError(f"its records are not those of {files.LAYOUT}")
    return Measures(tensors=names, **{field: rows[field] for field in rows.dtype.names})


def _theory(path: Path, measures: Measures) -> Theory | None:
    """None for a run of a time before there were predictions."""
    if not path.is_file():
        return None
    content = read_json(path)
    with damaged(path, ValueError):
        return parse(content, len(measures.tensors), measures.depth)


def _layout(path: Path) -> tuple[tuple[str, ...], int]:
    """The tensors' names and the depth."""
    content = read_json(path)
    try:
        names = tuple(tensor["name"] for tensor in content["tensors"])
        depth = content["depth"]
    except (KeyError, TypeError):
        raise RunError(f"{path}: it does not list the tensors and the depth") from None
    if not all(isinstance(name, str) for name in names) or not isinstance(depth, int):
        raise RunError(f"{path}: a tensor's name or the depth is of the wrong type")
    return names, depth
