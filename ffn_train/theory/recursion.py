"""The recursions from block to block: the kernel Q of the signal up, the kernel P of dLoss/dx down.

With z = s x + a f(y), y = x or norm(x), and x⁺ = z or norm(z), all products elementwise:

    Z = s² Q + a² F                     E[x · f] = 0: the outer matrix is centred
    P = G (s² + a² χ)                   without a norm G = P⁺ and Q⁺ = Z
    P = G (s² + a² κ χ / (σ_a σ_b))     pre-norm: Y = Q / (σ_a σ_b), σ_a² = Q_aa + ε
    G = P⁺ / (ζ_a ζ_b)                  post-norm: Q⁺ = Z / (ζ_a ζ_b), ζ_a² = Z_aa + ε

κ is the share of a random gradient that passes a norm's backward pass, which removes the component
along its output and, for LayerNorm, along the ones: 1 - 1/D or 1 - 2/D.
Schoenholz et al. 2017, "Deep Information Propagation"; Yang and Schoenholz 2017, "Mean Field
Residual Networks".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ffn_train.layers.norms import LayerNorm
from ffn_train.model import Stack
from ffn_train.theory.branch import BranchKernels, Coherent, Variances, kernels
from ffn_train.theory.scaled import Numbers, Scaled


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
    ``coherent`` what it does within the block.
    """

    above: Scaled
    output: Scaled
    signal: Scaled
    branch: Scaled
    coherence: Scaled | None
    coherent: Coherent | None


@dataclass(frozen=True)
class Top:
    """Where the way down starts: P of dLoss/dx_L and what the norm of x_L, if any, lets through.

    ``coherence``: c_a (N,) with E[dLoss/dx_a | x_a] = c_a x_a, None where the gradient has no part
    along the signal that is followed. Every norm on the way takes that part out; without one it is
    passed on, because W_outᵀ W_out turns part of a gradient into the forward signal again.
    """

    gradient: Scaled
    projected: Scaled
    coherence: Scaled | None


def passed(model: Stack) -> float:
    """κ, the share of a random gradient's square that a norm lets through."""
    norm = model.block.pre or model.block.post
    return 1 - (2 if isinstance(norm, LayerNorm) else 1) / model.width


def passed_again(model: Stack) -> float:
    """The same within the stack, where the gradient may be orthogonal to the signal already."""
    block = model.block
    if block.pre is not None and block.skip != 0:
        return passed(model)
    if block.skip == 0 and isinstance(block.pre or block.post, LayerNorm):
        return 1 - 1 / model.width
    return 1.0


def _mean_inverse(spread: Numbers) -> Numbers:
    """E[1/(σ_a σ_b)] sqrt(E[σ_a²] E[σ_b²]) for log-normal σ² whose logs have this covariance."""
    own = np.diagonal(spread)
    return np.asarray(np.exp(3 / 8 * (own[:, None] + own) + spread / 4))


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
    model: Stack, blocks: Sequence[Up], last: Top, norm_spreads: Sequence[Numbers]
) -> Iterator[Down]:
    """All blocks from Pᴸ on, the last one first.

    ``norm_spreads``: the covariance over seeds (N, N) of the log of what each block's norm divides
    by squared: E[1/σ²] lies above 1/E[σ²].
    """
    block = model.block
    skip, multiplier = block.skip**2, block.multiplier**2
    repeatedly = passed_again(model)
    above, coherence = last.gradient.normalised(), last.coherence
    for place, (here, spread) in enumerate(
        zip(reversed(blocks), reversed(norm_spreads), strict=True)
    ):
        gradient = above
        if block.post is not None and here.scales is not None:
            # the gradients further down are orthogonal to (almost) the same directions already
            gradient = last.projected if place == 0 else above * repeatedly
            gradient = gradient.over(here.scales) * _mean_inverse(spread)
        branch = gradient * here.branch.slope * multiplier
        through = branch
        if block.pre is not None and here.scales is not None:
            through = (branch * repeatedly).over(here.scales) * _mean_inverse(spread)
        signal = gradient * skip + through
        coherent = None
        came = coherence
        if coherence is not None and here.branch.coherent is not None:
            coherent = here.branch.coherent()
            signal, coherence = _followed(here, coherence, coherent, signal, skip, multiplier)
        yield Down(above, gradient, signal, branch, came, coherent)
        above = signal.normalised()


def _followed(
    here: Up, coherence: Scaled, coherent: Coherent, signal: Scaled, skip: float, multiplier: float
) -> tuple[Scaled, Scaled]:
    """P with what the coherent part adds, and c at the block's input.

    P_ab += a⁴ c_a c_b M'_ab + Y_ab (c₂a c₂b + s² (c_a c₂b + c₂a c_b)) and c ← s² c + c₂, where
    c₂ = a² c ∘ slope is what the branch sends back along x.
    """
    inner = coherence * multiplier
    returned = inner * coherent.slope
    mixed = Scaled(
        np.multiply.outer(coherence.values, returned.values), coherence.log + returned.log
    )
    both = mixed + Scaled(mixed.values.T, mixed.log)
    pairs = returned.outer() + both * skip
    signal = signal + inner.outer() * coherent.kernel + pairs * here.signal
    return signal, (coherence * skip + returned).normalised()
