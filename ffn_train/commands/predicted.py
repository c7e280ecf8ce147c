"""Predictions as text: a page for one configuration, a table for many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ffn_train.config.combinations import unused
from ffn_train.config.settings import either
from ffn_train.nn.stack import Stack
from ffn_train.report.table import aligned
from ffn_train.report.text import factor
from ffn_train.report.verdict.gradient_flow import MILD, STRONG
from ffn_train.report.verdict.remedies import GROUPS
from ffn_train.runs.theory import log_band
from ffn_train.sweep.space import Job
from ffn_train.theory import Prediction, Unpredicted
from ffn_train.train.diagnosis import settings

GAP = "   "
ONE_SEED = "one seed"
EXPLAINED = (
    "predicted: RMS over seeds. One seed: typical range (two seeds in three); it lies lower\n"
    "because a few seeds with large norms dominate the mean"
)


@dataclass(frozen=True)
class Point:
    """A configuration and its prediction; ``mode``: "a priori" or "anchored"."""

    job: Job
    model: Stack
    mode: str
    prediction: Prediction | Unpredicted

    @property
    def about(self) -> list[str]:
        """The sizes and the choices in words."""
        config = self.job.config
        groups = ("residual", "block", "activation", "norm", "init", "loss")
        used = [group for group in groups if group not in unused(config)]
        sizes = [f"depth {self.model.depth}", f"width {self.model.width}"]
        return [*sizes, *(f"{group} {config[group]['name']}" for group in used)]

    @property
    def rows(self) -> str:
        """The part of the batch that the prediction is from; "" for the whole batch."""
        rows = self.prediction.rows if isinstance(self.prediction, Prediction) else ""
        return f"from {rows}" if rows else ""


def sheet(point: Point) -> str:
    """One prediction: at a few block boundaries, the growth, the gradients of three blocks."""
    prediction, depth, about = point.prediction, point.model.depth, " · ".join(point.about)
    if isinstance(prediction, Unpredicted):
        return f"{about}\n\nno prediction: {prediction.reason}"
    ratio = prediction.log_gradient_ratio
    signal = [("l", "RMS x_l", ONE_SEED, "RMS dL/dx_l", ONE_SEED)]
    for index in sorted({round(depth * part / 4) for part in range(5)}):
        log, back = prediction.log_signal_rms[index], prediction.log_signal_gradient_rms[index]
        seed = one_seed(log, prediction.signal_sd[index])
        seed_back = one_seed(back, prediction.signal_gradient_sd[index])
        signal.append((str(index), norm(log), seed, norm(back), seed_back))
    tensors = [(point.model.block_of.get(t.part), t.role) for t in point.model.layout.tensors]
    blocks = sorted({0, depth // 2, depth - 1})
    gradients = [["|dL/dθ|", *(f"block {block}" for block in blocks), f"block 0, {ONE_SEED}"]]
    for kind in [role for block, role in tensors if block == 0]:
        places = [tensors.index((block, kind)) for block in blocks]
        cells = [norm(prediction.log_gradient_norm[index]) for index in places]
        seed = one_seed(prediction.log_gradient_norm[places[0]], prediction.gradient_sd[places[0]])
        gradients.append([kind, *cells, seed])
    gaps = prediction.gaps([block is not None for block, _ in tensors])
    return "\n".join(
        [
            f"{about}   ({', '.join(filter(None, [point.mode, point.rows]))})",
            "",
            *aligned(signal, gap=GAP),
            "",
            f"|dL/dx_0| / |dL/dx_L|   {norm(ratio)}",
            f"growth per block        {_growth(prediction.log_growth)}, from output to input",
            f"gradient flow           {flow(point, ratio)}",
            "",
            *aligned(gradients, gap=GAP),
            "",
            *(line for text in filter(None, (gaps, beyond(point))) for line in (text, "")),
            EXPLAINED,
        ]
    )


def table(points: Sequence[Point]) -> str:
    """The predictions as a table with a row per point."""
    ratios = ("gradient flow", "growth per block", "|dL/dx_0|/|dL/dx_L|")
    modes = dict.fromkeys(point.mode for point in points)
    several = len(modes) > 1
    rows = [("point", *ratios, "RMS x_L", "RMS dL/dx_0", ONE_SEED, "predicted" * several)]
    remarks = []
    for point in points:
        prediction = point.prediction
        if isinstance(prediction, Unpredicted):
            remarks.append(f"{point.job.name}: no prediction: {prediction.reason}")
            continue
        first, sd = prediction.log_signal_gradient_rms[0], prediction.signal_gradient_sd[0]
        ratio = prediction.log_gradient_ratio
        kind, _, _ = flow(point, ratio).partition(":")
        growth = kind, _growth(prediction.log_growth), norm(ratio)
        norms = norm(prediction.log_signal_rms[-1]), norm(first), one_seed(first, sd)
        rows.append((point.job.name, *growth, *norms, point.mode * several))
        words = filter(None, (point.rows, beyond(point)))
        remarks += [f"{point.job.name}: {text}" for text in words]
    text = [f"predicted {' and '.join(modes)}", "", *aligned(rows, gap=GAP), *remarks]
    return "\n".join([*text, "", EXPLAINED] if len(rows) > 1 else text)


def flow(point: Point, log_ratio: float) -> str:
    """Whether the predicted gradient flow is healthy, and what changes it if it is not."""
    model = point.model
    kind = "exploding" if log_ratio > 0 else "vanishing"
    size = f"the first block gets {norm(log_ratio)} times the last block's gradient"
    if not abs(log_ratio) > np.log(MILD):
        return f"healthy: {size}"
    mild = "somewhat " if abs(log_ratio) < np.log(STRONG) else ""
    names = {group: point.job.config[group]["name"] for group in GROUPS}
    remedies = settings(model.residual, model.depth, **names)
    return f"{mild}{kind}: {size}; try {either(remedies)}"


def beyond(point: Point) -> str:
    """Where predicted values leave the range of the run's dtype; "" if they do not."""
    if isinstance(point.prediction, Unpredicted):
        return ""
    dtype = point.job.config["dtype"]
    limits = np.finfo(dtype)
    ranges = []
    for name, log in (
        ("RMS x_l", point.prediction.log_signal_rms),
        ("RMS dL/dx_l", point.prediction.log_signal_gradient_rms),
    ):
        for kind, outside in (
            ("too large", log > np.log(float(limits.max))),
            ("too small", (log < np.log(float(limits.smallest_subnormal))) & (log > -np.inf)),
        ):
            if outside.any():
                first, last = np.flatnonzero(outside)[[0, -1]]
                ranges.append(f"{name} {kind} at l = {first} ... {last}")
    return f"beyond {dtype}: {', '.join(ranges)}" if ranges else ""


def _growth(log: float) -> str:
    """The factor per block, in four digits or as many as distinguish it from 1."""
    return norm(log, 4) if norm(log, 4) != "1" else factor(float(np.exp(log)))


def norm(log: float, digits: int = 3) -> str:
    """exp(log) in so many digits, or as 1.23e+456 far from 1."""
    if np.isnan(log):
        return "none derived"
    if log == -np.inf:
        return "0"
    power = int(np.floor(log / np.log(10)))
    if -4 <= power < 4:
        return f"{np.exp(log):.{digits}g}"
    mantissa = f"{np.exp(log - power * np.log(10)):.2f}"
    if mantissa == "10.00":  # rounded up
        mantissa, power = "1.00", power + 1
    return f"{mantissa}e{power:+03d}"


def one_seed(log: float, sd: float) -> str:
    """The range of one standard deviation of a single seed; see ``runs.theory.log_band``."""
    if np.isnan(log) or np.isnan(sd) or log == -np.inf:
        return ""
    low, high = log_band(np.array(log), np.array(sd))
    return f"{norm(float(low))} ... {norm(float(high))}"
