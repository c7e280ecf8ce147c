"""Regression tasks drawn from known functions."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ffn_train.config.registry import choice
from ffn_train.config.settings import SettingError, setting
from ffn_train.nn.core import Array
from ffn_train.tasks.table import Table
from ffn_train.tasks.task import Task

LARGEST = 10**8  # entries of one array: 0.8 GB in float64
LOUDEST = 1e100  # the noise, whose square float64 must hold


@dataclass(frozen=True, kw_only=True)
class Synthetic(Task):
    """A table of ``rows`` rows (training and validation) with ``inputs`` inputs, and noise."""

    drawn = True

    rows: int = setting("training and validation rows together", 4096, at_least=2)
    inputs: int = setting("D, of x ~ N(0, I)", 8, at_least=1)
    noise: float = setting(
        "standard deviation of the noise, in units of the clean target's",
        0.05,
        at_least=0,
        at_most=LOUDEST,
    )

    def _check_sizes(self, *keys: str) -> None:
        """Raise SettingError before drawing an array too large for an ordinary machine."""
        for first, second in combinations(keys, 2):
            rows, columns = getattr(self, first), getattr(self, second)
            if rows * columns > LARGEST:
                raise SettingError(
                    f"task.{first} times task.{second} must be at most {LARGEST}, "
                    f"got {rows} times {columns}"
                )

    def _standard(self, clean: Array, *keys: str) -> Array:
        """Clean targets (R, M) with mean 0 and standard deviation 1 in each column.

        Raises SettingError, which names the settings ``keys`` that decide their size, if float64
        cannot hold the standard deviation.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            mean, std = clean.mean(axis=0), clean.std(axis=0)
        if not (np.isfinite(std) & (std > 0)).all():
            values = " and ".join(f"task.{key}={getattr(self, key)}" for key in keys)
            size = "small" if (std == 0).any() else "large"
            raise SettingError(
                f"{values}: the targets without noise have a standard deviation too {size} for "
                "float64"
            )
        return np.asarray((clean - mean) / std)

    def _with_noise(self, inputs: Array, clean: Array, rng: np.random.Generator) -> Table:
        targets = clean + self.noise * rng.standard_normal(clean.shape)
        return Table(inputs, targets, _numbered("x", inputs), _numbered("y", targets))


def _numbered(letter: str, columns: Array) -> tuple[str, ...]:
    return tuple(f"{letter}{column + 1}" for column in range(columns.shape[1]))


@choice("task", "sinusoid")
class Sinusoid(Synthetic):
    """y = Σ_k sin(ω a_k·x), standardised, plus noise: a smooth function that no linear model fits.

    x ~ N(0, I) of D = ``inputs``; a_k ~ N(0, spread²/D I) for k = 1 ... ``waves``, the same for any
    number of rows; ω = ``frequency`` in radians. ``noise`` is the noise's standard deviation in
    units of the clean target's.
    """

    waves: int = setting("number of sines in the sum", 6, at_least=1)
    frequency: float = setting("ω, per unit of a_k·x", 1.4, unit="radians", above=0, at_most=1e6)
    spread: float = setting(
        "standard deviation of a_k·x, over the draw of a_k", 1.5, above=0, at_most=1e6
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_sizes("rows", "inputs", "waves")

    def table(self, rng: np.random.Generator) -> Table:
        directions = rng.standard_normal((self.waves, self.inputs))
        directions *= self.spread / np.sqrt(self.inputs)
        inputs = rng.standard_normal((self.rows, self.inputs))
        phases = inputs @ directions.T
        phases *= self.frequency
        clean = np.sin(phases).sum(axis=1, keepdims=True)
        return self._with_noise(inputs, self._standard(clean, "frequency", "spread"), rng)


@choice("task", "friedman")
class Friedman(Synthetic):
    """y = 10 sin(π x₁ x₂) + 20 (x₃ - ½)² + 10 x₄ + 5 x₅, plus noise: "Friedman #1".

    x is uniform on [0, 1]^D with D = ``inputs`` >= 5; the inputs after the fifth have no effect.
    ``noise`` is the noise's standard deviation in units of y (y's own is about 4.9).
    Friedman 1991, "Multivariate Adaptive Regression Splines".
    """

    inputs: int = setting("D, uniform on [0, 1]^D; the first 5 matter", 10, at_least=5)
    noise: float = setting(
        "standard deviation of the noise, in the target's units (the clean target's is 4.9)",
        1.0,
        at_least=0,
        at_most=LOUDEST,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_sizes("rows", "inputs")

    def table(self, rng: np.random.Generator) -> Table:
        inputs = rng.random((self.rows, self.inputs))
        x1, x2, x3, x4, x5 = inputs[:, :5].T
        clean = 10 * np.sin(np.pi * x1 * x2) + 20 * (x3 - 0.5) ** 2 + 10 * x4 + 5 * x5
        return self._with_noise(inputs, clean[:, None], rng)


@choice("task", "linear")
class LinearMap(Synthetic):
    """y = A x plus noise, with x ~ N(0, I): no model can do better than linear regression.

    A is (``outputs``, ``inputs``); its rows are uniformly distributed unit vectors, so that each
    clean target has variance 1, and ``noise`` is the noise's standard deviation in units of the
    clean target's. The best R² is 1/(1 + noise²).
    """

    outputs: int = setting("M, the number of targets", 1, at_least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_sizes("rows", "inputs", "outputs")

    def table(self, rng: np.random.Generator) -> Table:
        weights = rng.standard_normal((self.outputs, self.inputs))
        weights /= np.linalg.norm(weights, axis=1, keepdims=True)
        inputs = rng.standard_normal((self.rows, self.inputs))
        return self._with_noise(inputs, inputs @ weights.T, rng)
