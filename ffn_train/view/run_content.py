"""What the page of a run shows, as plain data from its directory alone."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ffn_train.config.keys import lasting, without_paths
from ffn_train.nn.core import Floats
from ffn_train.report.text import rows
from ffn_train.runs import Measures, Run
from ffn_train.runs.measures import Series
from ffn_train.runs.outcome import clipped, evaluated, outcome
from ffn_train.runs.scalars import logged
from ffn_train.runs.status import ENDED, status
from ffn_train.runs.theory import log_band
from ffn_train.view.packing import Blocks
from ffn_train.view.page import page

MOST_VALUES = 1_000_000  # of all quantities together: 4 MB of a page
MOST_ROWS = 600  # measured steps, and bins of a curve over steps: more than a screen has room for
_DECLARED = ("name", "per", "says", "equation", "unit", "log", "absent")  # of a quantity


def run_page(run: Run, *, live: Mapping[str, Any] | None = None) -> str:
    """The page of a run; ``live``: where it asks for further rows, of a page that is served."""
    header, blocks = run_content(run)
    return page("run", run.path.resolve().name, {**header, "live": live}, blocks)


def run_content(run: Run, *, after: int | None = None) -> tuple[dict[str, Any], list[str]]:
    """The header of a run's page and the packed arrays that it refers to by number.

    With ``after`` only the rows of later steps, for a page that already has the others, or for -1
    had none: then what theory predicts comes with step 0.
    """
    blocks, measures, now = Blocks(), run.measures, status(run.path)
    whole = after is None
    after = -1 if after is None else after
    kept = _thinned(measures) if whole else measures.step
    quantities = [_quantity(series, blocks, after, kept) for series in measures.series.values()]
    layers = measures.layers
    header = {
        "name": run.path.resolve().name,
        "state": now.state,
        "ended": now.state in ENDED,
        "reason": "" if now.reason == now.state else now.reason,
        "outcome": _outcome(run),
        "depth": measures.depth,
        "dtype": {"name": run.dtype.name, "tiny": float(np.finfo(run.dtype).tiny)},
        "measured": {"all": len(measures.step), "shown": len(kept)},
        "steps": _last_step(run),
        "quantities": quantities,
        "scalars": _scalars(run, blocks, after, thin=whole),
    }
    if whole:
        tensors = measures.tensors
        block_of = {tensor.layer: tensor.block for tensor in tensors}
        header |= {
            "settings": _settings(run.config),
            "score": run.score
            and {
                "symbol": run.score.symbol,
                "value": run.score.baseline,
                "name": run.score.baseline_name,
            },
            "baseline_loss": run.baseline_loss,
            "loss_unit": run.provenance.loss_unit,
            "layers": {"names": layers, "blocks": [block_of[layer] for layer in layers]},
            "tensors": {
                "names": [tensor.name for tensor in tensors],
                "roles": [tensor.role for tensor in tensors],
                "layers": [layers.index(tensor.layer) for tensor in tensors],
            },
        }
    if after < 0:
        header["theory"] = _theory(run, blocks)
    return header, blocks.texts


def _thinned(measures: Measures) -> NDArray[np.int64]:
    """All steps, or as many as a page has room for: the first and the last and some between."""
    steps = measures.step
    width = sum(math.prod(series.values.shape[1:]) for series in measures.series.values())
    most = max(2, min(MOST_ROWS, MOST_VALUES // max(width, 1)))
    places = np.linspace(0, len(steps) - 1, min(most, len(steps))).round().astype(int)
    chosen: NDArray[np.int64] = steps[places]
    return chosen


def _quantity(
    series: Series, blocks: Blocks, after: int, kept: NDArray[np.int64]
) -> dict[str, Any]:
    column = series.column
    shown = (series.step > after) & np.isin(series.step, kept) & (not column.absent)
    return {
        **{name: getattr(column, name) for name in _DECLARED},
        "steps": series.step[shown].tolist(),
        "values": None if column.absent else blocks.add(series.values[shown]),
    }


def _scalars(run: Run, blocks: Blocks, after: int, *, thin: bool) -> list[dict[str, Any]]:
    """The columns over steps, each at the steps at which it is known; ``clipped`` is 0 or 1."""
    steps = run.scalars["step"]
    columns = []
    for name, values in run.scalars.items():
        if name != "step":
            of_model = name.startswith(("loss", "validation"))
            known = evaluated(run, name) if of_model else logged(run.scalars, name)
            columns.append((name, steps[known & (steps > after)], values[known & (steps > after)]))
    cut = clipped(run)
    if cut is not None:
        # np.nan in clipped_norm: no update was made from that row
        taken = steps[~np.isnan(run.scalars["clipped_norm"])]
        columns.append(("clipped", taken[taken > after], cut[taken > after].astype(np.float64)))
    shown = []
    for name, x, y in columns:
        rows = _extremes(y) if thin and name != "clipped" else slice(None)
        packed = {"x": blocks.add(x[rows], exact=True), "y": blocks.add(y[rows])}
        shown.append({"name": name, "all": len(x), "shown": len(x[rows]), **packed})
    return shown


def _extremes(values: Floats) -> Any:
    """All rows, or of a long curve the least and the largest of each bin: what a screen shows."""
    if len(values) <= 4 * MOST_ROWS:
        return slice(None)
    bins = np.array_split(np.arange(len(values)), MOST_ROWS)
    ends = {0, len(values) - 1}
    rows = {int(part[pick(values[part])]) for part in bins for pick in (np.argmin, np.argmax)}
    return sorted(rows | ends)


def _outcome(run: Run) -> list[tuple[str, str]]:
    """The summary that a run's command prints; of an unfinished run, from its rows so far."""
    if run.summary is None and len(run.scalars["step"]):
        with np.errstate(all="ignore"):
            run = replace(run, summary=outcome(run))
    return [row for row in rows(run) if row[0] != "saved in"]


