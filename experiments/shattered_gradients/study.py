"""How fast do the gradients at two inputs lose their resemblance with depth?

Balduzzi et al. 2017, "The Shattered Gradients Problem". A block is f(x) = W2 relu(W1 x), alone or
with a skip path, and E|f(x)|² = E|x|². The two gradients are of the same output with respect to
x_0. With c_l the correlation of the two signals, θ = arccos c_l and D = 1 - θ/π (the share of ReLUs
open for both inputs, over those open for one), their correlation is a product over the blocks,

    plain      Π D                    c_{l+1} = (sin θ + (π - θ) c_l)/π =: A(c_l)
    residual   Π (1 + ρ D)/(1 + ρ)    c_{l+1} = (c_l + ρ A(c_l))/(1 + ρ)

ρ = 1 for x + f(x), 1/L for x + f(x)/sqrt(L), 1/(l + 1) for pre-norm. Orthogonal inputs have D = 1/2
in the first block: factors 1/2 and 3/4. Every block has the same factor only if the signals are
orthogonal in every block, which batch norm may ensure; here they align, c_l -> 1 and D -> 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ffn_train.config.composition import compose
from ffn_train.nn.segments import SignalGradients
from ffn_train.plots.scales import log_axis
from ffn_train.plots.style import MUTED, layer_colour
from ffn_train.reproduce import Claim, at_least, at_most, mean_cosine, near, points, within
from ffn_train.reproduce.claim import ABSENT
from ffn_train.reproduce.panels import DEPTH, GUIDE, THEORY, finished, marks, panels
from ffn_train.running.experiment import Experiment, build_experiment

SOURCE = "Balduzzi et al. 2017, The Shattered Gradients Problem"
SEEDS = range(1000, 1060)
PLAIN, SKIP, SCALED, PRENORM = "plain", "x + f(x)", "x + f(x)/sqrt(L)", "pre-norm"
KINDS = {
    ("none", "none"): PLAIN,
    ("identity", "none"): SKIP,
    ("scaled", "none"): SCALED,
    ("identity", "pre_layer"): PRENORM,
}

GRID = np.linspace(-2, 2, 256)  # the inputs of a network from one number to one number
GRID_SEEDS = range(1000, 1020)
LAGS = 15
DEEP, SHALLOW = 24, 1
RELU = ("activation=relu",)
CHAOS = ("activation=tanh", "init.outer=4")  # σ_w² = 4: the chaotic phase
STACKS = {  # name: overrides of the preset
    "relu, plain": (*RELU, "residual=none", f"model.depth={DEEP}"),
    "relu, x + f(x)": (*RELU, "residual=identity", f"model.depth={DEEP}"),
    "tanh, plain, 1 block": (*CHAOS, "residual=none", f"model.depth={SHALLOW}"),
    "tanh, plain": (*CHAOS, "residual=none", f"model.depth={DEEP}"),
    "tanh, x + f(x)": (*CHAOS, "residual=identity", f"model.depth={DEEP}"),
    "tanh, x + f(x)/sqrt(L)": (*CHAOS, "residual=scaled", f"model.depth={DEEP}"),
}


@dataclass(frozen=True)
class Point:
    """The mean correlation of the gradients at two orthogonal inputs, and the recursion's."""

    kind: str
    depth: int
    correlation: float
    theory: float


@dataclass(frozen=True)
class Slope:
    """dy/dx over ``GRID`` for one seed, and its autocorrelation (LAGS+1,), mean over seeds."""

    example: np.ndarray
    autocorrelation: np.ndarray


@dataclass(frozen=True)
class Results:
    """Pairs of orthogonal inputs, and slopes along a line of inputs."""

    points: list[Point]
    slopes: dict[str, Slope]


def recursion(kind: str, depth: int) -> float:
    """The correlation of the gradients at two orthogonal inputs, at infinite width."""
    c, product = 0.0, 1.0
    for block in range(depth):
        angle = np.arccos(min(c, 1.0))
        both = 1 - angle / np.pi
        aligned = (np.sin(angle) + (np.pi - angle) * c) / np.pi
        if kind == PLAIN:
            product, c = product * both, aligned
        else:
            rho = {SKIP: 1.0, SCALED: 1 / depth, PRENORM: 1 / (block + 1)}[kind]
            product *= (1 + rho * both) / (1 + rho)
            c = (c + rho * aligned) / (1 + rho)
    return product


