"""Curves that drop no point: what has no place on the axis is marked at its edge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import ArrayLike, NDArray

from ffn_train.nn.core import Floats
from ffn_train.plots.appearance import requested
from ffn_train.plots.scales import set_ticks
from ffn_train.plots.selection import blocks, evenly
from ffn_train.plots.style import MUTED, RED, block_look

BEYOND = "beyond\nthe axis"
NOT_FINITE = "not finite"
NO_WEIGHTS = "the weights\nare all 0"
ZERO = "zero"
_FEW = 20  # points: up to here each is marked
_MARKED = 8  # points of a longer line that are
BINS = 50  # of the steps of a long curve
LONG = 4 * BINS  # a curve of at least so many points is long
QUANTILES = (0.1, 0.9)
_MARKS = 20  # marks that have room side by side along an edge


def curve(axes: Axes, x: ArrayLike, y: ArrayLike, **look: Any) -> Line2D:
    """A line with a marker at every point of a short series, at some of a long one if the look has
    a marker, and at points that stand alone.
    """
    values = np.asarray(y, dtype=np.float64)
    if "markevery" not in look:
        places = range(len(values))
        shown = np.pad(np.isfinite(values) & ((values > 0) | (axes.get_yscale() != "log")), 1)
        dots = np.flatnonzero(shown[1:-1] & ~shown[:-2] & ~shown[2:]).tolist()
        if requested.get().markers:
            if len(values) <= _FEW:
                dots = list(places)
            elif look.get("marker"):
                dots = sorted({*dots, *evenly(places, _MARKED)})
        # a list of no places would be taken for "every place"
        marker = (look.get("marker") or "o") if dots else ""
        look = {**look, "marker": marker, "markevery": dots or None}
    (line,) = axes.plot(np.asarray(x), values, **look)
    return line


def trend(axes: Axes, steps: ArrayLike, values: ArrayLike, **look: Any) -> Line2D:
    """A curve over steps; of a long one the means over bins, above a band from the 10 to the 90 %
    quantile of the values there. On a log axis the means are geometric.
    """
    places, rows = np.asarray(steps, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if len(rows) < LONG:
        return curve(axes, places, rows, **look)
    log = axes.get_yscale() == "log"
    centres, mean, low, high = binned(places, rows, log=log)
    band: Any = {"color": look["color"], "alpha": 0.2, "linewidth": 0, "zorder": 1.5}
    axes.fill_between(centres, low, high, **band)
    return curve(axes, centres, mean, **{"zorder": 2.5, **look})


def binned(steps: Floats, values: Floats, *, log: bool) -> tuple[Floats, Floats, Floats, Floats]:
    """Of so many consecutive steps as ``bin_size`` says each: the bins' centres, and of the values
    there that have a place on the axis the mean and both quantiles; NaN without any.
    """
    size = bin_size(len(values))
    shape = (-(-len(values) // size), size)

    def rows(flat: Floats) -> Floats:
        padded = np.full(shape, np.nan)
        padded.ravel()[: len(flat)] = flat
        return padded

    with np.errstate(all="ignore"):
        shown = rows(np.log(values) if log else values)
    shown[~np.isfinite(shown)] = np.nan
    shown.sort(axis=1)  # NaN last
    counts = np.isfinite(shown).sum(axis=1)
    sums = np.where(np.isfinite(shown), shown, 0).sum(axis=1)
    low, high = (
        shown[np.arange(len(shown)), np.rint(share * np.maximum(counts - 1, 0)).astype(int)]
        for share in QUANTILES
    )
    mean = np.divide(sums, counts, out=np.full(len(shown), np.nan), where=counts > 0)
    places = rows(steps)
    centres = np.nanmean(places, axis=1)
    return (centres, *((np.exp(v) if log else v) for v in (mean, low, high)))


def drawn(values: Floats) -> Floats:
    """What a trend shows of values (..., K), for the limits of an axis: all, or the quantiles."""
    if values.shape[-1] < LONG:
        return values
    rows = values.reshape(-1, values.shape[-1])
    return np.array([binned(row, row, log=False)[2:] for row in rows])


def bin_size(count: int) -> int:
    """How many of so many values a point of a ``trend`` stands for."""
    return -(-count // BINS) if count >= LONG else 1


def band_entry(*counts: int) -> list[Patch]:
    """The legend's entry for the bands of trends of so many values; none if they have none."""
    sizes = {bin_size(count) for count in counts} - {1}
    words = (
        "10 to 90 %\nof as many"
        if len(sizes) > 1
        else f"10 to 90 %\nof {max(sizes, default=1)} rows"
    )
    return [Patch(label=words, color=MUTED, alpha=0.3, linewidth=0)] * bool(sizes)


def block_curves(axes: Axes, steps: ArrayLike, values: Floats, depth: int) -> list[Line2D]:
    """A line over the steps for each block that is drawn, of its row of values (blocks, K)."""
    return [
        trend(axes, steps, row, label=str(block), **block_look(block, depth))
        for block, row in zip(blocks(depth), values, strict=True)
    ]


