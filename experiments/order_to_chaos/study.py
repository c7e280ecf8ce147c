"""How fast does the gradient of a plain tanh stack vanish or explode, and where does it do neither?

Schoenholz et al. 2017, "Deep Information Propagation", and Poole et al. 2016. A block is
x_{l+1} = W2 tanh(W1 x_l + b1) + b2 with variances 1/D and σ_w²/H of the weights and σ_b² of both
biases; K is the variance of the pre-activation, and

    K* = σ_w² E[tanh²(√K* z)] + 2 σ_b²        its fixed point, z ~ N(0, 1)
    χ  = σ_w² E[tanh'²(√K* z)]                the factor of |dL/dx_l|² for each block
    c* = (σ_w² E[tanh(u) tanh(v)] + 2 σ_b²)/K*   the fixed point of two inputs' correlation
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from ffn_train.plots.scales import depth_axis
from ffn_train.plots.style import MUTED, step_colour
from ffn_train.reproduce import Claim, at_least, at_most, mean_cosine, near, passes, points
from ffn_train.reproduce.panels import BLOCK, THEORY, finished, panels

SEEDS = range(16)
FIT = slice(8, 41)  # blocks that the rate is fitted over: clear of the input's and read-out's ends

Z = np.linspace(-9, 9, 2001)
WEIGHT = np.exp(-(Z**2) / 2) / np.exp(-(Z**2) / 2).sum()


@dataclass(frozen=True)
class Point:
    """One σ_w²: measured mean squares of dL/dx_l (L+1,), correlation (L+1,), and theory."""

    variance: float
    square: np.ndarray
    correlation: np.ndarray
    chi: float
    fixed_correlation: float

    @property
    def rate(self) -> float:
        """The measured log factor of the mean square for each block."""
        blocks = np.arange(len(self.square))[FIT]
        return -float(np.polyfit(blocks, np.log(self.square[FIT]), 1)[0])


def variance_fixed_point(variance: float, bias: float) -> float:
    """K*, by iteration."""
    k = 1.0
    for _ in range(5000):
        k = variance * float(WEIGHT @ np.tanh(np.sqrt(k) * Z) ** 2) + 2 * bias
    return k


def chi(variance: float, bias: float) -> float:
    """χ at K*."""
    slope = 1 - np.tanh(np.sqrt(variance_fixed_point(variance, bias)) * Z) ** 2
    return variance * float(WEIGHT @ slope**2)


def correlation_fixed_point(variance: float, bias: float) -> float:
    """c* below 1 where one is stable, else 1: iterated from 0 with a two-dimensional rule."""
    k = variance_fixed_point(variance, bias)
    z, weight = Z[::10], WEIGHT[::10] / WEIGHT[::10].sum()
    c = 0.0
    for _ in range(400):
        v = np.tanh(np.sqrt(k) * (c * z[:, None] + np.sqrt(1 - c * c) * z[None, :]))
        c = (variance * float(weight @ (np.tanh(np.sqrt(k) * z) * (v @ weight))) + 2 * bias) / k
        c = min(c, 1.0)
    return c


def critical(bias: float) -> float:
    """The σ_w² with χ = 1, by bisection."""
    low, high = 1.0, 4.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if chi(middle, bias) < 1 else (low, middle)
    return (low + high) / 2


@dataclass(frozen=True)
class Results:
    """The preset's points; σ_b²; the σ_w² where theory has χ = 1."""

    points: list[Point]
    bias: float
    edge: float


def measure() -> Results:
    """Every point of the preset over all seeds."""
    measured, bias = [], 0.0
    for job in points("order_to_chaos"):
        variance = job.config["init"]["inner"] * job.config["init"]["outer"]
        bias = job.config["init"]["bias_std"] ** 2
        squares, correlations = [], []
        for start in passes(job.config, SEEDS):
            squares.append([np.mean(dx**2) for dx in start.signal_gradients])
            correlations.append([mean_cosine(x) for x in start.signals])
        measured.append(
            Point(
                variance,
                np.mean(squares, axis=0),
                np.mean(correlations, axis=0),
                chi(variance, bias),
                correlation_fixed_point(variance, bias),
            )
        )
    return Results(measured, bias, critical(bias))