def measure() -> Results:
    """Every point of the preset over all seeds, and the stacks along a line."""
    results = []
    for job in points("shattered_gradients"):
        config, depth = job.config, job.config["model"]["depth"]
        kind = KINDS[config["residual"]["name"], job.settings["norm"]]
        values = [pair_correlation(config, seed) for seed in SEEDS]
        results.append(Point(kind, depth, float(np.mean(values)), recursion(kind, depth)))
    line = ("experiment=shattered_gradients", "task.inputs=1", "init.bias_std=0.2236068")
    slopes = {}
    for name, overrides in STACKS.items():
        config = compose([*line, *overrides])
        series = [slope(config, seed) for seed in GRID_SEEDS]
        slopes[name] = Slope(series[0], np.mean([autocorrelation(s) for s in series], axis=0))
    return Results(results, slopes)


def pair_correlation(config: dict[str, Any], seed: int) -> float:
    """The mean cosine of dy/dx_0 at eight inputs whose x_0 are orthogonal to one another."""
    experiment = build_experiment({**config, "seed": seed})
    weight = experiment.params.part("input")["weight"]
    triangle = np.linalg.qr(weight, mode="r")  # weight = q triangle: x_0 are columns of q
    inputs = np.linalg.inv(triangle).T[:8] * np.sqrt(experiment.model.width)
    return mean_cosine(gradients(experiment, inputs)[0])


def slope(config: dict[str, Any], seed: int) -> np.ndarray:
    """dy/dx of a network from one number to one number, over ``GRID``."""
    return gradients(build_experiment({**config, "seed": seed}), GRID[:, None])[1][:, 0]


