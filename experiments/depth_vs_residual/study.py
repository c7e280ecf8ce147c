"""What does a residual change for the gradients and the training of deep stacks?

The default task and optimizer, trained: depth x residual x seed. Everything is read from the
runs of the sweep that ``-m experiment=depth_vs_residual`` makes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from ffn_train.plots.scales import log_axis, set_ticks
from ffn_train.plots.sheet import page, right_legends
from ffn_train.plots.style import DOUBLE, MUTED
from ffn_train.reproduce import Claim, at_least, at_most, trained
from ffn_train.runs import Run

OWN = "this study's own question; the mechanisms are those of the studies at initialisation"
COLOURS = {"none": "#D55E00", "identity": "#CC79A7", "scaled": "#0072B2"}
MARKERS = {"none": "v", "identity": "^", "scaled": "o"}


@dataclass(frozen=True)
class Results:
    """The runs' summaries: of each depth and residual, the values of all seeds."""

    depths: list[int]
    r2: dict[tuple[int, str], list[float]]  # NaN for a run that diverged
    least_squares_r2: list[float]
    ratio: dict[tuple[int, str], list[float]]  # |dL/dx_0| / |dL/dx_L| at step 0
    profile: dict[str, np.ndarray]  # RMS of dL/dx_l relative to l = L of the deepest (seeds, L+1)


def measure() -> Results:
    """The preset's sweep, trained."""
    runs: dict[tuple[int, str], list[Run]] = {}
    for run in trained("depth_vs_residual"):
        key = run.config["model"]["depth"], run.config["residual"]["name"]
        runs.setdefault(key, []).append(run)
    depths = sorted({depth for depth, _ in runs})

    def each(value: Callable[[Run], float]) -> dict[tuple[int, str], list[float]]:
        return {key: [value(run) for run in found] for key, found in runs.items()}

    def profile(run: Run) -> np.ndarray:
        rms = run.measures.signal_gradient_rms[0]
        return np.asarray(rms / rms[-1])

    return Results(
        depths,
        each(lambda r: r.summary["validation_r2"] if r.state == "finished" else float("nan")),
        [run.summary["least_squares_r2"] for run in runs[depths[0], "none"]],
        each(lambda run: run.summary["gradient_ratio_start"]),
        {name: np.array([profile(run) for run in runs[depths[-1], name]]) for name in COLOURS},
    )


def claims(results: Results) -> list[Claim]:
    """Vanishing, exploding, and neither; and what training makes of it."""
    deepest, linear = results.depths[-1], max(results.least_squares_r2)
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
                at_least(
                    "share diverged", float(np.mean(np.isnan(results.r2[deepest, "identity"]))), 1
                ),
            ],
            recorded="reproduced",
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
            f"A shallow stack needs no residual: at depth {results.depths[0]} plain stacks end at "
            "least as well as scaled ones",
            OWN,
            [
                at_least(
                    "mean validation R² of none - scaled",
                    float(
                        np.mean(results.r2[results.depths[0], "none"])
                        - np.mean(results.r2[results.depths[0], "scaled"])
                    ),
                    0,
                )
            ],
            recorded="reproduced",
        ),
    ]


def figure(results: Results) -> Figure:
    """The gradient over depth in the deepest stack; its ratio and the final R² over depth."""
    deepest = results.depths[-1]
    seeds = len(results.least_squares_r2)
    sheet, (left, middle, right) = page(
        "Depth and the residual",
        f"GELU · LeCun · width 32 · SGD, 300 steps · {seeds} seeds, mean and each · "
        "cross: diverged · dotted: least squares",
        width=DOUBLE,
        height=2.7,
        panels=3,
        gaps=(0.62, 0.62),
        right=0.88,
    )
    for name, values in results.profile.items():
        places = np.arange(deepest + 1) / deepest
        left.plot(places, values.T, color=COLOURS[name], lw=0.6, alpha=0.5)
        left.plot(places, np.exp(np.log(values).mean(0)), color=COLOURS[name])
    log_axis(left, *results.profile.values())
    left.set_title(rf"(a) $|\partial L/\partial x_l|$ to last, $L={deepest}$, step 0")
    left.set_xlabel("relative depth $l/L$")
    lines = []
    for name, colour in COLOURS.items():
        look = {"color": colour, "marker": MARKERS[name], "ms": 4}
        ratios = [results.ratio[d, name] for d in results.depths]
        means = [float(np.exp(np.mean(np.log(r)))) for r in ratios]
        lines += middle.plot(results.depths, means, label=name, **look)
        final = [
            np.nanmean(v) if np.isfinite(v := results.r2[d, name]).any() else np.nan
            for d in results.depths
        ]
        right.plot(results.depths, final, **look)
        for depth in results.depths:
            r2 = np.array(results.r2[depth, name])
            right.plot([depth] * len(r2), r2, ".", color=colour, ms=3, alpha=0.5)
            if np.isnan(r2).any():
                right.plot(depth, -0.06, "x", color=colour, ms=5, mew=1.5, clip_on=False)
    log_axis(middle, *results.ratio.values())
    middle.set_title(r"(b) $|\partial L/\partial x_0| / |\partial L/\partial x_L|$, step 0")
    right.axhline(np.mean(results.least_squares_r2), color=MUTED, lw=0.8, ls=(0, (1, 2)))
    right.set_ylim(-0.1, 1)
    right.set_title(r"(c) final validation $R^2$")
    for axes in (middle, right):
        axes.set_xscale("log", base=2)
        set_ticks(axes.xaxis, results.depths, [])
        axes.set_xlabel("depth $L$")
    right_legends(sheet, right, ("residual", lines))
    return sheet
