"""How fast do signal and gradient grow with x + L^(-p) f(x), and which power p bounds them?

A block is x_{l+1} = x_l + a W2 relu(W1 x_l), a = L^(-p), with variances s1/D and s2/H of the
weights. With r = s1 s2/2, in the mean over the weights,

    |x_{l+1}|² = (1 + a² r) |x_l|²,   |dL/dx_l|² = (1 + a² r) |dL/dx_{l+1}|²

so (1 + r)^L for p = 0, (1 + r/L)^L -> e^r for p = 1/2 and (1 + r/L²)^L -> 1 for p = 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from ffn_train.plots.style import INK, layer_colour
from ffn_train.reproduce import Claim, at_least, at_most, ensemble, points, within
from ffn_train.reproduce.panels import DEPTH, THEORY, finished, marks, panels

SEEDS = range(32)
NAMES = {0.32: "Xavier", 1.0: "LeCun, He", 2.0: "He"}
POWERS = (0, 0.5, 1)
TITLES = {0: "1", 0.5: r"$1/\sqrt{L}$", 1: "$1/L$"}


@dataclass(frozen=True)
class Point:
    """One setting: means over seeds.

    ``forward``, ``backward``: the factor of |x|² and of |dL/dx|² per block, also averaged over the
    blocks; ``total``: |x_L|²/|x_0|²; ``total_back``: |dL/dx_0|²/|dL/dx_L|².
    """

    r: float
    power: float
    depth: int
    forward: float
    backward: float
    total: float
    total_back: float

    @property
    def law(self) -> float:
        """(1 + L^(-2p) r)^L."""
        return float((1 + self.depth ** (-2 * self.power) * self.r) ** self.depth)


def measure() -> list[Point]:
    """Every point of the preset over all seeds."""
    results = []
    for job in points("residual_growth"):
        init, power = job.config["init"], float(job.config["residual"]["power"])
        members = ensemble(job.config, SEEDS)
        signal, gradient = members.signal**2, members.signal_gradient[:, ::-1] ** 2
        factors = [np.mean(v[:, 1:] / v[:, :-1]) for v in (signal, gradient)]
        totals = [np.mean(v[:, -1] / v[:, 0]) for v in (signal, gradient)]
        r, depth = init["inner"] * init["outer"] / 2, job.config["model"]["depth"]
        results.append(Point(r, power, depth, *factors, *totals))
    return results


def name(point: Point) -> str:
    """The usual name of the initialisation."""
    return next(text for r, text in NAMES.items() if np.isclose(r, point.r))


def claims(results: list[Point]) -> list[Claim]:
    """Growth per block, and the effect of a power of L."""
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
    """Growth over depth for the three powers, the bounded ones enlarged, and the factor by r."""
    depths = sorted({p.depth for p in results})
    sheet, (left, middle, right) = panels(
        "A residual branch scaled by a power of the depth",
        "x + L^(-p) f(x) · relu · no norm · width 64 · at initialisation",
        {
            "$|x_L|^2/|x_0|^2$, He": DEPTH,
            "$|x_L|^2/|x_0|^2$, bounded": DEPTH,
            "factor per block, $p=0$": "$r=s_1s_2/2$",
        },
        {DEPTH: depths},
        right=0.92,
    )
    grid = np.geomspace(depths[0], depths[-1], 50)
    colours = {r: layer_colour(order, 2) for order, r in enumerate(sorted({p.r for p in results}))}
    for order, power in enumerate(POWERS):
        look = marks(order, len(POWERS))
        for r, colour in colours.items():
            growth = [p.total for p in results if (p.r, p.power) == (r, power)]
            law = (1 + grid ** (-2 * power) * r) ** grid
            if power:
                middle.plot(depths, growth, **{**look, "color": colour})
                middle.plot(grid, law, **THEORY)
        left.plot(depths, growth, label=TITLES[power], gid="branch times", **look)
        left.plot(grid, law, **THEORY)  # of the last r, He's
    middle.set_ylim(0, None)
    form = {"linestyle": "none", "markersize": 4}
    for p in results:
        if p.power == 0 and p.depth == depths[-1]:
            colour = colours[p.r]
            right.plot([], [], label=name(p), gid="init", marker="s", color=colour, **form)
            right.plot(p.r, p.forward, "^", color=colour, markersize=5)
            right.plot(p.r, p.backward, "v", color=colour, markersize=5)
    for label, marker in (("forward", "^"), ("backward", "v")):
        right.plot([], [], label=label, marker=marker, color=INK, **form)
    right.plot([0, 2.3], [1, 3.3], **THEORY)
    right.set_ylim(0.9, 3.4)
    return finished(sheet)
