"""Variances that depend on a matrix's shape only: He, LeCun, Xavier, and any factor."""

from __future__ import annotations

from ffn_train.config.registry import choice
from ffn_train.config.settings import setting
from ffn_train.nn.initialisers.initialiser import Initialiser, Role


@choice("init", "he")
class He(Initialiser):
    """Var W = 2/fan_in: keeps E[z²] through a ReLU layer. He et al. 2015."""

    def variance(self, *, fan_in: int, fan_out: int, role: Role, depth: int) -> float:
        return 2 / fan_in


@choice("init", "lecun")
class LeCun(Initialiser):
    """Var W = 1/fan_in: keeps the variance through a linear layer. LeCun et al. 1998."""

    def variance(self, *, fan_in: int, fan_out: int, role: Role, depth: int) -> float:
        return 1 / fan_in


@choice("init", "normal")
class Normal(Initialiser):
    """Var W_inner = inner/fan_in, Var W_outer = outer/fan_in: the σ_w² of mean-field theory.

    Poole et al. 2016. He's rule is 2 and 2, LeCun's 1 and 1; 1 and 2 keep E[x²] through a ReLU
    branch.
    """

    inner: float = setting("fan_in x variance of inner matrices", 1.0, at_least=0, squared=True)
    outer: float = setting("fan_in x variance of outer matrices", 1.0, at_least=0, squared=True)

    def variance(self, *, fan_in: int, fan_out: int, role: Role, depth: int) -> float:
        return (self.inner if role == "inner" else self.outer) / fan_in


@choice("init", "xavier")
class Xavier(Initialiser):
    """Var W = 2/(fan_in + fan_out): a compromise between both passes. Glorot and Bengio 2010."""

    def variance(self, *, fan_in: int, fan_out: int, role: Role, depth: int) -> float:
        return 2 / (fan_in + fan_out)
