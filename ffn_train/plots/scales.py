"""Axes with limits and ticks taken from the data: log norms, steps and depth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis, YAxis
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import (
    FixedFormatter,
    FixedLocator,
    MaxNLocator,
    NullFormatter,
    NullLocator,
    ScalarFormatter,
)
from numpy.typing import ArrayLike, NDArray

from ffn_train.config.settings import SettingError
from ffn_train.plots.appearance import Appearance
from ffn_train.plots.style import LETTER

_LETTER = 8 * LETTER  # inches of a letter of a label
_LEAST, _MOST = 1e-307, 1e307
_FEW = 5  # steps that each have a tick
_ROUND = [digit * 10**power for power in range(18) for digit in (1, 2, 5)]


def log_limits(*values: ArrayLike) -> tuple[float, float]:
    """Limits around all positive finite values, at least a decade apart.

    The decade keeps a flat curve flat: without it a change of a percent would fill the axis.
    """
    flat = _finite(values)
    flat = flat[flat > 0]
    if not len(flat):
        return 0.1, 10.0
    low, high = _padded(np.log10(flat.min()), np.log10(flat.max()))
    lowest, highest = np.clip([low, high], np.log10(_LEAST), np.log10(_MOST))
    return float(10**lowest), float(10**highest)


def _finite(values: Sequence[ArrayLike]) -> NDArray[np.float64]:
    flat = np.concatenate([np.ravel(np.asarray(value, dtype=np.float64)) for value in values])
    finite: NDArray[np.float64] = flat[np.isfinite(flat)]
    return finite


def _padded(low: float, high: float) -> tuple[float, float]:
    """Limits around two powers of ten, at least one apart."""
    pad = max(0.05 * (high - low), (1 - (high - low)) / 2, 0.04)
    return float(low - pad), float(high + pad)


def log_ticks(low: float, high: float, most: int = 6) -> tuple[list[float], list[float]]:
    """Labelled and unlabelled ticks: powers of ten, or 1, 2 and 5 where those are too few."""
    first, last = int(np.ceil(np.log10(low))), int(np.floor(np.log10(high)))
    powers = range(first, last + 1)
    within = [float(f"{digit}e{power}") for power in (first - 1, *powers) for digit in range(1, 10)]
    within = [tick for tick in within if low <= tick <= high]
    if len(powers) < 2:
        major = [tick for tick in within if f"{tick:e}"[0] in "125"]
        return major, [tick for tick in within if tick not in major]
    stride = _stride(len(powers), most)
    major = [float(f"1e{power}") for power in powers if power % stride == 0]
    if stride == 1:
        return major, [tick for tick in within if tick not in major]
    minor = [float(f"1e{power}") for power in powers if power % stride]
    return major, minor if len(powers) <= 60 else []


def _stride(powers: int, most: int) -> int:
    """The powers of ten between two labelled ones; a round number from ten on."""
    least = -(-powers // most)
    return least if least < 10 else next(stride for stride in _ROUND if stride >= least)


def tick_label(value: float) -> str:
    """A short label: 0.05, 20, or a power of ten once that is shorter."""
    digit, _, exponent = f"{value:e}".partition("e")
    power, lead = int(exponent), round(float(digit))
    if -2 <= power <= 2:
        return f"{value:g}"
    times = "" if lead == 1 else rf"{lead}{{\times}}"
    return rf"${times}10^{{{power}}}$"


def number(value: float, digits: int = 3) -> str:
    """A number in so many digits, or in as many as tell it from 1; powers of ten in two."""
    if not np.isfinite(value):
        return "not finite"
    if value == 0:
        return "0"
    if 1e-6 < abs(value - 1) < 0.5 * 10 ** (1 - digits):
        return f"{value:.{-int(np.floor(np.log10(abs(value - 1))))}f}"
    if 1e-3 <= abs(value) < 999.5:
        return f"{value:#.{digits}g}".rstrip(".")
    lead, _, exponent = f"{value:.1e}".partition("e")
    return rf"${lead}\times 10^{{{int(exponent)}}}$"


def log_axis(axes: Axes, *values: ArrayLike) -> None:
    """Make y logarithmic, with limits around the values."""
    low, high = log_limits(*values)
    axes.set_yscale("log", nonpositive="mask")
    axes.set_ylim(low, high)
    set_ticks(axes.yaxis, *log_ticks(low, high))


def exponent_axis(axes: Axes, *exponents: ArrayLike) -> None:
    """A log axis for values given by their log10, beyond what float64 holds: y counts in log10."""
    flat = _finite(exponents)
    low, high = _padded(float(flat.min()), float(flat.max())) if len(flat) else (-1.0, 1.0)
    axes.set_ylim(low, high)
    if np.log10(_LEAST) < low and high < np.log10(_MOST):
        set_ticks(axes.yaxis, *log_ticks(10**low, 10**high), logs=True)
        return
    stride = _stride(int(high) - int(low), 6)
    major = range(int(-(-low // stride)) * stride, int(high) + 1, stride)
    fix_ticks(axes.yaxis, major, [rf"$10^{{{power}}}$" if power else "1" for power in major])


def set_ticks(
    axis: XAxis | YAxis, major: Sequence[float], minor: Sequence[float], *, logs: bool = False
) -> None:
    """Fix an axis's ticks and label the major ones; ``logs``: the axis itself counts in log10."""
    places = [np.log10(ticks).tolist() if logs else list(ticks) for ticks in (major, minor)]
    fix_ticks(axis, places[0], [tick_label(tick) for tick in major])
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())
    _minor_ticks(axis, places[1])


