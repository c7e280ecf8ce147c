"""The maps of kernels through a residual branch, forward and backward.

A branch of independent centred Gaussian weights maps the kernel Y of its input to F of its output,
and a gradient kernel G at its output to G ∘ χ at its input. With K the kernel of a unit's field, H
that of the hidden units, and P that of their derivative by what an inner matrix gives them,

    K = σ_i² Y + σ_b²        F = σ_o² H + σ_b²        χ = σ_i² σ_o² Σ P

with a P for each inner matrix. Branches differ in the hidden units alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import singledispatch

import numpy as np

from ffn_train.nn.activations.activation import Activation
from ffn_train.nn.blocks.branch import Branch
from ffn_train.nn.blocks.feedforward import FeedForward
from ffn_train.nn.blocks.gated import Gated
from ffn_train.nn.core import Floats
from ffn_train.nn.initialisers.initialiser import Initialiser
from ffn_train.nn.stack import Stack
from ffn_train.theory.duals import coherence, dual, response, square_pairs
from ffn_train.theory.scaled import Scaled, Stacked, by_chunks


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

    def spread(self, tail: Floats, *powers: Floats | float) -> Floats:
        """The relative variance of a squared norm after both matrices, for E s⁴/(E s²)² of a unit.

        Orthonormal rows or columns preserve the norms of the Gaussian factors of s, on which
        log E s² depends with ``powers``, and remove part of the projection's variance.
        """
        if self.independent:
            return 2 / self.width + (tail - 1) / self.hidden
        projection = 2 / self.width * max(1 - self.width / self.hidden, 0.0)
        return projection + np.maximum(tail - 1 - 2 * sum(p * p for p in powers), 0.0) / self.hidden

    def joint(self, mixed: Floats, power: Floats, slope_power: Floats) -> Floats:
        """The relative covariance of the squares forward and backward, for a unit's E s² s'²."""
        shared = 0.0 if self.independent else 2 * power * slope_power
        return (mixed - 1 - shared) / self.hidden

    def reflected(self, mixed: Floats, along: Floats) -> Floats:
        """E|Jᵀ f|²/(|f|² χ) - 1 of the branch's own output f, which W_outᵀ W_out partly returns.

        ``along``: the square of the part along the branch's input. Orthonormal rows and columns
        return only that mean.
        """
        square = self.width / self.hidden
        if self.independent:
            return along + mixed * square
        square = min(square, 1.0)
        return (1 - square) * (along + mixed * square) + square * (mixed - 1)


@dataclass(frozen=True)
class Field(Stacked):
    """K, and the activation's A and D there (see ``duals``), or the diagonals of these."""

    kernel: Scaled
    value: Scaled
    slope: Scaled

    @property
    def diagonal(self) -> Field:
        """That of each sample with itself."""
        return Field(self.kernel.diagonal, self.value.diagonal, self.slope.diagonal)


@dataclass(frozen=True)
class Paths(Stacked):
    """A kernel for each inner matrix."""

    up: Scaled
    gate: Scaled | None = None

    @property
    def sum(self) -> Scaled:
        """That of all."""
        return self.up if self.gate is None else self.gate + self.up

    def items(self) -> Iterator[tuple[str, Scaled]]:
        """Each with the name of the matrix."""
        return ((name, kernel) for name, kernel in vars(self).items() if kernel is not None)


@dataclass(frozen=True)
class Coherent(Stacked):
    """The backward pass of a gradient c_a h_a of hidden units h_a along the units themselves.

    The field gets the part c ∘ ``slope`` (N,) along itself, and an inner matrix's units products of
    the mean c_a c_b ``paths``, as they get P of a random gradient.
    """

    slope: Scaled
    paths: Paths


@dataclass(frozen=True)
class Fluctuation(Stacked):
    """How a branch responds to the size of its input and scatters, for the mean sample.

    ``power``: d log H/d log Y and ``slope_power``: d log χ/d log Y; ``spread`` and
    ``slope_spread``: the relative variance (over the squared mean) of a squared norm through the
    branch for one sample, forward and backward; ``joint``: their covariance. ``mixed``: of a unit
    E s² s'²/(E s² E s'²).
    """

    power: Floats
    slope_power: Floats
    spread: Floats
    slope_spread: Floats
    joint: Floats
    mixed: Floats


@dataclass(frozen=True)
class BranchKernels(Stacked):
    """F and χ, with the field they are of, and how the branch fluctuates.

    ``power``: d log F/d log Y. ``reflected``: the excess with which the square of a gradient along
    the branch's output is passed back.
    """

    field: Field
    output: Scaled
    slope: Scaled
    power: Floats
    reflected: Floats
    unit: Fluctuation