def gradients(experiment: Experiment, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """dy/dx_0 and dy/dx at each of the inputs x."""
    model, params = experiment.model, experiment.params
    outputs, pullback = model.forward(params, inputs)
    grads = model.layout.zeros(params.vector.dtype)
    flow: list[SignalGradients] = []
    dx = pullback(np.ones_like(outputs), grads, observe=flow.append)
    return flow[-1].dx[0], dx


def autocorrelation(values: np.ndarray) -> np.ndarray:
    """The autocorrelation of a series at lags 0 ... LAGS, about its mean."""
    values = values - values.mean()
    return np.array(
        [values[: len(values) - lag] @ values[lag:] for lag in range(LAGS + 1)]
    ) / float(values @ values)


def of(results: Results, kind: str) -> list[Point]:
    """The points of one kind, by depth."""
    return [p for p in results.points if p.kind == kind]


def rate(chosen: list[Point], low: int, high: int) -> float:
    """The log factor of the correlation per block between two depths."""
    at = {p.depth: p.correlation for p in chosen}
    return float(np.log(at[low] / at[high]) / (high - low))


def decay(chosen: list[Point]) -> float:
    """The power of the depth that the correlation follows from L = 8 to 32."""
    at = {p.depth: p.correlation for p in chosen}
    return float(np.log(at[32] / at[8]) / np.log(32 / 8))


def power(statement: str, chosen: list[Point], factor: float) -> Claim:
    """The claim that every block multiplies the correlation by the same factor."""
    checks = [
        within(f"correlation, L = {p.depth}", p.correlation, factor**p.depth, 0.15) for p in chosen
    ]
    checks[0] = replace(checks[0], trivial=True)  # the factor is that of one block
    source = f"{SOURCE} (from memory of the paper)"
    return Claim(statement, source, checks, recorded=ABSENT, absent="batch norm")


def claims(results: Results) -> list[Claim]:
    """The two laws, the recursion, and the slopes along a line of inputs."""
    plain, skip, scaled = (of(results, kind) for kind in (PLAIN, SKIP, SCALED))
    lag = {name: float(s.autocorrelation[1]) for name, s in results.slopes.items()}
    return [
        power("In a plain ReLU stack the correlation of two gradients is 2^(-L)", plain, 0.5),
        power("In a ReLU ResNet it is (3/4)^L", skip, 0.75),
        Claim(
            "In a plain ReLU stack it decays exponentially with depth",
            f"{SOURCE}, abstract",
            [
                within(
                    "log factor per block, L = 8 to 16", rate(plain, 8, 16), rate(plain, 1, 2), 0.5
                )
            ],
            recorded=ABSENT,
            absent="batch norm",
        ),
        Claim(
            "With skip connections it decays sublinearly",
            f"{SOURCE}, abstract (with batch norm there, without it here)",
            [
                at_least(f"power of L, {kind}, L = 8 to 32", decay(of(results, kind)), -1.0)
                for kind in (SKIP, SCALED, PRENORM)
            ],
            recorded="2 of 3 checks",
        ),
        Claim(
            "Without batch norm signals align, and the correlation follows the pair recursion",
            "derived here, for infinite width",
            [
                within(f"{p.kind}, L = {p.depth}", p.correlation, p.theory, 0.15)
                for p in results.points
            ],
            recorded="20 of 24 checks",
        ),
        Claim(
            "At the same depth a ResNet's gradients resemble each other more than a plain stack's",
            f"{SOURCE}, abstract: far more resistant to shattering",
            [
                at_least(f"x + f(x) less plain, L = {p.depth}", s.correlation - p.correlation, 0.0)
                for p, s in zip(plain, skip, strict=True)
            ],
            recorded="reproduced",
        ),
        Claim(
            "With the branch times 1/sqrt(L) it does not fall to zero with the depth",
            f"{SOURCE} (from memory: rescaled branches); the value from the recursion",
            [
                near(f"correlation, L = {p.depth}", p.correlation, p.theory, 0.03)
                for p in scaled
                if p.depth >= 8
            ],
            recorded="reproduced",
        ),
        Claim(
            "Along a line of inputs a deep plain ReLU stack's slope resembles white noise (lag 1)",
            f"{SOURCE}, abstract (with batch norm there, without it here)",
            [at_most(f"autocorrelation, L = {DEEP}", lag["relu, plain"], 0.1)],
            recorded=ABSENT,
            absent="batch norm",
        ),
        Claim(
            "That of a deep plain tanh stack in the chaotic phase does, that of a shallow one not",
            "the phenomenon of Balduzzi et al. 2017; chaos: Poole et al. 2016 (from memory)",
            [
                at_most(f"autocorrelation, L = {DEEP}", lag["tanh, plain"], 0.1),
                at_least(f"autocorrelation, L = {SHALLOW}", lag["tanh, plain, 1 block"], 0.9),
            ],
            recorded="reproduced",
        ),
        Claim(
            "A skip path keeps the chaotic stack's slope from becoming noise",
            f"{SOURCE}, abstract: skip-connections far more resistant",
            [
                at_least(f"autocorrelation, {name}, L = {DEEP}", lag[f"tanh, {name}"], 0.5)
                for name in (SKIP, SCALED)
            ],
            recorded="1 of 2 checks",
        ),
    ]


def figure(results: Results) -> Figure:
    """Correlation over depth, slopes along a line, their autocorrelation."""
    depths = [p.depth for p in of(results, PLAIN)]
    sheet, (left, middle, right) = panels(
        "Shattered gradients",
        "no batch norm · width 128, hidden 128 · at initialisation",
        {
            "correlation of two gradients": DEPTH,
            "slope $dy/dx$": "input $x$",
            "its autocorrelation": "lag, of 256 points",
        },
        {DEPTH: depths},
        height=3.0,
        gaps=(0.35, 0.55),
        right=1.3,
    )
    theory = {**THEORY, "label": "recursion"}
    law = {**GUIDE, "label": "$2^{-L}$, $(3/4)^L$"}
    for order, kind in enumerate(KINDS.values()):
        chosen = of(results, kind)
        look = {**marks(order, 5), "label": formula(kind), "gid": "(a) ReLU"}
        left.plot(depths, [p.correlation for p in chosen], **look)
        left.plot(depths, [p.theory for p in chosen], **theory)
    log_axis(left, [p.correlation for p in results.points], [1])
    grid = np.geomspace(1, depths[-1], 60)
    for base in (0.5, 0.75):
        left.plot(grid, base**grid, **law)
    for order, (name, measured) in enumerate(results.slopes.items()):
        look = {"color": layer_colour(order, len(results.slopes))}
        low, high = measured.example.min(), measured.example.max()
        row = 0.4 * (2 * measured.example - high - low) / (high - low) - order
        middle.plot(GRID, row, linewidth=0.7, **look)
        look |= {"label": formula(name), "gid": f"(b), (c) $L={DEEP}$"}
        dashes = (0, (3, 1.2)) if name.endswith(SKIP) else "-"
        right.plot(measured.autocorrelation, linestyle=dashes, **look)
    middle.set_ylim(0.5 - len(results.slopes), 0.5)
    middle.set_yticks([])
    middle.spines["left"].set_visible(False)
    middle.grid(visible=False)
    right.axhline(0, color=MUTED, lw=0.6)
    right.set_ylim(-0.25, 1.05)
    return finished(sheet)


def formula(name: str) -> str:
    """A stack's name with its formula in matplotlib's mathematics."""
    return name.replace(SCALED, r"$x+f(x)/\sqrt{L}$").replace(SKIP, "$x+f(x)$")
