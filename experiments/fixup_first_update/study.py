"""How much does the first step of SGD change the function of a deep stack?

Zhang, Dauphin and Ma 2019, "Fixup Initialization": the step should change f by Θ(η), whatever the
depth L. For a block x + a W2 relu(W1 x), variances s1/D and s2/H, r = s1 s2/2, one sample and the
branches' matrices, the change for each unit of rate and error is a sum over blocks of terms
a² |x_l|² |dL/dx_{l+1}|², and so in proportion to

    Fixup       s1 = 2/L, W2 = 0      L · 1/L                  as only W2 moves
    W2 = 0      s1 = 2                L
    ReZero      a = 0                 L                        as only the L multipliers move
    scaled      a = L^(-p)            L a² (1 + a² r)^(L-1)    p = 0: unscaled
    pre-LN                            Σ_l 1/(1 + r l)          |x_l|² grows, the gradient falls
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ffn_train.config.composition import compose
from ffn_train.nn.core import FlatVector
from ffn_train.nn.reductions import norm, rms
from ffn_train.plots.scales import log_axis, set_ticks
from ffn_train.plots.sheet import page, right_legends, sample
from ffn_train.plots.style import DOUBLE, INK, layer_colour, step_colour
from ffn_train.reproduce import Claim, at_least, near
from ffn_train.running.experiment import Experiment, build_experiment

SEEDS = range(8)
DEPTHS = (8, 32, 128, 512)
FALL = 1e-6  # of the loss, to first order: the rate is small enough for the first order to be all
R = 2.0  # s1 s2/2 of He's rule

Law = Callable[[int], float]


def scaled(power: float) -> Law:
    """The law of x + L^(-power) f(x)."""
    return lambda depth: float(
        depth ** (1 - 2 * power) * (1 + R * depth ** (-2 * power)) ** (depth - 1)
    )


@dataclass(frozen=True)
class Variant:
    """A way to start a residual stack: its name, its overrides and the law of its first update."""

    name: str
    overrides: tuple[str, ...]
    law: Law
    marker: str


FIXUP = Variant("Fixup", (), lambda depth: 1.0, "o")
ZERO = Variant(
    "$W_2=0$ only",
    ("init=normal", "init.inner=2", "init.outer=0"),
    lambda depth: float(depth),
    "s",
)
REZERO = Variant("ReZero", ("residual=rezero", "init=he"), lambda depth: float(depth), "^")
ROOT = Variant(r"$1/\sqrt{L}$", ("residual=scaled", "init=he"), scaled(0.5), "D")
INVERSE = Variant("$1/L$", ("residual=scaled", "residual.power=1", "init=he"), scaled(1.0), "v")
PRE = Variant(
    "pre-LN",
    ("norm=pre_layer", "init=he"),
    lambda depth: float(np.sum(1 / (1 + R * np.arange(1, depth + 1)))),
    "P",
)
UNSCALED = Variant("unscaled", ("init=he",), scaled(0.0), "X")
VARIANTS = (UNSCALED, ZERO, REZERO, PRE, ROOT, FIXUP, INVERSE)

Moves = Callable[[str], bool]  # which tensors the step changes, by name


def branches(tensor: str) -> bool:
    """The matrices of the branches, and their multipliers."""
    return tensor.startswith("blocks.") and tensor.endswith(("weight", "multiplier"))


def weights(tensor: str) -> bool:
    """All that multiplies: every matrix, gain and multiplier."""
    return not tensor.endswith(("bias", "shift"))


def everything(tensor: str) -> bool:
    """What SGD does."""
    return True


UPDATES: tuple[Moves, ...] = (branches, weights, everything)
PARTS = ("branches", "all matrices", "all and biases")
DOTTED = {"color": INK, "linewidth": 0.8, "linestyle": (0, (1, 2)), "zorder": 1}


@dataclass(frozen=True)
class Point:
    """The change of the function at one depth, the geometric mean over seeds.

    ``one_sample``: by the matrices of the branches; ``batch``: by each of ``UPDATES``.
    """

    one_sample: float
    batch: dict[Moves, float]


Results = dict[str, list[Point]]  # by variant, a point for each depth


def measure() -> Results:
    """Every variant and depth, for one sample and for the preset's batch."""
    results = {}
    for variant in VARIANTS:
        config = compose(["experiment=fixup_first_update", *variant.overrides])
        results[variant.name] = [
            point({**config, "model": {**config["model"], "depth": depth}}) for depth in DEPTHS
        ]
    return results


def point(config: dict[str, Any]) -> Point:
    """One variant and depth over all seeds."""
    logs = []
    for seed in SEEDS:
        experiment = build_experiment({**config, "seed": seed})
        one, batch = First(experiment, samples=1), First(experiment)
        logs.append([one.change(branches), *(batch.change(moves) for moves in UPDATES)])
    means = np.exp(np.mean(np.log(logs), axis=0))
    return Point(float(means[0]), dict(zip(UPDATES, means[1:].tolist(), strict=True)))


class First:
    """The first step of a run, on its first batch or the first so many samples of that."""

    def __init__(self, experiment: Experiment, samples: int | None = None) -> None:
        self.experiment, model = experiment, experiment.model
        self.inputs, self.targets = (each[:samples] for each in experiment.trainer.batches.at(0))
        gradient = model.layout.zeros(experiment.params.vector.dtype)
        self.outputs, pullback = model.forward(experiment.params.views, self.inputs)
        self.loss, dy = experiment.trainer.loss.value_and_gradient(self.outputs, self.targets)
        pullback(dy, gradient.views)
        self.gradient = gradient.vector

    def change(self, moves: Moves) -> float:
        """RMS of f(θ') - f(θ), for each unit of the rate and of the RMS of f(θ) - t."""
        model, trainer = self.experiment.model, self.experiment.trainer
        gradient = self.gradient.copy()
        for tensor in model.layout.tensors:
            if not moves(tensor.name):
                gradient[tensor.span] = 0
        size = norm(gradient)
        lr = FALL * (self.loss / size) / size
        vector = self.experiment.params.vector.copy()
        params = FlatVector(vector, model.layout.views(vector))
        memory = trainer.start(params).memory
        trainer.optimizer.step(vector, gradient, memory, lr=lr, count=1)
        moved = model.predict(params.views, self.inputs) - self.outputs
        return rms(moved) / rms(self.outputs - self.targets) / lr


