"""Does the best learning rate of SGD stay where it is when a residual stack is made deeper?

Bordelon et al. 2023, "Depthwise Hyperparameter Transfer in Residual Networks". A block is
x_{l+1} = x_l + a W2 relu(W1 x_l) with a = 1/sqrt(L) or a = 1, and E|f(x)|² = E|x|². In the mean
over the weights |x|² grows by 1 + a² in each block on the way up and |dL/dx|² by the same on the
way down, so the squared gradient of every block's weights carries a² (1 + a²)^(L-1). The sum over
the L blocks, which sets the curvature and thus the largest stable rate, grows like

    (1 + 1/L)^(L-1) < e for a = 1/sqrt(L),   L 2^(L-1) for a = 1
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ffn_train.plots.scales import log_axis
from ffn_train.plots.style import INK
from ffn_train.reproduce import Claim, at_most, near, points
from ffn_train.reproduce.panels import DEPTH, THEORY, finished, marks, panels
from ffn_train.running.experiment import build_experiment

SEEDS = (0, 1)
LAST = 50  # steps at the end of a run that its loss is averaged over
TUNED = 100  # the factor below the best learning rate over which curves are compared
STEP = 2.0  # the factor between two neighbours of the grid of learning rates


@dataclass(frozen=True)
class Curve:
    """The final loss over the learning rate at one depth: mean over seeds, inf if one diverged."""

    power: float
    depth: int
    rates: np.ndarray
    losses: np.ndarray

    @property
    def trains(self) -> np.ndarray:
        """Which rates reach the last step."""
        return np.isfinite(self.losses)

    @property
    def best(self) -> float:
        """The rate with the lowest final loss; not a number if none trains."""
        return float(self.rates[np.argmin(self.losses)]) if self.trains.any() else float("nan")


def final_loss(config: Mapping[str, Any], seed: int) -> float:
    """The mean training loss of the last ``LAST`` steps, inf if the run diverged."""
    experiment = build_experiment({**config, "seed": seed})
    trainer = experiment.trainer
    losses = [record.loss for record in trainer.fit(trainer.start(experiment.params))]
    done = len(losses) == trainer.steps + 1 and np.isfinite(losses[-1])
    return float(np.mean(losses[-LAST:])) if done else float("inf")


def measure() -> list[Curve]:
    """A run for every point of the preset and seed."""
    losses: dict[tuple[float, int], list[tuple[float, float]]] = {}
    for job in points("depth_lr_transfer"):
        config = job.config
        loss = np.mean([final_loss(config, seed) for seed in SEEDS])
        key = (float(config["residual"]["power"]), config["model"]["depth"])
        losses.setdefault(key, []).append((config["optimizer"]["lr"], float(loss)))
    return [Curve(*key, *np.array(sorted(rows)).T) for key, rows in losses.items()]


def of(results: list[Curve], power: float) -> list[Curve]:
    """The curves of one power, by depth."""
    return sorted((c for c in results if c.power == power), key=lambda curve: curve.depth)


def gap(a: Curve, b: Curve) -> float:
    """The largest ratio of two curves, less 1, from the lower best rate over ``TUNED`` up to it.

    Smaller rates leave a network near the loss that it starts from.
    """
    best = min(a.best, b.best)
    near_best = (a.rates <= best) & (a.rates >= best / TUNED) & a.trains & b.trains
    return float(np.exp(np.abs(np.log(a.losses[near_best] / b.losses[near_best])).max()) - 1)


def law(depth: int) -> float:
    """The inverse of the largest stable rate for a = 1, up to a constant."""
    return depth * 2.0**depth


def claims(results: list[Curve]) -> list[Claim]:
    """Where the best rate lies, whether the curves overlay, and what happens without 1/sqrt(L)."""
    scaled, plain = of(results, 0.5), of(results, 0)
    shallow, deep = scaled[0], scaled[-1]
    source = "Bordelon et al. 2023, Depthwise Hyperparameter Transfer, abstract"
    return [
        Claim(
            "With 1/sqrt(L) on the branch the best learning rate is the same at every depth",
            f"{source}: the optimum transfers across depth",
            [
                at_most(
                    f"factor between the best rates, L = {c.depth} and {shallow.depth}",
                    max(c.best / shallow.best, shallow.best / c.best),
                    STEP,
                )
                for c in scaled[1:]
            ],
            recorded="reproduced",
        ),
        Claim(
            "With 1/sqrt(L) the curves of loss over learning rate overlay, not only their minima",
            "Bordelon et al. 2023 (from memory of its figures)",
            [
                at_most(f"largest gap, L = {c.depth} and {deep.depth}", gap(c, deep), 0.15)
                for c in scaled[:-1]
            ],
            recorded="2 of 3 checks",
        ),
        Claim(
            "With 1/sqrt(L) the curves converge as the depth grows",
            f"{source}: convergence of finite-size dynamics to a limit of infinite depth",
            [
                at_most(
                    f"largest gap to L = {deep.depth}, L = {deeper.depth} over {c.depth}",
                    gap(deeper, deep) / gap(c, deep),
                    1.0,
                )
                for c, deeper in pairwise(scaled[:-1])
            ],
            recorded="reproduced",
        ),
        Claim(
            "With x + f(x) the best learning rate does not transfer: it falls like 2^(-L)/L",
            f"{source}: no transfer across depth; the law derived here",
            [
                near(
                    f"log2 of the best rate, L = {c.depth} over {deeper.depth}",
                    np.log2(c.best / deeper.best),
                    np.log2(law(deeper.depth) / law(c.depth)),
                    1.0,
                )
                for c, deeper in pairwise(plain)
                if deeper.trains.any()
            ],
            recorded="reproduced",
        ),
        Claim(
            f"With x + f(x) and {plain[-1].depth} blocks no rate of the grid trains at all",
            "derived here: the best would be near 1e-17",
            [at_most("rates that reach the last step", plain[-1].trains.sum(), 0)],
            recorded="reproduced",
        ),
    ]


def figure(results: list[Curve]) -> Figure:
    """Loss over learning rate for the two branches, and the best rate over depth."""
    rate, depths = "learning rate", [c.depth for c in of(results, 0.5)]
    sheet, (left, middle, right) = panels(
        "Learning-rate transfer across depth",
        "relu · no norm · width 32, hidden 64 · SGD, 400 steps · final training loss, two seeds",
        {r"loss, $x+f(x)/\sqrt{L}$": rate, "loss, $x+f(x)$": rate, "best learning rate": DEPTH},
        {DEPTH: depths, rate: [1e-6, 1e-4, 1e-2]},
        right=0.98,
    )
    for axes, power in ((left, 0.5), (middle, 0)):
        log_axis(axes, *(c.losses[c.trains] for c in results))
        axes.set_xlim(7e-7, 0.05)
        for order, curve in enumerate(of(results, power)):
            look = {**marks(order, len(depths)), "linestyle": "-", "linewidth": 1}
            good = curve.trains
            axes.plot(curve.rates[good], curve.losses[good], **{**look, "markersize": 2.2})
            if good.any():
                label = f"{curve.depth}"
                axes.plot(curve.best, curve.losses.min(), label=label, gid=DEPTH, **look)
            else:
                none = f"$L={curve.depth}$: none trains"
                axes.annotate(none, (0.32, 0.88), xycoords="axes fraction", size=8)
    for power, name, marker in ((0.5, r"$1/\sqrt{L}$", "o"), (0, "1", "s")):
        curves = [c for c in of(results, power) if c.trains.any()]
        trained, bests = [c.depth for c in curves], [c.best for c in curves]
        right.plot(trained, bests, marker, color=INK, ms=4, label=name, gid="branch times")
        theory = [bests[0] * (1 if power else law(trained[0]) / law(d)) for d in trained]
        right.plot(trained, theory, **THEORY)
    right.set_xlim(depths[0] / 1.2, depths[-1] * 1.2)
    return finished(sheet)
