"""Groups sorted into the panels of a figure, and what its header says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ffn_train.compare.comparison import Comparison
from ffn_train.compare.groups import Group, in_order
from ffn_train.compare.layout import Roles, panel_title, together
from ffn_train.compare.values import Value, short


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
    places: dict[tuple[Value, ...], list[Group]] = {}
    groups = comparison.measured if groups is None else groups
    for group in in_order(groups, keys, comparison.layout.levels):
        places.setdefault(tuple(group.point[key] for key in keys), []).append(group)
    return [
        Panel(panel_title(dict(zip(keys, place, strict=True))), members)
        for place, members in places.items()
    ]


def spread(comparison: Comparison, each: str = "", *, geometric: bool = False) -> str:
    """What points and bands are, and what stands for each run beside them."""
    if not any(len(group.measured) > 1 for group in comparison.groups):
        return "one run each"
    runs = f"; {each}: each run" if each else ""
    mean = "geometric mean ×/÷ its" if geometric else "mean ±"
    return f"{mean} standard deviation over {comparison.over}{runs}"


def notes(comparison: Comparison, shown: str, roles: Roles | None = None) -> list[str]:
    """The lines below a figure's title: what is shown, what is not told apart, what is missing."""
    pooled = "" if roles is None else ", ".join(map(short, roles.pooled))
    lines = [f"{shown}; curves of one colour differ in {pooled}" if pooled else shown]
    lines += [together(comparison.layout.partners), "; ".join(comparison.reservations)]
    return [line for line in lines if line]