def one_sample(results: Results, variant: Variant) -> list[float]:
    """The change at each depth, for one sample."""
    return [found.one_sample for found in results[variant.name]]


def of_batch(results: Results, variant: Variant, moves: Moves = branches) -> list[float]:
    """The change at each depth, for the batch."""
    return [found.batch[moves] for found in results[variant.name]]


def exponent(values: Sequence[float]) -> float:
    """The slope of log values over log L."""
    return float(np.polyfit(np.log(DEPTHS), np.log(values), 1)[0])


def claims(results: Results) -> list[Claim]:
    """Fixup's independence of depth, what it takes, and where it ends; the others' laws."""
    source = "Zhang, Dauphin and Ma 2019, Fixup (from memory of the paper)"
    fixup = {moves: exponent(of_batch(results, FIXUP, moves)) for moves in UPDATES}
    unscaled = np.log10(of_batch(results, UNSCALED))
    return [
        Claim(
            "Under Fixup the first step changes the function by an amount independent of depth",
            source,
            [
                near("exponent of L, matrices of the branches", fixup[branches], 0, 0.05),
                near("exponent of L, all matrices", fixup[weights], 0, 0.05),
                near("exponent of L, one sample", exponent(one_sample(results, FIXUP)), 0, 0.05),
            ],
            recorded="reproduced",
        ),
        Claim(
            "It takes the factor L^(-1/2) on W1: with W2 = 0 alone the change grows as L",
            source,
            [near("exponent of L, W2 = 0 only", exponent(of_batch(results, ZERO)), 1, 0.05)],
            recorded="reproduced",
        ),
        Claim(
            "It is independent of depth for the whole step of SGD, biases included",
            "the claim carried over to this model, which has a bias vector in every layer",
            [near("exponent of L, all parameters", fixup[everything], 0, 0.05)],
            recorded="refuted",
        ),
        Claim(
            "Without a factor and without a norm the change explodes with the depth",
            source,
            [
                at_least(f"log10 of the change, L = {depth} over {DEPTHS[0]}", value, depth / 4)
                for depth, value in zip(DEPTHS[1:], unscaled[1:] - unscaled[0], strict=True)
            ],
            recorded="reproduced",
        ),
        Claim(
            "The other ways to start change the function by their laws, for one sample",
            "derived here",
            [
                near(
                    f"exponent of L, {plain}",
                    exponent(one_sample(results, variant)),
                    exponent([variant.law(depth) for depth in DEPTHS]),
                    0.1,
                )
                for plain, variant in (
                    ("W2 = 0 only", ZERO),
                    ("ReZero", REZERO),
                    ("pre-LN", PRE),
                    ("1/sqrt(L)", ROOT),
                    ("1/L", INVERSE),
                )
            ],
            recorded="reproduced",
        ),
    ]


def figure(results: Results) -> Figure:
    """The change over depth by the branches' matrices, and by more of the parameters for Fixup."""
    sheet, (left, right) = page(
        "The first step of SGD",
        "relu · width 32 · change of the function for each unit of learning rate and of error",
        width=DOUBLE,
        height=2.9,
        panels=2,
        gaps=(0.75,),
        right=1.15,
    )
    grid = np.geomspace(DEPTHS[0], DEPTHS[-1], 40).astype(int)
    handles = []
    for order, variant in enumerate(VARIANTS):
        look = {
            "color": layer_colour(order, len(VARIANTS) - 1),
            "marker": variant.marker,
            "markersize": 4.5,
            "linestyle": "none",
        }
        values = one_sample(results, variant)
        law = np.array([variant.law(int(depth)) for depth in grid])
        left.plot(grid, law * (values[0] / law[0]), **DOTTED)
        left.plot(DEPTHS, values, **look)
        handles.append(sample(variant.name, **look))
    updates = []
    for order, (text, moves) in enumerate(zip(PARTS, UPDATES, strict=True)):
        look = {"color": step_colour(order, 3), "marker": "osD"[order], "markersize": 4}
        values = of_batch(results, FIXUP, moves)
        right.plot(DEPTHS, values, **look)
        updates.append(sample(text, **look))
    tamed = [one_sample(results, variant) for variant in VARIANTS if variant is not UNSCALED]
    start, then = one_sample(results, UNSCALED)[:2]
    log_axis(left, *tamed, [100 * start])
    left.annotate(
        f"unscaled: $10^{{{np.log10(then):.0f}}}$ at {DEPTHS[1]}",
        (DEPTHS[0], start),
        (9, 2),
        textcoords="offset points",
        size=7.5,
    )
    log_axis(right, *(of_batch(results, FIXUP, moves) for moves in UPDATES), [5])
    for axes in (left, right):
        axes.set_xscale("log", base=2)
        axes.set_xlabel("depth $L$")
        set_ticks(axes.xaxis, DEPTHS, [])
    left.set_title("(a) one sample, matrices of the branches")
    right.set_title("(b) Fixup, a batch, more parameters")
    law_line = sample("law", **DOTTED)
    right_legends(sheet, right, ("(a) start", handles), ("", [law_line]), ("(b) moved", updates))
    return sheet
