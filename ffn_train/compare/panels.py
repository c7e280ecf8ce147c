"""Groups sorted into the panels of a figure, and what its header says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ffn_train.compare.comparison import Comparison
from ffn_train.compare.groups import Group, in_order
from ffn_train.compare.layout import Roles, panel_title
from ffn_train.compare.values import UNSET, Value, brief, short

_LISTED = 6  # values of settings that change together


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
    found: dict[tuple[Value, ...], list[Group]] = {}
    groups = comparison.measured if groups is None else groups
    for one in in_order(groups, keys, comparison.layout.levels):
        found.setdefault(tuple(one.point[key] for key in keys), []).append(one)
    return [
        Panel(panel_title(dict(zip(keys, place, strict=True))), members)
        for place, members in found.items()
    ]


def together(comparison: Comparison, keys: Sequence[str]) -> int:
    """How many panels in turn differ in the last of their keys alone."""
    return len(comparison.layout.levels[keys[-1]]) if keys else 0


def spread(comparison: Comparison, each: str = "", *, geometric: bool = False) -> str:
    """What points and bands are, and what stands for each run beside them."""
    if not any(len(group.measured) > 1 for group in comparison.groups):
        return "one run each"
    runs = f"; {each}: each run" if each else ""
    mean = "geometric mean ×/÷ its" if geometric else "mean ±"
    return f"{mean} standard deviation over {comparison.over}{runs}"


def partners(comparison: Comparison) -> list[str]:
    """``with depth 4, 16 goes lr 0.1, 0.05``: the settings that change together with one shown.

    A line for each that is shown.
    """
    layout = comparison.layout
    told: dict[str, list[str]] = {}
    many: dict[str, list[str]] = {}
    for key, other in layout.partners.items():
        pairs = {group.point[other]: group.point[key] for group in comparison.groups}
        if UNSET in pairs.values():  # a setting of a choice, which names it
            continue
        values = [(brief(shown), brief(pairs[shown])) for shown in layout.levels[other]]
        if len(values) > _LISTED:
            many.setdefault(short(other), []).append(short(key))
            continue
        shown, its = (", ".join(words) for words in zip(*values, strict=True))
        told.setdefault(f"{short(other)} {shown}", []).append(f"{short(key)} {its}")
    return [
        *(f"with {other} goes {'; '.join(its)}" for other, its in told.items()),
        *(
            f"{', '.join(its)} change{'s' * (len(its) == 1)} together with {other}"
            for other, its in many.items()
        ),
    ]


def notes(comparison: Comparison, shown: str, roles: Roles | None = None) -> list[str]:
    """The lines below a figure's title: what is shown, what is not told apart, what is missing."""
    pooled = "" if roles is None else ", ".join(short(key) for key in roles.pooled)
    lines = [f"{shown}; curves of one colour differ in {pooled}" if pooled else shown]
    lines += partners(comparison)
    if comparison.reservations:
        lines.append("; ".join(comparison.reservations))
    return lines
