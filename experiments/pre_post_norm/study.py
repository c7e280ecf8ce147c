"""What does the place of the norm do to the gradients of a deep stack at initialisation?

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
from matplotlib.figure import Figure

from ffn_train.nn.core import Floats
from ffn_train.plots.scales import set_ticks
from ffn_train.plots.style import INK
from ffn_train.reproduce import Check, Claim, at_most, exponent, near, passes, points, within
from ffn_train.reproduce.panels import BLOCK, DEPTH, GUIDE, THEORY, finished, marks, panels

SEEDS = range(32)
DEEP = 16  # exponents are fitted from this depth on
PROFILE = 32  # the depth whose blocks are shown one by one
BATCHES = (1, 16)
NORMS = {"pre_layer": "pre-LN", "post_layer": "post-LN"}
THEOREM = "Xiong et al. 2020, theorem 1"
LAYERS = "Xiong et al. 2020, section 3.3, extended theory"


@dataclass(frozen=True)
class Point:
    """One norm, depth and batch size: root mean squares over seeds, relative to |dL/dy|.

    ``measured`` and ``theory`` (L,): |dL/dW2| of each block; ``signal`` (L+1,): E|x_l|²/D.
    """

    norm: str
    depth: int
    batch: int
    measured: Floats
    theory: Floats
    signal: Floats


def relu_kernels(k: Floats) -> tuple[Floats, Floats]:
    """A and A' of a kernel: E[relu(u_a) relu(u_b)] and E[relu'(u_a) relu'(u_b)], (u_a, u_b) ~ N."""
    size = np.sqrt(np.outer(np.diag(k), np.diag(k)))
    cosine = np.clip(k / size, -1, 1)
    np.fill_diagonal(cosine, 1)
    angle = np.arccos(cosine)
    share = (np.pi - angle) / (2 * np.pi)
    return size * (np.sin(angle) / (2 * np.pi) + share * cosine), share


def sizes(q: Floats) -> Floats:
    """s_a s_b of each pair of samples, from the kernel's diagonal s²."""
    return np.outer(np.sqrt(np.diag(q)), np.sqrt(np.diag(q)))


def recursion(norm: str, depth: int, x: Floats, dy: Floats) -> Floats:
    """E|dL/dW2|² of each block (L,), from the batch's x_0 (N, D) and dL/dy (N, M)."""
    width = x.shape[1]
    q = x @ x.T / width
    values, sums, factors = [], [], []  # A of each block's input; scale of its sum; 1 + its chi
    for _ in range(depth):
        scale = sizes(q)
        value, slope = relu_kernels(q / scale if norm == "pre_layer" else q)
        q = q + value
        values.append(value)
        if norm == "pre_layer":
            factors.append(1 + slope / scale)
            sums.append(np.ones_like(q))
        else:
            factors.append(1 + slope)
            sums.append(sizes(q))
            q = q / sums[-1]
    gradient = dy @ dy.T * (1 - 2 / width)  # the last norm removes two of D directions
    if norm == "pre_layer":
        gradient = gradient / sizes(q)
    squares = []
    for value, total, factor in zip(values[::-1], sums[::-1], factors[::-1], strict=True):
        gradient = gradient / total
        squares.append(width * np.sum(gradient * value))
        gradient = gradient * factor
    return np.array(squares[::-1])


def measure() -> list[Point]:
    """Every point of the preset over all seeds."""
    return [at_start(job.config) for job in points("pre_post_norm")]


def at_start(config: Mapping[str, Any]) -> Point:
    """One point over all seeds."""
    norm, depth = config["norm"]["name"], config["model"]["depth"]
    measured, theory, signal = [], [], []
    for start in passes(config, SEEDS):
        views = [start.gradient.part(f"blocks.{index}") for index in range(depth)]
        of_loss = np.sum(start.output_gradient**2)
        measured.append([np.sum(block.part("down")["weight"] ** 2) / of_loss for block in views])
        theory.append(recursion(norm, depth, start.signals[0], start.output_gradient) / of_loss)
        signal.append([np.mean(x**2) for x in start.signals])
    means = [np.mean(values, axis=0) for values in (measured, theory, signal)]
    batch = config["trainer"]["batch_size"]
    return Point(norm, depth, batch, np.sqrt(means[0]), np.sqrt(means[1]), means[2])


def of(results: list[Point], norm: str, batch: int) -> list[Point]:
    """The points of one norm and batch size, by depth."""
    return [p for p in results if (p.norm, p.batch) == (norm, batch)]


def exponents(points: dict[str, list[Point]]) -> list[Check]:
    """The exponent of L in |dL/dW2_L| for each norm, from ``DEEP`` on."""
    checks = []
    for norm, expected in (("post_layer", 0), ("pre_layer", -0.5)):
        deep = [p for p in points[norm] if p.depth >= DEEP]
        fitted = exponent([p.depth for p in deep], [p.measured[-1] for p in deep])
        checks.append(near(f"exponent of L, {NORMS[norm]}", fitted, expected, 0.06))
    return checks


