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

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ffn_train.nn.core import Floats
from ffn_train.nn.stack import Stack
from ffn_train.theory.branch import BranchKernels, Coherent, Variances, kernels
from ffn_train.theory.scaled import Scaled


@dataclass(frozen=True)
class Up:
    """One block's forward kernels: Q and Y at its input, Z of the sum, Q⁺ at its output.

    ``scales``: σ or ζ (N,) of the block's norm, if it has one.
    """

    signal: Scaled
    branch_input: Scaled
    total: Scaled
    output: Scaled
    scales: Scaled | None
    branch: BranchKernels


@dataclass(frozen=True)
class Down:
    """One block's backward kernels: P⁺ and G at its output, P at its input.

    ``branch``: the branch's part of P, before a pre-norm's backward pass.
    ``coherence``: c_a at the block's output if E[dLoss/dx_a | x_a] = c_a x_a is tracked, and
    ``coherent`` its effect within the block. ``along``: c_a of ``above`` if it is known and the
    block's norm removes it.
    """

    above: Scaled
    output: Scaled
    signal: Scaled
    branch: Scaled
    coherence: Scaled | None
    coherent: Coherent | None
    along: Scaled | None


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


def _shares(model: Stack, forward: Up) -> tuple[float, float]:
    """The branch's share of |z|², and of the square of a random gradient that is passed back."""
    skip, multiplier, branch = model.block.skip**2, model.block.multiplier**2, forward.branch
    back = branch.slope * multiplier
    whole = back + Scaled(np.full_like(back.values, skip))
    return (branch.output * multiplier).share_of(forward.total), back.share_of(whole)


def _passed_between(model: Stack, forward: Up) -> float:
    """κ of a block's norm below another one, whose gradient is already orthogonal to z.

    A random gradient has 1/D of its square along z, and the block passes more of that part back
    than of any other: |Jᵀ z|² exceeds P Z by 2 s² a² x · J x + a⁴ (|Jᵀ f|² - χ F), all relative to
    D, where the branch's Jacobian J maps x to (d log F/d log Q) f.
    """
    share, passed_back = _shares(model, forward)
    excess = share * passed_back * forward.branch.reflected
    if model.block.skip:
        excess += 2 * forward.branch.power * share * (1 - passed_back)
    return 1 / (1 + excess / model.width)  # first order in 1/D, and positive


def _mean_inverse(spread: Floats, joint: Floats | float) -> Floats:
    """E[p/(σ_a σ_b)] sqrt(E[σ_a²] E[σ_b²])/E[p] for log-normal σ² whose logs have this covariance.

    ``joint``: the covariance of log σ_a σ_b with the log of p_ab.
    """
    variances = np.diagonal(spread)
    return np.asarray(np.exp(3 / 8 * (variances[:, None] + variances) + spread / 4 - joint))


def _joint_above(spread: Floats, rates: Floats) -> Floats:
    """The covariance of log σ_a σ_b with log p_ab where log p_aa follows log σ_a² at ``rates``."""
    covariance = rates[:, None] * spread
    own = np.diagonal(covariance)
    return np.asarray((covariance + covariance.T + own[:, None] + own) / 4)


def _joint(model: Stack, forward: Up) -> float:
    """The covariance of log |z|² and of the log of the squared gradient passed back."""
    share, passed_back = _shares(model, forward)
    return share * passed_back * forward.branch.joint


def norm_scales(model: Stack, kernel: Scaled) -> Scaled:
    """What a norm divides each sample by, sqrt(K_aa + ε), (N,)."""
    eps = float(getattr(model.norm, "eps", 0))
    square = kernel.diagonal + Scaled(np.full(len(kernel.values), eps))
    return Scaled(np.sqrt(square.values), square.log / 2)