def fix_ticks(axis: Axis, places: Sequence[float], labels: Sequence[str]) -> None:
    """Label an axis at these places alone."""
    axis.set_major_locator(FixedLocator(list(places)))
    axis.set_major_formatter(FixedFormatter(list(labels)))


def _minor_ticks(axis: XAxis | YAxis, places: Sequence[float]) -> None:
    """Draw the minor ticks as one collection, in place of an earlier one.

    matplotlib makes three lines and two texts of each tick: a tenth of the time of a run's figures.
    """
    axes: Any = axis.axes
    across = isinstance(axis, XAxis)
    name = "x" if across else "y"
    rc: Any = matplotlib.rcParams
    label = f"_minor ticks of {name}"  # the underscore keeps it out of legends
    for earlier in list(axes.collections):
        if earlier.get_label() == label:
            earlier.remove()
    far = axis.get_ticks_position() in ("right", "top")
    length = rc[f"{name}tick.minor.size"] / 72 * (1 if far else -1)
    edge = np.full(len(places), float(far))
    ticks = LineCollection(
        [[(0, 0), (0, length) if across else (length, 0)]],
        offsets=np.column_stack([places, edge] if across else [edge, places]),
        offset_transform=axes.get_xaxis_transform() if across else axes.get_yaxis_transform(),
        transform=axes.figure.dpi_scale_trans,
        linewidths=rc[f"{name}tick.minor.width"],
        colors=rc[f"{name}tick.color"],
        clip_on=False,
        zorder=axis.get_zorder(),
        label=label,
    )
    axes.add_artist(ticks)


class PlainFormatter(ScalarFormatter):
    """Labels of linear ticks that need no further number in the corner, which would run into
    titles and other panels: −2e−6 where matplotlib writes −2 and 1e−6, and 100.02 where it writes
    0.02 and +1e2.
    """

    def __init__(self) -> None:
        super().__init__(useOffset=False)

    def format_ticks(self, values: list[float]) -> list[str]:
        labels = super().format_ticks(values)
        if not super().get_offset():
            return labels
        digits = next((n for n in range(1, 17) if _told(values, n)), 17)
        return [_short(value, digits) for value in values]

    def get_offset(self) -> str:
        return ""


def _told(values: Sequence[float], digits: int) -> bool:
    """Whether so many digits give evenly spaced ticks to within a hundredth of their distance."""
    apart = float(np.ptp(values)) / max(len(values) - 1, 1)
    return all(abs(float(f"{value:.{digits}g}") - value) <= apart / 100 for value in values)


def _short(value: float, digits: int) -> str:
    """A number in so many digits, with a short exponent: 0, 2.5e−6, −1e12."""
    lead, _, exponent = f"{value:.{digits}g}".partition("e")
    text = f"{lead}e{int(exponent)}" if exponent else lead
    return text.replace("-", "\N{MINUS SIGN}")


