"""Sums over all pairs of a batch, and how they scatter between seeds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ffn_train.nn.core import Floats
from ffn_train.theory.scaled import Scaled

# the least share of its summands' sizes at which a sum over sampled or all pairs is trusted: below
# the latter both the prediction and the norm that a run measures are rounding
_LEFT, _ROUNDING = 0.01, float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class LogNormals:
    """Terms exp(η_a) with normal η of the ``covariance`` (n, n)."""

    covariance: Floats

    @cached_property
    def _relative(self) -> Floats:
        """The covariance (n, n) of the terms themselves, each relative to its mean."""
        return np.expm1(np.minimum(self.covariance, 300.0))

    def of_mean(self, weights: Floats, common: float = 0.0) -> float:
        """The variance of log Σ_a w_a exp(η_a), where Σ_a w_a = 1.

        The sum counts as log-normal with the right mean and variance (Fenton 1960): to first order
        it is Σ_ab w_a w_b v_ab, but few large terms dominate a sum of terms that scatter widely.
        ``common``: the variance of a further factor of all terms.
        """
        square = float(weights @ self._relative @ weights)
        return common + float(np.log1p(max(square, 0.0)))


@dataclass(frozen=True)
class Sum:
    """Σ_ab K_ab over all pairs of a batch.

    ``log``: its logarithm; -inf for zero, NaN where the sampled rows do not suffice or all summands
    cancel. ``rows`` (n,): Σ_b K_ab by sample, in the kernel's unit; they make up the sum.
    ``pair_weight``: how many of the batch's pairs a pair of the sample counts for.
    """

    kernel: Scaled
    log: float
    rows: Floats
    pair_weight: float

    @property
    def _factor(self) -> float:
        """The kernel's unit relative to the sum."""
        return float(np.exp(min(self.kernel.log - self.log, 300.0)))

    def spread(self, terms: LogNormals, correlations: float, common: float) -> float:
        """The variance of log Σ_ab K_ab for random entries.

        ``terms``: the K_aa. K_ab scales as (η_a + η_b)/2, so the sum changes by Σ_a η_a Σ_b K_ab,
        which is small for a sum that nearly cancels; ``common``: the variance of a factor of all.
        ``correlations``: the variance of a correlation at ρ = 0, at others (1 - ρ²)² times that
        (Fisher 1915); correlations of different pairs count as independent.
        """
        if not np.isfinite(self.log):
            return float(terms.covariance.mean()) + common
        sizes = self.kernel.values.diagonal() * self._factor
        pairs = 2 * self.pair_weight * float(sizes @ self.kernel.apart() ** 2 @ sizes)
        alone = terms.of_mean(self.rows * self._factor, common)
        return alone + float(np.log1p(pairs * correlations))

    def chance_of_pairs(self, variances: Floats) -> float:
        """The pairs' random terms relative to the sum: Σ_{a≠b} sqrt(K_aa K_bb) v_ab/Σ_ab K_ab.

        ``variances`` (n, n): of the correlations, 0 for a = b. Forward and backward kernels share
        their features, so the randomness of their products does not average out.
        """
        if not np.isfinite(self.log):
            return 0.0
        sizes = np.sqrt(self.kernel.values.diagonal())
        return self.pair_weight * float(sizes @ variances @ sizes) * self._factor


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
        own = (batch / n - weight) * values.diagonal()
        rows = weight * values.sum(axis=1) + own
        whole = float(rows.sum())
        least = _LEFT if n < batch else _ROUNDING
        if whole < least * float(weight * np.abs(values).sum() + own.sum()):
            return Sum(kernel, np.nan, rows, weight)
        return Sum(kernel, kernel.log_of(whole), rows, weight)

    def log_total(self, kernel: Scaled) -> float:
        """log Σ_ab K_ab; -inf for zero, NaN where it is not known (see ``Sum``)."""
        return self.of(kernel).log
