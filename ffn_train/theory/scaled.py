"""Arrays with a separate scale, so that a thousand blocks neither overflow nor underflow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ffn_train.nn.core import Floats


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
        if _is_zero(self.values):
            return other
        if _is_zero(other.values):
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
        return self.log_of(float(np.add.reduce(self.values, axis=None)) / self.values.size)

    def share_of(self, whole: Scaled) -> float:
        """The mean diagonal over that of ``whole``; 0 if it is not positive."""
        difference = self.diagonal.log_mean() - whole.diagonal.log_mean()
        return float(np.exp(difference)) if difference > -np.inf else 0.0

    def log_of(self, value: float) -> float:
        """The logarithm of value · exp(log); -inf if that is not positive."""
        return float(np.log(value)) + self.log if value > 0 else -np.inf


def _is_zero(values: Floats) -> bool:
    return not values.item(0) and not np.count_nonzero(values)  # the first is seldom 0


def ratio(values: Floats, sizes: Floats) -> Floats:
    """values / sizes, 0 where a size is not above 0."""
    return np.divide(values, sizes, out=np.zeros(values.shape), where=sizes > 0)
