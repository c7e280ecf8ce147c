"""What does the place of the norm do to the gradients at initialisation, and to training?

Xiong et al. 2020, "On Layer Normalization in the Transformer Architecture". A block is
x + W2 relu(W1 LN(x)), with a last LN before the read-out (pre-LN), or LN(x + W2 relu(W1 x))
(post-LN), with square matrices of variance 1/D. With the kernel Q_ab = E[x_a·x_b]/D of the samples
a, b of a batch, its diagonal s² and A(K), A'(K) the means of relu·relu and of relu'·relu' under
N(0, K) (Cho and Saul 2009), the mean squared gradients Π_ab = E[g_a·g_b] follow

    pre    Q <- Q + A(C),  C = Q/(s s)          Π_l = Π_{l+1} (1 + A'(C)/(s s))
    post   Q <- Z/(z z),  Z = Q + A(Q)          Π_l = Π_{l+1}/(z z) (1 + A'(Q))

from the last norm's Π = dL/dy·dL/dy on, and |dL/dW2|² = D Σ_ab G_ab A_ab, G the gradient of the
block's sum. For one sample A/s² = A' = 1/2. In post-LN z² is then 3/2 in every block, the factor of
the sum, 1 + 1/2, cancels that of the norm, 1/z², and every block receives the same. In pre-LN
s_l² = s_0² + l/2 and Π_l s_l² does not depend on l: block l receives 1/s_{l+1}, the last L^(-1/2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ffn_train.plots.scales import log_axis, set_ticks
from ffn_train.plots.sheet import page, right_legends, sample
from ffn_train.plots.style import DOUBLE, INK, MUTED, step_colour
from ffn_train.reproduce import Claim, at_least, at_most, near, passes, points, trained, within

SEEDS = range(32)
DEPTHS = (4, 8, 16, 32, 64)
DEEP = 16  # exponents are fitted from this depth on
PROFILE = 32  # the depth whose blocks are shown one by one
BATCHES = (1, 16)
NORMS = {"pre_layer": "pre-LN", "post_layer": "post-LN"}
COLOURS = {norm: step_colour(order, 3) for order, norm in enumerate(NORMS)}
MARKERS = {"pre_layer": "o", "post_layer": "s"}
DOTTED = {"color": INK, "linewidth": 0.8, "linestyle": (0, (1, 2)), "zorder": 3}
GUIDE: dict[str, Any] = {"color": MUTED, "linewidth": 0.9, "linestyle": (0, (5, 2)), "zorder": 1}
WARM: Any = (0, (2.5, 1.2))
THEOREM = "Xiong et al. 2020, theorem 1"
LAYERS = "Xiong et al. 2020, section 3.3, extended theory"

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Point:
    """One norm, depth and batch size: root mean squares over seeds, relative to |dL/dy|.

    ``measured`` and ``theory`` (L,): |dL/dW2| of each block; ``signal`` (L+1,): E|x_l|²/D.
    """

    norm: str
    depth: int
    batch: int
    measured: Numbers
    theory: Numbers
    signal: Numbers


@dataclass(frozen=True)
class Trained:
    """Validation losses of all seeds by norm, learning rate and warm-up; that of least squares.

    A loss of 1 is that of predicting the mean.
    """

    loss: Mapping[tuple[str, float, int], list[float]]
    least_squares: float

    def worst(self, norm: str, warm: bool) -> dict[float, float]:
        """The largest loss over seeds, by learning rate."""
        return {
            lr: max(values)
            for (name, lr, warmup), values in self.loss.items()
            if name == norm and (warmup > 0) == warm
        }


@dataclass(frozen=True)
class Results:
    """At initialisation, and trained."""

    points: list[Point]
    trained: Trained

    def at(self, norm: str, batch: int) -> list[Point]:
        """The points of one norm and batch size, by depth."""
        return [p for p in self.points if (p.norm, p.batch) == (norm, batch)]


def relu_kernels(k: Numbers) -> tuple[Numbers, Numbers]:
    """A and A' of a kernel: E[relu(u_a) relu(u_b)] and E[relu'(u_a) relu'(u_b)], (u_a, u_b) ~ N."""
    size = np.sqrt(np.outer(np.diag(k), np.diag(k)))
    cosine = np.clip(k / size, -1, 1)
    np.fill_diagonal(cosine, 1)
    angle = np.arccos(cosine)
    share = (np.pi - angle) / (2 * np.pi)
    return size * (np.sin(angle) / (2 * np.pi) + share * cosine), share


