"""Does a deep post-LN stack need a learning-rate warm-up that a pre-LN stack does not?

Xiong et al. 2020, "On Layer Normalization in the Transformer Architecture", whose models are
transformers trained on translation. Here: 24 feed-forward blocks, Adam and the default regression
task; norm x learning rate x warm-up x seed, trained. A validation loss of 1 is that of the mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ffn_train.plots.scales import set_ticks, step_axis
from ffn_train.plots.sheet import page, right_legends, sample
from ffn_train.plots.style import DOUBLE, INK, MUTED, step_colour
from ffn_train.reproduce import Claim, at_least, at_most, trained

NORMS = {"pre_layer": "pre-LN", "post_layer": "post-LN"}
COLOURS = {norm: step_colour(order, 3) for order, norm in enumerate(NORMS)}
MARKERS = {"pre_layer": "o", "post_layer": "s"}
LARGE = 0.003  # the rate whose curves are shown: the largest but one
SMOOTH = 10  # steps that the curves are means over
LEARNT = 0.95  # a loss below it has learnt something
SLOWER = 0.05  # a difference of losses that counts

Numbers = NDArray[np.float64]
Key = tuple[str, float, bool]  # norm, learning rate, with a warm-up


@dataclass(frozen=True)
class Results:
    """Of each setting all seeds' final validation losses (S,) and training losses (S, steps)."""

    final: dict[Key, Numbers]
    curves: dict[Key, Numbers]
    least_squares: float

    @property
    def rates(self) -> list[float]:
        """The learning rates, rising."""
        return sorted({rate for _, rate, _ in self.final})

    def best(self, norm: str, warm: bool) -> float:
        """The mean loss over seeds at the rate where that is least."""
        return min(float(self.final[norm, rate, warm].mean()) for rate in self.rates)


def measure() -> Results:
    """The preset's sweep, trained."""
    final: dict[Key, list[float]] = {}
    curves: dict[Key, list[Numbers]] = {}
    least_squares = []
    for run in trained("warm_up"):
        config = run.config
        warm = config["schedule"]["warmup"] > 0
        key = config["norm"]["name"], config["optimizer"]["lr"], warm
        final.setdefault(key, []).append(1 - run.summary["validation_r2"])
        curves.setdefault(key, []).append(run.scalars["loss"])
        least_squares.append(1 - run.summary["least_squares_r2"])
    return Results(
        {key: np.array(values) for key, values in final.items()},
        {key: np.array(values) for key, values in curves.items()},
        float(np.mean(least_squares)),
    )


def claims(results: Results) -> list[Claim]:
    """What post-LN needs, what pre-LN does not, and whether it is as good."""
    final, small = results.final, results.rates[0]
    return [
        Claim(
            f"Post-LN needs the warm-up at a large rate: at {LARGE:g} it learns only with it",
            "Xiong et al. 2020, section 3.2",
            [
                # the mean: at the edge of stability a single seed's end hangs on the last bits
                at_least("mean loss without", final["post_layer", LARGE, False].mean(), LEARNT),
                at_most("mean loss with", final["post_layer", LARGE, True].mean(), LEARNT),
            ],
            recorded="reproduced",
        ),
        Claim(
            "At a small fixed rate post-LN learns without the warm-up, but significantly slower",
            "Xiong et al. 2020, section 3.4 and appendix H",
            [
                at_most(
                    f"largest loss, rate {small:g}",
                    final["post_layer", small, False].max(),
                    LEARNT,
                ),
                at_least(
                    f"mean loss at {small:g} less that of the best rate with warm-up",
                    final["post_layer", small, False].mean() - results.best("post_layer", True),
                    SLOWER,
                ),
            ],
            recorded="partly",
        ),
        Claim(
            "Pre-LN trains without a warm-up, at every rate",
            "Xiong et al. 2020, abstract",
            [
                at_most(
                    f"largest loss, rate {rate:g}", final["pre_layer", rate, False].max(), LEARNT
                )
                for rate in results.rates
            ],
            recorded="reproduced",
        ),
        Claim(
            "Pre-LN without a warm-up reaches what post-LN reaches with one",
            "Xiong et al. 2020, abstract",
            [
                at_most(
                    "mean loss at the best rate",
                    results.best("pre_layer", False),
                    results.best("post_layer", True),
                )
            ],
            recorded="reproduced",
        ),
        Claim(
            "Pre-LN has no use for a warm-up: with one it ends no better at any rate",
            "this study's own question",
            [
                at_least(
                    f"mean loss with less that without, rate {rate:g}",
                    float(
                        np.mean(final["pre_layer", rate, True] - final["pre_layer", rate, False])
                    ),
                    0,
                )
                for rate in results.rates
            ],
            recorded="partly",
        ),
    ]


