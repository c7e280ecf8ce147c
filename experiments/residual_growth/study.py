"""How fast do signal and gradient grow with x + L^(-p) f(x), and which power p tames them?

A block is x_{l+1} = x_l + a W2 relu(W1 x_l), a = L^(-p), with variances s1/D and s2/H of the
weights. With r = s1 s2/2, in the mean over the weights,

    |x_{l+1}|² = (1 + a² r) |x_l|²,   |dL/dx_l|² = (1 + a² r) |dL/dx_{l+1}|²

so (1 + r)^L for p = 0, (1 + r/L)^L -> e^r for p = 1/2 and (1 + r/L²)^L -> 1 for p = 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator
from matplotlib.typing import ColorType

from ffn_train.plots.scales import log_axis
from ffn_train.plots.sheet import page, right_legends, sample
from ffn_train.plots.style import DOUBLE, INK, layer_colour, step_colour
from ffn_train.reproduce import Claim, at_least, at_most, ensemble, points, within

SEEDS = range(32)
NAMES = {0.32: "Xavier", 1.0: "LeCun, He", 2.0: "He"}
POWERS = (0, 0.5, 1)
TITLES = {0: "1", 0.5: r"$1/\sqrt{L}$", 1: "$1/L$"}
MARKERS = ("s", "o", "D")
DOTTED = {"color": INK, "linewidth": 0.8, "linestyle": (0, (1, 2)), "zorder": 3}


@dataclass(frozen=True)
class Point:
    """One setting: squares (S, L+1) of the RMS of x_l and of dL/dx_l."""

    r: float
    power: float
    depth: int
    signal: np.ndarray
    gradient: np.ndarray

    @property
    def forward(self) -> float:
        """The mean factor of |x|² in a block, over blocks and seeds."""
        return float(np.mean(self.signal[:, 1:] / self.signal[:, :-1]))

    @property
    def backward(self) -> float:
        """The mean factor of |dL/dx|² in a block, over blocks and seeds."""
        return float(np.mean(self.gradient[:, :-1] / self.gradient[:, 1:]))

    @property
    def total(self) -> float:
        """E|x_L|²/|x_0|²."""
        return float(np.mean(self.signal[:, -1] / self.signal[:, 0]))

    @property
    def total_back(self) -> float:
        """E|dL/dx_0|²/|dL/dx_L|²."""
        return float(np.mean(self.gradient[:, 0] / self.gradient[:, -1]))

    @property
    def law(self) -> float:
        """(1 + L^(-2p) r)^L."""
        return float((1 + self.depth ** (-2 * self.power) * self.r) ** self.depth)


def measure() -> list[Point]:
    """Every point of the preset over all seeds."""
    found = []
    for job in points("residual_growth"):
        init, power = job.config["init"], float(job.config["residual"]["power"])
        members = ensemble(job.config, SEEDS)
        found.append(
            Point(
                init["inner"] * init["outer"] / 2,
                power,
                job.config["model"]["depth"],
                members.signal**2,
                members.signal_gradient**2,
            )
        )
    return found


def name(point: Point) -> str:
    """The initialisation, as a reader knows it."""
    return next(text for r, text in NAMES.items() if np.isclose(r, point.r))


def claims(results: list[Point]) -> list[Claim]:
    """Growth for each block, and what a power of L makes of it."""
    last = max(point.depth for point in results)
    deep = {power: [p for p in results if p.power == power and p.depth == last] for power in POWERS}
    scaled = [point for point in results if point.power == 0.5]
    return [
        Claim(
            "With x + f(x) the signal's variance grows by 1 + r in each block, so exponentially",
            "Zhang et al. 2019, Fixup (from memory of the paper); r for two layers derived here",
            [within(f"factor of |x|², {name(p)}", p.forward, 1 + p.r, 0.05) for p in deep[0]],
            recorded="reproduced",
        ),
        Claim(
            "With x + f(x) the squared gradient grows by the same factor on its way back",
            "Hayou et al. 2021, Stable ResNet, abstract: gradients explode with depth",
            [within(f"factor of |dL/dx|², {name(p)}", p.backward, 1 + p.r, 0.05) for p in deep[0]],
            recorded="reproduced",
        ),
        Claim(
            "1/sqrt(L) on the branch keeps signal and gradient bounded: (1 + r/L)^L, below e^r",
            "Hayou et al. 2021, Stable ResNet, abstract: stabilises the gradient",
            [
                check
                for p in scaled
                for check in (
                    within(f"|x_L|²/|x_0|², {name(p)}, L = {p.depth}", p.total, p.law, 0.15),
                    within(f"|g_0|²/|g_L|², {name(p)}, L = {p.depth}", p.total_back, p.law, 0.15),
                )
            ],
            recorded="reproduced",
        ),
        Claim(
            "Other powers of L lead to explosion or to the identity map",
            "Marion et al. 2025, Scaling ResNets in the Large-depth Regime, abstract",
            [
                *(
                    at_least(f"1, L = {last}: |x_L|²/|x_0|², {name(p)}", p.total, 1e6)
                    for p in deep[0]
                ),
                *(
                    at_most(f"1/L, L = {last}: |x_L|²/|x_0|², {name(p)}", p.total, 1.05)
                    for p in deep[1]
                ),
            ],
            recorded="reproduced",
        ),
    ]


def figure(results: list[Point]) -> Figure:
    """Growth over depth for the three powers, the tamed ones enlarged, and the factor by r."""
    sheet, (left, middle, right) = page(
        "A residual branch scaled by a power of the depth",
        "x + L^(-p) f(x) · relu · no norm · width 64 · at initialisation",
        width=DOUBLE,
        height=2.7,
        panels=3,
        gaps=(0.55, 0.6),
        right=0.92,
    )
    depths = sorted({point.depth for point in results})
    grid = np.geomspace(depths[0], depths[-1], 50)
    widest = max(point.r for point in results)
    log_axis(left, [1], *([p.total, p.law] for p in results if p.r == widest))
    powers, inits = [], []
    for order, power in enumerate(POWERS):
        look = {"color": step_colour(order, len(POWERS)), "marker": MARKERS[order], "markersize": 4}
        chosen = [p for p in results if p.power == power]
        mine = [p for p in chosen if p.r == widest]
        left.plot([p.depth for p in mine], [p.total for p in mine], linestyle="none", **look)
        left.plot(grid, (1 + grid ** (-2 * power) * widest) ** grid, **DOTTED)
        powers.append(sample(TITLES[power], linestyle="none", **look))
        if power:
            for p in chosen:
                middle.plot(p.depth, p.total, **{**look, "color": init_colour(p)})
            for r in sorted({p.r for p in chosen}):
                middle.plot(grid, (1 + grid ** (-2 * power) * r) ** grid, **DOTTED)
    for p in results:
        if p.power == 0 and p.depth == depths[-1]:
            colour = init_colour(p)
            right.plot(p.r, p.forward, "^", color=colour, markersize=5)
            right.plot(p.r, p.backward, "v", color=colour, markersize=5)
            inits.append(sample(name(p), linestyle="none", marker="s", color=colour, markersize=4))
    right.plot([0, 2.3], [1, 3.3], **DOTTED)
    left.set_title(r"(a) $|x_L|^2/|x_0|^2$, He")
    middle.set_title(r"(b) $|x_L|^2/|x_0|^2$, tamed")
    right.set_title("(c) factor per block, $p=0$")
    right.set_xlabel("$r=s_1s_2/2$")
    middle.set_ylim(0, None)
    for axes in (left, middle):
        axes.set_xscale("log")
        axes.set_xlabel("depth $L$")
        axes.xaxis.set_major_locator(FixedLocator(depths))
        axes.xaxis.set_major_formatter(FixedFormatter([str(depth) for depth in depths]))
        axes.xaxis.set_minor_locator(NullLocator())
    ways = [
        sample("forward", linestyle="none", marker="^", color=INK, markersize=4),
        sample("backward", linestyle="none", marker="v", color=INK, markersize=4),
        sample("theory", **DOTTED),
    ]
    right_legends(sheet, right, ("branch times", powers), ("init", inits), ("", ways))
    return sheet


def init_colour(point: Point) -> ColorType:
    """The colour of an initialisation."""
    return layer_colour(list(NAMES).index(next(r for r in NAMES if np.isclose(r, point.r))), 2)
