"""Which settings the axis, the colour and the panels of the figures show.

The settings that differ are ranked: depth, width, learning rate; then the choices (residual, norm,
...); then all others, numbers and those with most values first. If the learning rate has more than
two values, or a number was searched, it is on the axis and the colour shows depth or width;
otherwise the axis shows the first number and the colour the first remaining choice. If there is no
such setting, the first one is used. The panels show the others, as far as a page has room. In
figures over steps or over the position in the stack, the colour shows the number with most values,
so that there are few panels. ``--x``, ``--color`` and ``--panel`` take precedence. A setting that
always changes together with a higher-ranked one (as zipped ones do) is not shown.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from ffn_train.compare.values import are_numbers, named, resolve, short, shown
from ffn_train.config.settings import SettingError
from ffn_train.plots.settings import UNSET, Value

RATE = "optimizer.lr"
_AXES = ("model.depth", "model.width", RATE)
_CHOICES = ("residual", "norm", "init", "activation", "block", "optimizer", "schedule", "task")
MOST_PANELS = 16
_TRIALS = 5  # of a search at each combination of the other settings, at least

Point = Mapping[str, Value]


@dataclass(frozen=True)
class Roles:
    """The keys of the colour and the panels of a figure, and those for which there is no room.

    Curves that differ only in ``pooled`` keys look the same.
    """

    color: str | None
    panels: tuple[str, ...]
    pooled: tuple[str, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys, the colour first."""
        return (*([] if self.color is None else [self.color]), *self.panels, *self.pooled)


@dataclass(frozen=True)
class Layout:
    """``levels``: the values of each key, in order; ``x``: the axis of the figures over a setting.

    ``over_x``: the other roles of those figures; ``curves``: the roles of the figures whose axis is
    the step or the position in the stack. ``partners``: the keys that change together with another,
    which represents them. ``searched``: the numbers that have different values at each combination
    of the other settings, as the trials of a search do.
    """

    levels: Mapping[str, Sequence[Value]]
    x: str | None
    over_x: Roles
    curves: Roles
    partners: Mapping[str, str]
    searched: tuple[str, ...] = ()

    @property
    def optimised(self) -> bool:
        """Whether the axis is that of a setting whose best value is sought."""
        return self.x == RATE or self.x in self.searched

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys that have a role, the axis last."""
        return (*self.over_x.keys, *([] if self.x is None else [self.x]))


def lay_out(
    points: Sequence[Point],
    levels: Mapping[str, Sequence[Value]],
    requested: Mapping[str, str | None],
) -> Layout:
    """The roles by the rule above; ``requested``: the words given for ``x``, ``color``, ``panel``.

    Raises SettingError for a key that does not differ, or that is requested twice.
    """
    varied = sorted((key for key in levels if len(levels[key]) > 1), key=lambda k: _rank(k, levels))
    fixed = {
        r: resolve(f"--{r}", word, varied) for r, word in requested.items() if word is not None
    }
    for (role, key), (second, same) in combinations(fixed.items(), 2):
        if key == same:
            raise SettingError(f"--{second} {requested[second]} is what --{role} shows already")
    partners: dict[str, str] = {}
    for other, key in combinations(dict.fromkeys([*fixed.values(), *varied]), 2):
        if _together(points, key, other):
            partners.setdefault(key, other)
    free = [key for key in varied if key not in partners and key not in fixed.values()]
    numbers = [key for key in varied if are_numbers(levels[key])]
    searched = [key for key in free if key in numbers and _searched(points, key, free)]
    rates = [key for key in free if key == RATE and len(levels[key]) > 2]
    optimised = [*rates, *searched]
    x = fixed.get("x") or _first(free, optimised or numbers)
    free = [key for key in free if key != x]
    color = fixed.get("color") or _first(free, _AXES if x in optimised else _CHOICES)
    over_x = _roles(color, [fixed.get("panel"), *free], levels)
    scales = [key for key in numbers if key in (x, *free)]
    most = max(scales, key=lambda key: (len(levels[key]), key == x), default=color or x)
    lead = fixed.get("color") or most
    curves = _roles(lead, [fixed.get("panel"), color, x, *free], levels)
    return Layout(levels, x, over_x, curves, partners, tuple(searched))


def _rank(key: str, levels: Mapping[str, Sequence[Value]]) -> tuple[int, bool, int, str]:
    first = (*_AXES, *_CHOICES)
    index = first.index(key) if key in first else len(first)
    return index, not are_numbers(levels[key]), -len(levels[key]), key


def _together(points: Sequence[Point], *keys: str) -> bool:
    """Whether the values of the keys correspond one to one.

    It is not enough that one determines the other: each rate of a search over the learning rate
    belongs to one depth.
    """
    pairs = {tuple(point[key] for key in keys) for point in points}
    return all(len(pairs) == len(set(values)) for values in zip(*pairs, strict=True))


def _searched(points: Sequence[Point], key: str, keys: Sequence[str]) -> bool:
    """Whether each combination of the other keys has many of its values, and none has all."""
    values: dict[tuple[Value, ...], set[Value]] = {}
    for point in points:
        rest = tuple(point[other] for other in keys if other != key)
        values.setdefault(rest, set()).add(point[key])
    most = max(map(len, values.values()))
    return most >= _TRIALS and len(set.union(*values.values())) > most


def _first(keys: Sequence[str], preferred: Sequence[str]) -> str | None:
    return next(iter([*(key for key in keys if key in preferred), *keys]), None)


def _roles(
    color: str | None, keys: Iterable[str | None], levels: Mapping[str, Sequence[Value]]
) -> Roles:
    """As many keys in panels as a page has room for."""
    panels: list[str] = []
    other_keys = [key for key in dict.fromkeys(keys) if key is not None and key != color]
    for key in other_keys:
        if math.prod(len(levels[k]) for k in (*panels, key)) <= MOST_PANELS:
            panels.append(key)
    return Roles(color, tuple(panels), tuple(key for key in other_keys if key not in panels))


def together(partners: Mapping[str, str]) -> str:
    """``lr, width change together with depth``: keys, and the key that represents them."""
    return "; ".join(
        f"{', '.join(map(short, keys))} change{'s' * (len(keys) == 1)} together with {short(other)}"
        for other in dict.fromkeys(partners.values())
        if (keys := [key for key in partners if partners[key] == other])
    )


def panel_title(point: Mapping[str, Sequence[Value]], levels: Mapping[str, Sequence[Value]]) -> str:
    """``residual none, lr 0.1/0.2``: the settings of a panel, with all their values."""
    phrases = []
    for key, values in point.items():
        words = dict(zip(levels[key], shown(levels[key]), strict=True))
        if set(values) != {UNSET}:
            phrases.append(f"{named(key)} {'/'.join(words[value] for value in values)}")
    return ", ".join(phrases)
