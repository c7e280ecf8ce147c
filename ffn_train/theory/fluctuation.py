"""The scatter between seeds: the variance V of the log of a squared norm.

A block adds to the covariance over samples of log |x_a|², elementwise in (a, b),

    v = 4 s² Q a² F/(D Z_aa Z_bb) + (a² F)²/(Z_aa Z_bb) (2/D + (E act⁴/(E act²)² - 1)/H)

and multiplies the covariance of its input by (d log Z/d log Q)²; backward alike, with χ for F and
act' for act. The effect of the signal's size on χ or on a norm's 1/σ² is included to first order.
The log of a squared norm is then near normal with variance V and mean log E - V/2. For a ReLU chain
v = 5/H + 2/D: Hanin and Nica 2020, "Products of many large random matrices". Norms are roots, so
the standard deviation of a log norm is sqrt(V)/2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ffn_train.nn.core import Floats
from ffn_train.nn.stack import Stack
from ffn_train.theory.recursion import Down, Up
from ffn_train.theory.scaled import Scaled, ratio
from ffn_train.theory.sums import LogNormals, Sums


@dataclass(frozen=True)
class Climb:
    """The forward pass's covariances over seeds of the logs of squares, each (N, N).

    ``spreads``: of |x_l|², l = 0 ... L. For each block ``fresh``: the covariance that it adds to
    that of |z|², and ``passing`` (N,): d log Z/d log Q. ``resets``: whether a norm of z removes it.
    """

    spreads: list[Floats]
    fresh: list[Floats]
    passing: list[Floats]
    resets: bool

    def starting_at(self, first: Floats) -> Climb:
        """The same with this covariance of |x_0|²."""
        spreads = [first]
        for fresh, passing in zip(self.fresh, self.passing, strict=True):
            below = _passed(passing, spreads[-1])
            spreads.append(np.zeros_like(fresh) if self.resets else below + fresh)
        return replace(self, spreads=spreads)

    def norm_spreads(self, model: Stack) -> list[Floats]:
        """The covariances of what each block's norm divides by: |x_l|² (pre) or |z_l|² (post)."""
        if model.block.pre is not None:
            return self.spreads[:-1]
        below = zip(self.passing, self.spreads, strict=False)
        return [_passed(rate, v) + new for (rate, v), new in zip(below, self.fresh, strict=True)]

    def reaches(self) -> list[Floats]:
        """d log |x_L|²/d log |x_l|² (N,) for l = 0 ... L."""
        reaches = [np.ones(len(self.spreads[-1]))]
        for passing in reversed(self.passing):
            reaches.append(reaches[-1] * passing)
        return reaches[::-1]

    def shares(self) -> list[Floats]:
        """The mean deviation of log |x_l|² for one of log |x_L|² by 1, (N,) for l = 0 ... L."""
        last = np.diagonal(self.spreads[-1])
        return [
            ratio(reach * np.diagonal(spread), last)
            for reach, spread in zip(self.reaches(), self.spreads, strict=True)
        ]

    def around(self) -> list[Floats]:
        """The covariances ``spreads`` that remain where |x_L|² is known."""
        return [
            _remaining(spread, spread * reach, self.spreads[-1])
            for reach, spread in zip(self.reaches(), self.spreads, strict=True)
        ]

    def chance(self, blocks: Sequence[Up]) -> Floats:
        """The variance over seeds accumulated at each block's input (L,).

        A norm removes only the scatter of the sizes |x_l|²; the correlations between samples keep
        theirs, which is half that variance.
        """
        fresh = zip(self.fresh, blocks, strict=True)
        new = [_of_batch(LogNormals(v), forward.total) for v, forward in fresh]
        first = _of_batch(LogNormals(self.spreads[0]), blocks[0].signal)
        return first + np.concatenate([[0], np.cumsum(new)[:-1]])


def climb(model: Stack, blocks: Sequence[Up], first: Floats) -> Climb:
    """The covariances of all blocks, from that at x_0 (``first``)."""
    fresh, passing = map(list, zip(*(_upwards(model, forward) for forward in blocks), strict=True))
    return Climb([], fresh, passing, model.block.post is not None).starting_at(first)


def of_signal(signal: Sequence[Scaled], scatter: Climb) -> Floats:
    """V of the batch's mean square of x_l (L+1,), from the kernels of x_l."""
    spreads = zip(map(LogNormals, scatter.spreads), signal, strict=True)
    return np.array([_of_batch(squares, kernel) for squares, kernel in spreads])


