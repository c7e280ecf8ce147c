"""The maps of kernels through a residual branch, forward and backward, and each gradient's weight.

A branch of independent centred Gaussian weights maps the kernel Y of its input to F of its output,
and a gradient kernel G at its output to G ∘ χ at its input. The squared norm of a parameter's
gradient is Σ_ab (G ∘ W)_ab with a kernel W of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import singledispatch
from typing import NamedTuple

import numpy as np

from ffn_train.nn.blocks.branch import Branch
from ffn_train.nn.blocks.feedforward import FeedForward
from ffn_train.nn.blocks.gated import Gated
from ffn_train.nn.initialisers.initialiser import Initialiser
from ffn_train.nn.stack import Stack
from ffn_train.theory.duals import coherence, dual, response, square_pairs
from ffn_train.theory.scaled import Scaled


@dataclass(frozen=True)
class Variances:
    """The sizes D and H; σ² of the inner and outer matrix, Var W times fan_in; the bias variance.

    ``independent``: entries are independent; otherwise rows or columns are orthonormal.
    """

    width: int
    hidden: int
    inner: float
    outer: float
    bias: float
    independent: bool = True

    @classmethod
    def of(cls, model: Stack, init: Initialiser) -> Variances:
        """The variances that an initialiser gives the matrices of a stack."""
        width, hidden, depth = model.width, model.hidden, model.depth
        inner = init.variance(fan_in=width, fan_out=hidden, role="inner", depth=depth)
        outer = init.variance(fan_in=hidden, fan_out=width, role="outer", depth=depth)
        return cls(width, hidden, width * inner, hidden * outer, init.bias_std**2, init.independent)

    def spread(self, tail: float, *powers: float) -> float:
        """The relative variance of a squared norm after both matrices, for E s⁴/(E s²)² of a unit.

        Orthonormal rows or columns preserve the norms of the Gaussian factors of s, on which
        log E s² depends with ``powers``, and remove part of the projection's variance.
        """
        if self.independent:
            return 2 / self.width + (tail - 1) / self.hidden
        projection = 2 / self.width * max(1 - self.width / self.hidden, 0.0)
        return projection + max(tail - 1 - 2 * sum(p * p for p in powers), 0.0) / self.hidden

    def joint(self, mixed: float, power: float, slope_power: float) -> float:
        """The relative covariance of the squares forward and backward, for a unit's E s² s'²."""
        shared = 0.0 if self.independent else 2 * power * slope_power
        return (mixed - 1 - shared) / self.hidden

    def reflected(self, mixed: float, along: float) -> float:
        """E|Jᵀ f|²/(|f|² χ) - 1 of the branch's own output f, which W_outᵀ W_out partly returns.

        ``along``: the square of the part along the branch's input. Orthonormal rows and columns
        return only that mean.
        """
        square = self.width / self.hidden
        if self.independent:
            return along + mixed * square
        square = min(square, 1.0)
        return (1 - square) * (along + mixed * square) + square * (mixed - 1)


class Coherent(NamedTuple):
    """The backward pass of a gradient c_a x_a along the branch's own output.

    With c the coherence at the block's output and a the multiplier, the branch's input has the
    coherence a² c ∘ ``slope`` (N,), and the gradient's kernel there and the squared norms gain
    (a² c_a) (a² c_b) times these kernels.
    """

    slope: Scaled
    kernel: Scaled
    weights: Mapping[str, Scaled]


@dataclass(frozen=True)
class BranchKernels:
    """F, χ, the weight W of each parameter by name, and how the branch fluctuates.

    ``power``: d log F/d log Y and ``slope_power``: d log χ/d log Y of a sample; ``spread`` and
    ``slope_spread``: the relative variance (over the squared mean) of a squared norm through the
    branch for one sample, forward and backward; ``joint``: their covariance. ``reflected``: the
    excess with which the square of a gradient along the branch's output is passed back.
    """

    output: Scaled
    slope: Scaled
    weights: Mapping[str, Scaled]
    power: float
    slope_power: float
    spread: float
    slope_spread: float
    joint: float
    reflected: float
    coherent: Callable[[], Coherent]


@singledispatch
def kernels(branch: Branch, variances: Variances, y: Scaled) -> BranchKernels | None:
    """The branch's kernels for the kernel ``y`` of its input; None if none are derived."""
    return None


