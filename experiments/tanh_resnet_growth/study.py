"""With x + f(x), does the gradient grow like exp(sqrt(L)) for tanh and like exp(L) for ReLU?

Yang and Schoenholz 2017, "Mean Field Residual Networks: On the Edge of Chaos"; the two laws are
in the abstract of their 2018 sequel. A block is x_{l+1} = x_l + W2 act(W1 x_l), variances 1/fan_in.
With q_l and p_l the mean squares of an entry of x_l and of dL/dx_l,

    q_{l+1} = q_l + E[act(√q_l z)²],   p_l = p_{l+1} (1 + E[act'(√q_l z)²]),   z ~ N(0, 1)

For tanh q_l grows like l, so E[act'²] falls like l^(-1/2) and log(p_0/p_L) -> (8/3) sqrt(L/(2π)).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from ffn_train.plots.scales import log_axis
from ffn_train.reproduce import Claim, ensemble, exponent, near, points, within
from ffn_train.reproduce.panels import DEPTH, GUIDE, THEORY, finished, marks, panels

SEEDS = range(16)
DEEP = 64  # exponents are fitted from this depth on

Z = np.linspace(-9, 9, 4001)
WEIGHT = np.exp(-(Z**2) / 2) / np.exp(-(Z**2) / 2).sum()
RECURSION = {**THEORY, "label": "recursion", "gid": "theory"}


@dataclass(frozen=True)
class Point:
    """One activation and depth: log(p_0/p_L) and q_L/q_0, measured and by the recursion."""

    activation: str
    depth: int
    growth: float
    growth_theory: float
    signal: float
    signal_theory: float


def recursion(activation: str, depth: int, q: float) -> tuple[float, float]:
    """log(p_0/p_L) and q_L of the mean-field recursion started at q_0 = q."""
    growth = 0.0
    for _ in range(depth):
        u = np.sqrt(q) * Z
        value = np.tanh(u) if activation == "tanh" else np.maximum(u, 0)
        slope = 1 - value**2 if activation == "tanh" else (u > 0) + 0.5 * (u == 0)
        growth += float(np.log1p(WEIGHT @ slope**2))
        q += float(WEIGHT @ value**2)
    return growth, q


def measure() -> list[Point]:
    """Every point of the preset over all seeds."""
    results = []
    for job in points("tanh_resnet_growth"):
        activation, depth = job.config["activation"]["name"], job.config["model"]["depth"]
        members = ensemble(job.config, SEEDS)
        q = np.mean(members.signal**2, axis=0)
        gradient = members.signal_gradient**2
        # the mean factor of each block: a product of means varies less than the mean of a product,
        # and the read-out's random factor, common to all of a seed's blocks, cancels
        factors = np.mean(gradient[:, :-1] / gradient[:, 1:], axis=0)
        growth, signal = recursion(activation, depth, float(q[0]))
        results.append(
            Point(
                activation, depth, float(np.log(factors).sum()), growth, q[-1] / q[0], signal / q[0]
            )
        )
    return results


def of(results: list[Point], activation: str) -> list[Point]:
    """The points of one activation, by depth."""
    return [point for point in results if point.activation == activation]


def exponent_of(value: str, chosen: list[Point]) -> float:
    """The exponent of L in a value of the points, from ``DEEP`` on."""
    deep = [p for p in chosen if p.depth >= DEEP]
    return exponent([p.depth for p in deep], [getattr(p, value) for p in deep])


def claims(results: list[Point]) -> list[Claim]:
    """The recursion, the two exponents of the gradient, and that of the signal."""
    tanh, relu = of(results, "tanh"), of(results, "relu")
    source = "Yang and Schoenholz 2018, Deep Mean Field Theory, abstract"
    return [
        Claim(
            "The gradient's growth over the depth is that of the mean-field recursion",
            "Yang and Schoenholz 2017 (from memory of the paper); recursion derived here",
            [
                within(
                    f"log(p_0/p_L), {p.activation}, L = {p.depth}", p.growth, p.growth_theory, 0.05
                )
                for p in results
            ],
            recorded="reproduced",
        ),
        Claim(
            "Without a norm the gradient of a tanh ResNet explodes like exp(Θ(sqrt L))",
            source,
            [near("exponent of L in log(p_0/p_L)", exponent_of("growth", tanh), 0.5, 0.06)],
            recorded="reproduced",
        ),
        Claim(
            "Without a norm the gradient of a ReLU ResNet explodes like exp(Θ(L))",
            source,
            [near("exponent of L in log(p_0/p_L)", exponent_of("growth", relu), 1.0, 0.06)],
            recorded="reproduced",
        ),
        Claim(
            "The signal of a tanh ResNet grows as a power of the depth, |x_l|² ~ l",
            "Yang and Schoenholz 2017, abstract (polynomial); the power from the recursion",
            [
                near(
                    "exponent of L in q_L/q_0",
                    exponent_of("signal", tanh),
                    exponent_of("signal_theory", tanh),
                    0.05,
                )
            ],
            recorded="reproduced",
        ),
    ]


def figure(results: list[Point]) -> Figure:
    """log(p_0/p_L) and q_L/q_0 over depth."""
    depths = [p.depth for p in of(results, "tanh")]
    sheet, (left, right) = panels(
        "Gradient growth of residual stacks without a norm",
        "x + f(x) · LeCun init · width 128 · at initialisation",
        {
            r"$\log(p_0/p_L)$, $p_l=\mathrm{E}|\partial L/\partial x_l|^2/D$": DEPTH,
            r"$q_L/q_0$, $q_l=\mathrm{E}|x_l|^2/D$": DEPTH,
        },
        {DEPTH: depths},
        right=1.15,
    )
    for order, activation in enumerate(("tanh", "relu")):
        chosen, look = of(results, activation), marks(order, 3)
        left.plot(depths, [p.growth for p in chosen], label=activation, gid="activation", **look)
        right.plot(depths, [p.signal for p in chosen], **look)
        left.plot(depths, [p.growth_theory for p in chosen], **RECURSION)
        right.plot(depths, [p.signal_theory for p in chosen], **RECURSION)
    law = 8 / 3 * np.sqrt(np.array(depths) / (2 * np.pi))
    left.plot(depths, law, label=r"$\frac{8}{3}\sqrt{L/2\pi}$", gid="theory", **GUIDE)
    log_axis(right, [1, 1e3])
    return finished(sheet)
