"""How far is the gradient of one random network from the mean over all of them?

Hanin and Nica 2020, "Products of Many Large Random Matrices and Gradients in Deep Neural Networks";
Li, Nica and Roy 2021, "The future is log-Gaussian", for ResNets. A block is W2 relu(W1 x), alone or
with a skip path and a factor a: D = width, H = hidden width, r = s1 s2/2 = 1 for the variances s1/D
and s2/H of the weights. The output is one number, so dL/dx_L points along the read-out's weights,
independent of all below it, and

    z = log |dL/dx_0|²/|dL/dx_L|² - its mean-field value

is a sum over L blocks. A Gaussian matrix applied to a fixed vector of D entries changes the squared
norm by a factor of relative variance 2/D; H entries, each lost with probability 1/2, have 5/H. With
a skip path v = g + a J^T g the cross term 2a g·J^T g adds 4 a² r/D, so that for each block

    V/L = 2/D + 5/H   plain,      V/L = (4ρ/D + ρ² (2/D + 5/H))/(1 + ρ)²   residual, ρ = a² r

The mean over networks of |dL/dx_0|² is the mean-field value; if z is normal, then its mean is -V/2.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.typing import ColorType

from ffn_train.plots.scales import depth_axis, log_axis
from ffn_train.plots.style import INK, MUTED, step_colour
from ffn_train.reproduce import Claim, at_most, ensemble, exponent, near, points
from ffn_train.reproduce.panels import BLOCK, THEORY, finished, panels

SEEDS = range(1000, 1600)
NAMES = {"none": "plain", "identity": "$x+f(x)$", "scaled": r"$x+f(x)/\sqrt{L}$"}
WORDS = {"none": "f(x)", "identity": "x + f(x)", "scaled": "x + f(x)/sqrt(L)"}
EXAMPLE = (16, 64)  # the shape in the first two panels
KS_1_PERCENT = 1.63  # sqrt(S) times the Kolmogorov-Smirnov distance that 1 % of samples exceed
DASHES = ("-", (0, (4, 1.5)), (0, (1.5, 1)))  # by the shape of a block


@dataclass(frozen=True)
class Point:
    """One residual and shape: z (S, L+1) at each x_l, and the predicted variance of a block."""

    residual: str
    width: int
    hidden: int
    z: np.ndarray
    block_variance: float

    @property
    def name(self) -> str:
        return f"{WORDS[self.residual]}, {self.width}/{self.hidden}"

    @property
    def depth(self) -> int:
        return self.z.shape[1] - 1

    @property
    def variance(self) -> float:
        """V, predicted."""
        return self.depth * self.block_variance

    @property
    def variances(self) -> np.ndarray:
        """Var z (L,) once the gradient has passed 1 ... L blocks."""
        return self.z[:, -2::-1].var(axis=0)

    @property
    def distance(self) -> float:
        """The Kolmogorov-Smirnov distance of z at x_0 from Normal(-V/2, V), nothing fitted."""
        normal = NormalDist(-self.variance / 2, self.variance**0.5)
        below = np.array([normal.cdf(z) for z in np.sort(self.z[:, 0])])
        steps = np.arange(len(below) + 1) / len(below)
        return float(max(np.max(steps[1:] - below), np.max(below - steps[:-1])))

    def moment(self, power: int) -> float:
        """The mean of the standardised z at x_0 to this power."""
        z = self.z[:, 0]
        return float(np.mean(((z - z.mean()) / z.std()) ** power))


def measure() -> list[Point]:
    """Every point of the preset over all seeds."""
    results = []
    for job in points("lognormal_gradients"):
        model, residual = job.config["model"], job.config["residual"]["name"]
        depth, width, hidden = model["depth"], model["width"], model["width"] * model["expansion"]
        square = ensemble(job.config, SEEDS).signal_gradient ** 2
        blocks_above = np.arange(depth, -1, -1)
        alone = 2 / width + 5 / hidden
        if residual == "none":
            growth, variance = 1.0, alone
        else:
            rho = 1.0 if residual == "identity" else 1 / depth
            growth = 1 + rho
            variance = (4 * rho / width + rho**2 * alone) / growth**2
        z = np.log(square / square[:, -1:]) - blocks_above * np.log(growth)
        results.append(Point(residual, width, hidden, z, variance))
    return results


def claims(results: list[Point]) -> list[Claim]:
    """Normality, variance and mean, with bounds from the number of seeds (three deviations)."""
    count = len(results[0].z)
    plain = [p for p in results if p.residual == "none"]
    skip = [p for p in results if p.residual != "none"]
    theorem = "Hanin and Nica 2020, Products of Many Large Random Matrices, abstract"
    resnets = "Li, Nica and Roy 2021, The future is log-Gaussian, abstract"
    return [
        normality(
            "Over random plain ReLU networks log |dL/dx_0|² is normal",
            f"{theorem}: asymptotically Gaussian",
            plain,
        ),
        normality(
            "Over random ReLU ResNets log |dL/dx_0|² is normal",
            f"{resnets}, of the output; the gradient here",
            skip,
        ),
        variances(
            "Its variance is the sum of 5/width over ReLU layers and 2/width over linear layers",
            "Hanin and Nica 2020 (5/width: from memory of the paper); 2/width derived here",
            plain,
        ),
        Claim(
            "Its mean lies V/2 below the mean-field value: most networks have smaller gradients",
            "Hanin and Nica 2020 (from memory of the paper)",
            [
                near(
                    f"mean of z, {p.name}",
                    p.z[:, 0].mean(),
                    -p.variance / 2,
                    3 * (p.variance / count) ** 0.5,
                )
                for p in results
            ],
            recorded="8 of 9 checks",
        ),
        Claim(
            "The fluctuations are set by the ratio of depth to width: V grows in proportion to L",
            "Hanin 2018, Which Neural Net Architectures ..., abstract: sum of reciprocal widths",
            [
                near(
                    f"exponent of the blocks in Var z, {p.name}",
                    exponent(np.arange(1, p.depth + 1), p.variances),
                    1.0,
                    0.1,
                )
                for p in plain
            ],
            recorded="reproduced",
        ),
        variances(
            "With a skip path V is smaller, and with 1/sqrt(L) it is about 4/D in all",
            "derived here",
            skip,
        ),
    ]


def normality(statement: str, source: str, chosen: list[Point]) -> Claim:
    """z against the normal distribution that theory predicts, and its third and fourth moment."""
    count = len(chosen[0].z)
    checks = []
    for p in chosen:
        checks += [
            at_most(
                f"distance from Normal(-V/2, V), {p.name}", p.distance, KS_1_PERCENT / count**0.5
            ),
            near(f"skewness, {p.name}", p.moment(3), 0, 3 * (6 / count) ** 0.5),
            near(f"excess kurtosis, {p.name}", p.moment(4) - 3, 0, 3 * (24 / count) ** 0.5),
        ]
    return Claim(statement, source, checks, recorded="reproduced")


def variances(statement: str, source: str, chosen: list[Point]) -> Claim:
    """The variance of z at x_0 against V, within three deviations of a sample variance."""
    count = len(chosen[0].z)
    checks = [
        near(
            f"Var z, {p.name}",
            p.z[:, 0].var(ddof=1),
            p.variance,
            3 * p.variance * (2 / count) ** 0.5,
        )
        for p in chosen
    ]
    return Claim(statement, source, checks, recorded="reproduced")


def figure(results: list[Point]) -> Figure:
    """Plain networks over the depth, the quantiles of z, and its variance over the blocks."""
    depth, seeds, passed = results[0].depth, len(results[0].z), "blocks passed"
    sheet, (left, middle, right) = panels(
        "Log-normal gradients",
        f"relu · no norm · {depth} blocks · one input · at initialisation · "
        f"{seeds} seeds · (a), (b): width {EXAMPLE[0]}, hidden {EXAMPLE[1]}",
        {
            r"$|\partial L/\partial x_l|^2$, plain": BLOCK,
            r"quantiles of $(z+V/2)/\sqrt{V}$": "quantile of Normal(0, 1)",
            "Var $z$": passed,
        },
        {passed: [2**power for power in range(depth.bit_length())]},
        right=1.12,
    )
    levels = [NormalDist().inv_cdf((i + 0.5) / seeds) for i in range(seeds)]
    blocks = np.arange(1, depth + 1)
    shapes = list(dict.fromkeys((p.width, p.hidden) for p in results))
    colours = {residual: step_colour(order, 4) for order, residual in enumerate(NAMES)}
    for p in results:
        colour, shape = colours[p.residual], (p.width, p.hidden)
        if shape == EXAMPLE:
            quantiles = (np.sort(p.z[:, 0]) + p.variance / 2) / p.variance**0.5
            middle.plot(levels, quantiles, ".", color=colour, markersize=2)
            if p.residual == "none":
                fan(left, p, colour)
        dashes = {"linestyle": DASHES[shapes.index(shape)], "linewidth": 1.1}
        right.plot(blocks, p.variances, color=colour, **dashes)
        right.plot(blocks, blocks * p.block_variance, **THEORY)
        sizes = {"label": f"{p.width}, {p.hidden}", "gid": "$D$, $H$ in (c)"}
        right.plot([], [], color=INK, **sizes, **dashes)
    for residual, name in NAMES.items():
        left.plot([], [], color=colours[residual], linewidth=2, label=name, gid="stack")
    middle.plot([-3.4, 3.4], [-3.4, 3.4], **THEORY)
    middle.set_ylim(-3.6, 3.6)
    middle.set_xticks([-2, 0, 2])
    return finished(sheet)


def fan(axes: Axes, point: Point, colour: ColorType) -> None:
    """Mean, median and the band of 10 % to 90 % of all seeds over the blocks, and theory."""
    depth, squares = point.depth, np.exp(point.z)
    blocks = np.arange(depth + 1)
    low, median, high = np.quantile(squares, (0.1, 0.5, 0.9), axis=0)
    log_axis(axes, low, high)
    axes.fill_between(blocks, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.plot(blocks, median, color=colour)
    axes.plot(blocks, squares.mean(axis=0), color=colour, linewidth=0.9, linestyle=DASHES[1])
    variance = (depth - blocks) * point.block_variance
    for level in (0.1, 0.5, 0.9):
        spread = NormalDist().inv_cdf(level) * np.sqrt(variance)
        axes.plot(blocks, np.exp(-variance / 2 + spread), **THEORY)
    axes.axhline(1, color=MUTED, linewidth=0.6)
    notes = (
        ("mean", (depth * 5 // 8, 1), (0, 4)),
        ("median", (depth // 4, median[depth // 4]), (2, -12)),
        ("10 % to 90 %", (depth // 5, low.min()), (0, 4)),
    )
    for text, point_at, offset in notes:
        axes.annotate(text, point_at, offset, textcoords="offset points", size=8)
    depth_axis(axes, depth, depth, BLOCK)