def crossing(measured: list[Point]) -> float:
    """The σ_w² at which the measured rate, interpolated, is zero."""
    return float(np.interp(0, [p.rate for p in measured], [p.variance for p in measured]))


def claims(results: Results) -> list[Claim]:
    """The rate, the phases, the critical line."""
    measured, edge = results.points, results.edge
    return [
        Claim(
            "In a plain stack the mean of |dL/dx_l|² changes by the factor χ in each block",
            "Schoenholz et al. 2017 (from memory of the paper)",
            [
                near(f"log factor, σ_w² = {p.variance:g}", p.rate, np.log(p.chi), 0.03)
                for p in measured
            ],
            recorded="reproduced",
        ),
        Claim(
            "Gradients vanish in the ordered phase and explode in the chaotic one",
            "Schoenholz et al. 2017, abstract",
            [
                (at_most if p.chi < 1 else at_least)(f"log factor, χ = {p.chi:.2f}", p.rate, 0.0)
                for p in measured
                if abs(np.log(p.chi)) > 0.1
            ],
            recorded="reproduced",
        ),
        Claim(
            "Between them lies a critical variance, χ = 1, where they do neither",
            "Schoenholz et al. 2017 (from memory of the paper)",
            [near("critical σ_w²", crossing(measured), edge, 0.1)],
            recorded="reproduced",
        ),
        Claim(
            "Two inputs converge to correlation 1 in the ordered phase, to c* < 1 in chaos",
            "Poole et al. 2016 (from memory of the paper)",
            [
                near(
                    f"correlation of x_L, σ_w² = {p.variance:g}",
                    p.correlation[-1],
                    p.fixed_correlation,
                    0.05,
                )
                for p in measured
                if abs(np.log(p.chi)) > 0.1  # nearer to critical, 48 blocks are too few to converge
            ],
            recorded="reproduced",
        ),
    ]


def figure(results: Results) -> Figure:
    """Mean squares over depth, the rate over σ_w², correlations over depth."""
    measured, edge = results.points, results.edge
    sheet, (left, middle, right) = panels(
        "From order to chaos",
        "plain tanh stack · depth 48 · width 256 · at initialisation",
        {
            r"$\mathrm{E}|\partial L/\partial x_l|^2$ relative to $l=L$": BLOCK,
            "its log factor per block": r"$\sigma_w^2$",
            "correlation of two inputs": BLOCK,
        },
        {},
        right=0.72,
    )
    depth = len(measured[0].square) - 1
    blocks = np.arange(depth + 1)
    for order, p in enumerate(measured):
        colour = step_colour(order, len(measured))
        name = {"label": f"{p.variance:g}", "gid": r"$\sigma_w^2$"}
        left.plot(blocks, p.square / p.square[-1], color=colour, **name)
        left.plot(blocks, p.chi ** (depth - blocks.astype(float)), **THEORY)
        middle.plot(p.variance, p.rate, "o", color=colour, ms=4, zorder=3)
        right.plot(blocks, p.correlation, color=colour)
        right.axhline(p.fixed_correlation, **THEORY)
    grid = np.linspace(0.6, 5.2, 60)
    middle.plot(grid, [np.log(chi(variance, results.bias)) for variance in grid], **THEORY)
    middle.axhline(0, color=MUTED, lw=0.6)
    middle.axvline(edge, color=MUTED, lw=0.6)
    middle.annotate(
        f"$\\chi=1$ at {edge:.2f}", (edge, 0), (6, -12), textcoords="offset points", size=8
    )
    middle.set_ylim(-0.85, 0.45)
    right.set_ylim(-0.02, 1.05)
    for axes in (left, right):
        depth_axis(axes, depth, depth, BLOCK)
    return finished(sheet)
