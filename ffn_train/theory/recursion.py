"""Recursions from block to block: the signal's kernel Q forward, dLoss/dx's kernel P backward.

With z = s x + a f(y), y = x or norm(x), and x⁺ = z or norm(z), all products elementwise:

    Z = s² Q + a² F                     E[x · f] = 0: the outer matrix is centred
    P = G (s² + a² χ)                   without a norm G = P⁺ and Q⁺ = Z
    P = G (s² + a² κ χ / (σ_a σ_b))     pre-norm: Y = Q / (σ_a σ_b), σ_a² = Q_aa + ε
    G = P⁺ / (ζ_a ζ_b)                  post-norm: Q⁺ = Z / (ζ_a ζ_b), ζ_a² = Z_aa + ε

κ = 1 - 1/D is the share of a random gradient that passes a norm's backward pass, which removes the
component along the norm's output.
Schoenholz et al. 2017, "Deep Information Propagation"; Yang and Schoenholz 2017, "Mean Field
Residual Networks".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ffn_train.nn.core import Floats
from ffn_train.nn.stack import Stack
from ffn_train.theory.branch import BranchKernels, Coherent, Field, Maps
from ffn_train.theory.scaled import Scaled, Stacked, accumulated, by_chunks, ratio


@dataclass(frozen=True)
class Up(Stacked):
    """The blocks' forward kernels: Q and Y at the input, Z of the sum, Q⁺ at the output.

    ``scales``: σ or ζ (L, N) of the blocks' norms, if they have one.
    """

    signal: Scaled
    branch_input: Scaled
    total: Scaled
    output: Scaled
    scales: Scaled | None
    branch: BranchKernels

    @property
    def sizes(self) -> Scaled:
        """The samples' mean squares of x_l (L+1, N)."""
        return self.signal.diagonal.followed_by(self.output.at(-1).diagonal)


@dataclass(frozen=True)
class Down(Stacked):
    """The blocks' backward kernels: P⁺ and G at the output, P at the input.

    ``coherence``: c_a at the block's output if E[dLoss/dx_a | x_a] = c_a x_a is tracked, and
    ``coherent`` its effect within the block. ``along``: c_a of ``above`` where it is known and the
    block's norm removes it.
    """

    above: Scaled
    output: Scaled
    signal: Scaled
    coherence: Scaled | None
    coherent: Coherent | None
    along: Scaled | None

    @property
    def sizes(self) -> Scaled:
        """The samples' mean squares of dLoss/dx_l (L+1, N)."""
        return self.signal.diagonal.followed_by(self.above.at(-1).diagonal)

    def through(self, model: Stack, forward: Up) -> Scaled:
        """What comes back through the branch, before a pre-norm's backward pass."""
        return self.output * forward.branch.slope * model.block.multiplier**2


@dataclass(frozen=True)
class Top:
    """The backward recursion's start: P of dLoss/dx_L before and after the norm of x_L, if any.

    ``coherence``: c_a (N,) with E[dLoss/dx_a | x_a] = c_a x_a; None if no part of the gradient
    along the signal is tracked. A norm removes that part; without a norm it is passed on, because
    W_outᵀ W_out turns part of a gradient into the forward signal again.
    ``along``: c_a before the norm of the last sum removes it. ``excess``: the part of the mean
    square of what is so returned that exceeds the square of its mean, 1 for independent entries.
    """

    gradient: Scaled
    projected: Scaled
    coherence: Scaled | None
    along: Scaled | None = None
    excess: float = 1.0


def passed(model: Stack) -> float:
    """κ, the share of a random gradient's square that a norm lets through.

    LayerNorm's backward pass also removes the mean over features, but its σ excludes that mean as
    well, and in P⁺/σ² the two cancel.
    """
    return 1 - 1 / model.width


def _shares(model: Stack, forward: Up) -> tuple[Floats, Floats]:
    """The branch's share of |z|², and of the square of a random gradient that is passed back."""
    multiplier, branch = model.block.multiplier**2, forward.branch
    back = branch.slope.diagonal * multiplier
    of_sum = (branch.output.diagonal * multiplier).share_of(forward.total.diagonal)
    return of_sum, back.share_of(back.plus(model.block.skip**2))