def profile(points: list[Point]) -> Point:
    """The point whose blocks are shown one by one."""
    return next(p for p in points if p.depth == PROFILE)


def relative(point: Point) -> Floats:
    """|dL/dW2| of each block over that of the last."""
    return np.asarray(point.measured / point.measured[-1])


def claimed_term(depth: int) -> Floats:
    """(2/3)^((L-l)/2) for l = 1 ... L."""
    return np.asarray((2 / 3) ** ((depth - np.arange(1.0, depth + 1)) / 2))


def claims(results: list[Point]) -> list[Claim]:
    """The last block over depth, and the other blocks."""
    single = {norm: of(results, norm, 1) for norm in NORMS}
    many = {norm: of(results, norm, BATCHES[-1]) for norm in NORMS}
    post, signal = profile(single["post_layer"]), profile(many["pre_layer"]).signal
    post_blocks = [
        (f"|dW2_l|/|dW2_L|, l = {block} of {PROFILE}", block, relative(post)[block - 1])
        for block in (PROFILE // 4, PROFILE // 2, 3 * PROFILE // 4)
    ]
    return [
        Claim(
            "|dL/dW2| of the last block does not depend on L in post-LN, and falls as L^(-1/2) in "
            "pre-LN: for one sample",
            THEOREM,
            exponents(single),
            recorded="reproduced",
        ),
        Claim(
            f"The same for the mean over a batch of {BATCHES[-1]} samples",
            THEOREM + ", whose loss is a mean over positions",
            exponents(many),
            recorded="1 of 2 checks",
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
                for p in (*single[norm], *many[norm])
                if p.depth in (results[0].depth, results[-1].depth)
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
                within(f"|dW2_1|/|dW2_L|, L = {p.depth}", relative(p)[0], 1, 0.2)
                for p in single["pre_layer"]
            ],
            recorded="refuted",
        ),
        Claim(
            "In post-LN a term (2/3)^((L-l)/2) makes it fall towards the input: for one sample",
            "Xiong et al. 2020, appendix F",
            [
                within(label, value, claimed_term(PROFILE)[block - 1], 0.5)
                for label, block, value in post_blocks
            ],
            recorded="refuted",
        ),
        Claim(
            "For one sample the factor of a post-LN block is (1 + 1/2)/(3/2) = 1: it does not fall",
            "derived here",
            [within(label, value, 1, 0.2) for label, _, value in post_blocks],
            recorded="reproduced",
        ),
        Claim(
            "In post-LN the gradient decays towards the input",
            LAYERS + "; figure 3(a), of expected gradients",
            [
                at_most(f"|dW2_1|/|dW2_L|, batch {p.batch}", relative(p)[0], 0.75)
                for p in (profile(many["post_layer"]), post)
            ],
            recorded="1 of 2 checks",
        ),
    ]


def figure(results: list[Point]) -> Figure:
    """The last block's gradient over depth, and that of all blocks of one depth."""
    sheet, (left, right) = panels(
        "Pre- and post-LN at initialisation",
        "x + f(LN(x)) and LN(x + f(x)) · relu · width 64 · gradients relative to dL/dy",
        {
            r"$|\partial L/\partial W_2|$, last block": DEPTH,
            rf"$|\partial L/\partial W_2|$ by block, $L={PROFILE}$": BLOCK,
        },
        {DEPTH: sorted({p.depth for p in results})},
        right=1.1,
    )
    theory = {**THEORY, "label": "recursion"}
    blocks = np.arange(1, PROFILE + 1)
    marked = blocks[:: PROFILE // 8]
    batches = {1: {}, BATCHES[-1]: {"markerfacecolor": "white"}}
    for order, (norm, name) in enumerate(NORMS.items()):
        left.plot([], [], label=name, gid="norm", **marks(order, 3))
        for batch, fill in batches.items():
            chosen, look = of(results, norm, batch), {**marks(order, 3), **fill}
            depths, first = [p.depth for p in chosen], chosen[0].theory[-1]
            left.plot(depths, [p.theory[-1] / first for p in chosen], **theory)
            left.plot(depths, [p.measured[-1] / first for p in chosen], **look)
            point = profile(chosen)
            right.plot(blocks, point.theory / point.theory[-1], **theory)
            right.plot(marked, relative(point)[marked - 1], **look)
    for batch, fill in batches.items():
        name = "one sample" if batch == 1 else f"{batch} samples"
        look = {**marks(0, 3), "color": INK, **fill}
        left.plot([], [], label=name, gid="mean over", **look)
    right.plot(blocks, claimed_term(PROFILE), label=r"$(2/3)^{(L-l)/2}$", **GUIDE)
    set_ticks(right.xaxis, [1, *range(8, PROFILE + 1, 8)], [])
    return finished(sheet)
