"""What does a residual change for the gradients and the training of deep stacks?

The default task and optimizer, trained: depth x residual x seed. Everything is read from the runs
of the sweep ``-m experiment=depth_vs_residual``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ffn_train.reproduce import Claim, at_least, at_most, trained
from ffn_train.reproduce.panels import DEPTH, THEORY, finished, panels
from ffn_train.runs import Run

OWN = "this study's own question; the mechanisms are those of the studies at initialisation"
COLOURS = {"none": "#D55E00", "identity": "#CC79A7", "scaled": "#0072B2"}
MARKERS = {"none": "v", "identity": "^", "scaled": "o"}

BySetting = dict[tuple[int, str], np.ndarray]  # by depth and residual: the values of all seeds


@dataclass(frozen=True)
class Results:
    """What is read from the runs."""

    depths: list[int]
    r2: BySetting  # NaN for a run that diverged
    ratio: BySetting  # |dL/dx_0| / |dL/dx_L| at step 0
    profile: BySetting  # RMS of dL/dx_l relative to l = L at step 0 (seeds, L+1)
    baseline_r2: np.ndarray  # of linear regression (seeds,)


def measure() -> Results:
    """The preset's sweep, trained."""
    runs: dict[tuple[int, str], list[Run]] = {}
    for run in trained("depth_vs_residual"):
        key = run.config["model"]["depth"], run.config["residual"]["name"]
        runs.setdefault(key, []).append(run)

    def each(value: Callable[[Run], Any]) -> BySetting:
        return {key: np.array([value(run) for run in seeds]) for key, seeds in runs.items()}

    baseline = each(lambda run: run.summary.score.baseline)
    start = each(lambda run: run.measures["signal_gradient_rms"].values[0])
    return Results(
        sorted({depth for depth, _ in runs}),
        each(lambda r: r.summary.score.value if r.state == "finished" else float("nan")),
        each(lambda run: run.summary.gradient_ratio_start),
        {key: rms / rms[:, -1:] for key, rms in start.items()},
        next(iter(baseline.values())),
    )


def claims(results: Results) -> list[Claim]:
    """Vanishing, exploding and bounded gradients, and their effect on training."""
    shallow, *_, deepest = results.depths
    linear = max(results.baseline_r2)
    worst = {key: min(values) for key, values in results.r2.items()}
    ratio = results.ratio
    return [
        Claim(
            f"Without a residual the first of {deepest} blocks receives no gradient at "
            "initialisation, and the stack learns nothing",
            OWN,
            [
                at_most("largest |dL/dx_0|/|dL/dx_L|", max(ratio[deepest, "none"]), 1e-15),
                at_most("best validation R²", max(results.r2[deepest, "none"]), 0.01),
            ],
            recorded="reproduced",
        ),
        Claim(
            f"With x + f(x) the gradient of {deepest} blocks explodes, and the training diverges",
            OWN,
            [
                at_least("smallest |dL/dx_0|/|dL/dx_L|", min(ratio[deepest, "identity"]), 1e4),
                at_least("share diverged", np.isnan(results.r2[deepest, "identity"]).mean(), 1),
            ],
            recorded="1 of 2 checks",
        ),
        Claim(
            "With x + f(x)/sqrt(L) the gradient arrives as it left at every depth, and all train",
            OWN,
            [
                at_most(f"largest ratio, depth {d}", max(ratio[d, "scaled"]), 2)
                for d in results.depths
            ]
            + [
                at_least(f"smallest validation R², depth {d}", worst[d, "scaled"], linear)
                for d in results.depths
            ],
            recorded="reproduced",
        ),
        Claim(
            f"A shallow stack needs no residual: at depth {shallow} plain stacks end at "
            "least as well as scaled ones",
            OWN,
            [
                at_least(
                    "mean validation R² of none - scaled",
                    results.r2[shallow, "none"].mean() - results.r2[shallow, "scaled"].mean(),
                    0,
                )
            ],
            recorded="reproduced",
        ),
    ]


def figure(results: Results) -> Figure:
    """The gradient over depth in the deepest stack; its ratio and the final R² over depth."""
    depths, deepest = results.depths, results.depths[-1]
    seeds = len(results.baseline_r2)
    sheet, (left, middle, right) = panels(
        "Depth and the residual",
        f"GELU · LeCun · width 32 · SGD, 300 steps · {seeds} seeds: mean, each · cross: diverged",
        {
            rf"$|\partial L/\partial x_l|$ to last, $L={deepest}$, step 0": "relative depth $l/L$",
            r"$|\partial L/\partial x_0| / |\partial L/\partial x_L|$, step 0": DEPTH,
            "final validation $R^2$": DEPTH,
        },
        {DEPTH: depths},
        right=1.25,
    )
    for name, colour in COLOURS.items():
        relative, profiles = np.arange(deepest + 1) / deepest, results.profile[deepest, name]
        left.plot(relative, profiles.T, color=colour, lw=0.6, alpha=0.5)
        left.plot(relative, np.exp(np.log(profiles).mean(0)), color=colour)
        look = {"color": colour, "marker": MARKERS[name], "ms": 4}
        ratios = [np.exp(np.log(results.ratio[depth, name]).mean()) for depth in depths]
        middle.plot(depths, ratios, label=name, gid="residual", **look)
        r2 = np.array([results.r2[depth, name] for depth in depths])  # (depths, seeds)
        right.plot(depths, r2, ".", color=colour, ms=3, alpha=0.5)
        trained, diverged = ~np.isnan(r2).all(axis=1), np.isnan(r2).any(axis=1)
        right.plot(np.array(depths)[trained], np.nanmean(r2[trained], axis=1), **look)
        crosses = np.array(depths)[diverged]
        right.plot(crosses, 0 * crosses - 0.06, "x", color=colour, ms=5, mew=1.5, clip_on=False)
    right.axhline(results.baseline_r2.mean(), **{**THEORY, "label": "linear regression"})
    right.set_ylim(-0.1, 1)
    return finished(sheet)
