"""How far one seed lies from the mean over seeds: the variance V of the log of a squared norm.

A block adds to the covariance over samples of log |x_a|², elementwise in (a, b),

    v = 4 s² Q a² F/(D Z_aa Z_bb) + (a² F)²/(Z_aa Z_bb) (2/D + (E act⁴/(E act²)² - 1)/H)

and passes on what came from below by its factor d log Z/d log Q; backward alike, with χ for F and
act' for act. What the signal's size does to χ or to a norm's 1/σ² is carried along to first order.
The log of a squared norm is then near normal with variance V and mean log E - V/2. For a ReLU chain
v = 5/H + 2/D: Hanin and Nica 2020, "Products of many large random matrices". Norms are roots, so
the standard deviation of a log norm is sqrt(V)/2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ffn_train.nn.core import Floats
from ffn_train.nn.stack import Stack
from ffn_train.theory.recursion import Down, Up
from ffn_train.theory.scaled import Scaled


@dataclass(frozen=True)
class Climb:
    """The covariances over seeds of the logs of squares that arise on the way up, each (N, N).

    ``spreads``: of |x_l|², l = 0 ... L. For each block ``fresh``: what it adds to that of |z|², and
    ``passing``: d log Z/d log Q.
    """

    spreads: list[Floats]
    fresh: list[Floats]
    passing: list[float]

    def norm_spreads(self, model: Stack) -> list[Floats]:
        """Of what each block's norm divides by, |x_l|² (pre-norm) or |z_l|² (post-norm)."""
        if model.block.pre is not None:
            return self.spreads[:-1]
        below = zip(self.passing, self.spreads, strict=False)
        return [rate**2 * v + new for (rate, v), new in zip(below, self.fresh, strict=True)]

    def chance(self, blocks: Sequence[Up]) -> Floats:
        """The variance over seeds that has come together at each block's input.

        A norm takes out the chance in the sizes, |x_l|², alone; the correlations between samples
        keep theirs, of half that variance.
        """
        new = [of_batch(v, here.total) for v, here in zip(self.fresh, blocks, strict=True)]
        first = of_batch(self.spreads[0], blocks[0].signal)
        return first + np.concatenate([[0], np.cumsum(new)[:-1]])


def climb(model: Stack, blocks: Sequence[Up], first: Floats) -> Climb:
    """From the covariance at x_0 on."""
    found = Climb([first], [], [])
    for here in blocks:
        fresh, passing = _upwards(model, here)
        found.fresh.append(fresh)
        found.passing.append(passing)
        below = found.spreads[-1]
        resets = model.block.post is not None
        found.spreads.append(np.zeros_like(fresh) if resets else passing**2 * below + fresh)
    return found


def of_signal(signal: Sequence[Scaled], found: Climb) -> Floats:
    """V of the batch's mean square of x_l (L+1,), from the kernels of x_l."""
    return np.array([of_batch(v, k) for v, k in zip(found.spreads, signal, strict=True)])


def of_gradient(
    model: Stack,
    blocks: Sequence[Up],
    downs: Sequence[Down],
    found: Climb,
    last: Floats,
    power: float,
) -> tuple[list[Floats], Floats]:
    """The covariances of log |dLoss/dx_l|², and V of the batch's mean square, for l = 0 ... L.

    ``downs`` come as the backward pass yields them, the last block's first; ``last``: the
    covariance at dLoss/dx_L; ``power``: d log P_L/d log Q_L.
    """
    back, through, reach = last, np.zeros_like(last), power
    spreads = found.spreads
    covariances = [back + reach**2 * spreads[-1]]
    for place, here in reversed(list(enumerate(blocks))):
        down = downs[len(blocks) - 1 - place]
        new, share = _downwards(model, here, down)
        back = back + new
        if model.block.post is not None:  # G = P⁺/ζ²
            back, reach = back + found.fresh[place], -found.passing[place]
        else:
            through = through + reach**2 * found.fresh[place]
            own = -1.0 if model.block.pre is not None else here.branch.slope_power
            reach = found.passing[place] * reach + share * own
        covariances.append(back + through + reach**2 * spreads[place])
    kernels = [downs[0].above, *(down.signal for down in downs)]
    batch = [of_batch(v, kernel) for v, kernel in zip(covariances, kernels, strict=True)]
    return covariances[::-1], np.array(batch[::-1])


def _upwards(model: Stack, here: Up) -> tuple[Floats, float]:
    """v of one block and d log Z/d log Q."""
    skip, multiplier, width = model.block.skip**2, model.block.multiplier**2, model.width
    sizes = here.total.diagonal.outer()
    kept = (here.signal * skip).share_of(here.total)
    added = (here.branch.output * multiplier).share_of(here.total)
    cross = here.signal * here.branch.output * (4 / width * skip * multiplier)
    own = (here.branch.output * here.branch.output) * (here.branch.spread * multiplier**2)
    power = 0.0 if model.block.pre is not None else here.branch.power
    return cross.relative_to(sizes) + own.relative_to(sizes), kept + power * added


def _downwards(model: Stack, here: Up, down: Down) -> tuple[Floats, float]:
    """v of one block's backward pass and the branch's share of P."""
    skip, width = model.block.skip**2, model.width
    branch = down.branch
    if model.block.pre is not None and here.scales is not None:
        branch = branch.over(here.scales)
    sizes = down.signal.diagonal.outer()
    cross = down.output * branch * (4 / width * skip)
    own = branch * branch * here.branch.slope_spread
    return cross.relative_to(sizes) + own.relative_to(sizes), branch.share_of(down.signal)


def of_batch(spread: Floats, kernel: Scaled) -> float:
    """V of the mean of squares whose logs have this covariance, weighted by their sizes."""
    own = np.diagonal(kernel.values)
    total = own.sum()
    return float(own @ spread @ own / total**2) if total > 0 else 0.0
