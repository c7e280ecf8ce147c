"""Matrices with orthonormal rows or columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ffn_train.config.registry import choice
from ffn_train.config.settings import number
from ffn_train.nn.core import Array
from ffn_train.nn.initialisers.initialiser import Initialiser, Role


@choice("init", "orthogonal")
@dataclass(frozen=True, kw_only=True)
class Orthogonal(Initialiser):
    """W = gain · Q with orthonormal rows or columns: Var W = gain²/max(fan_in, fan_out).

    Saxe et al. 2014. The entries are not independent of one another.
    """

    gain: float = 1.0

    independent = False

    def __post_init__(self) -> None:
        super().__post_init__()
        number("init.gain", self.gain, above=0)

    def variance(self, *, fan_in: int, fan_out: int, role: Role, depth: int) -> float:
        return self.gain**2 / max(fan_in, fan_out)

    def weight(
        self, rng: np.random.Generator, *, fan_in: int, fan_out: int, role: Role, depth: int
    ) -> Array:
        tall = rng.standard_normal((max(fan_in, fan_out), min(fan_in, fan_out)))
        q, r = np.linalg.qr(tall)
        q *= np.sign(np.diag(r))  # without it Q would not be uniformly distributed
        return self.gain * (q if fan_out >= fan_in else q.T)
