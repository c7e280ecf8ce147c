"""Arrays with a separate scale, so that a thousand blocks neither overflow nor underflow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ffn_train.nn.core import Floats

_LEFT = 0.01  # a sum over sampled pairs is trusted from this share of its summands' sizes on


@dataclass(frozen=True)
class Scaled:
    """The array ``values`` · exp(``log``)."""

    values: Floats
    log: float = 0.0

    def normalised(self) -> Scaled:
        """The same array with a largest magnitude of 1; unchanged if that is 0 or not finite."""
        largest = float(np.max(np.abs(self.values), initial=0))
        if largest == 0 or not np.isfinite(largest):
            return self
        return Scaled(self.values / largest, self.log + float(np.log(largest)))

    def __add__(self, other: Scaled) -> Scaled:
        if not np.count_nonzero(self.values):
            return other
        if not np.count_nonzero(other.values):
            return self
        large, small = (self, other) if self.log >= other.log else (other, self)
        return Scaled(large.values + small.values * np.exp(small.log - large.log), large.log)

    def __mul__(self, other: Scaled | Floats | float) -> Scaled:
        if isinstance(other, Scaled):
            return Scaled(self.values * other.values, self.log + other.log)
        return Scaled(self.values * other, self.log)

    def over(self, scales: Scaled) -> Scaled:
        """The kernel of vectors each divided by its scale (N,): K_ab / (s_a s_b)."""
        return Scaled(
            self.values / (scales.values[:, None] * scales.values), self.log - 2 * scales.log
        )

    @property
    def diagonal(self) -> Scaled:
        """The diagonal (N,) of a kernel."""
        return Scaled(self.values.diagonal(), self.log)

    def with_sizes(self, logs: Floats) -> Scaled:
        """The kernel with the same correlations and these logs (N,) of its diagonal.

        Sizes e⁶⁰⁰ times smaller than the largest are raised to that, which no sum notices.
        """
        largest = float(np.max(logs))
        sizes = np.exp(np.maximum(logs - largest, -600.0) / 2)
        factors = ratio(sizes, np.sqrt(self.values.diagonal()))
        return Scaled(self.values * factors[:, None] * factors, largest)

    def off_diagonal(self) -> float:
        """The mean entry for two different samples, at least 0; 0 for a single sample."""
        n = len(self.values)
        pairs = float(self.values.sum()) - float(np.trace(self.values))
        return max(pairs, 0.0) / (n * (n - 1)) * float(np.exp(self.log)) if n > 1 else 0.0

    def apart(self) -> Floats:
        """1 - ρ² of the correlations ρ of a kernel, at least 0."""
        diagonal = self.values.diagonal()
        return 1 - np.minimum(ratio(self.values**2, diagonal[:, None] * diagonal), 1)

    def outer(self) -> Scaled:
        """v_a v_b of a vector (N,)."""
        return Scaled(self.values[:, None] * self.values, 2 * self.log)

    def relative_to(self, sizes: Scaled) -> Floats:
        """Each entry over that of ``sizes``; 0 where that is 0."""
        scale = np.exp(min(self.log - sizes.log, 700.0))
        return ratio(self.values * scale, sizes.values)

    def log_mean(self) -> float:
        """The logarithm of the mean entry; -inf if that is not positive."""
        return self._log(float(np.add.reduce(self.values, axis=None)) / self.values.size)

    def share_of(self, whole: Scaled) -> float:
        """The mean diagonal over that of ``whole``; 0 if it is not positive."""
        difference = self.diagonal.log_mean() - whole.diagonal.log_mean()
        return float(np.exp(difference)) if difference > -np.inf else 0.0

    def _log(self, value: float) -> float:
        return float(np.log(value)) + self.log if value > 0 else -np.inf


def ratio(values: Floats, sizes: Floats) -> Floats:
    """values / sizes, 0 where a size is not above 0."""
    return np.divide(values, sizes, out=np.zeros(values.shape), where=sizes > 0)


def of_mean(weights: Floats, covariance: Floats) -> float:
    """The variance of log Σ_a w_a exp(η_a) for normal η of this covariance, where Σ_a w_a = 1.

    The sum counts as log-normal with the right mean and variance (Fenton 1960): to first order it
    is Σ_ab w_a w_b v_ab, but few large terms dominate a sum of terms that scatter widely.
    """
    square = float(weights @ np.expm1(np.minimum(covariance, 300.0)) @ weights)
    return float(np.log1p(max(square, 0.0)))


@dataclass(frozen=True)
class Sums:
    """Sums over all pairs of a batch of ``batch`` samples, from a kernel of ``rows`` of them.

    Σ_ab K_ab is estimated by (N/n) Σ_a K_aa + N (N-1)/(n (n-1)) Σ_{a≠b} K_ab, exact for n = N.
    With 64 of 128 rows it was within a factor of 1.3 (once 1.9) of the full sum, but off by up to
    6 where the sum is a hundredth of its summands' sizes or less: there no estimate is given.
    """

    rows: int
    batch: int

    def spread(self, kernel: Scaled, sizes: Floats, correlations: float) -> float:
        """The variance of log Σ_ab K_ab for random entries.

        ``sizes``: the covariance (n, n) of the logs η_a of K_aa. K_ab scales as (η_a + η_b)/2, so
        the sum changes by Σ_a η_a Σ_b K_ab, which is small for a sum that nearly cancels.
        ``correlations``: the variance of a correlation at ρ = 0, at others (1 - ρ²)² times that
        (Fisher 1915); correlations of different pairs count as independent.
        """
        log = self.log_total(kernel)
        if not np.isfinite(log):
            return float(sizes.mean())
        values = kernel.values * float(np.exp(min(kernel.log - log, 300.0)))
        diagonal, n, batch = np.diagonal(values), self.rows, self.batch
        pair_weight = batch * (batch - 1) / (n * (n - 1)) if n > 1 else 1.0
        rows = pair_weight * values.sum(axis=1) + (batch / n - pair_weight) * diagonal
        pairs = (
            2
            * pair_weight
            * correlations
            * float((diagonal[:, None] * diagonal * kernel.apart() ** 2).sum())
        )
        return of_mean(rows, sizes) + float(np.log1p(pairs))

    def chance_of_pairs(self, kernel: Scaled, variances: Floats) -> float:
        """The pairs' random terms relative to the sum: Σ_{a≠b} sqrt(K_aa K_bb) v_ab/Σ_ab K_ab.

        ``variances`` (n, n): of the correlations, 0 for a = b. Forward and backward kernels share
        their features, so the randomness of their products does not average out.
        """
        log = self.log_total(kernel)
        if not np.isfinite(log):
            return 0.0
        diagonal, n, batch = np.diagonal(kernel.values), self.rows, self.batch
        pair_weight = batch * (batch - 1) / (n * (n - 1)) if n > 1 else 1.0
        total = pair_weight * float((np.sqrt(diagonal[:, None] * diagonal) * variances).sum())
        return total * float(np.exp(min(kernel.log - log, 300.0)))

    def log_total(self, kernel: Scaled) -> float:
        """log Σ_ab K_ab; -inf for zero, NaN where the sampled rows do not suffice."""
        trace = float(np.trace(kernel.values))
        pairs = float(kernel.values.sum()) - trace
        n, batch = self.rows, self.batch
        whole = batch / n * trace + (batch * (batch - 1) / (n * (n - 1)) * pairs if n > 1 else 0)
        if n < batch:
            sizes = float(np.abs(kernel.values).sum()) - trace
            if whole < _LEFT * (batch / n * trace + batch * (batch - 1) / (n * (n - 1)) * sizes):
                return np.nan
        return kernel._log(whole)
