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

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from ffn_train.nn.core import Floats
from ffn_train.nn.stack import Stack
from ffn_train.theory.recursion import Down, Up
from ffn_train.theory.scaled import Scaled, by_chunks, ratio, recurrence
from ffn_train.theory.sums import LogNormals, Sums


@dataclass(frozen=True)
class Climb:
    """The forward pass's covariances over seeds of the logs of squares.

    ``spreads`` (L+1, N, N): of |x_l|². Of each block ``fresh`` (L, N, N): the covariance that it
    adds to that of |z|², and ``passing`` (L, N): d log Z/d log Q. ``resets``: whether a norm of z
    removes it.
    """

    spreads: Floats
    fresh: Floats
    passing: Floats
    resets: bool

    def starting_at(self, first: Floats) -> Climb:
        """The same with this covariance of |x_0|²."""
        if self.resets:
            spreads = np.zeros((len(self.fresh) + 1, *first.shape))
            spreads[0] = first
        else:
            spreads = recurrence(first, map(_outer, self.passing), self.fresh)
        return replace(self, spreads=spreads)

    def norm_spreads(self, model: Stack) -> Floats | None:
        """The covariances of what each block's norm divides by: |x_l|² (pre) or |z_l|² (post)."""
        if model.block.pre is not None:
            return self.spreads[:-1]
        if model.block.post is not None:
            return _passed(self.passing, self.spreads[:-1]) + self.fresh
        return None

    def reaches(self) -> Floats:
        """d log |x_L|²/d log |x_l|² (L+1, N)."""
        whole = np.concatenate([self.passing, np.ones_like(self.passing[:1])])
        return np.cumprod(whole[::-1], axis=0)[::-1]

    def shares(self) -> Floats:
        """The mean deviation of log |x_l|² for one of log |x_L|² by 1, (L+1, N)."""
        sizes = _diagonal(self.spreads)
        return ratio(self.reaches() * sizes, np.broadcast_to(sizes[-1], sizes.shape))

    def around(self) -> Floats:
        """The covariances ``spreads`` that remain where |x_L|² is known."""
        cross = self.spreads * self.reaches()[:, None, :]
        return _remaining(self.spreads, cross, self.spreads[-1])

    def chance(self, blocks: Up) -> Floats:
        """The variance over seeds accumulated at each block's input (L,).

        A norm removes only the scatter of the sizes |x_l|²; the correlations between samples keep
        theirs, which is half that variance.
        """
        first = LogNormals(self.spreads[0]).of_batch(blocks.signal.values[0].diagonal())
        new = of_batch(self.fresh, blocks.total.diagonal)
        return np.cumsum(np.append(first, new[:-1]))


def climb(model: Stack, blocks: Up, first: Floats) -> Climb:
    """The covariances of all blocks, from that at x_0 (``first``)."""
    fresh, passing = by_chunks(partial(_upwards, model), len(first), blocks)
    return Climb(fresh, fresh, passing, model.block.post is not None).starting_at(first)


def of_gradient(
    model: Stack,
    blocks: Up,
    downs: Down,
    scatter: Climb,
    last: Floats,
    power: float,
    *,
    known: bool,
) -> Floats:
    """The covariances (L+1, N, N) of the logs of the samples' |dLoss/dx_l|².

    ``last``: the covariance at dLoss/dx_L; ``power``: d log P_L/d log Q_L; ``known``: whether
    |x_L|² is.
    """
    spreads, fresh, passing = scatter.spreads, scatter.fresh, scatter.passing
    new, share = by_chunks(partial(_downwards, model), len(last), blocks, downs)
    top = np.full((1, len(last)), power)
    if model.block.post is not None:  # G = P⁺/ζ²
        reach = np.concatenate([-passing, top])
        new += fresh
    else:
        sensitivity = blocks.branch.unit.slope_power[:, None]
        if model.block.pre is not None:
            sensitivity = np.full_like(sensitivity, -1)
        reach = recurrence(top[0], passing[::-1], (share * sensitivity)[::-1])[::-1]
        new += _passed(reach[1:], fresh)
    whole = _from_above(last, new) + _passed(reach, spreads)
    if not known:
        return whole
    # the covariance of the signal's part with log |x_L|²
    across = reach[:, :, None] * scatter.reaches()[:, None, :]
    along = _from_above(np.zeros_like(last), fresh * across[1:])
    return _remaining(whole, along + spreads * across, spreads[-1])


def _from_above(last: Floats, new: Floats) -> Floats:
    """The sums of what all blocks from the l-th on add, (L+1, N, N)."""
    return np.cumsum(np.concatenate([last[None], new[::-1]]), axis=0)[::-1]