def up(
    model: Stack, variances: Variances, first: Scaled, known: Sequence[Floats] | None = None
) -> list[Up] | None:
    """The forward kernels of all blocks, from Q⁰; None if the branch's kernels are not derived.

    ``known``: log |x_l|² of each sample, l = 0 ... L, to follow instead of their own.
    """
    block, blocks = model.block, []
    skip, multiplier = block.skip**2, block.multiplier**2
    signal = first.normalised()
    for index in range(model.depth):
        branch_input, scales = signal, None
        if block.pre is not None:
            scales = norm_scales(model, signal)
            branch_input = signal.over(scales)
        branch = kernels(model.branch, variances, branch_input)
        if branch is None:
            return None
        total = (signal * skip + branch.output * multiplier).normalised()
        output = total
        if block.post is not None:
            scales = norm_scales(model, total)
            output = total.over(scales)
        if known is not None:
            output = total.with_sizes(known[index + 1])
        blocks.append(Up(signal, branch_input, total, output, scales, branch))
        signal = output
    return blocks


def down(
    model: Stack,
    blocks: Sequence[Up],
    last: Top,
    norm_spreads: Sequence[Floats],
    passing: Sequence[Floats],
    power: float,
) -> Iterator[Down]:
    """The backward kernels of all blocks, from Pᴸ, the last block first.

    ``norm_spreads``: the covariances over seeds (N, N) of log σ² of each block's norm: they raise
    E[1/σ²] above 1/E[σ²]. ``passing``: d log |z|²/d log |x|² (N,) of each block. A large x makes a
    pre-norm's gradient small in this block and in those above, which raises E[1/σ²] once more.
    ``power``: d log P_L/d log Q_L.
    """
    block = model.block
    skip, multiplier = block.skip**2, block.multiplier**2
    above, coherence = last.gradient.normalised(), last.coherence
    reach = np.full(len(above.values), power)  # d log P/d log Q at the block's output
    for index, (forward, spread, rate) in enumerate(
        zip(reversed(blocks), reversed(norm_spreads), reversed(passing), strict=True)
    ):
        gradient = above
        if block.post is not None and forward.scales is not None:
            gradient = above if index else last.projected
            gradient = gradient.over(forward.scales) * _mean_inverse(spread, _joint(model, forward))
        branch = gradient * forward.branch.slope * multiplier
        from_branch = branch
        if block.pre is not None and forward.scales is not None:
            reach = rate * reach
            joint = _joint_above(spread, reach) + (0.0 if skip else _joint(model, forward))
            from_branch = branch.over(forward.scales) * _mean_inverse(spread, joint)
            if skip:
                from_branch = from_branch * passed(model)
        signal = gradient * skip + from_branch
        if block.pre is not None:
            reach = reach - from_branch.diagonal.relative_to(signal.diagonal)
        if block.post is not None or (block.pre is not None and not skip):
            signal = signal * _passed_between(model, forward)
        coherent = None
        incoming = coherence
        if coherence is not None:
            coherent = forward.branch.coherent()
            signal, coherence = _followed(forward, coherence, coherent, signal, model, last.excess)
        along = None if index else last.along
        yield Down(above, gradient, signal, branch, incoming, coherent, along)
        above = signal.normalised()


def _followed(
    forward: Up, coherence: Scaled, coherent: Coherent, signal: Scaled, model: Stack, excess: float
) -> tuple[Scaled, Scaled]:
    """P with the coherent part added, and c at the block's input.

    P_ab += a⁴ c_a c_b M'_ab + Y_ab (c₂a c₂b + s² (c_a c₂b + c₂a c_b)) and c ← s² c + c₂, where
    c₂ = a² c ∘ slope is what the branch sends back along x.
    """
    skip = model.block.skip**2
    inner = coherence * model.block.multiplier**2
    returned = inner * coherent.slope
    mixed = Scaled(
        np.multiply.outer(coherence.values, returned.values), coherence.log + returned.log
    )
    both = mixed + Scaled(mixed.values.T, mixed.log)
    pairs = returned.outer() * excess + both * skip
    signal = signal + inner.outer() * coherent.kernel * excess + pairs * forward.signal
    return signal, (coherence * skip + returned).normalised()