def _last_step(run: Run) -> int:
    """The last step of the run as it is configured, or as far as it has come."""
    asked = run.section("trainer").get("steps")
    steps = run.scalars["step"]
    return max(int(steps[-1]) if len(steps) else 0, asked if isinstance(asked, int) else 0)


def _settings(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The settings that change numbers, as on the command line; of a file its name."""
    if not config:
        return []
    shown = []
    for key, value in lasting(config, "rounding", "source").items():
        text = value if isinstance(value, str) else json.dumps(value)
        shown.append((key.removesuffix(".name"), without_paths(text, key)))
    return shown


def _theory(run: Run, blocks: Blocks) -> dict[str, Any]:
    """The prediction and the band of one seed as powers of ten, or why there is no prediction."""
    theory = run.shown_theory
    if theory is None:
        return {"reason": "no prediction was kept with this run, or it is not to be shown"}
    if theory.chosen is None:
        return {"reason": f"no prediction: {theory.reason}"}
    mode, prediction = theory.chosen
    gradient, sd = _of_layers(run.measures, prediction.log_gradient_norm, prediction.gradient_sd)
    curves = {
        "signal_rms": (prediction.log_signal_rms, prediction.signal_sd),
        "signal_gradient_rms": (prediction.log_signal_gradient_rms, prediction.signal_gradient_sd),
        "gradient_norm": (prediction.log_gradient_norm, prediction.gradient_sd),
        "layer_gradient_norm": (gradient, sd),
    }
    ratio = run.worst_ratio
    return {
        "reason": "",
        "mode": mode,
        "rows": prediction.rows,
        "holds": run.theory_holds,
        "sentence": ratio.sentence if ratio else "",
        "curves": {
            name: blocks.add(np.array([log, *log_band(log, deviation)]) / math.log(10))
            for name, (log, deviation) in curves.items()
        },
    }


@np.errstate(all="ignore")
def _of_layers(measures: Measures, log: Floats, sd: Floats) -> tuple[Floats, Floats]:
    """The log norm of each layer and its sd, over the tensors that have a prediction; NaN where
    these are not most of it.
    """
    known = ~np.isnan(log)
    top = np.max(log[np.isfinite(log)], initial=-np.inf)
    norms = np.where(known, np.exp(log - max(top, -1e300)), 0)
    deviations = np.where(known, norms * np.sqrt(sd), 0)
    whole, weighted = (measures.by_layer(values[None])[0] for values in (norms, deviations))
    layers = np.log(whole) + max(top, -1e300)
    return np.where(measures.mostly_of(known), layers, np.nan), (weighted / whole) ** 2