def recursion(norm: str, depth: int, x: Numbers, dy: Numbers) -> Numbers:
    """E|dL/dW2|² of each block (L,), from the batch's x_0 (N, D) and dL/dy (N, M)."""
    width = x.shape[1]
    q = x @ x.T / width
    seen, sums, factors = [], [], []  # A of each block's input; scale of its sum; 1 + its chi
    for _ in range(depth):
        scale = np.outer(np.sqrt(np.diag(q)), np.sqrt(np.diag(q)))
        value, slope = relu_kernels(q / scale if norm == "pre_layer" else q)
        q = q + value
        seen.append(value)
        if norm == "pre_layer":
            factors.append(1 + slope / scale)
            sums.append(np.ones_like(q))
        else:
            factors.append(1 + slope)
            sums.append(np.outer(np.sqrt(np.diag(q)), np.sqrt(np.diag(q))))
            q = q / sums[-1]
    gradient = dy @ dy.T * (1 - 2 / width)  # the last norm takes out two directions of D
    if norm == "pre_layer":
        gradient = gradient / np.outer(np.sqrt(np.diag(q)), np.sqrt(np.diag(q)))
    squares = []
    for value, total, factor in zip(seen[::-1], sums[::-1], factors[::-1], strict=True):
        gradient = gradient / total
        squares.append(width * np.sum(gradient * value))
        gradient = gradient * factor
    return np.array(squares[::-1])


def measure() -> Results:
    """Depths and batch sizes at initialisation, in one process; the preset's sweep, trained."""
    base = points("pre_post_norm")
    config = {
        norm: next(p.config for p in base if p.config["norm"]["name"] == norm) for norm in NORMS
    }
    found = [
        at_start(config[norm], norm, depth, batch)
        for norm in NORMS
        for batch in BATCHES
        for depth in DEPTHS
    ]
    return Results(found, train())


def at_start(config: Mapping[str, Any], norm: str, depth: int, batch: int) -> Point:
    """One point at initialisation over all seeds, in float64."""
    settings = {
        **config,
        "dtype": "float64",
        "model": {**config["model"], "depth": depth},
        "trainer": {**config["trainer"], "batch_size": batch},
    }
    measured, theory, signal = [], [], []
    for one in passes(settings, SEEDS):
        views = one.gradient.views.part("blocks").parts.values()
        of_loss = np.sum(one.output_gradient**2)
        measured.append([np.sum(block.part("down")["weight"] ** 2) / of_loss for block in views])
        theory.append(recursion(norm, depth, one.signals[0], one.output_gradient) / of_loss)
        signal.append([np.mean(x**2) for x in one.signals])
    means = [np.mean(values, axis=0) for values in (measured, theory, signal)]
    return Point(norm, depth, batch, np.sqrt(means[0]), np.sqrt(means[1]), means[2])


def train() -> Trained:
    """The preset's sweep."""
    loss: dict[tuple[str, float, int], list[float]] = {}
    least_squares = []
    for run in trained("pre_post_norm"):
        config = run.config
        key = config["norm"]["name"], config["optimizer"]["lr"], config["schedule"]["warmup"]
        loss.setdefault(key, []).append(1 - run.summary["validation_r2"])
        least_squares.append(1 - run.summary["least_squares_r2"])
    return Trained(loss, float(np.mean(least_squares)))


def exponent(found: list[Point]) -> float:
    """The slope of log |dL/dW2_L| over log L, from ``DEEP`` on."""
    deep = [p for p in found if p.depth >= DEEP]
    last = [p.measured[-1] for p in deep]
    return float(np.polyfit(np.log([p.depth for p in deep]), np.log(last), 1)[0])


def profile(found: list[Point]) -> Point:
    """The point whose blocks are shown one by one."""
    return next(p for p in found if p.depth == PROFILE)


def claimed_term(depth: int) -> Numbers:
    """(2/3)^((L-l)/2) for l = 1 ... L."""
    return np.asarray((2 / 3) ** ((depth - np.arange(1.0, depth + 1)) / 2))


