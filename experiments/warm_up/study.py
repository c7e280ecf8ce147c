"""Does a deep post-LN stack need a learning-rate warm-up that a pre-LN stack does not?

Xiong et al. 2020, "On Layer Normalization in the Transformer Architecture", whose models are
transformers trained on translation. Here: 24 feed-forward blocks, Adam and the default regression
task; norm x learning rate x warm-up x seed, trained. A validation loss of 1 is that of the mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from ffn_train.nn.core import Floats
from ffn_train.plots.scales import step_axis
from ffn_train.plots.style import INK, MUTED
from ffn_train.reproduce import Claim, at_least, at_most, trained
from ffn_train.reproduce.panels import THEORY, finished, marks, panels

NORMS = {"pre_layer": "pre-LN", "post_layer": "post-LN"}
LOOKS = {norm: {**marks(order, 3), "linestyle": "-"} for order, norm in enumerate(NORMS)}
WARM = {"linestyle": (0, (2.5, 1.2)), "markerfacecolor": "white"}  # the look with a warm-up
LARGE = 0.003  # the rate whose curves are shown: the largest but one
SMOOTH = 10  # steps that the curves are means over
LEARNT = 0.95  # a loss below it has learnt something
SLOWER = 0.05  # a difference of losses that counts

Key = tuple[str, float, bool]  # norm, learning rate, with a warm-up


@dataclass(frozen=True)
class Results:
    """Of each setting all seeds' final validation losses (S,) and training losses (S, steps)."""

    final: dict[Key, Floats]
    curves: dict[Key, Floats]
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
    curves: dict[Key, list[Floats]] = {}
    least_squares = []
    for run in trained("warm_up"):
        config = run.config
        warm = config["schedule"]["warmup"] > 0
        key = config["norm"]["name"], config["optimizer"]["lr"], warm
        score = run.summary.score
        final.setdefault(key, []).append(1 - score.value)
        curves.setdefault(key, []).append(run.scalars["loss"])
        least_squares.append(1 - score.baseline)
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
            "Post-LN needs the warm-up: without it it ends worse, at every rate",
            "Xiong et al. 2020, section 3.2",
            [
                # the mean: at the edge of stability a single seed's end hangs on the last bits
                at_least(
                    f"mean loss without less that with, rate {rate:g}",
                    float(
                        np.mean(final["post_layer", rate, False] - final["post_layer", rate, True])
                    ),
                    SLOWER,
                )
                for rate in results.rates
            ],
            recorded="1 of 4 checks",
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
            recorded="1 of 2 checks",
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
            recorded="1 of 4 checks",
        ),
    ]


def figure(results: Results) -> Figure:
    """The final loss over the rate for each norm, and the curves at one large rate."""
    rate_label, rates = "learning rate", results.rates
    sheet, axes = panels(
        "Warm-up, pre- and post-LN",
        "24 blocks · relu · width 64 · Adam, 150 steps, warm-up over half of them · 3 seeds: mean "
        "and each",
        {
            "validation loss, pre-LN": rate_label,
            "the same, post-LN": rate_label,
            f"training loss, rate {LARGE:g}": "step",
        },
        {rate_label: rates},
        right=1.0,
    )
    for panel, (norm, name) in zip(axes, NORMS.items(), strict=False):
        axes[0].plot([], [], label=name, gid="norm", **LOOKS[norm])
        for warm, style in ((False, {}), (True, WARM)):
            look = {**LOOKS[norm], **style}
            final = np.array([results.final[norm, rate, warm] for rate in rates])  # (rates, seeds)
            panel.plot(rates, final.mean(axis=1), **look)
            panel.plot(rates, final, ".", color=look["color"], ms=2.5, alpha=0.6)
            mean = results.curves[norm, LARGE, warm].mean(axis=0)
            count = len(mean) // SMOOTH
            smooth = mean[: count * SMOOTH].reshape(count, SMOOTH).mean(axis=1)
            steps = (np.arange(count) + 0.5) * SMOOTH
            axes[2].plot(steps, smooth, **{**look, "marker": ""})
    step_axis(axes[2], np.arange(len(mean)))
    for name, style in (("without", {}), ("with", WARM)):
        look = {**LOOKS["pre_layer"], "color": INK, **style}
        axes[0].plot([], [], label=name, gid="warm-up", **look)
    least_squares = {**THEORY, "color": MUTED, "label": "least squares", "gid": "predicting"}
    for panel in axes:
        panel.set_ylim(0, 1.25)
        panel.axhline(1, color=MUTED, lw=0.6, label="mean", gid="predicting")
    for panel in axes[:2]:
        panel.axhline(results.least_squares, **least_squares)
    return finished(sheet)
