"""Arrays with a separate scale, so that a thousand blocks neither overflow nor underflow.

All blocks of a stack lie along a leading axis: a kernel is (L, N, N) or, of one block, (N, N), and
a vector (L, N) or (N,).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ffn_train.nn.core import Floats

CHUNK = 32_768  # entries of a kernel that are computed together, so that they stay in the cache
FEW = 32  # rows, of which a chunk's values at the nodes take more memory than its kernels
_SMALLEST = 1e-150  # a size relative to the largest
_LOWEST = float(np.finfo(np.float64).min)


class Stacked:
    """A dataclass of what has an axis over blocks, or is None; a slice of it has these blocks."""

    def __len__(self) -> int:
        return len(next(iter(vars(self).values())))

    def __getitem__(self, blocks: slice) -> Self:
        parts = {name: part if part is None else part[blocks] for name, part in vars(self).items()}
        return type(self)(**parts)


@dataclass(frozen=True)
class Scaled(Stacked):
    """The array ``values`` · exp(``log``), with a log for each block, -inf where all are 0."""

    values: Floats
    log: Any = 0.0  # a float for one array, (L,) for those of all blocks

    @classmethod
    def stacked(cls, arrays: list[Scaled]) -> Scaled:
        """The arrays of all blocks as one."""
        return cls(np.array([a.values for a in arrays]), np.array([a.log for a in arrays]))

    def followed_by(self, last: Scaled) -> Scaled:
        """The arrays of all blocks with another one."""
        return Scaled(
            np.append(self.values, last.values[None], axis=0), np.append(self.log, last.log)
        )

    def at(self, block: int) -> Scaled:
        """The array of one block."""
        return Scaled(self.values[block], self.log[block])

    @classmethod
    def plain(cls, values: Floats) -> Scaled:
        """The numbers of all blocks as they are."""
        return cls(values, np.zeros(len(values)))

    def normalised(self) -> Scaled:
        """One array with a largest magnitude of 1; unchanged if that is not finite."""
        largest = float(np.abs(self.values).max(initial=0))
        if largest == 0:
            return Scaled(self.values, -np.inf)
        if not np.isfinite(largest):
            return self
        return Scaled(self.values / largest, self.log + float(np.log(largest)))

    def _times(self, log: Any) -> Floats:
        """``values`` · exp(``log``), which is a float or of each block."""
        if not isinstance(log, np.ndarray):
            return self.values if log == 0 else self.values * np.exp(log)
        if not log.any():
            return self.values
        scale = np.exp(log)
        return np.asarray(self.values * scale.reshape(-1, *(1,) * (self.values.ndim - 1)))

    def __add__(self, other: Scaled) -> Scaled:
        log = np.maximum(self.log, other.log)
        unit = np.maximum(log, _LOWEST)
        return Scaled(self._times(self.log - unit) + other._times(other.log - unit), log)

    def plus(self, number: float) -> Scaled:
        """The array with a number added to each entry."""
        if number == 0:
            return self
        blocks = np.shape(self.log)
        same = np.full(blocks + (1,) * (self.values.ndim - len(blocks)), number)
        return self + Scaled(same, np.zeros(blocks))

    def __mul__(self, other: Any) -> Scaled:
        """By another of the same axes, or by a number for all blocks or for each."""
        if isinstance(other, Scaled):
            return Scaled(self.values * other.values, self.log + other.log)
        if not isinstance(other, np.ndarray) and other <= 0:
            return Scaled(self.values * other, self.log if other else -np.inf + self.log)
        return Scaled(self.values, self.log + np.log(other))

    def over(self, scales: Scaled) -> Scaled:
        """The kernel of vectors each divided by its scale (N,): K_ab / (s_a s_b)."""
        return self._scaled_by(1 / scales.values, -scales.log)

    def _scaled_by(self, factors: Floats, log: Any) -> Scaled:
        values = self.values * factors[..., :, None]
        values *= factors[..., None, :]
        return Scaled(values, self.log + 2 * log)

    @property
    def diagonal(self) -> Scaled:
        """The diagonal (N,) of a kernel."""
        return Scaled(np.diagonal(self.values, axis1=-2, axis2=-1), self.log)

    def with_sizes(self, logs: Floats) -> Scaled:
        """One kernel with the same correlations and these logs (N,) of its diagonal.

        Sizes e⁶⁰⁰ times smaller than the largest are raised to that, which no sum notices.
        """
        largest = float(np.max(logs))
        sizes = np.exp(np.maximum(logs - largest, -600.0) / 2)
        factors = ratio(sizes, np.sqrt(self.values.diagonal()))
        return Scaled(self.values * factors[:, None] * factors, largest)

    def off_diagonal(self) -> Floats:
        """The mean entry for two different samples, at least 0; 0 for a single sample."""
        n = self.values.shape[-1]
        pairs = self.values.sum(axis=(-2, -1)) - self.diagonal.values.sum(axis=-1)
        return np.asarray(np.maximum(pairs, 0.0) / max(n * (n - 1), 1) * np.exp(self.log))

    def apart(self) -> Floats:
        """1 - ρ² of the correlations ρ of a kernel, at least 0."""
        squares = (self * self).relative_to_sizes(self.diagonal)
        return np.subtract(1, np.minimum(squares, 1, out=squares), out=squares)

    def outer(self) -> Scaled:
        """v_a v_b of a vector (N,)."""
        return Scaled(self.values[..., :, None] * self.values[..., None, :], 2 * self.log)

    def relative_to(self, sizes: Scaled) -> Floats:
        """Each entry of a vector over that of ``sizes``; 0 where that is 0."""
        return ratio(self._times(np.fmin(self.log - sizes.log, 700.0)), sizes.values)

    def relative_to_sizes(self, sizes: Scaled) -> Floats:
        """K_ab / (v_a v_b) for sizes v (N,); 0 where the square of one underflows."""
        inverse = ratio((sizes.values > _SMALLEST).astype(np.float64), sizes.values)
        whole = self._scaled_by(inverse, -sizes.log)
        return whole._times(np.fmin(whole.log, 700.0))

    def log_mean(self) -> Any:
        """The logarithm of the mean entry of a vector; -inf if that is not positive."""
        return log_of(self.values.mean(axis=-1)) + self.log

    def share_of(self, whole: Scaled) -> Floats:
        """The mean entry of a vector over that of ``whole``; 0 if it is not positive."""
        difference = self.log_mean() - whole.log_mean()
        return np.asarray(np.exp(np.where(np.isnan(difference), -np.inf, difference)))


def log_of(values: Any) -> Floats:
    """The logarithm; -inf of what is not positive."""
    found: Floats = np.log(
        values, out=np.full(np.shape(values), -np.inf), where=np.greater(values, 0)
    )
    return found


def ratio(values: Floats, sizes: Floats) -> Floats:
    """values / sizes, 0 where a size is not above 0."""
    return np.divide(values, sizes, out=np.zeros(values.shape), where=sizes > 0)


def accumulated(start: Scaled, factors: Scaled, terms: Scaled | None = None) -> Scaled:
    """x_0 = ``start`` and x_{k+1} = f_k x_k + t_k of K blocks, (K+1, ...)."""
    arrays = [start.normalised()]
    for block in range(len(factors)):
        x = arrays[-1] * factors.at(block)
        if terms is not None:
            x = x + terms.at(block)
        arrays.append(x.normalised())
    return Scaled.stacked(arrays)


def recurrence(start: Floats, factors: Iterable[Floats], terms: Floats) -> Floats:
    """The same of numbers without a scale."""
    values = np.empty((len(terms) + 1, *start.shape))
    values[0] = start
    for block, (factor, term) in enumerate(zip(factors, terms, strict=False)):
        np.multiply(values[block], factor, out=values[block + 1])
        values[block + 1] += term
    return values


def by_chunks(function: Callable[..., Any], rows: int, *stacks: Any) -> Any:
    """``function`` of all blocks, a few at a time, with its results (or each of them) joined."""
    size = max(1, CHUNK // (rows * max(rows, FEW)))
    if size >= len(stacks[0]):
        return function(*stacks)
    starts = range(0, len(stacks[0]), size)
    return _joined([function(*(s[start : start + size] for s in stacks)) for start in starts])


def _joined(parts: list[Any]) -> Any:
    first = parts[0]
    if isinstance(first, dict):
        return {name: _joined([part[name] for part in parts]) for name in first}
    if isinstance(first, Stacked):
        return type(first)(**_joined([vars(part) for part in parts]))
    if isinstance(first, tuple):
        return tuple(_joined(list(each)) for each in zip(*parts, strict=True))
    return None if first is None else np.concatenate(parts)