def look(norm: str, warm: bool) -> dict[str, Any]:
    """The look of a setting: dashed and hollow with a warm-up."""
    colour = COLOURS[norm]
    return {
        "color": colour,
        "linestyle": (0, (2.5, 1.2)) if warm else "-",
        "marker": MARKERS[norm],
        "markersize": 4,
        "markerfacecolor": "white" if warm else colour,
    }


def figure(results: Results) -> Figure:
    """The final loss over the rate for each norm, and the curves at one large rate."""
    sheet, (left, middle, right) = page(
        "Warm-up, pre- and post-LN",
        "24 blocks · relu · width 64 · Adam, 150 steps, warm-up over half of them · 3 seeds: mean "
        "and each",
        width=DOUBLE,
        height=2.7,
        panels=3,
        gaps=(0.5, 0.55),
        right=1.0,
    )
    rates, top = results.rates, 1.25
    for axes, norm in ((left, "pre_layer"), (middle, "post_layer")):
        for warm in (False, True):
            means = [results.final[norm, rate, warm].mean() for rate in rates]
            axes.plot(rates, means, **look(norm, warm))
            for rate in rates:
                values = results.final[norm, rate, warm]
                axes.plot([rate] * len(values), values, ".", color=COLOURS[norm], ms=2.5, alpha=0.6)
        axes.set_xscale("log")
        set_ticks(axes.xaxis, rates, [])
        axes.set_xlabel("learning rate")
    for (norm, rate, warm), losses in results.curves.items():
        if rate == LARGE:
            mean = losses.mean(axis=0)
            count = len(mean) // SMOOTH
            smooth = mean[: count * SMOOTH].reshape(count, SMOOTH).mean(axis=1)
            steps = (np.arange(count) + 0.5) * SMOOTH
            right.plot(steps, smooth, **{**look(norm, warm), "marker": ""})
    step_axis(right, np.arange(next(iter(results.curves.values())).shape[1]))
    for axes in (left, middle, right):
        axes.set_ylim(0, top)
        axes.axhline(1, color=MUTED, lw=0.6)
    for axes in (left, middle):
        axes.axhline(results.least_squares, color=MUTED, lw=0.8, ls=(0, (1, 2)))
    left.set_title("(a) validation loss, pre-LN")
    middle.set_title("(b) the same, post-LN")
    right.set_title(f"(c) training loss, rate {LARGE:g}")
    norms = [sample(text, **look(norm, False)) for norm, text in NORMS.items()]
    dot = {"marker": "o", "markersize": 4, "color": INK}
    warmups = [
        sample("without", **dot),
        sample("with", linestyle=(0, (2.5, 1.2)), markerfacecolor="white", **dot),
    ]
    floors = [
        sample("mean", color=MUTED, lw=0.6),
        sample("least squares", color=MUTED, lw=0.8, ls=(0, (1, 2))),
    ]
    right_legends(sheet, right, ("norm", norms), ("warm-up", warmups), ("predicting", floors))
    return sheet
