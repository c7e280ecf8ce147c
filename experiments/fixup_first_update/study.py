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
from ffn_train.nn.reductions import norm, rms
from ffn_train.plots.scales import log_axis
from ffn_train.plots.style import layer_colour
from ffn_train.reproduce import Claim, at_least, exponent, near, progress
from ffn_train.reproduce.panels import DEPTH, THEORY, finished, marks, panels
from ffn_train.running.experiment import Experiment, build_experiment

SEEDS = range(8)
DEPTHS = (8, 32, 128, 512)
FALL = 1e-6  # the relative fall of the loss: the rate is so small that only first order matters
R = 2.0  # s1 s2/2 of He's rule

Law = Callable[[int], float]


def scaled(power: float) -> Law:
    """The law of x + L^(-power) f(x)."""
    return lambda depth: float(
        depth ** (1 - 2 * power) * (1 + R * depth ** (-2 * power)) ** (depth - 1)
    )


@dataclass(frozen=True)
class Variant:
    """How a residual stack is initialised: name, overrides and the law of its first update."""

    name: str
    overrides: tuple[str, ...]
    law: Law
    marker: str


FIXUP = Variant("Fixup", (), lambda depth: 1.0, "o")
ZERO = Variant("$W_2=0$ only", ("init=normal", "init.inner=2", "init.outer=0"), float, "s")
REZERO = Variant("ReZero", ("residual=rezero", "init=he"), float, "^")
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

Moves = Callable[[str], bool]  # whether the step updates a tensor, by its name


def branches(tensor: str) -> bool:
    """The matrices of the branches, and their multipliers."""
    return tensor.startswith("blocks.") and tensor.endswith(("weight", "multiplier"))


def weights(tensor: str) -> bool:
    """All that multiplies: every matrix, gain and multiplier."""
    return not tensor.endswith(("bias", "shift"))


def everything(tensor: str) -> bool:
    """What SGD does."""
    return True


ONE_SAMPLE = "one sample, branches"
UPDATES = {"branches": branches, "all matrices": weights, "all and biases": everything}

Results = dict[str, dict[str, np.ndarray]]
"""By variant, for ``ONE_SAMPLE`` and each of ``UPDATES``: the change of the function per depth."""


def measure() -> Results:
    """Every variant and depth, for one sample and for the preset's batch."""
    results = {}
    for variant in progress(VARIANTS):
        config = compose(["experiment=fixup_first_update", *variant.overrides])
        changes = [
            change({**config, "model": {**config["model"], "depth": depth}}) for depth in DEPTHS
        ]
        results[variant.name] = dict(
            zip((ONE_SAMPLE, *UPDATES), np.transpose(changes), strict=True)
        )
    return results


def change(config: dict[str, Any]) -> np.ndarray:
    """One variant and depth: geometric means over all seeds, for ``ONE_SAMPLE`` and ``UPDATES``."""
    logs = []
    for seed in SEEDS:
        experiment = build_experiment({**config, "seed": seed})
        single, batch = FirstStep(experiment, samples=1), FirstStep(experiment)
        logs.append([single.change(branches), *(batch.change(moves) for moves in UPDATES.values())])
    return np.exp(np.mean(np.log(logs), axis=0))


class FirstStep:
    """The first step of a run, on its first batch or the first few ``samples`` of it."""

    def __init__(self, experiment: Experiment, samples: int | None = None) -> None:
        self.experiment, model = experiment, experiment.model
        self.inputs, self.targets = (each[:samples] for each in experiment.trainer.batches.at(0))
        gradient = model.layout.zeros(experiment.params.vector.dtype)
        self.outputs, pullback = model.forward(experiment.params, self.inputs)
        self.loss, dy = experiment.trainer.loss.value_and_gradient(self.outputs, self.targets)
        pullback(dy, gradient)
        self.gradient = gradient.vector

    def change(self, moves: Moves) -> float:
        """RMS of f(θ') - f(θ), divided by the rate and by the RMS of f(θ) - t."""
        model, trainer = self.experiment.model, self.experiment.trainer
        gradient = self.gradient.copy()
        for tensor in model.layout.tensors:
            if not moves(tensor.name):
                gradient[tensor.span] = 0
        size = norm(gradient)
        lr = FALL * (self.loss / size) / size
        vector = self.experiment.params.vector.copy()
        params = model.layout.views(vector)
        memory = trainer.start(params).memory
        trainer.optimizer.step(vector, gradient, memory, lr=lr, count=1)
        moved = model.predict(params, self.inputs) - self.outputs
        return rms(moved) / rms(self.outputs - self.targets) / lr


