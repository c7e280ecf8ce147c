"""Groups sorted into the panels of a figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ffn_train.compare.comparison import Comparison
from ffn_train.compare.groups import Group, in_order
from ffn_train.compare.layout import Layout, panel_title
from ffn_train.plots.selection import evenly
from ffn_train.plots.settings import Value

MOST = 60  # groups of a figure of curves: more hide each other and are slow to draw


@dataclass(frozen=True)
class Panel:
    """The groups that share a panel."""

    title: str
    groups: Sequence[Group]


def panels(
    comparison: Comparison, keys: Sequence[str], groups: Sequence[Group] | None = None
) -> list[Panel]:
    """A panel for each combination of the keys that has a group, in order.

    ``groups``: by default all that have results.
    """
    levels = comparison.layout.levels
    return [
        Panel(panel_title({k: [v] for k, v in zip(keys, point, strict=True)}, levels), members)
        for point, members in _places(comparison, keys, groups).items()
    ]


def folded(
    comparison: Comparison, keys: Sequence[str], groups: Sequence[Group] | None = None
) -> list[Panel]:
    """``panels``, with those that would show the same merged, titled ``init lecun/normal``.

    With several keys only if all merge alike, so that rows and columns keep their meaning.
    """
    places = _places(comparison, keys, groups)
    other_keys = [key for key in comparison.layout.keys if key not in keys]
    alike: dict[str, list[tuple[Value, ...]]] = {}
    for point, members in places.items():
        content = [[*map(group.point.get, other_keys), *group.numbers] for group in members]
        alike.setdefault(str(content), []).append(point)
    merged = []
    for same in alike.values():
        values = {
            key: list(dict.fromkeys(v))
            for key, v in zip(keys, zip(*same, strict=True), strict=True)
        }
        if math.prod(map(len, values.values())) != len(same):
            return panels(comparison, keys, groups)
        merged.append(
            (len(same), Panel(panel_title(values, comparison.layout.levels), places[same[0]]))
        )
    if len(keys) > 1 and len({count for count, _ in merged}) > 1:
        return panels(comparison, keys, groups)
    return [panel for _, panel in merged]


def thinned(groups: Sequence[Group], layout: Layout, most: int) -> tuple[list[Group], str]:
    """At most ``most`` groups, with evenly chosen values of the settings that have most values, and
    a note of how many of the groups these are, "" if all.
    """
    some = list(groups)
    levels = [(key, layout.levels[key]) for key in layout.keys]
    places = {key: {value: at for at, value in enumerate(known)} for key, known in levels}
    columns = [np.array([places[key][group.point[key]] for group in groups]) for key in places]
    for count in range(max(map(len, layout.levels.values()), default=0), 1, -1):
        if len(some) <= most:
            break
        chosen = np.ones(len(groups), dtype=bool)
        for (_, known), column in zip(levels, columns, strict=True):
            chosen &= np.isin(column, evenly(range(len(known)), count))
        some = [group for group, picked in zip(groups, chosen, strict=True) if picked]
    some = evenly(some, most)
    return some, f"{len(some)} of {len(groups)} groups" if len(some) < len(groups) else ""


def uncrowded(comparison: Comparison) -> tuple[Comparison, str]:
    """The comparison with at most ``MOST`` groups for a figure of curves, and a note of that."""
    some, words = thinned(comparison.measured, comparison.layout, MOST)
    empty = [group for group in comparison.groups if not group.measured]
    return replace(comparison, groups=[*some, *empty]) if words else comparison, words


def _places(
    comparison: Comparison, keys: Sequence[str], groups: Sequence[Group] | None
) -> dict[tuple[Value, ...], list[Group]]:
    """The groups at each combination of the keys, in order."""
    places: dict[tuple[Value, ...], list[Group]] = {}
    groups = comparison.measured if groups is None else groups
    for group in in_order(groups, keys, comparison.layout.levels):
        places.setdefault(tuple(group.point[key] for key in keys), []).append(group)
    return places