@kernels.register
def _feed_forward(branch: FeedForward, variances: Variances, y: Scaled) -> BranchKernels:
    """F = σ_o² A + σ_b², χ = σ_i² σ_o² D, from K = σ_i² Y + σ_b²."""
    v, d, h = variances, variances.width, variances.hidden
    field = y * v.inner + _constant(v.bias, y)
    duals = dual(branch.activation, field.values, field.log)
    value, slope = Scaled(duals.value, field.log), Scaled(duals.slope)
    output = value * v.outer + _constant(v.bias, y)
    share = (y * v.inner).share_of(field)
    unit = response(branch.activation, field.diagonal.log_mean())

    def coherent() -> Coherent:
        along = coherence(branch.activation, field.values, field.log)
        # W_outᵀ W_out h is σ_o² (D/H) h plus noise that is independent between units
        pairs = Scaled(along.pairs, field.log) * (v.outer * d / h) ** 2
        return Coherent(
            Scaled(along.slope * (v.inner * v.outer)),
            pairs * (v.inner * h / d),
            {"up.weight": pairs * y * (h * d), "up.bias": pairs * h},
        )

    power = share * unit.value_power * (value * v.outer).share_of(output)
    back = slope * (v.inner * v.outer)
    return BranchKernels(
        output=output,
        slope=back,
        weights={
            "down.weight": value * (d * h),
            "down.bias": Scaled(np.full_like(slope.values, d)),
            "up.weight": slope * y * (v.outer * d * d),
            "up.bias": slope * (v.outer * d),
        },
        power=power,
        slope_power=share * unit.slope_power,
        spread=v.spread(unit.value_tail, unit.value_power),
        slope_spread=v.spread(3 * unit.slope_tail, 1, unit.slope_power),
        joint=v.joint(unit.mixed_tail, unit.value_power, unit.slope_power),
        reflected=v.reflected(unit.mixed_tail, power**2 * output.share_of(back * y)),
        coherent=coherent,
    )


@kernels.register
def _gated(branch: Gated, variances: Variances, y: Scaled) -> BranchKernels:
    """F = σ_o² A ∘ K + σ_b², χ = σ_i² σ_o² (K ∘ D + A): A and D of the gate, K of its factor."""
    v, d, h = variances, variances.width, variances.hidden
    field = y * v.inner + _constant(v.bias, y)
    duals = dual(branch.activation, field.values, field.log)
    value, slope = Scaled(duals.value, field.log), Scaled(duals.slope)
    product, gate = value * field, slope * field
    output = product * v.outer + _constant(v.bias, y)
    share = (y * v.inner).share_of(field)
    unit = response(branch.activation, field.diagonal.log_mean())
    # the two backward paths of a unit, through the gate and past it; a normal factor has E u⁴ = 3
    gate_share = gate.share_of(gate + value)
    paths = 3 * gate_share**2 * unit.slope_tail + (1 - gate_share) ** 2 * unit.value_tail
    paths += 2 * gate_share * (1 - gate_share) * unit.mixed_tail
    both = 3 * gate_share * unit.mixed_tail + (1 - gate_share) * unit.value_tail

    def coherent() -> Coherent:
        along = coherence(branch.activation, field.values, field.log)
        fourth = Scaled(square_pairs(branch.activation, field.values, field.log), 2 * field.log)
        squares = field.diagonal
        factor = (v.outer * d / h) ** 2
        # E u_a² u_b² = K_aa K_bb + 2 K_ab² of the ungated factor u
        gates = Scaled(along.pairs, field.log) * (squares.outer() + field * field * 2.0) * factor
        ups = fourth * field * factor
        slope = value.diagonal + squares * along.slope
        return Coherent(
            slope * (v.inner * v.outer),
            (gates + ups) * (v.inner * h / d),
            {
                "up.weight": ups * y * (h * d),
                "up.bias": ups * h,
                "gate.weight": gates * y * (h * d),
                "gate.bias": gates * h,
            },
        )

    power = share * (unit.value_power + 1) * (product * v.outer).share_of(output)
    back = (gate + value) * (v.inner * v.outer)
    return BranchKernels(
        output=output,
        slope=back,
        weights={
            "down.weight": product * (d * h),
            "down.bias": Scaled(np.full_like(slope.values, d)),
            "up.weight": value * y * (v.outer * d * d),
            "up.bias": value * (v.outer * d),
            "gate.weight": gate * y * (v.outer * d * d),
            "gate.bias": gate * (v.outer * d),
        },
        power=power,
        slope_power=share,
        spread=v.spread(3 * unit.value_tail, 1, unit.value_power),
        slope_spread=v.spread(3 * paths, 1, share),
        joint=v.joint(both, share, share),
        reflected=v.reflected(both, power**2 * output.share_of(back * y)),
        coherent=coherent,
    )


def _constant(value: float, like: Scaled) -> Scaled:
    return Scaled(np.full_like(like.values, value))
