"""Which settings stand on the axis, in the colour and in the panels of the figures.

The settings that differ are ranked: depth, width, learning rate; then the choices (residual, norm,
...); then all others, numbers and those of most values first. The axis shows the learning rate, if
it has more than two values, or a number that was searched, and then the colour the depth or the
width; or else the axis shows the first number and the colour the first choice that is left. What
there is none of, the first setting stands for. The panels show all others, as far as a page has
room. In the figures over steps, or over the place in the stack, the colour shows the
number of most values, so that there are few panels. ``--x``, ``--color`` and ``--panel`` come
before all that. A setting that only ever changes together with one ranked before it, as zipped ones
do, is not shown.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from ffn_train.compare.values import UNSET, Value, are_numbers, named, resolve, short, shown
from ffn_train.config.settings import SettingError

RATE = "optimizer.lr"
_AXES = ("model.depth", "model.width", RATE)
_CHOICES = ("residual", "norm", "init", "activation", "block", "optimizer", "schedule", "task")
MOST_PANELS = 16
_TRIALS = 5  # of a search at each place, at least

Point = Mapping[str, Value]


@dataclass(frozen=True)
class Roles:
    """The keys in the colour and in the panels of a figure, and those for which there is no room.

    Curves that differ in ``pooled`` keys alone look the same.
    """

    color: str | None
    panels: tuple[str, ...]
    pooled: tuple[str, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """All of them, the colour first."""
        return (*([] if self.color is None else [self.color]), *self.panels, *self.pooled)


@dataclass(frozen=True)
class Layout:
    """``levels``: the values of each key, in order; ``x``: the axis of the figures over a setting.

    ``over_x`` are the other roles of those figures; ``curves`` the roles of the figures whose axis
    is the step or the place in the stack. ``partners``: the keys that change together with another
    one, which stands for them. ``searched``: the numbers of which each place among the other
    settings has values of its own, as the trials of a search have.
    """

    levels: Mapping[str, Sequence[Value]]
    x: str | None
    over_x: Roles
    curves: Roles
    partners: Mapping[str, str]
    searched: tuple[str, ...] = ()

    @property
    def optimised(self) -> bool:
        """Whether the axis is one along which a best value is looked for."""
        return self.x == RATE or self.x in self.searched

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys that have a role, the axis last."""
        return (*self.over_x.keys, *([] if self.x is None else [self.x]))


def lay_out(
    points: Sequence[Point], levels: Mapping[str, Sequence[Value]], asked: Mapping[str, str | None]
) -> Layout:
    """The roles by the rule above; ``x``, ``color`` and ``panel`` may be asked for.

    Raises SettingError for a key that does not differ, or that is asked for twice.
    """
    varied = sorted((key for key in levels if len(levels[key]) > 1), key=lambda k: _rank(k, levels))
    given = {r: resolve(f"--{r}", word, varied) for r, word in asked.items() if word is not None}
    for (role, key), (second, same) in combinations(given.items(), 2):
        if key == same:
            raise SettingError(f"--{second} {asked[second]} is what --{role} shows already")
    partners: dict[str, str] = {}
    for other, key in combinations(dict.fromkeys([*given.values(), *varied]), 2):
        if _together(points, key, other):
            partners.setdefault(key, other)
    free = [key for key in varied if key not in partners and key not in given.values()]
    numbers = [key for key in varied if are_numbers(levels[key])]
    searched = [key for key in free if key in numbers and _searched(points, key, free)]
    rates = [key for key in free if key == RATE and len(levels[key]) > 2]
    optimised = [*rates, *searched]
    x = given.get("x") or _first(free, optimised or numbers)
    free = [key for key in free if key != x]
    color = given.get("color") or _first(free, _AXES if x in optimised else _CHOICES)
    over_x = _roles(color, [given.get("panel"), *free], levels)
    scales = [key for key in numbers if key in (x, *free)]
    most = max(scales, key=lambda key: (len(levels[key]), key == x), default=color or x)
    lead = given.get("color") or most
    curves = _roles(lead, [given.get("panel"), color, x, *free], levels)
    return Layout(levels, x, over_x, curves, partners, tuple(searched))


def _rank(key: str, levels: Mapping[str, Sequence[Value]]) -> tuple[int, bool, int, str]:
    first = (*_AXES, *_CHOICES)
    place = first.index(key) if key in first else len(first)
    return place, not are_numbers(levels[key]), -len(levels[key]), key


def _together(points: Sequence[Point], *keys: str) -> bool:
    """Whether each value of one key has one value of the other, and that no other.

    That one determines the other is not enough: each rate of a search over the learning rate
    belongs to one depth.
    """
    pairs = {tuple(point[key] for key in keys) for point in points}
    return all(len(pairs) == len(set(values)) for values in zip(*pairs, strict=True))


def _searched(points: Sequence[Point], key: str, keys: Sequence[str]) -> bool:
    """Whether each place among the other keys has many of its values, and none has all."""
    values: dict[tuple[Value, ...], set[Value]] = {}
    for point in points:
        place = tuple(point[other] for other in keys if other != key)
        values.setdefault(place, set()).add(point[key])
    most = max(map(len, values.values()))
    return most >= _TRIALS and len(set.union(*values.values())) > most


def _first(keys: Sequence[str], preferred: Sequence[str]) -> str | None:
    return next(iter([*(key for key in keys if key in preferred), *keys]), None)


def _roles(
    color: str | None, keys: Iterable[str | None], levels: Mapping[str, Sequence[Value]]
) -> Roles:
    """As many keys in panels as a page has room for."""
    panels: list[str] = []
    others = [key for key in dict.fromkeys(keys) if key is not None and key != color]
    for key in others:
        if math.prod(len(levels[k]) for k in (*panels, key)) <= MOST_PANELS:
            panels.append(key)
    return Roles(color, tuple(panels), tuple(key for key in others if key not in panels))


def together(partners: Mapping[str, str]) -> str:
    """``lr, width change together with depth``: keys, and the one that stands for them."""
    return "; ".join(
        f"{', '.join(map(short, keys))} change{'s' * (len(keys) == 1)} together with {short(other)}"
        for other in dict.fromkeys(partners.values())
        if (keys := [key for key in partners if partners[key] == other])
    )


def panel_title(place: Mapping[str, Sequence[Value]]) -> str:
    """``residual none, lr 0.1/0.2``: a panel's place, or several, among the settings."""
    told = {key: values for key, values in place.items() if set(values) != {UNSET}}
    return ", ".join(f"{named(key)} {'/'.join(map(shown, told[key]))}" for key in told)
