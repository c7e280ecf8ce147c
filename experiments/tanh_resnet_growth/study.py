"""With x + f(x), does the gradient grow like exp(sqrt(L)) for tanh and like exp(L) for ReLU?

Yang and Schoenholz 2017, "Mean Field Residual Networks: On the Edge of Chaos"; the two laws stand
in the abstract of their 2018 sequel. A block is x_{l+1} = x_l + W2 act(W1 x_l), variances 1/fan_in.
With q_l and p_l the mean squares of an entry of x_l and of dL/dx_l,

    q_{l+1} = q_l + E[act(√q_l z)²],   p_l = p_{l+1} (1 + E[act'(√q_l z)²]),   z ~ N(0, 1)

For tanh q_l grows like l, so E[act'²] falls like l^(-1/2) and log(p_0/p_L) -> (8/3) sqrt(L/(2π)).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from ffn_train.plots.scales import log_axis
from ffn_train.plots.sheet import page, right_legends, sample
from ffn_train.plots.style import DOUBLE, INK, MUTED, step_colour
from ffn_train.reproduce import Claim, ensemble, near, points, within

SEEDS = range(16)
DEEP = 64  # exponents are fitted from this depth on

Z = np.linspace(-9, 9, 4001)
WEIGHT = np.exp(-(Z**2) / 2) / np.exp(-(Z**2) / 2).sum()
DOTTED = {"color": INK, "linewidth": 0.8, "linestyle": (0, (1, 2)), "zorder": 3}


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
    found = []
    for job in points("tanh_resnet_growth"):
        activation, depth = job.config["activation"]["name"], job.config["model"]["depth"]
        members = ensemble(job.config, SEEDS)
        q = np.mean(members.signal**2, axis=0)
        gradient = members.signal_gradient**2
        # the mean factor of each block: a product of means is steadier than the mean of a product,
        # and the read-out's chance factor, common to all of a seed's blocks, cancels
        factors = np.mean(gradient[:, :-1] / gradient[:, 1:], axis=0)
        growth, signal = recursion(activation, depth, float(q[0]))
        found.append(
            Point(
                activation, depth, float(np.log(factors).sum()), growth, q[-1] / q[0], signal / q[0]
            )
        )
    return found


def of(results: list[Point], activation: str) -> list[Point]:
    """The points of one activation, by depth."""
    return [point for point in results if point.activation == activation]


def exponent(depths: list[int], values: list[float]) -> float:
    """The slope of log values over log depth, from ``DEEP`` on."""
    deep = [(np.log(d), np.log(v)) for d, v in zip(depths, values, strict=True) if d >= DEEP]
    return float(np.polyfit(*zip(*deep, strict=True), 1)[0])


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
            [near("exponent of L in log(p_0/p_L)", growth_exponent(tanh), 0.5, 0.06)],
            recorded="reproduced",
        ),
        Claim(
            "Without a norm the gradient of a ReLU ResNet explodes like exp(Θ(L))",
            source,
            [near("exponent of L in log(p_0/p_L)", growth_exponent(relu), 1.0, 0.06)],
            recorded="reproduced",
        ),
        Claim(
            "The signal of a tanh ResNet grows as a power of the depth, |x_l|² ~ l",
            "Yang and Schoenholz 2017, abstract (polynomial); the power from the recursion",
            [
                near(
                    "exponent of L in q_L/q_0",
                    exponent([p.depth for p in tanh], [p.signal for p in tanh]),
                    exponent([p.depth for p in tanh], [p.signal_theory for p in tanh]),
                    0.05,
                )
            ],
            recorded="reproduced",
        ),
    ]


def growth_exponent(chosen: list[Point]) -> float:
    """The exponent of L in log(p_0/p_L)."""
    return exponent([p.depth for p in chosen], [p.growth for p in chosen])


def figure(results: list[Point]) -> Figure:
    """log(p_0/p_L) and q_L/q_0 over depth."""
    sheet, (left, right) = page(
        "Gradient growth of residual stacks without a norm",
        "x + f(x) · LeCun init · width 128 · at initialisation",
        width=DOUBLE,
        height=2.7,
        panels=2,
        gaps=(0.75,),
        right=1.15,
    )
    depths = sorted({p.depth for p in results})
    grid = np.array([depths[0], depths[-1]], float)
    log_axis(left, [p.growth for p in results])
    log_axis(right, [p.signal for p in of(results, "tanh")], [1, 1e3])
    handles = []
    for order, (activation, marker) in enumerate((("tanh", "o"), ("relu", "s"))):
        look = {"color": step_colour(order, 3), "marker": marker, "markersize": 4}
        mine = of(results, activation)
        places = [p.depth for p in mine]
        left.plot(places, [p.growth for p in mine], linestyle="none", **look)
        left.plot(places, [p.growth_theory for p in mine], **DOTTED)
        right.plot(places, [p.signal for p in mine], linestyle="none", **look)
        right.plot(places, [p.signal_theory for p in mine], **DOTTED)
        handles.append(sample(activation, linestyle="none", **look))
    guide = {"color": MUTED, "linewidth": 0.7, "linestyle": (0, (5, 3)), "zorder": 1}
    left.plot(grid, 8 / 3 * np.sqrt(grid / (2 * np.pi)), **guide)
    left.set_title(r"(a) $\log(p_0/p_L)$, $p_l=\mathrm{E}|\partial L/\partial x_l|^2/D$")
    right.set_title(r"(b) $q_L/q_0$, $q_l=\mathrm{E}|x_l|^2/D$")
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set_xlabel("depth $L$")
        axes.xaxis.set_major_locator(FixedLocator(depths))
        axes.xaxis.set_major_formatter(FixedFormatter([str(depth) for depth in depths]))
        axes.xaxis.set_minor_locator(NullLocator())
    theory = [
        sample("recursion", **DOTTED),
        sample(r"$\frac{8}{3}\sqrt{L/2\pi}$", **guide),
    ]
    right_legends(sheet, right, ("activation", handles), ("theory", theory))
    return sheet
