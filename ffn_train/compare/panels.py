"""Groups sorted into the panels of a figure, and what its header says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ffn_train.compare.comparison import Comparison
from ffn_train.compare.groups import Group
from ffn_train.compare.layout import Roles, panel_title
from ffn_train.compare.values import UNSET, Value, brief, order, short

_LISTED = 6  # values of settings that change together


@dataclass(frozen=True)
class Panel:
    """The groups that share a panel."""

    title: str
    groups: Sequence[Group]


def panels(groups: Sequence[Group], keys: Sequence[str]) -> list[Panel]:
    """A panel for each place among the keys that has a group, in order."""
    found: dict[tuple[Value, ...], list[Group]] = {}
    for one in groups:
        found.setdefault(tuple(one.point[key] for key in keys), []).append(one)
    places = sorted(found, key=lambda values: [order(value) for value in values])
    return [
        Panel(panel_title(dict(zip(keys, place, strict=True))), found[place]) for place in places
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
    """``with depth 4, 16 goes lr 0.1, 0.05``: the settings that change together with one shown."""
    layout, lines = comparison.layout, []
    for key, other in layout.partners.items():
        pairs = {group.point[other]: group.point[key] for group in comparison.groups}
        if UNSET in pairs.values():  # a setting of a choice, which names it
            continue
        values = [(brief(shown), brief(pairs[shown])) for shown in layout.levels[other]]
        if len(values) > _LISTED:
            lines.append(f"{short(key)} changes together with {short(other)}")
            continue
        shown, its = (", ".join(words) for words in zip(*values, strict=True))
        lines.append(f"with {short(other)} {shown} goes {short(key)} {its}")
    return lines


def notes(comparison: Comparison, shown: str, roles: Roles | None = None) -> list[str]:
    """The lines below a figure's title: what is shown, what is not told apart, what is missing."""
    pooled = "" if roles is None else ", ".join(short(key) for key in roles.pooled)
    lines = [f"{shown}; curves of one colour differ in {pooled}" if pooled else shown]
    lines += partners(comparison)
    if comparison.reservations:
        lines.append("; ".join(comparison.reservations))
    return lines
