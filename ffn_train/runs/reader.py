"""Reads a run's directory as typed objects; nothing in it is executed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ffn_train.config.settings import one_of
from ffn_train.nn.core import Array, Floats
from ffn_train.runs import files
from ffn_train.runs.files import RunError, damaged, read_json
from ffn_train.runs.layout import read_layout
from ffn_train.runs.measures import Measures, read_measures
from ffn_train.runs.outputs import Outputs, read_outputs
from ffn_train.runs.provenance import Provenance, read_provenance
from ffn_train.runs.scalars import read_scalars
from ffn_train.runs.score import ScoreDeclared
from ffn_train.runs.seal import read_file
from ffn_train.runs.status import written_status
from ffn_train.runs.summary import Summary, read_summary
from ffn_train.runs.theory import COMPARED, Ratio, Theory, parse, worst
from ffn_train.train.instruments import USUAL


@dataclass(frozen=True, eq=False)
class Run:
    """A run, read from its directory; ``summary`` is None until it has ended.

    ``state``: running, finished, stopped, diverged, interrupted or failed, as last written: that of
    a killed run is still running. A run recorded by another program may have only measures and
    scalars: then ``config`` and ``provenance`` are empty and ``theory`` is None.
    """

    path: Path
    config: dict[str, Any]
    provenance: Provenance
    scalars: Mapping[str, Floats]
    measures: Measures
    summary: Summary | None
    state: str | None
    theory: Theory | None

    def section(self, name: str) -> Mapping[str, Any]:
        """A section or a choice of the configuration; empty if there is none."""
        section = self.config.get(name)
        return section if isinstance(section, Mapping) else {}

    @property
    def score(self) -> ScoreDeclared | None:
        """The declaration of the run's score; None if unknown."""
        return (self.summary and self.summary.score) or self.provenance.score

    @property
    def baseline_loss(self) -> float | None:
        """The validation loss of the score's baseline; None if unknown."""
        recorded = self.summary.baseline_loss if self.summary else None
        return self.provenance.baseline_loss if recorded is None else recorded

    @property
    def shown_theory(self) -> Theory | None:
        """The theory that figures show; None without a row of step 0 or with plot.theory=false."""
        hidden = self.section("plot").get("theory") is False
        started = any(0 in series.step[:1] for series in self.measures.series.values())
        return self.theory if started and not hidden else None

    @property
    def dtype(self) -> np.dtype[Any]:
        """The precision in which the run computed."""
        return np.dtype("float32" if self.provenance.dtype == "float32" else "float64")

    def vanished(self, row: int) -> int | None:
        """The largest l where |dLoss/dx_l| of a row is subnormal or 0; None if nowhere."""
        flow = self.measures["signal_gradient_rms"].values[row]
        below = np.flatnonzero(flow < np.finfo(self.dtype).tiny)
        return int(below[-1]) if below.size else None

    @cached_property
    def worst_ratio(self) -> Ratio | None:
        """The worst measured/predicted at step 0, see ``predictions.worst``; None without one."""
        if not self.measures.has(*COMPARED):
            return None
        signal, gradient = (self.measures[name] for name in COMPARED)
        if 0 not in signal.step[:1] or 0 not in gradient.step[:1]:
            return None
        tiny = float(np.finfo(self.dtype).tiny)
        tensors = self.measures.tensors
        return worst(self.theory, tensors, signal.values[0], gradient.values[0], tiny)

    @property
    def theory_holds(self) -> bool:
        """Whether the norms measured at step 0 agree with theory, if both are known."""
        return self.worst_ratio is None or self.worst_ratio.holds

    def lacks(self, name: str) -> str | None:
        """Why a quantity, a column of scalars or predictions.npz is missing; None if it is not."""
        if name == files.PREDICTIONS:
            if self.summary is None:
                return "it has not ended"
            return None if files.there(self.path / name) else "made by a version that kept none"
        if name in self.scalars and name not in USUAL:
            return None
        return self.measures.lacks(name) or None

    def weights(self, which: Literal["last", "best"] = "last") -> dict[str, Array]:
        """The weights of the last step or of the best score, by name in the model's order.

        Raises SettingError for another word. Raises RunError if the run has not ended: one that is
        extended still has the file of before; and if it is missing or damaged.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        one_of("which", which, ("last", "best"))
        path = self.path / (files.BEST if which == "best" else files.WEIGHTS)
        if self.summary is None:
            then = f"; the same command with run.dir={self.path} goes on" if self.config else ""
            raise RunError(f"{self.path} has not ended: {path.name} comes at its end{then}")
        if which == "best" and self.summary.kept_step is None:
            raise RunError(f"{self.path} has no best weights: trainer.keep=best keeps them")
        content = read_file(path, _digests(self.summary))
        with damaged(path, SafetensorError, ValueError):
            weights = load(content)
            names = [tensor.name for tensor in self.measures.tensors]
            lost = [name for name in names if name not in weights]
            if lost:
                raise ValueError(f"it has no tensor {lost[0]!r}")
            return {name: weights[name] for name in names}

    def outputs(self) -> Outputs:
        """What the model predicts for the validation rows.

        Raises RunError if the run has not ended, is of a version that kept none, or is damaged.
        """
        if lack := self.lacks(files.PREDICTIONS):
            raise RunError(f"{self.path} has no {files.PREDICTIONS}: {lack}")
        content = read_file(self.path / files.PREDICTIONS, _digests(self.summary))
        return read_outputs(self.path, content)


def load_run(path: str | Path) -> Run:
    """Read the run in a directory, finished or not.

    Raises RunError, which names the file, for a directory that is not a run's or is damaged.
    """
    path = Path(path)
    if not any(files.there(path / name) for name in (files.CONFIG, files.LAYOUT)):
        raise RunError(f"{path} is not a run directory: it has no {files.CONFIG}")
    summary, status = read_summary(path), written_status(path)
    state = None if status is None else status.state
    digests = _digests(summary)
    checked = {n: read_file(path / n, digests) for n in digests if n not in files.LATE}
    scalars = read_scalars(path / files.SCALARS, checked.get(files.SCALARS))
    if files.SCALARS not in digests:
        dict(scalars)  # no digest vouches for its numbers: each is read now, or the run is damaged
    layout = read_layout(path, checked.get(files.LAYOUT))
    measures = read_measures(path, layout, checked)
    config = path / files.CONFIG
    return Run(
        path=path,
        config=read_json(config, checked.get(files.CONFIG)) if files.there(config) else {},
        provenance=read_provenance(path),
        scalars=scalars,
        measures=measures,
        summary=summary,
        state=state if summary is None else summary.state,
        theory=_theory(path / files.THEORY, measures, checked.get(files.THEORY)),
    )


def _digests(summary: Summary | None) -> Mapping[str, str]:
    """Those of a run's files by name; none of a run that has not ended."""
    return (summary.files if summary is not None else None) or {}


def _theory(path: Path, measures: Measures, content: bytes | None) -> Theory | None:
    """The theory in theory.json; None without the file, as in runs of old versions."""
    if not files.there(path):
        return None
    predicted = read_json(path, content)
    with damaged(path, ValueError):
        return parse(predicted, len(measures.tensors), measures.depth)
