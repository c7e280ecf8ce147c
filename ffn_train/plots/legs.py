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
from ffn_train.runs.provenance import Leg

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
        if names := _computed_otherwise(leg, before):
            lines.append((leg.first, f"{', '.join(names)} changed", _OTHERWISE_LOOK))
    for step, _, look in lines:
        axes.axvline(step, zorder=3, **look)
    kinds = {words: look for _, words, look in lines}
    return [sample(words.replace(" ", "\n"), **look) for words, look in kinds.items()]


def _computed_otherwise(leg: Leg, before: Leg) -> list[str]:
    """What may round otherwise than it did in the leg before; of what is not known nothing."""
    compiled = leg.engine == "compiled"
    values = {
        "engine": (before.engine, leg.engine),
        **{
            name: tuple((each.packages or {}).get(name) for each in (before, leg))
            for name in ("ffn_train", "numpy", *(["numba"] if compiled else []))
        },
        "BLAS": (before.blas, leg.blas),
        "threads": tuple(
            each.blas_threads and (each.blas_threads, each.shards) for each in (before, leg)
        ),
    }
    return [name for name, ends in values.items() if None not in ends and ends[0] != ends[1]]
