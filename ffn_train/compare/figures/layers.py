"""Every layer's gradient norm over steps, a small heat map for each group, on one colour scale."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ffn_train.compare.comparison import Comparison
from ffn_train.compare.grid import Grid, grid
from ffn_train.compare.groups import Group, in_order
from ffn_train.compare.layout import panel_title
from ffn_train.compare.panels import notes
from ffn_train.compare.values import brief, short
from ffn_train.plots.curves import NOT_FINITE, ZERO
from ffn_train.plots.heatmap import edges
from ffn_train.plots.scales import log_limits, log_ticks, set_ticks, step_axis
from ffn_train.plots.style import RED
from ffn_train.runs import Measures, RunError, load_run
from ffn_train.runs.measures import Floats

NAME = "layers"

MOST = 24  # groups
_COLUMNS = 6
_TITLES = 96  # letters of the titles in a row
_LEAST_STEPS = 2


def draw(comparison: Comparison) -> Figure | None:
    """|dL/dθ| of each layer, input below and output above, of each group's run of the lowest seed.

    None where no run has two measured steps, or where there is but one group.
    """
    keys = _keys(comparison)
    groups = in_order(comparison.measured, keys, comparison.layout.levels)
    if len(groups) < 2:
        return None
    several = any(len(group.measured) > 1 for group in groups)
    shown = "each group's first run" if several else "one run each"
    if len(groups) > MOST:
        count, groups = len(groups), _thinned(groups, comparison)
        shown += f"; {len(groups)} of {count} groups"
    titles, columns, told = _titles(groups, keys, _columns(comparison, groups))
    found = [(title, *_measures(group)) for title, group in zip(titles, groups, strict=True)]
    maps = [(title, one, diverged) for title, one, diverged in found if one is not None]
    if len(maps) < 2:
        return None
    norms = [one.layer_gradient_norm for _, one, _ in maps]
    if len({int(one.step[-1]) for _, one, _ in maps}) > 1:
        shown += "; each over its own steps"
    # where a run ends as diverged its norms may have any size, and would be all that is seen
    usual = [norm[:-1] if gone else norm for norm, (_, _, gone) in zip(norms, maps, strict=True)]
    low, high = log_limits(*usual)
    palette = matplotlib.colormaps["cividis"].with_extremes(under="black", bad=RED)
    sheet = grid(
        "Parameter gradient of each layer",
        notes(comparison, shown + told),
        [title for title, _, _ in maps],
        heights=(0.85,),
        right=0.95,
        columns=columns,
    )
    for (axes,), (_, one, _), norm in zip(sheet.panels, maps, norms, strict=True):
        _heat_map(axes, one, norm, palette, LogNorm(low, high))
        _step_axis(axes, one)
        axes.set_yticks([0, 1], ["input", "output"])
    sheet.share(ylabels=[""], xlabel="step")
    _explain(sheet, palette, (low, high), norms)
    return sheet.figure


def _keys(comparison: Comparison) -> list[str]:
    """The settings as titles name them; the axis' goes fastest, so that a row reads along it."""
    layout, roles = comparison.layout, comparison.layout.over_x
    named = [roles.color, *roles.panels, *roles.pooled, layout.x]
    return [key for key in named if key is not None]


def _columns(comparison: Comparison, groups: Sequence[Group]) -> int:
    """As many as the axis has values, or twice that, so that the columns compare like with like."""
    x = comparison.layout.x
    levels = 1 if x is None else len({group.point[x] for group in groups})
    if not 2 <= levels <= _COLUMNS:
        return 4
    return 2 * levels if 2 * levels <= _COLUMNS and len(groups) > 4 * levels else levels


