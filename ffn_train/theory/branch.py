"""What a residual branch does to kernels, forward and backward, and the weight of each gradient.

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
from ffn_train.theory.duals import Response, coherence, dual, response
from ffn_train.theory.scaled import Scaled


@dataclass(frozen=True)
class Variances:
    """The sizes D and H; σ² of the inner and outer matrix, Var W times fan_in; that of a bias."""

    width: int
    hidden: int
    inner: float
    outer: float
    bias: float

    @classmethod
    def of(cls, init: Initialiser, *, width: int, hidden: int, depth: int) -> Variances:
        """Those that an initialiser gives the matrices of a stack."""
        inner = init.variance(fan_in=width, fan_out=hidden, role="inner", depth=depth)
        outer = init.variance(fan_in=hidden, fan_out=width, role="outer", depth=depth)
        return cls(width, hidden, width * inner, hidden * outer, init.bias_std**2)


class Coherent(NamedTuple):
    """What a gradient c_a x_a along the branch's own output does on its way back through it.

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
    ``slope_spread``: the variance of a squared norm through the branch, over its squared mean, for
    one sample, forward and backward.
    """

    output: Scaled
    slope: Scaled
    weights: Mapping[str, Scaled]
    power: float
    slope_power: float
    spread: float
    slope_spread: float
    coherent: Callable[[], Coherent] | None


@singledispatch
def kernels(branch: Branch, variances: Variances, y: Scaled) -> BranchKernels | None:
    """What the branch does to the kernel ``y`` of its input; None where nothing is derived."""
    return None


@kernels.register
def _feed_forward(branch: FeedForward, variances: Variances, y: Scaled) -> BranchKernels:
    """F = σ_o² A + σ_b², χ = σ_i² σ_o² D, from K = σ_i² Y + σ_b²."""
    v, d, h = variances, variances.width, variances.hidden
    field = y * v.inner + _constant(v.bias, y)
    found = dual(branch.activation, field.values, field.log)
    value, slope = Scaled(found.value, field.log), Scaled(found.slope)
    output = value * v.outer + _constant(v.bias, y)
    share = (y * v.inner).share_of(field)
    one = response(branch.activation, field.diagonal.log_mean())

    def coherent() -> Coherent:
        along = coherence(branch.activation, field.values, field.log)
        # W_outᵀ W_out h is σ_o² (D/H) h plus noise that is independent between units
        pairs = Scaled(along.pairs, field.log) * (v.outer * d / h) ** 2
        return Coherent(
            Scaled(along.slope * (v.inner * v.outer)),
            pairs * (v.inner * h / d),
            {"up.weight": pairs * y * (h * d), "up.bias": pairs * h},
        )

    return BranchKernels(
        output=output,
        slope=slope * (v.inner * v.outer),
        weights={
            "down.weight": value * (d * h),
            "down.bias": Scaled(np.full_like(slope.values, d)),
            "up.weight": slope * y * (v.outer * d * d),
            "up.bias": slope * (v.outer * d),
        },
        power=share * one.value_power * (value * v.outer).share_of(output),
        slope_power=share * one.slope_power,
        spread=2 / d + (one.value_tail - 1) / h,
        slope_spread=2 / d + (3 * one.slope_tail - 1) / h,
        coherent=coherent,
    )


@kernels.register
def _gated(branch: Gated, variances: Variances, y: Scaled) -> BranchKernels:
    """F = σ_o² A ∘ K + σ_b², χ = σ_i² σ_o² (K ∘ D + A): the gate's A and D, the other's K."""
    v, d, h = variances, variances.width, variances.hidden
    field = y * v.inner + _constant(v.bias, y)
    found = dual(branch.activation, field.values, field.log)
    value, slope = Scaled(found.value, field.log), Scaled(found.slope)
    product, gate = value * field, slope * field
    output = product * v.outer + _constant(v.bias, y)
    share = (y * v.inner).share_of(field)
    one: Response = response(branch.activation, field.diagonal.log_mean())
    # a unit's two ways back, through the gate and past it, for a normal factor with E u⁴ = 3
    through = gate.share_of(gate + value)
    paths = 3 * through**2 * one.slope_tail + (1 - through) ** 2 * one.value_tail
    paths += 2 * through * (1 - through) * one.mixed_tail
    return BranchKernels(
        output=output,
        slope=(gate + value) * (v.inner * v.outer),
        weights={
            "down.weight": product * (d * h),
            "down.bias": Scaled(np.full_like(slope.values, d)),
            "up.weight": value * y * (v.outer * d * d),
            "up.bias": value * (v.outer * d),
            "gate.weight": gate * y * (v.outer * d * d),
            "gate.bias": gate * (v.outer * d),
        },
        power=share * (one.value_power + 1) * (product * v.outer).share_of(output),
        slope_power=share,
        spread=2 / d + (3 * one.value_tail - 1) / h,
        slope_spread=2 / d + (3 * paths - 1) / h,
        coherent=None,
    )


def _constant(value: float, like: Scaled) -> Scaled:
    return Scaled(np.full_like(like.values, value))
