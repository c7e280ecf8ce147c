"""Groups sorted into the panels of a figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ffn_train.compare.comparison import Comparison
from ffn_train.compare.groups import Group, in_order
from ffn_train.compare.layout import panel_title
from ffn_train.compare.values import Value


@dataclass(frozen=True)
class Panel:
    """The groups that share a panel."""

    title: str
    groups: Sequence[Group]


def panels(
    comparison: Comparison, keys: Sequence[str], groups: Sequence[Group] | None = None
) -> list[Panel]:
    """A panel for each place among the keys that has a group, in order.

    Of all groups that have results, unless some are given.
    """
    groups = comparison.measured if groups is None else groups
    return [
        Panel(panel_title({key: [value] for key, value in zip(keys, place, strict=True)}), members)
        for place, members in _places(comparison, keys, groups).items()
    ]


def folded(
    comparison: Comparison, keys: Sequence[str], groups: Sequence[Group] | None = None
) -> list[Panel]:
    """``panels``, those that would show the same folded into one, titled ``init lecun/normal``.

    With several keys only where all fold alike, so that rows and columns stay what they are.
    """
    places = _places(comparison, keys, comparison.measured if groups is None else groups)
    beside = [key for key in comparison.layout.keys if key not in keys]
    alike: dict[str, list[tuple[Value, ...]]] = {}
    for place, members in places.items():
        content = [[*map(group.point.get, beside), *group.numbers] for group in members]
        alike.setdefault(str(content), []).append(place)
    found = []
    for same in alike.values():
        values = {
            key: list(dict.fromkeys(v))
            for key, v in zip(keys, zip(*same, strict=True), strict=True)
        }
        if math.prod(map(len, values.values())) != len(same):
            return panels(comparison, keys, groups)
        found.append((len(same), Panel(panel_title(values), places[same[0]])))
    if len(keys) > 1 and len({count for count, _ in found}) > 1:
        return panels(comparison, keys, groups)
    return [panel for _, panel in found]


def _places(
    comparison: Comparison, keys: Sequence[str], groups: Sequence[Group]
) -> dict[tuple[Value, ...], list[Group]]:
    """The groups at each place among the keys, in order."""
    places: dict[tuple[Value, ...], list[Group]] = {}
    for group in in_order(groups, keys, comparison.layout.levels):
        places.setdefault(tuple(group.point[key] for key in keys), []).append(group)
    return places
