"""Gradient norm of every layer over steps: a small heat map per group, on a common colour scale."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LogNorm
from matplotlib.figure import Figure

from ffn_train.compare.case import Case
from ffn_train.compare.comparison import Comparison
from ffn_train.compare.grid import chosen, grid
from ffn_train.compare.groups import Group
from ffn_train.compare.header import notes
from ffn_train.compare.panels import folded, panels, thinned
from ffn_train.compare.stretched import mark_stretched, stretched
from ffn_train.nn.core import Floats
from ffn_train.plots.curves import NOT_FINITE, ZERO
from ffn_train.plots.heatmap import edges
from ffn_train.plots.legs import STRETCHED
from ffn_train.plots.maps import EXTEND, LOST_LOOK, ZERO_LOOK, colour_bar, hatched
from ffn_train.plots.scales import log_limits, step_axis
from ffn_train.runs import Measures, RunError, load_run

NAME = "layers"

MOST = 32  # groups
_DECADES = 3  # the colours end this far on either side of the median norm


def draw(comparison: Comparison) -> Figure | None:
    """|dL/dθ| of each layer, input below and output above, of each group's run of the lowest seed.

    Of a search, only the best trials. None unless two of these runs have two measured steps.
    """
    layout = comparison.layout
    groups = comparison.measured
    phrases = []
    if any(len(group.measured) > 1 for group in groups):
        phrases.append("each group's first run")
    elif len(groups) > 1:
        phrases.append("one run each")
    if layout.searched:
        phrases.append(f"of each search the trial of the best {comparison.objective.name}")
        groups = _best(comparison)
    groups, words = thinned(groups, layout, MOST)
    phrases.append(words)
    cells = folded(comparison, layout.keys, groups)
    runs = [(cell, _measures(cell.groups[0].measured[0])) for cell in cells]
    maps = [(cell, measures) for cell, measures in runs if measures is not None]
    if len(maps) < 2:
        return None
    if len({int(measures["gradient_norm"].step[-1]) for _, measures in maps}) > 1:
        phrases.append("each over its own steps")
    norms = np.concatenate([measures.layer_gradient_norm.ravel() for _, measures in maps])
    signs = {f"crossed: {NOT_FINITE}": ~np.isfinite(norms), f"hatched: {ZERO}": norms == 0}
    phrases += [sign for sign, where in signs.items() if where.any()]
    # an exploding run, or the last norms of a lost run, would dominate the colours
    usual = [(cell.groups[0].measured[0], measures.layer_gradient_norm) for cell, measures in maps]
    ceiling = comparison.ceiling
    calm = [norms for case, norms in usual if case.metrics.get("train_loss", 0) <= ceiling]
    low, high = _limits([norms[: -1 if case.lost else None] for case, norms in usual], calm)
    phrases += [f"dotted: {STRETCHED}"] * bool(stretched(groups))
    columns = 1 if layout.x is None else len(layout.levels[layout.x])
    maps = list(chosen(comparison, maps))
    page = grid(
        comparison,
        "Parameter gradient of each layer",
        notes(comparison, phrases),
        [cell.title for cell, _ in maps],
        heights=[0.85],
        columns=columns if 1 < columns <= 6 else 4,
    )
    colours = matplotlib.colormaps["cividis"]
    for (axes,), (cell, measures) in zip(page.panels, maps, strict=True):
        _heat_map(axes, measures, colours, (low, high))
        mark_stretched(axes, cell.groups)
    page.share("", xlabel="step")
    finite = norms[np.isfinite(norms) & (norms > 0)]
    extend = EXTEND[bool((finite < low).any())][bool((finite > high).any())]
    label = r"$\|\partial L/\partial\theta\|$"
    colour_bar(page.upper_right, LogNorm(low, high), colours, label, extend)
    return page.figure


def _limits(usual: Sequence[Floats], calm: Sequence[Floats]) -> tuple[float, float]:
    """The norms at the ends of the colour scale, at most ``_DECADES`` from the ``calm`` median."""
    values = np.concatenate([norms.ravel() for norms in calm or usual])
    middle = np.median(values[np.isfinite(values) & (values > 0)])
    ends = middle * 10.0**-_DECADES, middle * 10.0**_DECADES
    low, high = np.clip(log_limits(*usual), *ends)
    return float(low), float(high)


def _best(comparison: Comparison) -> list[Group]:
    """For each combination of the settings that were not searched, the best group."""
    layout, metric = comparison.layout, comparison.objective
    places = panels(comparison, [key for key in layout.keys if key not in layout.searched])

    def badness(group: Group) -> float:
        return metric.badness(group.statistics(metric).mean)

    return [min(panel.groups, key=badness) for panel in places]


def _measures(case: Case) -> Measures | None:
    """A run's measures; None if it has become unreadable or has fewer than two measured steps."""
    try:
        measures = load_run(case.path).measures
    except RunError:
        return None
    several = measures.has("gradient_norm") and len(measures["gradient_norm"].step) > 1
    return measures if several else None


def _heat_map(
    axes: Axes, measures: Measures, colours: Colormap, limits: tuple[float, float]
) -> None:
    """Draw the norms in colours; cells that are not finite are crossed out, zeros hatched."""
    norms, steps = measures.layer_gradient_norm.T, measures["gradient_norm"].step
    x, y = edges(steps), np.linspace(0, 1, len(norms) + 1)
    lost, zero = ~np.isfinite(norms), norms == 0
    scale = LogNorm(*limits)
    norms = np.ma.masked_where(lost | zero, norms)
    axes.pcolormesh(x, y, norms, cmap=colours, norm=scale, rasterized=True)
    hatched(axes, x, y, lost, **LOST_LOOK)
    hatched(axes, x, y, zero, **ZERO_LOOK)
    axes.grid(False)
    step_axis(axes, steps)
    axes.set_xlim(x[0], x[-1])
    axes.set_yticks([0, 1], ["input", "output"])
