"""The trainability map: loss, gradient ratio and share diverged over the two main settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator

from ffn_train.compare.axis import side_by_side
from ffn_train.compare.comparison import Comparison
from ffn_train.compare.grid import LINE, wrapped
from ffn_train.compare.groups import Group
from ffn_train.compare.layout import Layout
from ffn_train.compare.metrics import METRICS
from ffn_train.compare.panels import Panel, notes, panels
from ffn_train.compare.values import Value, brief, is_number, short
from ffn_train.plots.scales import log_ticks, set_ticks, tick_label
from ffn_train.plots.sheet import BOTTOM, TITLE, TOP, headed
from ffn_train.plots.style import DOUBLE, INK, MUTED

NAME = "trainability_map"

_MOST_ROWS = 6  # rows of maps
_WRITTEN = 6  # values on an axis: up to here each cell bears its number
_ROOMY = 4  # values on the axis: up to here a cell has room for a power of ten
_TICKS, _LETTERS = 10, 14  # of an axis, and of a word on it
_DECADES = 6.0  # of the gradient ratio, either way: what is beyond has the last colour
_BAR, _GAP, _LEFT, _RIGHT = 0.09, 0.62, 0.72, 0.5  # inches


@dataclass(frozen=True)
class _Map:
    title: str
    metric: str | None  # None: the share diverged
    colours: Colormap
    scale: Normalize


def draw(comparison: Comparison) -> Figure | None:
    """A row of maps for each place among the other settings; where those are too many, over all.

    None if fewer than two settings vary, or if most pairs of their values have no run.
    """
    axes_keys = _axes_keys(comparison.layout)
    if axes_keys is None:
        return None
    x, y = axes_keys
    levels = comparison.layout.levels
    places = {(group.point[x], group.point[y]) for group in comparison.measured}
    if 2 * len(places) <= len(levels[x]) * len(levels[y]):
        return None
    roles = comparison.layout.over_x
    rest = [k for k in (roles.color, *roles.panels, *roles.pooled) if k not in (None, x, y)]
    others = [key for key in rest if key is not None]
    rows = panels(comparison, others)
    over = [comparison.over]
    if len(rows) > _MOST_ROWS:
        rows = [Panel("", comparison.measured)]
        over += map(short, others)
    tables = [_merged(row.groups, x, y) for row in rows]
    maps = _maps(comparison, [group for table in tables for group in table.values()])
    if not maps:
        return None
    note = f"mean over {', '.join(over)}; of the gradient's ratio the geometric mean"
    if not any(len(group.measured) > 1 for table in tables for group in table.values()):
        note = "one run each"
    if any(group.n_diverged for group in comparison.measured):
        note += "; ×: all diverged"
    if any(len(table) < len(levels[x]) * len(levels[y]) for table in tables):
        note += "; grey: no run"
    return _sheet(rows, tables, maps, (x, y), levels, notes(comparison, note))


def _axes_keys(layout: Layout) -> tuple[str, str] | None:
    """The axis, and beside it another number if there is one, else what the colour shows."""
    roles = layout.over_x
    others = [key for key in (roles.color, *roles.panels, *roles.pooled) if key is not None]
    numbers = [key for key in others if layout.is_ordered(key)]
    if layout.x is None or not others:
        return None
    return layout.x, (numbers or others)[0]


def _merged(groups: Sequence[Group], x: str, y: str) -> dict[tuple[Value, Value], Group]:
    found: dict[tuple[Value, Value], Group] = {}
    for group in groups:
        place = (group.point[x], group.point[y])
        before = found[place].cases if place in found else ()
        found[place] = Group(dict(zip((x, y), place, strict=True)), [*before, *group.cases])
    return found


def _maps(comparison: Comparison, groups: Sequence[Group]) -> list[_Map]:
    metric = METRICS[comparison.metric]
    found = []
    values = np.array([group.statistics(metric.name).mean for group in groups])
    values = values[np.isfinite(values)]
    if len(values) and not metric.name.startswith("gradient_ratio"):
        low, high = float(values.min()), float(values.max())
        wide = metric.log and low > 0 and high > 10 * low
        scale = LogNorm(low, high) if wide else Normalize(low, high if high > low else low + 1)
        found.append(_Map(metric.symbol, metric.name, matplotlib.colormaps["viridis"], scale))
    ratio = metric.name if metric.name.startswith("gradient_ratio") else "gradient_ratio_start"
    values = np.array([group.statistics(ratio).mean for group in groups])
    values = values[np.isfinite(values) & (values > 0)]
    if len(values):
        most = float(np.clip(np.abs(np.log10(values)).max(), 1, _DECADES))
        scale = LogNorm(10**-most, 10**most)
        found.append(_Map(METRICS[ratio].symbol, ratio, matplotlib.colormaps["RdBu_r"], scale))
    if any(group.n_diverged for group in groups):
        found.append(_Map("share diverged", None, matplotlib.colormaps["Reds"], Normalize(0, 1)))
    return found


def _sheet(
    rows: Sequence[Panel],
    tables: Sequence[Mapping[tuple[Value, Value], Group]],
    maps: Sequence[_Map],
    keys: tuple[str, str],
    levels: Mapping[str, Sequence[Value]],
    said: Sequence[str],
) -> Figure:
    columns, (x, y) = len(maps), keys
    named = max(len(brief(value, _LETTERS)) for value in levels[y])
    left = max(_LEFT, 0.34 + 0.065 * named)
    each = (DOUBLE - left - _RIGHT - 2 * _GAP) / 3  # of three maps or fewer, as wide
    tall = float(np.clip(0.24 * len(levels[y]), 0.9, 1.9))
    top, between = TOP + TITLE, 0.62 if len(rows) > 1 else 0.0
    width = max(4.2, left + columns * each + (columns - 1) * _GAP + _RIGHT)
    lines = wrapped(said, width)
    top += LINE * (len(lines) - 1)
    height = top + len(rows) * tall + (len(rows) - 1) * between + BOTTOM
    figure = headed("Trainability map", "\n".join(lines), width=width, height=height)
    for index, (row, table) in enumerate(zip(rows, tables, strict=True)):
        for column, one in enumerate(maps):
            at = left + column * (each + _GAP)
            below = height - top - index * (tall + between) - tall
            axes = figure.add_axes((at / width, below / height, each / width, tall / height))
            _draw_map(axes, one, table, levels[x], levels[y])
            _labels(axes, keys, levels, first=column == 0)
            axes.set_title(f"{row.title}: {one.title}" if row.title and column == 0 else one.title)
            bar = figure.add_axes(
                ((at + each + 0.07) / width, below / height, _BAR / width, tall / height)
            )
            mappable = ScalarMappable(one.scale, one.colours)
            figure.colorbar(mappable, cax=bar, extend=_beyond(one, table))
            if isinstance(one.scale, LogNorm):
                assert one.scale.vmin is not None
                assert one.scale.vmax is not None
                set_ticks(bar.yaxis, *log_ticks(one.scale.vmin, one.scale.vmax))
            bar.tick_params(labelsize=7)
    return figure


def _beyond(one: _Map, table: Mapping[tuple[Value, Value], Group]) -> str:
    """At which ends of the colours there are values beyond them."""
    if one.metric is None:
        return "neither"
    values = [group.statistics(one.metric).mean for group in table.values()]
    low, high = one.scale.vmin, one.scale.vmax
    assert low is not None
    assert high is not None
    # the largest or smallest value is an end itself, to the rounding of its logarithm
    beyond = [
        value for value in values if not np.isclose(value, (low, high), rtol=1e-9, atol=0).any()
    ]
    below, above = any(value < low for value in beyond), any(value > high for value in beyond)
    return {(1, 0): "min", (0, 1): "max", (1, 1): "both"}.get((below, above), "neither")


def _draw_map(
    axes: Axes,
    one: _Map,
    table: Mapping[tuple[Value, Value], Group],
    columns: Sequence[Value],
    rows: Sequence[Value],
) -> None:
    values = np.full((len(rows), len(columns)), np.nan)
    for (x, y), group in table.items():
        value = group.share_diverged if one.metric is None else group.statistics(one.metric).mean
        values[list(rows).index(y), list(columns).index(x)] = value
    low = one.scale.vmin
    shown = values
    if isinstance(one.scale, LogNorm) and low is not None:
        shown = np.where(values < low, low, values)  # zero has no place on a log scale
    axes.imshow(
        np.ma.masked_invalid(shown),
        cmap=one.colours.with_extremes(bad="#ececec"),
        norm=one.scale,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
    )
    axes.grid(False)
    for side in axes.spines.values():
        side.set_visible(True)
    if max(values.shape) <= _TICKS:  # a cell whose ratio is 1 is as white as the page
        axes.vlines(np.arange(1, len(columns)) - 0.5, -0.5, len(rows) - 0.5, MUTED, linewidth=0.3)
        axes.hlines(np.arange(1, len(rows)) - 0.5, -0.5, len(columns) - 0.5, MUTED, linewidth=0.3)
    written = max(values.shape) <= _WRITTEN
    for (x, y), group in table.items():
        i, j = list(rows).index(y), list(columns).index(x)
        lost = one.metric is not None and group.n_diverged > 0 and not np.isfinite(values[i, j])
        if lost:
            axes.plot([j], [i], marker="x", color=MUTED, markersize=4.5, markeredgewidth=1.0)
        elif written and np.isfinite(values[i, j]):
            shade = one.colours(one.scale(shown[i, j]))
            word = _number(float(values[i, j]), compact=len(columns) > _ROOMY)
            _write(axes, j, i, word, shade)


def _number(value: float, *, compact: bool) -> str:
    """A number in two digits; far from 1 as a power of ten, or as 3e-5 where cells are narrow."""
    if value in (0, 1):
        return f"{value:g}"
    if not 1e-2 <= abs(value) < 1e3:
        digit, _, power = f"{value:.0e}".partition("e")
        return f"{digit}e{int(power)}" if compact else tick_label(float(f"{value:.0e}"))
    return f"{value:#.2g}".rstrip(".") if abs(value) < 100 else f"{value:.0f}"


def _write(axes: Axes, x: float, y: float, word: str, shade: tuple[float, ...]) -> None:
    light = 0.299 * shade[0] + 0.587 * shade[1] + 0.114 * shade[2] > 0.55
    axes.text(x, y, word, ha="center", va="center", size=7, color=INK if light else "white")


def _labels(
    axes: Axes, keys: tuple[str, str], levels: Mapping[str, Sequence[Value]], *, first: bool
) -> None:
    for axis, key in zip((axes.xaxis, axes.yaxis), keys, strict=True):
        words = [brief(value, _LETTERS) for value in levels[key]]
        apart = side_by_side(axes, words) if axis is axes.xaxis else 1
        places = list(range(0, len(words), max(apart, -(-len(words) // _TICKS))))
        axis.set_major_locator(FixedLocator(places))
        axis.set_major_formatter(FixedFormatter([words[place] for place in places]))
    if not all(is_number(value) for value in levels[keys[1]]):
        axes.invert_yaxis()  # words are read from above
    axes.tick_params(length=0)
    axes.set_xlabel(short(keys[0]))
    if first:
        axes.set_ylabel(short(keys[1]))
    else:
        axes.tick_params(axis="y", labelleft=False)
