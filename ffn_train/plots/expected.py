"""What theory predicts for step 0: a dashed line, its band, and a strip of measured/predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import NullFormatter, NullLocator

from ffn_train.nn.core import Floats
from ffn_train.plots.curves import curve, mark, tell, values_of, zero
from ffn_train.plots.scales import fix_ticks, log_axis, tick_label
from ffn_train.plots.sheet import note, sample, strip_below
from ffn_train.plots.style import INK
from ffn_train.runs import Run
from ffn_train.runs.theory import band
from ffn_train.theory import Prediction

_ASIDE = 0.08  # how far the band of a single block reaches to its sides, in blocks
_BAND: Any = {"color": "#9a9a9a", "alpha": 0.28, "linewidth": 0}
_DOUBTED: Any = {"facecolor": "none", "edgecolor": "#9a9a9a", "hatch": "//////", "linewidth": 0}
DOES_NOT_HOLD = "theory does not hold here"
_LINE: Any = {"color": INK, "linewidth": 0.9, "dashes": (4, 2)}
_STARTED = {
    "anchored": "this run's\n$x_0$, $\\partial L/\\partial x_L$",
    "a priori": "the first\nbatch",
}
_LIMITS = (1.1, 1.2, 1.5, 2, 3, 5, 10, 30, 100, 1e3, 1e4, 1e6, 1e9, 1e12)


def prediction(run: Run) -> Prediction | None:
    """The prediction to draw, if there is one and it is to be shown."""
    theory = run.shown_theory
    return None if theory is None or theory.chosen is None else theory.chosen[1]


def caption(figure: Figure, run: Run, *more: str) -> None:
    """A line in the header: no prediction, or only from a part of the batch; and ``more``."""
    theory, words = run.shown_theory, [*filter(None, more)]
    if theory is not None and theory.chosen is None:
        words.insert(0, f"no prediction: {theory.reason}")
    elif theory is not None:
        ratio = run.worst_ratio
        if ratio is not None and not ratio.holds:
            words.insert(0, f"theory {ratio.sentence}")
        if theory.rows:
            words.insert(0, f"theory from {theory.rows}")
    if words:
        note(figure, "; ".join(words))


def legend(run: Run) -> tuple[str, list[Artist]]:
    """The legend of line and band; the line says what theory started from."""
    theory = run.shown_theory
    if theory is None or theory.chosen is None:
        return "", []
    line = sample(_STARTED[theory.chosen[0]], **_LINE)
    broken = DOES_NOT_HOLD.replace(" does", "\ndoes").replace(" hold", "\nhold")
    words = "±1 sd" if run.theory_holds else broken
    return "theory from", [line, Patch(label=words, **_band_of(run))]


def _band_of(run: Run) -> Any:
    """How the band is filled: hatched where theory does not hold."""
    return _BAND if run.theory_holds else _DOUBTED


def of_blocks(run: Run, predicted: Prediction) -> tuple[Floats, Floats, Floats]:
    """The log gradient norm of each block, its sd and the norm measured at step 0, each (L,).

    A tensor without a prediction is left out of all three.
    """
    rows = []
    known = ~np.isnan(predicted.log_gradient_norm)
    for block in range(run.measures.depth):
        inside = known & [tensor.block == block for tensor in run.measures.tensors]
        log, sd = predicted.log_gradient_norm[inside], predicted.gradient_sd[inside]
        measured = np.sqrt(np.sum(run.measures["gradient_norm"].values[0, inside] ** 2))
        top = np.max(log, initial=-np.inf)
        share = np.exp(2 * (log - top)) if np.isfinite(top) else np.ones_like(log)
        whole = top + np.log(share.sum()) / 2 if np.isfinite(top) else top
        if not inside.any():
            whole = np.nan
        rows.append((whole, share @ sd / share.sum(), measured))
    logs, deviations, norms = np.array(rows, dtype=np.float64).T
    return logs, deviations, norms


def expect(axes: Axes, run: Run, log: Floats, sd: Floats, beside: Sequence[Axes] = ()) -> None:
    """The predicted norms over places 0, 1, ..., with the band of one seed.

    Where nothing that was measured can be shown they set the scale; otherwise the scale grows to
    hold them, with the panels ``beside`` that share it, up to three times its length.
    """
    places = np.arange(len(log))
    low, high = band(log, sd)
    measured = values_of(axes)
    if not (np.isfinite(measured) & (measured > 0)).any():
        log_axis(axes, np.exp(log))
        words = (
            "nothing measured is finite" if not np.isfinite(measured).any() else "measured: zero"
        )
        tell(axes, words)
    ends = np.array(axes.get_ylim())
    shown = np.concatenate([low, high, np.exp(log)])
    shown = np.clip(shown[shown > 0], ends[0] ** 2 / ends[1], ends[1] ** 2 / ends[0])
    if len(shown) and (shown.min() < ends[0] or shown.max() > ends[1]):
        for panel in (axes, *beside):
            log_axis(panel, ends, shown)
    zero(axes, places, log == -np.inf)
    _fill(axes, low, high, _band_of(run))
    alone: Any = {"marker": "_", "markersize": 9} if len(log) == 1 else {}
    axes.plot(places, np.exp(log), zorder=4, **_LINE, **alone)


def _fill(axes: Axes, low: Floats, high: Floats, filled: Any) -> None:
    """The band over places 0, 1, ...; a single one gets some width."""
    places = np.arange(len(low), dtype=np.float64)
    if len(low) == 1:
        places, low, high = np.array([-_ASIDE, _ASIDE]), np.repeat(low, 2), np.repeat(high, 2)
    axes.fill_between(places, low, high, zorder=1, **filled)


def strip(
    panel: Axes,
    run: Run,
    predicted: tuple[Floats, Floats],
    measured: Floats,
    look: Mapping[str, Any],
) -> None:
    """A strip below a panel: measured/predicted at step 0; none where no quotient is finite.

    ``predicted``: the log norms and their sd; ``look``: of the curve.
    """
    log, sd = predicted
    ratio = measured / np.exp(log)
    if not np.isfinite(ratio).any():
        return
    below = strip_below(panel, "meas./pred.")
    places = np.arange(len(log))
    low, high = band(np.zeros_like(sd), sd)
    below.axhline(1, **{**_LINE, "zorder": 2})
    _fill(below, low, high, _band_of(run))
    ratio_axis(below, ratio, low, high)
    curve(below, places, ratio, **look)
    # no mark where none is predicted or where zero was measured as predicted
    mark(below, places, np.where(np.isnan(log) | ((measured == 0) & np.isnan(ratio)), 1, ratio))


def ratio_axis(axes: Axes, *values: Floats) -> None:
    """A log axis symmetric about 1, with a round number at both ends."""
    flat = np.concatenate(values)
    flat = flat[np.isfinite(flat) & (flat > 0)]
    axes.set_yscale("log", nonpositive="mask")
    furthest = float(np.exp(np.max(np.abs(np.log(flat)), initial=0)))
    limit = next((limit for limit in _LIMITS if furthest <= 1.02 * limit), furthest)
    axes.set_ylim(limit**-1.25, limit**1.25)
    labels = [f"{1 / limit:.2g}", "1", f"{limit:.4g}"]
    if limit >= 1e3:
        labels = [tick_label(1 / limit), "1", tick_label(limit)]
    fix_ticks(axes.yaxis, [1 / limit, 1, limit], labels)
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_formatter(NullFormatter())
