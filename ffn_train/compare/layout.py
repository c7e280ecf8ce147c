"""Which settings stand on the axis, in the colour and in the panels of the figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ffn_train.compare.values import UNSET, Value, brief, is_number, resolve, short
from ffn_train.config.settings import SettingError

# what readers look for first: on the axis, and in the colour
_AXES = ("model.depth", "model.width", "optimizer.lr")
_CHOICES = ("residual", "norm", "init", "activation", "block", "optimizer", "schedule", "task")
MOST_PANELS = 16
_MANY_PANELS = 8  # from here on another colour may leave fewer

Point = Mapping[str, Value]


@dataclass(frozen=True)
class Roles:
    """The keys in the colour and in the panels of a figure, and those for which there is no room.

    Curves that differ in ``pooled`` keys alone look the same.
    """

    color: str | None
    panels: tuple[str, ...]
    pooled: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """``levels``: the values of each key, in order; ``x``: the axis of the figures over a setting.

    ``over_x`` are the other roles of those figures; ``curves`` the roles of the figures whose axis
    is the step or the place in the stack, where ``x`` is the colour unless another was asked for or
    leaves more room. ``partners``: of keys that only ever change together, as zipped ones do, those
    that have no role of their own, with the one that stands for them.
    """

    levels: Mapping[str, Sequence[Value]]
    x: str | None
    over_x: Roles
    curves: Roles
    partners: Mapping[str, str]

    def is_ordered(self, key: str) -> bool:
        """Whether a key's values are all numbers, which have an order and distances."""
        return all(is_number(value) for value in self.levels[key])


def lay_out(
    points: Sequence[Point],
    levels: Mapping[str, Sequence[Value]],
    *,
    x: str | None,
    color: str | None,
    panel: str | None,
) -> Layout:
    """Choose the roles that are not given. Raises SettingError for a key that cannot have one."""
    varied = [key for key in levels if len(levels[key]) > 1]
    given: dict[str, str] = {}
    for role, word in (("x", x), ("color", color), ("panel", panel)):
        if word is not None:
            key = resolve(f"--{role}", word, varied)
            if key in given.values():
                other = next(name for name, value in given.items() if value == key)
                raise SettingError(f"--{role} {word} is what --{other} shows already")
            given[role] = key
    kept, partners = _independent(points, varied, list(given.values()), levels)
    free = [key for key in kept if key not in given.values()]
    x = given.get("x") or _first(free, levels)
    rest = [key for key in free if key != x]
    chosen = given.get("color") or min(rest, key=lambda k: _rank(k, levels), default=None)
    rest = [key for key in rest if key != chosen]
    panels = [key for key in (given.get("panel"), *rest) if key is not None]
    over_x = _fitting(chosen, panels, levels)
    order_of_panels = [k for k in (given.get("panel"), chosen, x, *rest) if k is not None]
    numbers = [k for k in (x, *rest, chosen) if k is not None and _numeric(levels[k])]
    if "color" in given:
        firsts = [given["color"]]
    else:
        firsts = [k for k in numbers if k != given.get("panel")] or [chosen or x or ""]
    ways = [_curves(first, order_of_panels, levels) for first in firsts]

    def crowded(way: Roles) -> tuple[int, bool]:
        places = {tuple(point[key] for key in way.panels) for point in points}
        return len(way.pooled), len(places) > _MANY_PANELS

    return Layout(levels, x, over_x, min(ways, key=crowded), partners)


def _curves(color: str, keys: Sequence[str], levels: Mapping[str, Sequence[Value]]) -> Roles:
    others = [key for key in dict.fromkeys(keys) if key != color]
    return _fitting(color or None, others, levels)


def _independent(
    points: Sequence[Point],
    varied: Sequence[str],
    given: Sequence[str],
    levels: Mapping[str, Sequence[Value]],
) -> tuple[list[str], dict[str, str]]:
    """The keys less those that only ever change together with one before them, and that one.

    That one determines the other is not enough: each rate of a search over the learning rate
    belongs to one depth.
    """
    ordered = sorted(varied, key=lambda key: (_axis_rank(key, levels), _rank(key, levels)))
    kept, partners = list(given), {}
    for key in ordered:
        if key in given:
            continue
        other = next((other for other in kept if _together(points, key, other, levels)), None)
        if other is None:
            kept.append(key)
        else:
            partners[key] = other
    return kept, partners


def _together(
    points: Sequence[Point], one: str, other: str, levels: Mapping[str, Sequence[Value]]
) -> bool:
    pairs = {(point[one], point[other]) for point in points}
    return len(pairs) == len(levels[one]) == len(levels[other])


def _axis_rank(key: str, levels: Mapping[str, Sequence[Value]]) -> int:
    if not _numeric(levels[key]):
        return len(_AXES) + 1
    return _AXES.index(key) if key in _AXES else len(_AXES)


def _first(keys: Sequence[str], levels: Mapping[str, Sequence[Value]]) -> str | None:
    """The axis: depth, width, learning rate, another number, or the only thing that differs."""
    numbers = [key for key in keys if _numeric(levels[key])]
    if numbers:
        return min(numbers, key=lambda key: (_axis_rank(key, levels), -len(levels[key]), key))
    return max(keys, key=lambda key: len(levels[key])) if keys else None


def _rank(key: str, levels: Mapping[str, Sequence[Value]]) -> tuple[int, int, str]:
    choice = _CHOICES.index(key) if key in _CHOICES else len(_CHOICES)
    return (choice, len(levels[key]), key)


def _fitting(
    color: str | None, panels: Sequence[str], levels: Mapping[str, Sequence[Value]]
) -> Roles:
    """As many keys in panels as a page has room for."""
    kept: list[str] = []
    count = 1
    for key in panels:
        if count * len(levels[key]) > MOST_PANELS:
            continue
        kept.append(key)
        count *= len(levels[key])
    return Roles(color, tuple(kept), tuple(key for key in panels if key not in kept))


def _numeric(values: Sequence[Value]) -> bool:
    return all(is_number(value) for value in values)


def panel_title(point: Point) -> str:
    """``residual none, lr 0.1``: a panel's place among the settings."""
    return ", ".join(f"{short(k)} {brief(v)}" for k, v in point.items() if v != UNSET)