def slope(values: Sequence[float] | np.ndarray) -> float:
    """The exponent of L in values at ``DEPTHS``."""
    return exponent(DEPTHS, values)


def claims(results: Results) -> list[Claim]:
    """Fixup's independence of depth, its conditions and limits; the laws of the others."""
    source = "Zhang, Dauphin and Ma 2019, Fixup (from memory of the paper)"
    fixup = {updated: slope(changes) for updated, changes in results[FIXUP.name].items()}
    unscaled = np.log10(results[UNSCALED.name]["branches"])
    return [
        Claim(
            "Under Fixup the first step changes the function by an amount independent of depth",
            source,
            [
                near("exponent of L, matrices of the branches", fixup["branches"], 0, 0.05),
                near("exponent of L, all matrices", fixup["all matrices"], 0, 0.05),
                near(
                    "exponent of L, one sample",
                    fixup[ONE_SAMPLE],
                    0,
                    0.05,
                ),
            ],
            recorded="reproduced",
        ),
        Claim(
            "It takes the factor L^(-1/2) on W1: with W2 = 0 alone the change grows as L",
            source,
            [near("exponent of L, W2 = 0 only", slope(results[ZERO.name]["branches"]), 1, 0.05)],
            recorded="reproduced",
        ),
        Claim(
            "It is independent of depth for the whole step of SGD, biases included",
            "the claim carried over to this model, which has a bias vector in every layer",
            [near("exponent of L, all parameters", fixup["all and biases"], 0, 0.05)],
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
                    slope(results[variant.name][ONE_SAMPLE]),
                    slope([variant.law(depth) for depth in DEPTHS]),
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
    """The change over depth from the branches' matrices, and for Fixup from more parameters."""
    sheet, (left, right) = panels(
        "The first step of SGD",
        "relu · width 32 · change of the function for each unit of learning rate and of error",
        {"one sample, matrices of the branches": DEPTH, "Fixup, a batch, more parameters": DEPTH},
        {DEPTH: DEPTHS},
        height=2.9,
        right=1.15,
    )
    grid = np.geomspace(DEPTHS[0], DEPTHS[-1], 40).astype(int)
    for order, variant in enumerate(VARIANTS):
        values = results[variant.name][ONE_SAMPLE]
        law = np.array([variant.law(int(depth)) for depth in grid])
        left.plot(grid, law * (values[0] / law[0]), **{**THEORY, "label": "law", "zorder": 1})
        look = {"color": layer_colour(order, len(VARIANTS) - 1), "marker": variant.marker}
        name = {"label": variant.name, "gid": "(a) start"}
        left.plot(DEPTHS, values, markersize=4.5, linestyle="none", **look, **name)
    start, then = results[UNSCALED.name][ONE_SAMPLE][:2]
    log_axis(left, [100 * start], *(results[variant.name][ONE_SAMPLE] for variant in VARIANTS[1:]))
    left.annotate(
        f"unscaled: $10^{{{np.log10(then):.0f}}}$ at {DEPTHS[1]}",
        (DEPTHS[0], start),
        (9, 2),
        textcoords="offset points",
        size=7.5,
    )
    for order, updated in enumerate(UPDATES):
        look = {**marks(order, 3), "linestyle": "-", "label": updated, "gid": "(b) moved"}
        right.plot(DEPTHS, results[FIXUP.name][updated], **look)
    return finished(sheet)
