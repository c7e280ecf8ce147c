"""Matrices with orthonormal rows or columns."""

from __future__ import annotations

import numpy as np

from ffn_train.config.registry import choice
from ffn_train.config.settings import setting
from ffn_train.nn.core import Array
from ffn_train.nn.initialisers.initialiser import Initialiser, Role


@choice("init", "orthogonal")
class Orthogonal(Initialiser):
    """W = gain · Q with orthonormal rows or columns: Var W = gain²/max(fan_in, fan_out).

    Saxe et al. 2014. The entries are not independent of one another.
    """

    gain: float = setting("factor of the orthogonal matrix", 1.0, above=0)

    independent = False

    def variance(self, *, fan_in: int, fan_out: int, role: Role, depth: int) -> float:
        return self.gain**2 / max(fan_in, fan_out)

    def weight(
        self, rng: np.random.Generator, *, fan_in: int, fan_out: int, role: Role, depth: int
    ) -> Array:
        tall = rng.standard_normal((max(fan_in, fan_out), min(fan_in, fan_out)))
        q, r = np.linalg.qr(tall)
        q *= np.sign(np.diag(r))  # without it Q would not be uniformly distributed
        return self.gain * (q if fan_out >= fan_in else q.T)
