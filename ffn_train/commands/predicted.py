"""Predictions as text: of one configuration, and of many as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ffn_train.config.combinations import unused
from ffn_train.nn.stack import Stack
from ffn_train.report.table import aligned
from ffn_train.report.text import factor
from ffn_train.runs.predictions import log_band
from ffn_train.sweep.space import Job
from ffn_train.theory import Prediction, Unpredicted

GAP = "   "
ONE_SEED = "one seed"
EXPLAINED = (
    "predicted: RMS over seeds. One seed: typical range, its median times or over 1 sd; it lies\n"
    "lower because a few seeds with large norms dominate the mean"
)


@dataclass(frozen=True)
class Point:
    """A configuration, one of several perhaps, and the prediction for it in one of its modes."""

    job: Job
    model: Stack
    mode: str
    found: Prediction | Unpredicted

    @property
    def about(self) -> list[str]:
        """The sizes and the choices, in words."""
        config = self.job.config
        groups = ("residual", "block", "activation", "norm", "init", "loss")
        used = [group for group in groups if group not in unused(config)]
        sizes = [f"depth {self.model.depth}", f"width {self.model.width}"]
        return [*sizes, *(f"{group} {config[group]['name']}" for group in used)]

    @property
    def rows(self) -> str:
        """From which part of the batch the prediction is; nothing where it is taken whole."""
        rows = self.found.rows if isinstance(self.found, Prediction) else ""
        return f"from {rows}" if rows else ""


def sheet(point: Point) -> str:
    """One prediction: a few block boundaries, the growth, the gradients of three blocks."""
    found, depth, about = point.found, point.model.depth, " · ".join(point.about)
    if isinstance(found, Unpredicted):
        return f"{about}\n\nno prediction: {found.reason}"
    ratio = found.log_gradient_ratio
    signal = [("l", "RMS x_l", ONE_SEED, "RMS dL/dx_l", ONE_SEED)]
    for place in sorted({round(depth * part / 4) for part in range(5)}):
        log, back = found.log_signal_rms[place], found.log_signal_gradient_rms[place]
        seed = one_seed(log, found.signal_sd[place])
        seed_back = one_seed(back, found.signal_gradient_sd[place])
        signal.append((str(place), norm(log), seed, norm(back), seed_back))
    tensors = [(point.model.block_of.get(t.part), t.role) for t in point.model.layout.tensors]
    blocks = sorted({0, depth // 2, depth - 1})
    gradients = [["|dL/dθ|", *(f"block {block}" for block in blocks), f"block 0, {ONE_SEED}"]]
    for kind in [role for block, role in tensors if block == 0]:
        places = [tensors.index((block, kind)) for block in blocks]
        cells = [norm(found.log_gradient_norm[place]) for place in places]
        seed = one_seed(found.log_gradient_norm[places[0]], found.gradient_sd[places[0]])
        gradients.append([kind, *cells, seed])
    return "\n".join(
        [
            f"{about}   ({', '.join(filter(None, [point.mode, point.rows]))})",
            "",
            *aligned(signal, gap=GAP),
            "",
            f"|dL/dx_0| / |dL/dx_L|   {norm(ratio)}",
            f"growth per block        {_growth(ratio / depth)}, from output to input",
            "",
            *aligned(gradients, gap=GAP),
            "",
            *([beyond(point), ""] if beyond(point) else []),
            EXPLAINED,
        ]
    )


def table(points: Sequence[Point]) -> str:
    """One row a point; the block's gradient is that of all its parameters together."""
    columns = ("growth per block", "|dL/dx_0|/|dL/dx_L|", "RMS x_L", "RMS dL/dx_0", ONE_SEED)
    rows, remarks = [("point", *columns)], []
    for point in points:
        found = point.found
        if isinstance(found, Unpredicted):
            remarks.append(f"{point.job.name}: no prediction: {found.reason}")
            continue
        first, sd = found.log_signal_gradient_rms[0], found.signal_gradient_sd[0]
        ratio = found.log_gradient_ratio
        growth = _growth(ratio / point.model.depth), norm(ratio)
        norms = norm(found.log_signal_rms[-1]), norm(first), one_seed(first, sd)
        rows.append((point.job.name, *growth, *norms))
        words = filter(None, (point.rows, beyond(point)))
        remarks += [f"{point.job.name}: {text}" for text in words]
    modes = dict.fromkeys(point.mode for point in points)
    text = [f"predicted {' and '.join(modes)}", "", *aligned(rows, gap=GAP), *remarks]
    return "\n".join([*text, "", EXPLAINED] if len(rows) > 1 else text)


def beyond(point: Point) -> str:
    """Where what is predicted leaves the range of a run's numbers; nothing if it does not."""
    if isinstance(point.found, Unpredicted):
        return ""
    dtype = point.job.config["dtype"]
    limits = np.finfo(dtype)
    places = []
    for name, log in (
        ("RMS x_l", point.found.log_signal_rms),
        ("RMS dL/dx_l", point.found.log_signal_gradient_rms),
    ):
        for kind, here in (
            ("too large", log > np.log(float(limits.max))),
            ("too small", (log < np.log(float(limits.smallest_subnormal))) & (log > -np.inf)),
        ):
            if here.any():
                first, last = np.flatnonzero(here)[[0, -1]]
                places.append(f"{name} {kind} at l = {first} ... {last}")
    return f"beyond {dtype}: {', '.join(places)}" if places else ""


def _growth(log: float) -> str:
    """A factor a block, in four digits or as many as tell it from 1."""
    return norm(log, 4) if norm(log, 4) != "1" else factor(float(np.exp(log)))


def norm(log: float, digits: int = 3) -> str:
    """exp(log) in three digits, however large or small."""
    if np.isnan(log):
        return "none derived"
    if log == -np.inf:
        return "0"
    power = int(np.floor(log / np.log(10)))
    if -4 <= power < 4:
        return f"{np.exp(log):.{digits}g}"
    return f"{np.exp(log - power * np.log(10)):.2f}e{power:+03d}"


def one_seed(log: float, sd: float) -> str:
    """One standard deviation of a single seed, around its median; see runs.theory.log_band."""
    if np.isnan(log) or np.isnan(sd) or log == -np.inf:
        return ""
    low, high = log_band(np.array(log), np.array(sd))
    return f"{norm(float(low))} ... {norm(float(high))}"