def linear_ticks(axis: XAxis | YAxis, most: int) -> None:
    """At most so many intervals between ticks, within limits that are set; where numbers need an
    exponent, ticks of one digit, so that labels stay short.
    """
    size = float(np.max(np.abs(axis.get_view_interval())))
    plain = 1e-4 <= size < 1e6
    axis.set_major_locator(MaxNLocator(most, steps=None if plain else [1, 2, 5, 10]))
    axis.set_major_formatter(PlainFormatter())


def linear_axis(axes: Axes, *values: ArrayLike) -> None:
    """Limits of a linear y around all finite values."""
    flat = _finite(values)
    low, high = (float(flat.min()), float(flat.max())) if len(flat) else (0.0, 1.0)
    pad = 0.06 * (high - low) or 0.1 * abs(high) or 0.5
    axes.set_ylim(low - pad, high + pad)
    linear_ticks(axes.yaxis, 5)


def step_axis(axes: Axes, steps: NDArray[Any] | Sequence[int]) -> None:
    """The x axis of these steps, a few of which have ticks; labels do not touch."""
    first, last = int(steps[0]), int(steps[-1])
    pad = 0.02 * (last - first) or 0.5
    axes.set_xlim(first - pad, last + pad)
    stride = next(stride for stride in _ROUND if last - first <= 5 * stride)
    ticks: Sequence[int] = range(-(-first // stride) * stride, last + 1, stride)
    apart = side_by_side(axes, [str(tick) for tick in ticks])
    ticks = ticks[::apart] if len(ticks) > apart else ticks[:: max(len(ticks) - 1, 1)]
    if len(steps) <= _FEW:  # round numbers might be none of them
        letter = _LETTER / width_of(axes) * (last - first + 2 * pad)
        ticks = []
        for step in map(int, steps):
            if not ticks or step - ticks[-1] >= letter * (len(str(step)) + 1):
                ticks.append(step)
    fix_ticks(axes.xaxis, ticks, [*map(str, ticks)])
    axes.set_xlabel("step")


def side_by_side(axes: Axes, words: Sequence[str]) -> int:
    """n, if only each n-th of evenly spaced words is shown so that they do not overlap."""
    return max(1, math.ceil(_LETTER * (max(map(len, words)) + 1) * len(words) / width_of(axes)))


def width_of(axes: Axes) -> float:
    """The width of the axes in inches."""
    return float(figure_of(axes).get_size_inches()[0] * axes.get_position().width)


def figure_of(axes: Axes) -> Figure:
    """The figure that the axes are in."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    return figure


def limit(axes: Axes, appearance: Appearance) -> None:
    """Set the requested limits. Raises SettingError for limits that a log axis cannot have."""
    for name, ends in (("x", appearance.xlim), ("y", appearance.ylim)):
        if ends is None:
            continue
        axis: Axis = getattr(axes, f"{name}axis")
        log = axis.get_scale() == "log"
        if log and ends[0] <= 0:
            raise SettingError(
                f"--{name}lim must be above 0 on an axis of logarithms, got {ends[0]:g}"
            )
        axes.set(**{f"{name}lim": ends})
        if log and name == "y":
            set_ticks(axes.yaxis, *log_ticks(*ends))
        elif not log:
            ticks = axis.get_major_locator()  # fixed ones at whole numbers count steps or blocks
            whole = isinstance(ticks, FixedLocator) and not np.mod(ticks(), 1).any()
            axis.set_major_locator(MaxNLocator(5, integer=whole))
            axis.set_major_formatter(PlainFormatter())


def depth_axis(axes: Axes, last: int, depth: int, label: str) -> None:
    """The x axis of places 0 ... ``last`` in a stack of ``depth`` blocks."""
    pad = 0.04 * last or 0.5
    axes.set_xlim(-pad, last + pad)
    places = range(0, last + 1, depth_stride(depth))
    fix_ticks(axes.xaxis, places, [*map(str, places)])
    axes.set_xlabel(label)


def depth_stride(depth: int) -> int:
    """The blocks between two ticks: a part of the depth where it divides, else a round number."""
    if depth <= 6:
        return 1
    parts = [depth // count for count in (4, 5, 3) if depth % count == 0]
    return (parts or [stride for stride in _ROUND if depth <= 5 * stride])[0]
