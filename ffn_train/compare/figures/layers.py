"""Every layer's gradient norm over steps, a small heat map for each group, on one colour scale."""

from __future__ import annotations

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LogNorm
from matplotlib.figure import Figure

from ffn_train.compare.case import Case
from ffn_train.compare.colours import colour_bar
from ffn_train.compare.comparison import Comparison
from ffn_train.compare.grid import grid
from ffn_train.compare.groups import Group, in_order
from ffn_train.compare.layout import panel_title
from ffn_train.compare.panels import notes
from ffn_train.plots.curves import NOT_FINITE, ZERO
from ffn_train.plots.heatmap import edges
from ffn_train.plots.scales import log_limits, step_axis
from ffn_train.plots.selection import evenly
from ffn_train.plots.style import RED
from ffn_train.runs import Measures, RunError, load_run

NAME = "layers"

MOST = 32  # groups


def draw(comparison: Comparison) -> Figure | None:
    """|dL/dθ| of each layer, input below and output above, of each group's run of the lowest seed.

    None unless two of these runs have two measured steps.
    """
    layout = comparison.layout
    groups = in_order(comparison.measured, layout.keys, layout.levels)
    several = any(len(group.measured) > 1 for group in groups)
    shown = "each group's first run" if several else "one run each"
    if len(groups) > MOST:
        some = _thinned(groups, comparison)
        shown += f"; {len(some)} of {len(groups)} groups"
        groups = some
    runs = [(group, _measures(group.measured[0])) for group in groups]
    maps = [(group, measures) for group, measures in runs if measures is not None]
    if len(maps) < 2:
        return None
    if len({int(measures["gradient_norm"].step[-1]) for _, measures in maps}) > 1:
        shown += "; each over its own steps"
    norms = np.concatenate([measures.layer_gradient_norm.ravel() for _, measures in maps])
    words = {f"red: {NOT_FINITE}": ~np.isfinite(norms), f"black: {ZERO}": norms == 0}
    shown += "".join(f"; {word}" for word, where in words.items() if where.any())
    usual = [  # where a run ends as diverged its norms may have any size, and would be all one sees
        measures.layer_gradient_norm[: -1 if group.measured[0].lost else None]
        for group, measures in maps
    ]
    low, high = log_limits(*usual)
    columns = 1 if layout.x is None else len(layout.levels[layout.x])
    page = grid(
        "Parameter gradient of each layer",
        notes(comparison, shown),
        [panel_title({key: group.point[key] for key in layout.keys}) for group, _ in maps],
        heights=[0.85],
        columns=columns if 1 < columns <= 6 else 4,
    )
    colours = matplotlib.colormaps["cividis"].with_extremes(under="black", bad=RED)
    for (axes,), (_, measures) in zip(page.panels, maps, strict=True):
        _heat_map(axes, measures, colours, (low, high))
    page.share("", xlabel="step")
    extend = "max" if (norms[np.isfinite(norms)] > high).any() else "neither"
    label = r"$\|\partial L/\partial\theta\|$"
    colour_bar(page.upper_right, LogNorm(low, high), colours, label, extend)
    return page.figure


def _thinned(groups: list[Group], comparison: Comparison) -> list[Group]:
    """At most so many groups: of the settings that have most values only some, evenly chosen."""
    layout, some = comparison.layout, groups
    for most in range(max(len(layout.levels[key]) for key in layout.keys), 1, -1):
        kept = {key: evenly(layout.levels[key], most) for key in layout.keys}
        some = [group for group in groups if all(group.point[key] in kept[key] for key in kept)]
        if len(some) <= MOST:
            break
    return evenly(some, MOST)


def _measures(case: Case) -> Measures | None:
    """Those of a run, unless it has changed since it was read or has but one measured step."""
    try:
        measures = load_run(case.path).measures
    except RunError:
        return None
    several = measures.has("gradient_norm") and len(measures["gradient_norm"].step) > 1
    return measures if several else None


def _heat_map(
    axes: Axes, measures: Measures, colours: Colormap, limits: tuple[float, float]
) -> None:
    norms, steps = measures.layer_gradient_norm.T, measures["gradient_norm"].step
    shown = np.where(norms == 0, limits[0] / 10, np.clip(norms, *limits))
    shown = np.ma.masked_where(~np.isfinite(norms), shown)
    x, y = edges(steps), np.linspace(0, 1, len(norms) + 1)
    axes.pcolormesh(x, y, shown, cmap=colours, norm=LogNorm(*limits), rasterized=True)
    axes.grid(False)
    step_axis(axes, steps)
    ticks = axes.get_xticks()[:: 1 if len(axes.get_xticks()) < 4 else 2]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xlim(x[0], x[-1])
    axes.set_yticks([0, 1], ["input", "output"])
