"""The recursions from block to block: the kernel Q of the signal up, the kernel P of dLoss/dx down.

With z = s x + a f(y), y = x or norm(x), and x⁺ = z or norm(z), all products elementwise:

    Z = s² Q + a² F                     E[x · f] = 0: the outer matrix is centred
    P = G (s² + a² χ)                   without a norm G = P⁺ and Q⁺ = Z
    P = G (s² + a² κ χ / (σ_a σ_b))     pre-norm: Y = Q / (σ_a σ_b), σ_a² = Q_aa + ε
    G = P⁺ / (ζ_a ζ_b)                  post-norm: Q⁺ = Z / (ζ_a ζ_b), ζ_a² = Z_aa + ε

κ = 1 - 1/D is the share of a random gradient that passes a norm's backward pass, which takes out
the component along the norm's output.
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
    """One block's kernels on the way up: Q and Y at its input, Z of the sum, Q⁺ at its output.

    ``scales``: σ or ζ (N,), of the block's norm if it has one.
    """

    signal: Scaled
    branch_input: Scaled
    total: Scaled
    output: Scaled
    scales: Scaled | None
    branch: BranchKernels


@dataclass(frozen=True)
class Down:
    """One block's kernels on the way down: P⁺ and G at its output, P at its input.

    ``branch``: the branch's part of P, before a pre-norm's backward pass.
    ``coherence``: c_a at the block's output where E[dLoss/dx_a | x_a] = c_a x_a is followed, and
    ``coherent`` what it does within the block. ``along``: c_a of ``above`` where it is known and
    the block's norm takes it out.
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
    """Where the way down starts: P of dLoss/dx_L and what the norm of x_L, if any, lets through.

    ``coherence``: c_a (N,) with E[dLoss/dx_a | x_a] = c_a x_a, None where the gradient has no part
    along the signal that is followed. Every norm on the way takes that part out; without one it is
    passed on, because W_outᵀ W_out turns part of a gradient into the forward signal again.
    ``along``: c_a where the norm of the last sum takes it out, before it does. ``excess``: how much
    of the square of what is so turned lies beyond the square of its mean, 1 for independent
    entries.
    """

    gradient: Scaled
    projected: Scaled
    coherence: Scaled | None
    along: Scaled | None = None
    excess: float = 1.0


def passed(model: Stack) -> float:
    """κ, the share of a random gradient's square that a norm lets through.

    LayerNorm's backward pass takes out the mean over features too, but its σ leaves that mean out
    as well, and in P⁺/σ² the two cancel.
    """
    return 1 - 1 / model.width


def _passed_between(model: Stack, here: Up) -> float:
    """κ of a block's norm with another above it, whose gradient is orthogonal to z already.

    A random gradient has 1/D of its square along z, and the block sends more of that part back than
    of any other: |Jᵀ z|² exceeds P Z by 2 s² a² x · J x + a⁴ (|Jᵀ f|² - χ F), all relative to D,
    where the branch's Jacobian takes x to d log F/d log Q of f.
    """
    skip, multiplier, branch = model.block.skip**2, model.block.multiplier**2, here.branch
    share = (branch.output * multiplier).share_of(here.total)
    back = branch.slope * multiplier
    passed_back = back.share_of(back + Scaled(np.full_like(back.values, skip)))
    excess = share * passed_back * branch.reflected
    if skip:
        excess += 2 * branch.power * share * (1 - passed_back)
    return 1 / (1 + excess / model.width)  # of first order in 1/D, and above 0


def _mean_inverse(spread: Floats, joint: float) -> Floats:
    """E[p/(σ_a σ_b)] sqrt(E[σ_a²] E[σ_b²])/E[p] for log-normal σ² whose logs have this covariance.

    ``joint``: the covariance of log σ² with the log of p, which the same block passes on.
    """
    own = np.diagonal(spread)
    return np.asarray(np.exp(3 / 8 * (own[:, None] + own) + spread / 4 - joint))


def _joint(model: Stack, here: Up) -> float:
    """The covariance of the logs of |z|² and of what a block passes back, by its branch's."""
    multiplier = model.block.multiplier**2
    added = (here.branch.output * multiplier).share_of(here.total)
    back = here.branch.slope * multiplier
    slope = back + Scaled(np.full_like(back.values, model.block.skip**2))
    return added * back.share_of(slope) * here.branch.joint


def norm_scales(model: Stack, kernel: Scaled) -> Scaled:
    """What a norm divides each sample by, sqrt(K_aa + ε)."""
    eps = float(getattr(model.norm, "eps", 0))
    square = kernel.diagonal + Scaled(np.full(len(kernel.values), eps))
    return Scaled(np.sqrt(square.values), square.log / 2)


def up(model: Stack, variances: Variances, first: Scaled) -> list[Up] | None:
    """All blocks from Q⁰ on; None where the branch's kernels are not derived."""
    block, blocks = model.block, []
    skip, multiplier = block.skip**2, block.multiplier**2
    signal = first.normalised()
    for _ in range(model.depth):
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
        blocks.append(Up(signal, branch_input, total, output, scales, branch))
        signal = output
    return blocks


def down(
    model: Stack, blocks: Sequence[Up], last: Top, norm_spreads: Sequence[Floats]
) -> Iterator[Down]:
    """All blocks from Pᴸ on, the last one first.

    ``norm_spreads``: the covariance over seeds (N, N) of the log of what each block's norm divides
    by squared: E[1/σ²] lies above 1/E[σ²].
    """
    block = model.block
    skip, multiplier = block.skip**2, block.multiplier**2
    above, coherence = last.gradient.normalised(), last.coherence
    for place, (here, spread) in enumerate(
        zip(reversed(blocks), reversed(norm_spreads), strict=True)
    ):
        gradient = above
        if block.post is not None and here.scales is not None:
            gradient = above if place else last.projected
            gradient = gradient.over(here.scales) * _mean_inverse(spread, _joint(model, here))
        branch = gradient * here.branch.slope * multiplier
        through = branch
        if block.pre is not None and here.scales is not None:
            joint = 0.0 if skip else _joint(model, here)
            through = branch.over(here.scales) * _mean_inverse(spread, joint)
            if skip:
                through = through * passed(model)
        signal = gradient * skip + through
        if block.post is not None or (block.pre is not None and not skip):
            signal = signal * _passed_between(model, here)
        coherent = None
        came = coherence
        if coherence is not None:
            coherent = here.branch.coherent()
            signal, coherence = _followed(here, coherence, coherent, signal, model, last.excess)
        along = None if place else last.along
        yield Down(above, gradient, signal, branch, came, coherent, along)
        above = signal.normalised()


def _followed(
    here: Up, coherence: Scaled, coherent: Coherent, signal: Scaled, model: Stack, excess: float
) -> tuple[Scaled, Scaled]:
    """P with what the coherent part adds, and c at the block's input.

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
    signal = signal + inner.outer() * coherent.kernel * excess + pairs * here.signal
    return signal, (coherence * skip + returned).normalised()
