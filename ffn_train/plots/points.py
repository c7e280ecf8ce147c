"""The looks of many points' curves: one setting gives the colour, the others that vary the dash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.artist import Artist
from matplotlib.typing import ColorType

from ffn_train.plots.literal import legible, literal
from ffn_train.plots.selection import evenly
from ffn_train.plots.settings import briefs
from ffn_train.plots.sheet import sample
from ffn_train.plots.style import DASHES, INK, PALETTE

_MARKERS = (
    "s",
    "^",
    "D",
    "v",
    "P",
    "X",
    "<",
)  # once the dashes are used up; prime to them in number
_NAMED = 8  # numbers that the legend names one by one
_LONGEST = 24  # letters of a value

Point = Mapping[str, str]  # a setting's short name -> its value as it was written
Group = tuple[str, list[Artist]]


def looks(points: Sequence[Point]) -> tuple[list[dict[str, Any]], list[Group]]:
    """The look of each point's curve, and the legends that explain them.

    The colour shows the numeric setting with most values, in ascending order along viridis, or, if
    none is numeric, the setting with most values; the dash shows the combination of all others.
    """
    points = _legible(points)
    varying = [key for key in points[0] if len({point[key] for point in points}) > 1]
    if not varying:
        return [{"color": INK} for _ in points], []
    lead = max(varying, key=lambda key: (_numbers(points, key), len(_levels(points, key))))
    others = [key for key in varying if key != lead]
    levels = _levels(points, lead)
    colours = {level: _colour(points, lead, place) for place, level in enumerate(levels)}
    kinds = list(dict.fromkeys(_kind(point, others) for point in points))
    dashes = {kind: _dash(place) for place, kind in enumerate(kinds)}
    named = levels if len(levels) <= _NAMED else evenly(levels, _NAMED - 1)
    groups: list[Group] = [(lead, [sample(level, color=colours[level]) for level in named])]
    if others:
        unspaced = {"color": INK, "markevery": None}  # a sample has no place for spaced marks
        handles: list[Artist] = [sample(kind, **{**dashes[kind], **unspaced}) for kind in kinds]
        groups.append((", ".join(others), handles))
    return [{"color": colours[p[lead]], **dashes[_kind(p, others)]} for p in points], groups


def _legible(points: Sequence[Point]) -> list[Point]:
    """The points with their values as figures show them; what differs still does."""
    values = {key: [point[key] for point in points] for key in points[0]}
    words = {key: map(literal, briefs(values[key], _LONGEST, legible)) for key in values}
    shown = {key: dict(zip(values[key], words[key], strict=True)) for key in values}
    return [{key: shown[key][value] for key, value in point.items()} for point in points]


def _levels(points: Sequence[Point], key: str) -> list[str]:
    """A setting's values: numbers in ascending order, words in order of appearance."""
    values = list(dict.fromkeys(point[key] for point in points))
    return sorted(values, key=float) if _numbers(points, key) else values


def _numbers(points: Sequence[Point], key: str) -> bool:
    try:
        return all(float(point[key]) == float(point[key]) for point in points)
    except ValueError:
        return False


def _colour(points: Sequence[Point], key: str, place: int) -> ColorType:
    count = len(_levels(points, key))
    if not _numbers(points, key) and count <= len(PALETTE):
        return PALETTE[place]
    return matplotlib.colormaps["viridis"](0.88 * place / max(count - 1, 1))


def _kind(point: Point, keys: Sequence[str]) -> str:
    return ", ".join(point[key] for key in keys)


def _dash(place: int) -> dict[str, Any]:
    look: dict[str, Any] = {"linestyle": DASHES[place % len(DASHES)]}
    beyond = place - len(DASHES)
    marker = _MARKERS[beyond % len(_MARKERS)]
    return look if beyond < 0 else {**look, "marker": marker, "markevery": 0.12, "markersize": 4}
