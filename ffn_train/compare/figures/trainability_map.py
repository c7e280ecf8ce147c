"""The trainability map: loss, gradient ratio and share diverged over the two main settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from ffn_train.compare.case import Case
from ffn_train.compare.comparison import Comparison
from ffn_train.compare.grid import chosen, grid, room
from ffn_train.compare.groups import Group
from ffn_train.compare.header import notes
from ffn_train.compare.likeness import without_mean
from ffn_train.compare.metrics import Metric
from ffn_train.compare.panels import Panel, folded
from ffn_train.compare.values import are_numbers, named, short, shown
from ffn_train.nn.core import Floats
from ffn_train.plots.literal import legible
from ffn_train.plots.maps import EXTEND, colour_bar, hatched
from ffn_train.plots.selection import bounded
from ffn_train.plots.settings import Value
from ffn_train.plots.style import INK, LETTER, MUTED

NAME = "trainability_map"

_MOST_ROWS = 6  # rows of maps
_WRITTEN = 6  # up to this many values on an axis, each cell shows its number
_LINED = 10  # up to this many values on an axis, lines separate the cells
_COLUMNS = 18  # a map of more columns has the width of the page
_NUMBERS, _LETTERS = 24, 14  # labels of an axis of numbers, and letters of a word
_ROW, _GAP = 0.15, 0.62  # inches of a row at least, and between maps
_DECADES = 6.0  # the colours of the gradient ratio end at 10 to the ± this


Table = Mapping[tuple[Value, Value], Group]


@dataclass(frozen=True)
class _Map:
    """A column of maps; ``extend``: at which ends values exceed the colour scale."""

    title: str
    metric: Metric | None  # None: the share diverged
    colours: str
    low: float
    high: float
    log: bool = False
    extend: str = "neither"

    @property
    def scale(self) -> Normalize:
        return (LogNorm if self.log else Normalize)(self.low, self.high)

    def value(self, group: Group | None) -> float:
        if group is None:
            return float("nan")
        return group.statistics(self.metric).mean if self.metric else group.share_lost


def draw(comparison: Comparison) -> Figure | None:
    """A row of maps for each combination of the other settings; if too many, one row over all.

    None if fewer than two settings vary, or if most pairs of their values have no run.
    """
    levels, x = comparison.layout.levels, comparison.layout.x
    other_keys = list(comparison.layout.over_x.keys)
    if x is None or not other_keys:
        return None
    # y: another number if there is one, else the key of the colour
    y = next((key for key in other_keys if are_numbers(levels[key])), other_keys[0])
    other_keys.remove(y)
    cells = len(levels[x]) * len(levels[y])
    if 2 * len(_table(comparison.measured, x, y)) <= cells:
        return None
    rows, over = folded(comparison, other_keys), [comparison.over]
    if len(rows) > _MOST_ROWS:
        rows, over = [Panel("", comparison.measured)], [*over, *map(short, other_keys)]
    tables = [_table(row.groups, x, y) for row in rows]
    groups = [group for table in tables for group in table.values()]
    maps = _maps(comparison, groups)
    if not maps:
        return None
    phrases = [f"mean over {', '.join(over)}; of the gradient's ratio the geometric mean"]
    if all(len(group.cases) == 1 for group in groups):
        phrases = ["one run each"]
    if any(group.n_lost for group in groups):
        phrases.append("×: all diverged or stopped")
    if any(len(table) < cells for table in tables):
        phrases.append("hatched: no run")
    caveats = without_mean([group.ended for group in groups], [comparison.metric.name])
    phrases += [words for words in caveats if words not in comparison.reservations]
    titles = [
        f"{legible(row.title, first_font=True)}: " * bool(row.title and each is maps[0])
        + each.title
        for row, each in product(rows, maps)
    ]
    content = list(chosen(comparison, [*zip(titles, product(tables, maps), strict=True)]))
    wide = len(levels[x]) > _COLUMNS
    columns, across = room(comparison, 1 if wide else len(maps), gap=_GAP, wide=wide)
    words = _words(levels[x])
    upright = LETTER * 8 * sum(len(word) + 1 for word in words) > across
    page = grid(
        comparison,
        "Trainability map",
        notes(comparison, phrases),
        [title for title, _ in content],
        heights=[float(max(np.clip(0.24 * len(levels[y]), 0.9, 1.9), _ROW * len(levels[y])))],
        columns=columns,
        gap=_GAP,
        foot=0.2 + LETTER * 8 * max(map(len, words)) if upright else 0.3,
        wide=wide,
    )
    for (axes,), (_, (table, each)) in zip(page.panels, content, strict=True):
        _draw(axes, each, table, levels[x], levels[y])
        axes.tick_params(axis="x", rotation=90 if upright else 0)
    page.share(named(y), xlabel=named(x))
    return page.figure


def _table(groups: Sequence[Group], x: str, y: str) -> Table:
    """All runs of the groups at each pair of values."""
    cases: dict[tuple[Value, Value], list[Case]] = {}
    for group in groups:
        cases.setdefault((group.point[x], group.point[y]), []).extend(group.measured)
    return {pair: Group({}, runs) for pair, runs in cases.items()}


def _maps(comparison: Comparison, groups: Sequence[Group]) -> list[_Map]:
    def means(metric: Metric | None) -> Floats:
        values = np.array([g.statistics(metric).mean if metric else np.nan for g in groups])
        finite: Floats = values[np.isfinite(values)]
        return finite

    maps, metric = [], comparison.metric
    ratio: Metric | None = metric
    if not metric.name.startswith("gradient_ratio"):
        ratio = comparison.metrics.get("gradient_ratio_start")
    values, ratios = means(metric), means(ratio)
    if metric != ratio and len(values):
        sign = metric.badness(1.0)
        in_range = sign * bounded(sign * values, comparison.worst(metric))
        low, high = float(in_range.min()), float(in_range.max())
        extend = EXTEND[bool(values.min() < low)][bool(values.max() > high)]
        log = metric.log and high > 10 * low > 0
        high = high if high > low else low + 1
        maps.append(_Map(metric.symbol, metric, "viridis", low, high, log, extend))
    logs = np.log10(ratios[ratios > 0])
    if ratio is not None and len(logs):
        most = float(np.clip(np.abs(logs).max(), 1, _DECADES))
        extend = EXTEND[bool(logs.min() < -most)][bool(logs.max() > most)]
        maps.append(_Map(ratio.symbol, ratio, "cividis", 10**-most, 10**most, True, extend))
    if any(group.n_lost for group in groups):
        maps.append(_Map("share diverged or stopped", None, "Reds", 0, 1))
    return maps


def _draw(
    axes: Axes, drawn: _Map, table: Table, columns: Sequence[Value], rows: Sequence[Value]
) -> None:
    """Draw a map with its colour bar; in a small map each cell shows its number."""
    groups = [[table.get((x, y)) for x in columns] for y in rows]
    values = np.array([[drawn.value(group) for group in row] for row in groups])
    colours = matplotlib.colormaps[drawn.colours].with_extremes(bad="#ececec")
    lines = max(values.shape) <= _LINED  # a cell without lost runs is as white as the page
    axes.pcolormesh(
        np.ma.masked_invalid(np.maximum(values, drawn.low)),  # a log scale has no zero
        cmap=colours,
        norm=drawn.scale,
        edgecolors=MUTED if lines else "none",
        linewidth=0.3,
    )
    axes.grid(False)
    absent = np.array([[group is None for group in row] for row in groups])
    right, top = np.arange(len(columns) + 1.0), np.arange(len(rows) + 1.0)
    hatched(axes, right, top, absent, "////", MUTED)
    for (row, column), value in np.ndenumerate(values):
        group, centre = groups[row][column], (column + 0.5, row + 0.5)
        if np.isfinite(value) and max(values.shape) <= _WRITTEN:
            red, green, blue, _ = colours(drawn.scale(max(value, drawn.low)))
            shade = INK if 0.299 * red + 0.587 * green + 0.114 * blue > 0.55 else "white"
            word = f"{value:.0f}" if 99.5 <= abs(value) < 999.5 else f"{value:#.2g}".rstrip(".")
            axes.text(*centre, word, color=shade, ha="center", va="center", size=7)
        elif group is not None and group.n_lost and not group.sound:
            axes.plot(*centre, "x", color=MUTED, markersize=4.5, markeredgewidth=1.0)
    for axis, names in ((axes.xaxis, columns), (axes.yaxis, rows)):
        words = {centre + 0.5: word for centre, word in enumerate(_words(names)) if word}
        axis.set_ticks(list(words), list(words.values()))
    if not are_numbers(rows):
        axes.invert_yaxis()  # words are read from the top down
    axes.tick_params(length=0)
    colour_bar(axes, drawn.scale, colours, extend=drawn.extend)


def _words(values: Sequence[Value]) -> list[str]:
    """The labels of rows or columns; of very many numbers, only some."""
    apart = -(-len(values) // _NUMBERS) if are_numbers(values) else 1
    words = shown(values, _LETTERS)
    return [word if place % apart == 0 else "" for place, word in enumerate(words)]