def over_depth(axes: Axes, table: Floats, looks: Mapping[int, Mapping[str, Any]]) -> None:
    """A line over places 0, 1, ... for each of these rows of a table (K, places)."""
    places = np.arange(table.shape[1])
    for row, look in looks.items():
        curve(axes, places, table[row], **look)
    mark(axes, places, *table[list(looks)])


def mark(axes: Axes, x: ArrayLike, *values: ArrayLike) -> None:
    """Mark where any of the values is not finite (top), or is zero on a log axis (bottom)."""
    places = np.asarray(x)
    table = np.array([np.asarray(value, dtype=np.float64) for value in values])
    lost = ~np.isfinite(table).all(axis=0)
    _edge(axes, places, lost, 1.02, NOT_FINITE, marker="x", color=RED)
    if axes.get_yscale() == "log":
        zero(axes, places, (table == 0).any(axis=0))


def beyond(axes: Axes, steps: Floats, values: Floats, colour: str) -> None:
    """Mark where a finite value lies above the axis; of a long curve the upper end of its band."""
    if len(values) >= LONG:
        steps, _, _, values = binned(steps, values, log=axes.get_yscale() == "log")
    above = (values > axes.get_ylim()[1]) & np.isfinite(values)
    _edge(axes, steps, above, 1.0, BEYOND, marker="^", color=colour)


def no_weights(axes: Axes, places: NDArray[Any], where: NDArray[np.bool_]) -> None:
    """Mark the places at which all weights of a block are 0: nothing is relative to them."""
    _edge(axes, places, where, 1.02, NO_WEIGHTS, marker="x", color=MUTED)


def zero(axes: Axes, places: NDArray[Any], where: NDArray[np.bool_]) -> None:
    """Mark the places at which a value is zero, which no axis of logarithms can show."""
    _edge(axes, places, where, 0.0, ZERO, marker="v", color=MUTED)


def _edge(
    axes: Axes,
    places: NDArray[Any],
    marked: NDArray[np.bool_],
    height: float,
    label: str,
    **look: Any,
) -> None:
    """Marks along an edge; where they would touch, some and a thin line through the others."""
    if not marked.any():
        return
    shown, stretches = _thinned(places, marked)
    look.update(transform=axes.get_xaxis_transform(), clip_on=False, zorder=5)
    axes.plot(
        places[shown],
        np.full(len(shown), height),
        linestyle="none",
        markersize=3.5,
        label=label,
        **look,
    )
    look.pop("marker")
    for first, last in stretches:
        axes.plot(places[[first, last]], [height, height], linewidth=0.8, **look)


def _thinned(
    places: NDArray[Any], marked: NDArray[np.bool_]
) -> tuple[list[int], list[tuple[int, int]]]:
    """Which of the marked places bear a mark, and the ends of stretches where some do not.

    A stretch's ends always do, so that it is seen where it begins and where it ends.
    """
    apart = abs(float(places[-1]) - float(places[0])) / _MARKS
    edges = np.flatnonzero(np.diff(np.pad(marked.astype(np.int8), 1)))
    shown: list[int] = []
    stretches = []
    for first, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        kept = [first]
        for place in range(first + 1, stop):
            enough = float(places[place] - places[kept[-1]]) >= apart
            if enough and float(places[stop - 1] - places[place]) >= apart:
                kept.append(place)
        kept += [stop - 1] * (stop - 1 > first)
        if len(kept) < stop - first:
            stretches.append((first, stop - 1))
        shown += kept
    return shown, stretches


def values_of(axes: Axes) -> NDArray[np.float64]:
    """What all curves of a panel hold, marks and guides left out."""
    lines = [line for line in axes.get_lines() if line.get_transform() == axes.transData]
    values = [np.asarray(line.get_ydata(), dtype=np.float64) for line in lines]
    return np.concatenate([np.zeros(0), *values])


def tell_if_empty(axes: Axes) -> None:
    """Words in place of an invented scale, where a panel on a log axis shows none of its curves."""
    values = values_of(axes)
    shown = (np.isfinite(values) & (values > 0)).any()
    shown |= any(isinstance(part, PolyCollection) for part in axes.collections)  # a band
    if axes.get_yscale() != "log" or not len(values) or shown:
        return
    words = "all zero" if (values == 0).all() else "nothing finite to show"
    tell(axes, words)
    set_ticks(axes.yaxis, [], [])


def tell(axes: Axes, words: str) -> None:
    """Words above the middle of a panel, legible on a curve."""
    axes.text(
        0.5,
        0.62,
        words,
        ha="center",
        transform=axes.transAxes,
        color=MUTED,
        zorder=6,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5},
    )


def marks(*panels: Axes) -> list[Line2D]:
    """One legend entry for each kind of mark that the panels bear."""
    lines = {line.get_label(): line for panel in panels for line in panel.get_lines()}
    return [lines[label] for label in (BEYOND, NOT_FINITE, NO_WEIGHTS, ZERO) if label in lines]