@dataclass(frozen=True)
class Maps(ABC):
    """The maps of a branch, whose hidden units are those of a derived class."""

    activation: Activation
    v: Variances

    @abstractmethod
    def hidden(self, field: Field) -> Scaled:
        """H."""

    @abstractmethod
    def paths(self, field: Field) -> Paths:
        """P."""

    @abstractmethod
    def returned(self, field: Field) -> Coherent:
        """What comes back of a gradient along the hidden units."""

    @abstractmethod
    def fluctuation(self, field: Field, share: Floats) -> Fluctuation:
        """For the diagonals of a ``field`` of which ``share`` is not the bias."""

    def kernel(self, y: Scaled) -> Scaled:
        """K."""
        return (y * self.v.inner).plus(self.v.bias)

    def field(self, y: Scaled) -> Field:
        """The field of one block."""
        kernel = self.kernel(y)
        duals = dual(self.activation, kernel.values, kernel.log)
        return Field(kernel, Scaled(duals.value, kernel.log), Scaled(duals.slope))

    def output(self, field: Field) -> Scaled:
        """F."""
        return (self.hidden(field) * self.v.outer).plus(self.v.bias)

    def slope(self, field: Field) -> Scaled:
        """χ."""
        return self.paths(field).sum * self.v.inner * self.v.outer

    def kernels(self, y: Scaled, field: Field) -> BranchKernels:
        """All of the branch's kernels, of all blocks."""
        rows, sizes, own = y.values.shape[-1], y.diagonal, field.diagonal
        share = (sizes * self.v.inner).share_of(own.kernel)
        unit = by_chunks(self.fluctuation, rows, own, share)
        output, back = self.output(own), self.slope(own) * sizes
        power = unit.power * (self.hidden(own) * self.v.outer).share_of(output)
        reflected = self.v.reflected(unit.mixed, power**2 * output.share_of(back))
        return BranchKernels(field, self.output(field), self.slope(field), power, reflected, unit)

    def coherent(self, field: Field) -> Coherent:
        """The backward pass of a gradient c_a f_a along the branch's own output.

        W_outᵀ W_out h is σ_o² (D/H) h plus noise that is independent between units.
        """
        found, factor = self.returned(field), self.v.outer * self.v.width / self.v.hidden
        paths = {name: path * factor * factor for name, path in found.paths.items()}
        return Coherent(found.slope * self.v.inner * self.v.outer, Paths(**paths))

    def coherent_kernel(self, coherent: Coherent) -> Scaled:
        """What the branch's input gets through the paths."""
        return coherent.paths.sum * (self.v.inner * self.v.hidden / self.v.width)


class Plain(Maps):
    """Units act(u)."""

    def hidden(self, field: Field) -> Scaled:
        return field.value

    def paths(self, field: Field) -> Paths:
        return Paths(field.slope)

    def returned(self, field: Field) -> Coherent:
        k = field.kernel
        along = coherence(self.activation, k.values, k.log)
        return Coherent(Scaled.plain(along.slope), Paths(Scaled(along.pairs, k.log)))

    def fluctuation(self, field: Field, share: Floats) -> Fluctuation:
        unit = response(self.activation, field.kernel.log_mean())
        return Fluctuation(
            power=share * unit.value_power,
            slope_power=share * unit.slope_power,
            spread=self.v.spread(unit.value_tail, unit.value_power),
            slope_spread=self.v.spread(3 * unit.slope_tail, 1.0, unit.slope_power),
            joint=self.v.joint(unit.mixed_tail, unit.value_power, unit.slope_power),
            mixed=unit.mixed_tail,
        )


class Gates(Maps):
    """Units act(u) w, with the gate's field u and the factor w of the same distribution."""

    def hidden(self, field: Field) -> Scaled:
        return field.value * field.kernel

    def paths(self, field: Field) -> Paths:
        return Paths(up=field.value, gate=field.slope * field.kernel)

    def returned(self, field: Field) -> Coherent:
        k, squares = field.kernel, field.kernel.diagonal
        along = coherence(self.activation, k.values, k.log)
        fourth = Scaled(square_pairs(self.activation, k.values, k.log), 2 * k.log)
        slope = field.value.diagonal + squares * Scaled.plain(along.slope)
        # E w_a² w_b² = K_aa K_bb + 2 K_ab²
        gates = Scaled(along.pairs, k.log) * (squares.outer() + k * k * 2.0)
        return Coherent(slope, Paths(up=fourth * k, gate=gates))

    def fluctuation(self, field: Field, share: Floats) -> Fluctuation:
        unit = response(self.activation, field.kernel.log_mean())
        # the two backward paths of a unit, through the gate and past it; a normal w has E w⁴ = 3
        gate = field.slope * field.kernel
        through = gate.share_of(gate + field.value)
        past = 1 - through
        paths = 3 * through**2 * unit.slope_tail + past**2 * unit.value_tail
        paths += 2 * through * past * unit.mixed_tail
        both = 3 * through * unit.mixed_tail + past * unit.value_tail
        return Fluctuation(
            power=share * (unit.value_power + 1),
            slope_power=share,
            spread=self.v.spread(3 * unit.value_tail, 1.0, unit.value_power),
            slope_spread=self.v.spread(3 * paths, 1.0, share),
            joint=self.v.joint(both, share, share),
            mixed=both,
        )


@singledispatch
def maps(branch: Branch, variances: Variances) -> Maps | None:
    """The branch's maps; None if none are derived."""
    return None


@maps.register
def _(branch: FeedForward, variances: Variances) -> Maps:
    return Plain(branch.activation, variances)


@maps.register
def _(branch: Gated, variances: Variances) -> Maps:
    return Gates(branch.activation, variances)