def _remaining(covariance: Floats, cross: Floats, known: Floats) -> Floats:
    """The covariance (..., N, N) of p where each p_a is known to deviate in the mean as q_a does.

    ``cross``: of p_a and q_b; ``known`` (N, N): of q.
    """
    own = _diagonal(cross)
    gains = ratio(own, np.broadcast_to(np.diagonal(known), own.shape))
    explained = gains[..., :, None] * np.swapaxes(cross, -2, -1)
    return covariance - explained - np.swapaxes(explained, -2, -1) + _passed(gains, known)


def _diagonal(covariance: Floats) -> Floats:
    return np.diagonal(covariance, axis1=-2, axis2=-1)


def _outer(rates: Floats) -> Floats:
    return np.asarray(rates[..., :, None] * rates[..., None, :])


def _passed(rates: Floats, covariance: Floats) -> Floats:
    """The covariance (..., N, N) of logs that follow others at these rates (..., N)."""
    return _outer(rates) * covariance


def _upwards(model: Stack, forward: Up) -> tuple[Floats, Floats]:
    """v of the blocks and d log Z/d log Q (N,)."""
    skip, multiplier, width = model.block.skip**2, model.block.multiplier**2, model.width
    whole, branch = forward.total.diagonal, forward.branch
    skip_share = (forward.signal.diagonal * skip).relative_to(whole)
    branch_share = (branch.output.diagonal * multiplier).relative_to(whole)
    cross = forward.signal * (4 / width * skip * multiplier)
    squared = branch.output * (branch.unit.spread * multiplier**2)
    power = np.zeros(1) if model.block.pre is not None else branch.power
    new = ((cross + squared) * branch.output).relative_to_sizes(whole)
    return new, skip_share + power[:, None] * branch_share


def _downwards(model: Stack, forward: Up, backward: Down) -> tuple[Floats, Floats]:
    """v of the blocks' backward pass and the share of P that came through the branch (N,)."""
    skip, width, branch = model.block.skip**2, model.width, _returned(model, forward, backward)
    whole = backward.signal.diagonal
    cross, squared = backward.output * (4 / width * skip), branch * forward.branch.unit.slope_spread
    skipped = (backward.output.diagonal * skip).relative_to(whole)
    return ((cross + squared) * branch).relative_to_sizes(whole), 1 - skipped


def _returned(model: Stack, forward: Up, backward: Down) -> Scaled:
    """The kernel of what the branch adds to dLoss/dx."""
    branch = backward.through(model, forward)
    if model.block.pre is not None and forward.scales is not None:
        return branch.over(forward.scales)
    return branch


def of_sum(model: Stack, blocks: Up, downs: Down, sums: Sums) -> Floats:
    """V of |Σ_a dLoss/dx_a|² of the sum over the batch, l = 0 ... L, from l = L on.

    The sum is one vector. Where samples cancel in it, but less in what a branch adds to it, the
    branch's share is larger than in any sample's gradient, and so is its chance.
    """

    def of_blocks(forward: Up, backward: Down) -> Floats:
        whole, above, branch = (
            sums.log_total(kernel)
            for kernel in (backward.signal, backward.output, _returned(model, forward, backward))
        )
        cross = 4 / model.width * model.block.skip**2 * np.exp(above + branch - 2 * whole)
        squared = forward.branch.unit.slope_spread * np.exp(2 * (branch - whole))
        # no share is known of a sum that the sampled rows do not suffice for
        return np.asarray(np.nansum([cross, squared], axis=0))

    new = by_chunks(of_blocks, sums.rows, blocks, downs)
    return np.cumsum(np.append(new, 0.0)[::-1])[::-1]


def of_sample(spread: Floats, kernel: Scaled) -> Floats:
    """The mean variance of one sample, by the samples' shares of the batch's mean square."""
    variances, sizes = _diagonal(spread), kernel.diagonal.values
    total, weighted = sizes.sum(axis=-1), (sizes * variances).sum(axis=-1)
    return np.asarray(np.where(total > 0, weighted / total, variances.mean(axis=-1)))


def of_batch(covariances: Floats, sizes: Scaled) -> Floats:
    """V of the batch's mean square where the logs of the samples' have these covariances."""

    def of_blocks(covariance: Floats, sizes: Floats) -> Floats:
        return LogNormals(covariance).of_batch(sizes)

    rows = covariances.shape[-1]
    return np.asarray(by_chunks(of_blocks, rows, covariances, sizes.values))
