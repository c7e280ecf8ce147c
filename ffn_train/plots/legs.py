"""Lines in figures over steps where a run went on in another way than it had begun."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from ffn_train.plots.sheet import sample
from ffn_train.plots.style import MUTED
from ffn_train.runs import Run

STRETCHED = "schedule stretched"
_HALO = [withStroke(linewidth=2, foreground="white")]  # so that it is seen on a map, too
_LOOK: Any = {"color": MUTED, "linewidth": 0.8, "path_effects": _HALO}
STRETCHED_LOOK: Any = {**_LOOK, "linestyle": (0, (1, 1.5))}
_OTHERWISE_LOOK: Any = {**_LOOK, "linestyle": (0, (5, 1.5, 1, 1.5))}


def mark_legs(axes: Axes, run: Run) -> list[Artist]:
    """Draw a line where the schedule was stretched, and where a leg began with another engine,
    version, BLAS or number of threads; returns the legend's entries. A plain resume is not shown.
    """
    legs = run.provenance.legs
    # the rows of a leg are written again by one that starts no later
    lasting = [leg for leg, after in pairwise(legs) if leg.first < after.first] + [*legs[-1:]]
    lines = [(leg.first, STRETCHED, STRETCHED_LOOK) for leg in legs if leg.stretched]
    for before, leg in pairwise(lasting):
        if names := leg.computed_otherwise(before):
            lines.append((leg.first, f"{', '.join(names)} changed", _OTHERWISE_LOOK))
    for step, _, look in lines:
        axes.axvline(step, zorder=3, **look)
    kinds = {words: look for _, words, look in lines}
    return [sample(words.replace(" ", "\n"), **look) for words, look in kinds.items()]