def _passed_between(model: Stack, forward: Up) -> Floats:
    """κ of a block's norm below another one, whose gradient is already orthogonal to z.

    A random gradient has 1/D of its square along z, and the block passes more of that part back
    than of any other: |Jᵀ z|² exceeds P Z by 2 s² a² x · J x + a⁴ (|Jᵀ f|² - χ F), all relative to
    D, where the branch's Jacobian J maps x to (d log F/d log Q) f.
    """
    share, passed_back = _shares(model, forward)
    excess = share * passed_back * forward.branch.reflected
    if model.block.skip:
        excess += 2 * forward.branch.power * share * (1 - passed_back)
    return np.asarray(1 / (1 + excess / model.width))  # first order in 1/D, and positive


def _mean_inverse(spread: Floats, joint: Floats) -> Floats:
    """E[p/(σ_a σ_b)] sqrt(E[σ_a²] E[σ_b²])/E[p] for log-normal σ² whose logs have this covariance.

    ``joint``: the covariance of log σ_a σ_b with the log of p_ab.
    """
    variances = np.diagonal(spread, axis1=-2, axis2=-1)
    sums = variances[..., :, None] + variances[..., None, :]
    return np.asarray(np.exp(3 / 8 * sums + spread / 4 - joint))


def _joint_above(spread: Floats, rates: Floats) -> Floats:
    """The covariance of log σ_a σ_b with log p_ab where log p_aa follows log σ_a² at ``rates``."""
    own = rates * np.diagonal(spread, axis1=-2, axis2=-1)
    sums = (rates[..., :, None] + rates[..., None, :]) * spread
    return np.asarray((sums + own[..., :, None] + own[..., None, :]) / 4)


def _joint(model: Stack, forward: Up) -> Floats:
    """The covariance of log |z|² and of the log of the squared gradient passed back."""
    share, passed_back = _shares(model, forward)
    return share * passed_back * forward.branch.unit.joint


def norm_scales(model: Stack, kernel: Scaled) -> Scaled:
    """What a norm divides each sample by, sqrt(K_aa + ε), (N,)."""
    square = kernel.diagonal.plus(float(getattr(model.norm, "eps", 0)))
    return Scaled(np.sqrt(square.values), square.log / 2)


def up(model: Stack, maps: Maps, first: Scaled, known: Floats | None = None) -> Up:
    """The forward kernels of all blocks, from Q⁰.

    ``known``: log |x_l|² of each sample (L+1, N), to follow instead of their own.
    """
    block = model.block
    skip, multiplier = block.skip**2, block.multiplier**2
    signals, totals, fields = [first.normalised()], [], []
    for index in range(model.depth):
        signal = signals[-1]
        y = signal if block.pre is None else signal.over(norm_scales(model, signal))
        fields.append(maps.field(y))
        branch = maps.output(fields[-1])
        total = (signal * skip + branch * multiplier).normalised()
        totals.append(total)
        if block.post is not None:
            total = total.over(norm_scales(model, total))
        if known is not None:
            total = totals[-1].with_sizes(known[index + 1])
        signals.append(total)
    whole = Scaled.stacked(signals)
    signal, output = whole[:-1], whole[1:]
    total = output if block.post is None and known is None else Scaled.stacked(totals)
    scales = None
    if model.norm.placement != "none":
        scales = norm_scales(model, signal if block.post is None else total)
    y = signal if block.pre is None or scales is None else signal.over(scales)
    value, slope = (Scaled.stacked([getattr(f, of) for f in fields]) for of in ("value", "slope"))
    field = Field(maps.kernel(y), value, slope)
    return Up(signal, y, total, output, scales, maps.kernels(y, field))