def of_gradient(
    model: Stack,
    blocks: Sequence[Up],
    downs: Sequence[Down],
    scatter: Climb,
    last: Floats,
    power: float,
    *,
    known: bool,
) -> tuple[list[LogNormals], Floats]:
    """The |dLoss/dx_l|² of the samples, and V of the batch's mean square, for l = 0 ... L.

    ``downs``: in the order of the backward pass, last block first; ``last``: the covariance at
    dLoss/dx_L; ``power``: d log P_L/d log Q_L; ``known``: whether |x_L|² is.
    """
    from_above, from_signal, reach = last, np.zeros_like(last), np.full(len(last), power)
    spreads, to_last = scatter.spreads, scatter.reaches()
    along = np.zeros_like(last)  # the covariance of the signal's part with log |x_L|²

    def squares(index: int) -> LogNormals:
        whole = from_above + from_signal + _passed(reach, spreads[index])
        if not known:
            return LogNormals(whole)
        cross = along + spreads[index] * np.multiply.outer(reach, to_last[index])
        return LogNormals(_remaining(whole, cross, spreads[-1]))

    of_samples = [squares(len(blocks))]
    for index, forward in reversed(list(enumerate(blocks))):
        backward = downs[len(blocks) - 1 - index]
        new, share = _downwards(model, forward, backward)
        from_above = from_above + new
        if model.block.post is not None:  # G = P⁺/ζ²
            from_above, reach = from_above + scatter.fresh[index], -scatter.passing[index]
        else:
            from_signal = from_signal + _passed(reach, scatter.fresh[index])
            along = along + scatter.fresh[index] * np.multiply.outer(reach, to_last[index + 1])
            sensitivity = -1.0 if model.block.pre is not None else forward.branch.slope_power
            reach = scatter.passing[index] * reach + share * sensitivity
        of_samples.append(squares(index))
    kernels = [downs[0].above, *(backward.signal for backward in downs)]
    batch = [_of_batch(each, kernel) for each, kernel in zip(of_samples, kernels, strict=True)]
    return of_samples[::-1], np.array(batch[::-1])


def _remaining(covariance: Floats, cross: Floats, known: Floats) -> Floats:
    """The covariance (N, N) of p where each p_a is known to deviate in the mean as q_a does.

    ``cross``: of p_a and q_b; ``known``: of q.
    """
    gains = ratio(np.diagonal(cross), np.diagonal(known))
    explained = gains[:, None] * cross.T
    return covariance - explained - explained.T + _passed(gains, known)


def _passed(rates: Floats, covariance: Floats) -> Floats:
    """The covariance (N, N) of logs that follow others at these rates (N,)."""
    return np.asarray(rates[:, None] * rates * covariance)


def _upwards(model: Stack, forward: Up) -> tuple[Floats, Floats]:
    """v of one block and d log Z/d log Q (N,)."""
    skip, multiplier, width = model.block.skip**2, model.block.multiplier**2, model.width
    whole = forward.total.diagonal
    sizes = whole.outer()
    skip_share = (forward.signal * skip).diagonal.relative_to(whole)
    branch_share = (forward.branch.output * multiplier).diagonal.relative_to(whole)
    cross = forward.signal * forward.branch.output * (4 / width * skip * multiplier)
    squared = (forward.branch.output * forward.branch.output) * (
        forward.branch.spread * multiplier**2
    )
    power = 0.0 if model.block.pre is not None else forward.branch.power
    return cross.relative_to(sizes) + squared.relative_to(sizes), skip_share + power * branch_share


def _downwards(model: Stack, forward: Up, backward: Down) -> tuple[Floats, Floats]:
    """v of one block's backward pass and the share of P that came through the branch (N,)."""
    skip, width, branch = model.block.skip**2, model.width, _returned(model, forward, backward)
    whole = backward.signal.diagonal
    sizes = whole.outer()
    cross = backward.output * branch * (4 / width * skip)
    squared = branch * branch * forward.branch.slope_spread
    skipped = (backward.output * skip).diagonal.relative_to(whole)
    return cross.relative_to(sizes) + squared.relative_to(sizes), 1 - skipped


def _returned(model: Stack, forward: Up, backward: Down) -> Scaled:
    """The kernel of what the branch adds to dLoss/dx."""
    if model.block.pre is not None and forward.scales is not None:
        return backward.branch.over(forward.scales)
    return backward.branch


def of_sum(model: Stack, blocks: Sequence[Up], downs: Sequence[Down], sums: Sums) -> Floats:
    """V of |Σ_a dLoss/dx_a|² of the sum over the batch, l = 0 ... L, from l = L on.

    The sum is one vector. Where samples cancel in it, but less in what a branch adds to it, the
    branch's share is larger than in any sample's gradient, and so is its chance.
    """
    skip, spreads = model.block.skip**2, [0.0]
    for forward, backward in zip(reversed(blocks), downs, strict=True):
        whole, above, branch = (
            sums.log_total(kernel)
            for kernel in (backward.signal, backward.output, _returned(model, forward, backward))
        )
        cross = 4 / model.width * skip * np.exp(above + branch - 2 * whole)
        squared = forward.branch.slope_spread * np.exp(2 * (branch - whole))
        # no share is known of a sum that the sampled rows do not suffice for
        spreads.append(spreads[-1] + float(np.nansum([cross, squared])))
    return np.array(spreads[::-1])


def of_sample(spread: Floats, kernel: Scaled) -> float:
    """The mean variance of one sample, by the samples' shares of the batch's mean square."""
    variances, sizes = np.diagonal(spread), np.diagonal(kernel.values)
    total = sizes.sum()
    return float(sizes @ variances / total) if total > 0 else float(variances.mean())


def _of_batch(squares: LogNormals, kernel: Scaled) -> float:
    """V of the mean of the samples' squares, weighted by their sizes."""
    sizes = np.diagonal(kernel.values)
    total = sizes.sum()
    return squares.of_mean(sizes / total) if total > 0 else 0.0
