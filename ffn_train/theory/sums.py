"""Sums over all pairs of a batch, and how they scatter between seeds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ffn_train.nn.core import Floats
from ffn_train.theory.scaled import Scaled, log_of

# the least share of its summands' sizes at which a sum over sampled or all pairs is trusted: below
# the latter both the prediction and the norm that a run measures are rounding
_LEFT, _ROUNDING = 0.01, float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class LogNormals:
    """Terms exp(η_a) with normal η of the ``covariance`` (..., n, n)."""

    covariance: Floats

    @cached_property
    def _relative(self) -> Floats:
        """The covariance (..., n, n) of the terms themselves, each relative to its mean."""
        return np.expm1(np.minimum(self.covariance, 300.0))

    def of_mean(self, weights: Floats, common: Floats | float = 0.0) -> Floats:
        """The variance of log Σ_a w_a exp(η_a), where Σ_a w_a = 1.

        The sum counts as log-normal with the right mean and variance (Fenton 1960): to first order
        it is Σ_ab w_a w_b v_ab, but few large terms dominate a sum of terms that scatter widely.
        ``common``: the variance of a further factor of all terms.
        """
        return common + np.log1p(np.maximum(between(weights, self._relative), 0.0))

    def of_batch(self, sizes: Floats) -> Floats:
        """``of_mean`` with weights proportional to these sizes (..., n); 0 where all are 0."""
        total = sizes.sum(axis=-1, keepdims=True)
        return np.where(total[..., 0] > 0, self.of_mean(sizes / total), 0.0)


@dataclass(frozen=True)
class Sum:
    """Σ_ab K_ab over all pairs of a batch, for the kernel of each block.

    ``log``: its logarithm; -inf for zero, NaN where the sampled rows do not suffice or all summands
    cancel. ``rows`` (..., n): Σ_b K_ab by sample, in the kernel's unit; they make up the sum.
    ``pair_weight``: how many of the batch's pairs a pair of the sample counts for.
    """

    kernel: Scaled
    log: Floats
    rows: Floats
    pair_weight: float

    @property
    def _factor(self) -> Floats:
        """The kernel's unit relative to the sum."""
        return np.asarray(np.exp(np.minimum(self.kernel.log - self.log, 300.0)))

    def spread(self, terms: LogNormals, correlations: Floats, common: Floats) -> Floats:
        """The variance of log Σ_ab K_ab for random entries.

        ``terms``: the K_aa. K_ab scales as (η_a + η_b)/2, so the sum changes by Σ_a η_a Σ_b K_ab,
        which is small for a sum that nearly cancels; ``common``: the variance of a factor of all.
        ``correlations``: the variance of a correlation at ρ = 0, at others (1 - ρ²)² times that
        (Fisher 1915); correlations of different pairs count as independent.
        """
        factor = self._factor[..., None]
        apart = self.kernel.apart()
        apart *= apart
        pairs = 2 * self.pair_weight * between(self.kernel.diagonal.values * factor, apart)
        alone = terms.of_mean(self.rows * factor, common) + np.log1p(pairs * correlations)
        unknown = terms.covariance.mean(axis=(-2, -1)) + common
        return np.where(np.isfinite(self.log), alone, unknown)

    def chance_of_pairs(self, variances: Floats) -> Floats:
        """The pairs' random terms relative to the sum: Σ_{a≠b} sqrt(K_aa K_bb) v_ab/Σ_ab K_ab.

        ``variances`` (..., n, n): of the correlations, 0 for a = b. Forward and backward kernels
        share their features, so the randomness of their products does not average out.
        """
        sizes = np.sqrt(self.kernel.diagonal.values)
        share = self.pair_weight * between(sizes, variances) * self._factor
        return np.where(np.isfinite(self.log), share, 0.0)


@dataclass(frozen=True)
class Sums:
    """Sums over all pairs of a batch of ``batch`` samples, from a kernel of ``rows`` of them.

    Σ_ab K_ab is estimated by (N/n) Σ_a K_aa + N (N-1)/(n (n-1)) Σ_{a≠b} K_ab, exact for n = N.
    With 64 of 128 rows it was within a factor of 1.3 (once 1.9) of the full sum, but off by up to
    6 where the sum is a hundredth of its summands' sizes or less: there no estimate is given.
    """

    rows: int
    batch: int

    def of(self, kernel: Scaled) -> Sum:
        """The sum of a kernel."""
        values, n, batch = kernel.values, self.rows, self.batch
        weight = batch * (batch - 1) / (n * (n - 1)) if n > 1 else 1.0
        own = (batch / n - weight) * kernel.diagonal.values
        rows = weight * values.sum(axis=-1) + own
        whole = rows.sum(axis=-1)
        sizes = weight * np.abs(values).sum(axis=(-2, -1)) + own.sum(axis=-1)
        lost = whole < (_LEFT if n < batch else _ROUNDING) * sizes
        return Sum(kernel, np.where(lost, np.nan, log_of(whole) + kernel.log), rows, weight)

    def log_total(self, kernel: Scaled) -> Floats:
        """log Σ_ab K_ab; -inf for zero, NaN where it is not known (see ``Sum``)."""
        return self.of(kernel).log


def between(vector: Floats, matrix: Floats) -> Floats:
    """Σ_ab v_a M_ab v_b, (...,)."""
    return np.asarray(((matrix @ vector[..., None])[..., 0] * vector).sum(axis=-1))