def claims(results: Results) -> list[Claim]:
    """The last block over depth, the other blocks, training."""
    one = {norm: results.at(norm, 1) for norm in NORMS}
    many = {norm: results.at(norm, BATCHES[-1]) for norm in NORMS}
    batch = BATCHES[-1]
    post, signal = profile(one["post_layer"]), profile(many["pre_layer"]).signal
    term = claimed_term(PROFILE)
    places = [PROFILE // 4, PROFILE // 2, 3 * PROFILE // 4]
    without, warm = (
        {norm: results.trained.worst(norm, flag) for norm in NORMS} for flag in (False, True)
    )
    large, linear = 0.003, results.trained.least_squares
    return [
        Claim(
            "|dL/dW2| of the last block does not depend on L in post-LN, and falls as L^(-1/2) in "
            "pre-LN: for one sample",
            THEOREM,
            [
                near("exponent of L, post-LN", exponent(one["post_layer"]), 0, 0.06),
                near("exponent of L, pre-LN", exponent(one["pre_layer"]), -0.5, 0.06),
            ],
            recorded="reproduced",
        ),
        Claim(
            f"The same for the mean over a batch of {batch} samples",
            THEOREM + ", whose loss is a mean over positions",
            [
                near("exponent of L, post-LN", exponent(many["post_layer"]), 0, 0.06),
                near("exponent of L, pre-LN", exponent(many["pre_layer"]), -0.5, 0.06),
            ],
            recorded="partly",
        ),
        Claim(
            "|dL/dW2| of the last block is that of the recursion, for one sample and for a batch",
            "derived here",
            [
                within(
                    f"{NORMS[norm]}, batch {p.batch}, L = {p.depth}",
                    p.measured[-1],
                    p.theory[-1],
                    0.1,
                )
                for norm in NORMS
                for p in (*one[norm], *many[norm])
                if p.depth in (DEPTHS[0], DEPTHS[-1])
            ],
            recorded="reproduced",
        ),
        Claim(
            "In pre-LN the signal grows as |x_l|²/D = |x_0|²/D + l/2",
            "Xiong et al. 2020, lemma 2, the lower bound, which feed-forward blocks alone attain",
            [
                within(f"|x_l|²/D, l = {block}", signal[block], signal[0] + block / 2, 0.05)
                for block in (PROFILE // 4, PROFILE)
            ],
            recorded="reproduced",
        ),
        Claim(
            "In pre-LN the gradient stays the same for any layer",
            LAYERS,
            [
                within(f"|dW2_1|/|dW2_L|, L = {p.depth}", p.measured[0] / p.measured[-1], 1, 0.2)
                for p in one["pre_layer"]
            ],
            recorded="refuted",
        ),
        Claim(
            "In post-LN a term (2/3)^((L-l)/2) makes the gradient fall towards the input",
            "Xiong et al. 2020, appendix F",
            [
                within(
                    f"|dW2_l|/|dW2_L|, l = {block} of {PROFILE}, one sample",
                    post.measured[block - 1] / post.measured[-1],
                    term[block - 1],
                    0.5,
                )
                for block in places
            ],
            recorded="refuted",
        ),
        Claim(
            "For one sample the factor of a post-LN block is (1 + 1/2)/(3/2) = 1: it does not fall",
            "derived here",
            [
                within(
                    f"|dW2_l|/|dW2_L|, l = {block} of {PROFILE}, one sample",
                    post.measured[block - 1] / post.measured[-1],
                    1,
                    0.2,
                )
                for block in places
            ],
            recorded="reproduced",
        ),
        Claim(
            "In post-LN the gradient decays towards the input",
            LAYERS + "; figure 3 averages over batches",
            [
                at_most(f"|dW2_1|/|dW2_L|, batch {p.batch}", p.measured[0] / p.measured[-1], 0.75)
                for p in (profile(many["post_layer"]), post)
            ],
            recorded="partly",
        ),
        Claim(
            f"Post-LN needs the warm-up: at learning rate {large:g} it trains with it only",
            "Xiong et al. 2020, section 3.2",
            [
                at_least("smallest loss without", min(seeds_of(results, large, 0)), 0.95),
                at_most("largest loss with", warm["post_layer"][large], 0.95),
            ],
            recorded="reproduced",
        ),
        Claim(
            "Pre-LN trains without a warm-up: below the loss of least squares at every rate",
            "Xiong et al. 2020, abstract",
            [
                at_most(f"largest loss, rate {lr:g}", value, linear)
                for lr, value in without["pre_layer"].items()
            ],
            recorded="partly",
        ),
        Claim(
            "Pre-LN without a warm-up reaches what post-LN reaches with it",
            "Xiong et al. 2020, abstract",
            [
                at_most(
                    "loss at the best rate, pre-LN without",
                    min(without["pre_layer"].values()),
                    min(warm["post_layer"].values()),
                )
            ],
            recorded="reproduced",
        ),
    ]


def seeds_of(results: Results, lr: float, warmup: int) -> list[float]:
    """The post-LN losses of all seeds at one rate."""
    return results.trained.loss["post_layer", lr, warmup]


def figure(results: Results) -> Figure:
    """The last block's gradient over depth, all blocks' of one depth, the loss over the rate."""
    sheet, (left, middle, right) = page(
        "Pre- and post-LN",
        "x + f(LN(x)) and LN(x + f(x)) · relu · width 64 · (a, b) at initialisation, (c) depth 24, "
        "150 steps of Adam, 2 seeds",
        width=DOUBLE,
        height=2.8,
        panels=3,
        gaps=(0.6, 0.6),
        right=1.1,
    )
    over_depth(left, results)
    over_blocks(middle, results)
    over_rates(right, results.trained)
    norms = [
        sample(text, color=COLOURS[norm], marker=MARKERS[norm], markersize=4, linestyle="none")
        for norm, text in NORMS.items()
    ]
    batches = [
        sample("one sample", marker="o", markersize=4, color=INK, linestyle="none"),
        sample(f"{BATCHES[-1]} samples", **hollow("o", INK)),
        sample("recursion", **DOTTED),
        sample(r"$(2/3)^{(L-l)/2}$", **GUIDE),
    ]
    dot = {"marker": "o", "markersize": 3, "color": INK}
    warmups = [
        sample("without", **dot),
        sample("with", linestyle=WARM, markerfacecolor="white", **dot),
    ]
    right_legends(sheet, right, ("norm", norms), ("(a, b)", batches), ("(c) warm-up", warmups))
    return sheet


def hollow(marker: str, colour: Any) -> dict[str, Any]:
    """The look of a batch's marks."""
    return {
        "marker": marker,
        "markersize": 4,
        "color": colour,
        "markerfacecolor": "white",
        "linestyle": "none",
    }


def look(point: Point) -> dict[str, Any]:
    """The look of a point's marks: filled for one sample."""
    colour, marker = COLOURS[point.norm], MARKERS[point.norm]
    if point.batch > 1:
        return hollow(marker, colour)
    return {"marker": marker, "markersize": 4, "color": colour, "linestyle": "none"}


def over_depth(axes: Axes, results: Results) -> None:
    """|dL/dW2| of the last block over L, relative to the shallowest."""
    for norm in NORMS:
        for batch in BATCHES:
            found = results.at(norm, batch)
            depths = [p.depth for p in found]
            first = found[0].theory[-1]
            axes.plot(depths, [p.theory[-1] / first for p in found], **DOTTED)
            axes.plot(depths, [p.measured[-1] / first for p in found], **look(found[0]))
    log_axis(
        axes, [p.measured[-1] / results.at(p.norm, p.batch)[0].theory[-1] for p in results.points]
    )
    axes.set_title(r"(a) $|\partial L/\partial W_2|$, last block")
    axes.set_xlabel("depth $L$")
    axes.set_xscale("log", base=2)
    set_ticks(axes.xaxis, DEPTHS, [])


def over_blocks(axes: Axes, results: Results) -> None:
    """|dL/dW2_l| over l, relative to the last block."""
    places = np.arange(1, PROFILE + 1)
    shown = places[:: PROFILE // 8]
    values = []
    for norm in NORMS:
        for batch in BATCHES:
            point = profile(results.at(norm, batch))
            measured, theory = (v / v[-1] for v in (point.measured, point.theory))
            axes.plot(places, theory, **DOTTED)
            axes.plot(shown, measured[shown - 1], **look(point))
            values += [measured, theory]
    axes.plot(places, claimed_term(PROFILE), **GUIDE)
    log_axis(axes, *values, [1e-3])
    axes.set_title(rf"(b) $|\partial L/\partial W_2|$ by block, $L={PROFILE}$")
    axes.set_xlabel("block $l$")
    axes.set_xlim(0, PROFILE + 1)
    set_ticks(axes.xaxis, [1, *range(8, PROFILE + 1, 8)], [])


def over_rates(axes: Axes, runs: Trained) -> None:
    """The final loss over the learning rate, with and without the warm-up."""
    rates = sorted({lr for _, lr, _ in runs.loss})
    warmups = sorted({warmup for _, _, warmup in runs.loss})
    for norm, colour in COLOURS.items():
        for warmup in warmups:
            losses = [runs.loss[norm, lr, warmup] for lr in rates]
            style = WARM if warmup else "-"
            axes.plot(rates, np.mean(losses, axis=1), color=colour, linestyle=style)
            marks = {"marker": MARKERS[norm], "color": colour, "ms": 3, "linestyle": "none"}
            face = "white" if warmup else colour
            for lr, values in zip(rates, losses, strict=True):
                axes.plot([lr] * len(values), values, markerfacecolor=face, **marks)
    axes.axhline(runs.least_squares, color=MUTED, lw=0.6)
    axes.annotate(
        "least squares",
        (rates[0], runs.least_squares),
        (0, 2),
        textcoords="offset points",
        size=7,
        color=MUTED,
    )
    axes.set_title("(c) validation loss")
    axes.set_xlabel("learning rate")
    axes.set_xscale("log")
    axes.set_ylim(0, None)
    set_ticks(axes.xaxis, rates, [])