def down(
    model: Stack,
    maps: Maps,
    blocks: Up,
    last: Top,
    norm_spreads: Floats | None,
    passing: Floats,
    power: float,
) -> Down:
    """The backward kernels of all blocks, from Pᴸ.

    ``norm_spreads``: the covariances over seeds (L, N, N) of log σ² of each block's norm: they
    raise E[1/σ²] above 1/E[σ²]. ``passing``: d log |z|²/d log |x|² (L, N) of each block.
    ``power``: d log P_L/d log Q_L.
    """
    block, rows = model.block, passing.shape[-1]
    coherent = terms = coherence = along = None
    stacks: tuple[Any, ...] = (blocks,)
    if norm_spreads is not None:
        stacks = blocks, norm_spreads, _reaches(model, blocks, norm_spreads, passing, power)
    inverse, factors = by_chunks(partial(_factors, model), rows, *stacks)
    if last.coherence is not None:
        coherent = by_chunks(maps.coherent, rows, blocks.branch.field)
        slopes = (coherent.slope * block.multiplier**2).plus(block.skip**2)
        coherence = accumulated(last.coherence, slopes[::-1])[-2::-1]
        followed = partial(_followed, model, maps, last.excess)
        terms = by_chunks(followed, rows, blocks, coherence, coherent)[::-1]
    start = last.gradient if block.post is None else last.projected
    gradients = accumulated(start, factors[::-1], terms)[::-1]
    above, signal = gradients[1:], gradients[:-1]
    output = above
    if inverse is not None:
        output = above * inverse
        gradients.values[-1], gradients.log[-1] = last.gradient.values, last.gradient.log
    if last.along is not None:
        values = np.zeros((model.depth, rows))
        values[-1] = last.along.values
        along = Scaled(values, np.append(np.full(model.depth - 1, -np.inf), last.along.log))
    return Down(above, output, signal, coherence, coherent, along)


def _reaches(model: Stack, forward: Up, spreads: Floats, passing: Floats, power: float) -> Floats:
    """d log P/d log Q (L, N) of what a pre-norm gets, of its own σ² and those above.

    A large x makes a pre-norm's gradient small in this block and in those above, which raises
    E[1/σ²] once more.
    """
    skip = model.block.skip**2
    reach = np.full(passing.shape[-1], power)
    if model.block.pre is None or forward.scales is None:
        return np.broadcast_to(reach, passing.shape)
    variances = np.diagonal(spreads, axis1=-2, axis2=-1)
    branch = (forward.branch.slope.diagonal * model.block.multiplier**2).relative_to(
        forward.scales * forward.scales
    )
    branch *= np.exp(variances) * _let_through(model, forward)[:, None]
    reaches = np.empty_like(passing)
    for index in reversed(range(len(passing))):
        reaches[index] = reach = passing[index] * reach
        own = branch[index] * np.exp(-reach * variances[index])
        reach = reach - ratio(own, own + skip)
    return reaches


def _factors(
    model: Stack, forward: Up, spread: Floats | None = None, reach: Floats | None = None
) -> tuple[Scaled | None, Scaled]:
    """G/P⁺ of a post-norm, and P/P⁺ for a gradient without a part along the signal."""
    block, skip = model.block, model.block.skip**2
    back = forward.branch.slope * block.multiplier**2
    if forward.scales is None or spread is None or reach is None:
        return None, back.plus(skip)
    if block.post is not None:
        joint = _joint(model, forward)[:, None, None]
        inverse = Scaled.plain(_mean_inverse(spread, joint)).over(forward.scales)
        return inverse, back.plus(skip) * inverse * _passed_between(model, forward)
    mean = Scaled.plain(_mean_inverse(spread, _joint_above(spread, reach)))
    back = back.over(forward.scales) * mean * _let_through(model, forward)
    return None, back.plus(skip) if skip else back * _passed_between(model, forward)


def _let_through(model: Stack, forward: Up) -> Floats:
    """What a pre-norm's backward pass takes from a branch's gradient besides 1/σ², (L,)."""
    if model.block.skip:
        return np.full(len(forward), passed(model))
    return np.asarray(np.exp(-_joint(model, forward)))


def _followed(
    model: Stack, maps: Maps, excess: float, forward: Up, coherence: Scaled, coherent: Coherent
) -> Scaled:
    """What the coherent part of a gradient adds to P.

    a⁴ c_a c_b M'_ab + Y_ab (c₂a c₂b + s² (c_a c₂b + c₂a c_b)) with c ← s² c + c₂, where
    c₂ = a² c ∘ slope is what the branch sends back along x.
    """
    multiplier, slope = model.block.multiplier**2, coherent.slope
    own = maps.coherent_kernel(coherent) + slope.outer() * forward.signal
    added = own * (multiplier**2 * excess)
    if model.block.skip:
        across = slope.values[..., :, None] + slope.values[..., None, :]
        mixed = Scaled(across, slope.log) * forward.signal
        added = added + mixed * (multiplier * model.block.skip**2)
    return coherence.outer() * added
