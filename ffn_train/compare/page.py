"""The content of a comparison's page as plain data: its runs and the settings that differ."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from itertools import compress
from typing import Any

import numpy as np

from ffn_train.compare.case import Case, Curve
from ffn_train.compare.comparison import Comparison
from ffn_train.compare.groups import levels
from ffn_train.compare.header import shared
from ffn_train.compare.likeness import apart, in_words
from ffn_train.compare.metrics import Metric
from ffn_train.compare.values import in_brief, is_number, short
from ffn_train.plots.selection import evenly
from ffn_train.plots.settings import UNSET, Value
from ffn_train.runs.status import ENDED
from ffn_train.view.packing import Blocks
from ffn_train.view.page import page

_LETTERS = 40  # of a setting's value
_BINS = 50  # of a curve that has twice as many points
_MOST_FLOW = 1_500_000  # values of dLoss/dx_l, of all runs together: 6 MB of a page


def html(comparison: Comparison, name: str = "comparison", **more: Any) -> str:
    """The page; ``more``: further entries of the header of a served page."""
    header, blocks = content(comparison)
    return page("comparison", name, {"name": name, **header, **more}, blocks)


def content(
    comparison: Comparison, changed: Container[str] | None = None
) -> tuple[dict[str, Any], list[str]]:
    """The header of a comparison's page and the packed arrays that it refers to by number.

    ``changed``: the runs whose curves the page lacks; those of the others are left out.
    """
    blocks, cases = Blocks(), comparison.cases
    sent = [changed is None or case.label in changed for case in cases]
    keys = comparison.telling
    values = levels(cases, keys)
    places = {key: {value: at for at, value in enumerate(values[key])} for key in keys}
    layout, metrics = comparison.layout, comparison.metrics
    kinds = {kind: _alike(cases, kind) for kind in ("loss", "score")}
    differ = {kind: in_words(apart(cases, f"_{kind}")) for kind in kinds}
    rows = [case.traces.curves["train_loss"][0] for case in cases if case.traces]
    last = max((steps[-1] for steps in rows if len(steps)), default=1)
    taken = 2 ** math.ceil(math.log2(max(last, 1)))  # seldom another while runs go on
    header = {
        "counts": comparison.counts,
        "ended": all(case.state in (*ENDED, "failed") for case in cases),
        "notes": [*comparison.reservations, comparison.verdicts, comparison.theory],
        "shared": shared(comparison),
        "over": comparison.over,
        "settings": [
            {"key": key, "short": short(key), "levels": _levels(values[key])} for key in keys
        ],
        "by": [keys.index(key) for key in comparison.keys],
        "roles": {
            "x": _place(layout.x, keys),
            "color": _place(layout.over_x.color, keys),
            "panel": _place(next(iter(layout.over_x.panels), None), keys),
        },
        "metrics": [
            {**_metric(metric, differ), **_ends(metric, comparison.worst(metric))}
            for metric in metrics.values()
        ],
        "metric": list(metrics).index(comparison.metric.name),
        "ceiling": comparison.ceiling,
        "runs": [
            {
                "label": case.label,
                "state": case.state,
                "lost": case.lost,
                "last": None if case.traces is None else case.traces.last,
                "unfinished": case.unfinished,
                "kinds": {kind: numbers[at] for kind, numbers in kinds.items()},
                "measured": case.traces is not None,
                "at": [places[key][case.settings.get(key, UNSET)] for key in keys],
                "verdict": list(case.verdict.values()),
            }
            for at, case in enumerate(cases)
        ],
        "sent": None if changed is None else [at for at, new in enumerate(sent) if new],
        "values": blocks.add([_values(case, metrics) for case in cases]),
        "curves": {
            name: _curves([_curve(case, name, taken) for case in compress(cases, sent)], blocks)
            for name in ("train_loss", "validation_loss")
        },
        "flow": _flow(list(compress(cases, sent)), blocks),
    }
    return header, blocks.texts


def _levels(values: Sequence[Value]) -> list[dict[str, Any]]:
    return [
        {"text": word, "number": value if is_number(value) else None}
        for word, value in zip(in_brief(values, _LETTERS), values, strict=True)
    ]


def _place(key: str | None, keys: Sequence[str]) -> int | None:
    return None if key is None else keys.index(key)


def _alike(cases: Sequence[Case], kind: str) -> list[int]:
    """A number for each run, the same where the loss or the score is the same quantity; -1 if it is
    not known what it is.
    """
    known = [frozenset(case.quantities[kind].items()) for case in cases]
    numbers: dict[frozenset[tuple[str, object]], int] = {frozenset(): -1}
    first: list[Case] = []
    for what, case in sorted(zip(known, cases, strict=True), key=lambda pair: -len(pair[0])):
        if what not in numbers:
            keys = case.quantities[kind].keys()  # of which equal ones have other values
            others = (at for at, c in enumerate(first) if c.quantities[kind].keys() != keys)
            same = (at for at in others if not apart([first[at], case], f"_{kind}"))
            numbers[what] = next(same, len(first))
            first += [case] if numbers[what] == len(first) else []
    return [numbers[what] for what in known]


def _metric(metric: Metric, differ: Mapping[str, str]) -> dict[str, Any]:
    words, kind = " ".join(filter(None, metric.heading)), metric.name.rpartition("_")[2]
    return {
        "name": metric.name,
        "kind": kind,
        "apart": differ.get(kind, ""),
        "label": words if metric.heading[0] else metric.symbol.removeprefix("final "),
        "log": metric.log,
        "factor": metric.factor,
        "at_start": metric.at_start,
        "unit": metric.unit,
    }


def _ends(metric: Metric, worst: float) -> dict[str, float]:
    """Where the axis of a metric ends, beyond which it is worse."""
    return {"least": -worst} if metric.better == "higher" else {"most": worst}


def _values(case: Case, metrics: Sequence[str] | Any) -> list[float]:
    """The values of all metrics; NaN if the run lacks one, infinite if it is not finite."""
    finite = {
        name: value if math.isfinite(value) else math.inf for name, value in case.metrics.items()
    }
    return [finite.get(name, math.nan) for name in metrics]


def _curve(case: Case, name: str, taken: int) -> Curve:
    """A curve, if it has many points as means over bins of its planned steps, at most of ``taken``.

    So the curves of a group have the same bins, also where one ended early or goes on.
    """
    if case.traces is None:
        return np.zeros(0), np.zeros(0)
    steps, values = case.traces.curves[name]
    if len(steps) < 2 * _BINS:
        return steps, values
    planned, first = case.settings.get("trainer.steps"), steps[0]
    length = max(steps[-1], min(planned, taken) if isinstance(planned, int) else 0) - first
    bins = np.minimum(np.floor((steps - first) * _BINS / length), _BINS - 1)
    starts = np.flatnonzero(np.diff(bins, prepend=-1))
    counts = np.diff(np.append(starts, len(steps)))
    with np.errstate(all="ignore"):
        return tuple(np.add.reduceat(part, starts) / counts for part in (steps, values))  # type: ignore[return-value]


def _curves(curves: Sequence[Curve], blocks: Blocks) -> dict[str, Any]:
    """All curves one after the other; ``counts``: how many points each has."""
    x, y = _joined(curves)
    counts = [len(steps) for steps, _ in curves]
    return {"counts": counts, "x": blocks.add(x, exact=True), "y": blocks.add(y)}


def _joined(curves: Sequence[Curve]) -> Curve:
    nothing: Curve = np.zeros(0), np.zeros(0)
    x, y = map(np.concatenate, zip(nothing, *curves, strict=True))
    return x, y


def _flow(cases: Sequence[Case], blocks: Blocks) -> dict[str, Any]:
    """RMS of dLoss/dx_l at some steps of each run, the rows of all runs concatenated."""
    nothing: Curve = np.zeros(0), np.zeros((0, 0))
    flows = [(c.traces.flow_steps, c.traces.flow) if c.traces else nothing for c in cases]
    widths = [len(flow[0]) if len(flow) else 0 for _, flow in flows]
    most = max(2, _MOST_FLOW // max(sum(widths), 1))
    rows = [evenly(range(len(flow)), most) for _, flow in flows]
    steps, values = _joined([(s[r], f[r].ravel()) for (s, f), r in zip(flows, rows, strict=True)])
    return {
        "rows": [len(chosen) for chosen in rows],
        "widths": widths,
        "steps": blocks.add(steps, exact=True),
        "values": blocks.add(values),
    }
