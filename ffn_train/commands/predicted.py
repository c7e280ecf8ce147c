"""Predictions as text: of one configuration, and of many as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ffn_train.nn.core import Layout
from ffn_train.report.text import factor
from ffn_train.runs.predictions import log_band
from ffn_train.theory import Prediction, Unpredicted

ONE_SEED = "one seed"
EXPLAINED = (
    "predicted: the root mean square over seeds; one seed: its median x/÷ 1 sd, which lies lower,\n"
    "because few seeds with large norms carry the mean"
)


@dataclass(frozen=True)
class Point:
    """One configuration: its name among the others, its prediction and in which mode.

    ``settings``: what tells it from the others, short name -> value; ``dtype``: a run's numbers.
    """

    name: str
    settings: Mapping[str, str]
    about: Sequence[str]
    layout: Layout
    depth: int
    dtype: str
    mode: str
    found: Prediction | Unpredicted


def sheet(point: Point) -> str:
    """One prediction: a few block boundaries, the growth, the gradients of three blocks."""
    found, depth, about = point.found, point.depth, " · ".join(point.about)
    if isinstance(found, Unpredicted):
        return f"{about}\n\nno prediction: {found.reason}"
    boundaries = sorted({round(depth * part / 4) for part in range(5)})
    signal = [
        [
            str(place),
            norm(found.log_signal_rms[place]),
            one_seed(found.log_signal_rms[place], found.signal_sd[place]),
            norm(found.log_signal_gradient_rms[place]),
            one_seed(found.log_signal_gradient_rms[place], found.signal_gradient_sd[place]),
        ]
        for place in boundaries
    ]
    names = [tensor.name for tensor in point.layout.tensors]
    blocks = sorted({0, depth // 2, depth - 1})
    own = [name.removeprefix("blocks.0.") for name in names if name.startswith("blocks.0.")]
    gradients = []
    for kind in own:
        places = [names.index(f"blocks.{block}.{kind}") for block in blocks]
        cells = [norm(found.log_gradient_norm[place]) for place in places]
        first = found.log_gradient_norm[places[0]], found.gradient_sd[places[0]]
        gradients.append([kind, *cells, one_seed(*first)])
    return "\n".join(
        [
            f"{about}   ({_mode(point)})",
            "",
            _aligned(["l", "RMS x_l", ONE_SEED, "RMS dL/dx_l", ONE_SEED], signal),
            "",
            f"|dL/dx_0| / |dL/dx_L|   {norm(change(found))}",
            f"growth per block        {_growth(change(found) / depth)}, from output to input",
            "",
            _aligned(
                ["|dL/dθ|", *(f"block {block}" for block in blocks), f"block 0, {ONE_SEED}"],
                gradients,
            ),
            "",
            *([beyond(point), ""] if beyond(point) else []),
            EXPLAINED,
        ]
    )


def table(points: Sequence[Point]) -> str:
    """One row a point; the block's gradient is that of all its parameters together."""
    header = [
        "point",
        "growth per block",
        "|dL/dx_0|/|dL/dx_L|",
        "RMS x_L",
        "RMS dL/dx_0",
        ONE_SEED,
    ]
    lines, remarks = [], []
    for point in points:
        found = point.found
        if isinstance(found, Unpredicted):
            remarks.append(f"{point.name}: no prediction: {found.reason}")
            continue
        cells = _growth(change(found) / point.depth), norm(change(found))
        last, (first, sd) = (
            norm(found.log_signal_rms[-1]),
            (found.log_signal_gradient_rms[0], found.signal_gradient_sd[0]),
        )
        remarks += [
            f"{point.name}: {words}" for words in (from_rows(found), beyond(point)) if words
        ]
        lines.append([point.name, *cells, last, norm(first), one_seed(first, sd)])
    modes = dict.fromkeys(point.mode for point in points)
    text = [f"predicted {' and '.join(modes)}", "", _aligned(header, lines), *remarks]
    return "\n".join([*text, "", EXPLAINED] if lines else text)


def _mode(point: Point) -> str:
    return ", ".join(filter(None, [point.mode, from_rows(point.found)]))


def from_rows(found: Prediction | Unpredicted) -> str:
    """Of which part of the batch a prediction is; nothing where it is taken whole."""
    sampled = found.sampled if isinstance(found, Prediction) else None
    return "" if sampled is None else f"from {sampled[0]} of {sampled[1]} rows"


def beyond(point: Point) -> str:
    """Where what is predicted leaves the range of a run's numbers; nothing if it does not."""
    if isinstance(point.found, Unpredicted):
        return ""
    limits = np.finfo(point.dtype)
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
    return f"beyond {point.dtype}: {', '.join(places)}" if places else ""


def change(found: Prediction) -> float:
    """log |dL/dx_0| / |dL/dx_L|."""
    flow = found.log_signal_gradient_rms
    return float(flow[0] - flow[-1])


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


def _aligned(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    lines = []
    for row in [header, *rows]:
        first, *rest = zip(row, widths, strict=True)
        lines.append("   ".join([first[0].ljust(first[1]), *(c.rjust(w) for c, w in rest)]))
    return "\n".join(lines)