def _titles(
    groups: Sequence[Group], keys: Sequence[str], columns: int
) -> tuple[list[str], int, str]:
    """Titles of what differs between these groups, the columns they leave room for, and a key.

    The settings' names are in them where there is room; the values may need fewer columns.
    """
    keys = [key for key in keys if len({group.point[key] for group in groups}) > 1]
    titles = [panel_title({key: group.point[key] for key in keys}) for group in groups]
    if max(map(len, titles)) <= _TITLES // columns:
        return titles, columns, ""
    titles = [", ".join(brief(group.point[key]) for key in keys) for group in groups]
    longest = max(map(len, titles))
    fitting = [n for n in (columns, 4, 3) if n <= columns and longest <= _TITLES // n]
    room = _TITLES // 2
    titles = [title if len(title) <= room else f"{title[: room - 1]}…" for title in titles]
    return titles, (fitting or [2])[0], f"; above each: {', '.join(map(short, keys))}"


def _thinned(groups: list[Group], comparison: Comparison) -> list[Group]:
    """At most so many groups: fewer values, evenly chosen, of the settings that have most."""
    levels = comparison.layout.levels
    kept = {key: list(levels[key]) for key in comparison.keys}
    left = groups
    while len(left) > MOST:
        key = max(kept, key=lambda key: len(kept[key]))
        if len(kept[key]) <= 2:
            places = np.linspace(0, len(left) - 1, MOST).round().astype(int)
            return [left[place] for place in np.unique(places)]
        places = np.linspace(0, len(levels[key]) - 1, len(kept[key]) - 1).round().astype(int)
        kept[key] = [levels[key][place] for place in places]
        left = [g for g in groups if all(g.point[k] in kept[k] for k in kept)]
    return left


def _measures(group: Group) -> tuple[Measures | None, bool]:
    """Those of the first run, and whether that has diverged."""
    first = group.measured[0]
    try:
        measures = load_run(first.path).measures
    except RunError:  # it has changed since it was read
        return None, False
    return measures if len(measures.step) >= _LEAST_STEPS else None, first.diverged


def _heat_map(
    axes: Axes, measures: Measures, norms: Floats, palette: Colormap, scale: LogNorm
) -> None:
    low, high = scale.vmin, scale.vmax
    assert low is not None
    shown = np.where(norms == 0, low / 10, np.clip(norms, low, high)).T
    shown[~np.isfinite(norms).T] = np.nan
    x, y = edges(measures.step), np.linspace(0, 1, norms.shape[1] + 1)
    axes.pcolormesh(x, y, np.ma.masked_invalid(shown), cmap=palette, norm=scale, rasterized=True)
    axes.set_ylim(0, 1)
    axes.grid(False)


def _step_axis(axes: Axes, measures: Measures) -> None:
    """The run's own steps, to the borders of its first and last cell."""
    steps = measures.step
    step_axis(axes, steps)
    axes.set_xlim(*edges(steps)[[0, -1]])
    ticks = axes.get_xticks()[:: 1 if len(axes.get_xticks()) < 4 else 2]
    ticks = steps if len(steps) == _LEAST_STEPS else ticks
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])


def _explain(
    sheet: Grid, palette: Colormap, limits: tuple[float, float], norms: Sequence[Floats]
) -> None:
    width, height = sheet.figure.get_size_inches()
    place = sheet.upper_right.get_position()
    tall = min(place.y1 - min(axes.get_position().y0 for axes in sheet.flat), 1.9 / height)
    box = (place.x1 + 0.1 / width, place.y1 - tall, 0.09 / width, tall)
    bar = sheet.figure.add_axes(box)
    table = np.concatenate([np.ravel(one) for one in norms])
    beyond = np.isfinite(table) & (table > limits[1])
    extend = "max" if beyond.any() else "neither"
    sheet.figure.colorbar(ScalarMappable(LogNorm(*limits), palette), cax=bar, extend=extend)
    set_ticks(bar.yaxis, *log_ticks(*limits))
    bar.set_ylabel(r"$\|\partial L/\partial\theta\|$")
    kinds = [(~np.isfinite(table), RED, NOT_FINITE), (table == 0, "black", ZERO)]
    patches = [Patch(color=colour, label=label) for here, colour, label in kinds if here.any()]
    if patches:
        sheet.figure.legend(
            handles=patches,
            loc="lower right",
            bbox_to_anchor=(1 - 0.08 / width, 1 - 0.42 / height),
            ncols=len(patches),
        )
