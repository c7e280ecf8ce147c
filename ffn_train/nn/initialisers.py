"""Who sets which weight's variance, with the paper that says so.

An initialiser sets the matrices and biases of every block. A block's *inner* matrices read the
residual stream (fan_in = D, fan_out = H); its *outer* matrix writes back to it (fan_in = H,
fan_out = D). Input projection and read-out are LeCun normal with zero bias under every choice: a
zero read-out would erase each block's gradient at step 0. Norm gains start at 1, shifts at 0.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from ffn_train.config.registry import choice
from ffn_train.config.settings import number
from ffn_train.nn.core import Array

Role = Literal["inner", "outer"]


@dataclass(frozen=True, kw_only=True)
class Initialiser(ABC):
    """Draws the weights and biases of the blocks; ``bias_std`` is the biases' standard deviation.

    ``independent``: whether the entries of a matrix are drawn independently.
    """

    bias_std: float = 0.0

    name: ClassVar[str]
    independent: ClassVar[bool] = True

    def __post_init__(self) -> None:
        number("init.bias_std", self.bias_std, at_least=0)

    @abstractmethod
    def variance(self, *, fan_in: int, fan_out: int, role: Role, depth: int) -> float:
        """The variance of each entry of a matrix (fan_out, fan_in) in a stack of L = depth."""

    def weight(
        self, rng: np.random.Generator, *, fan_in: int, fan_out: int, role: Role, depth: int
    ) -> Array:
        """A matrix (fan_out, fan_in) in float64."""
        variance = self.variance(fan_in=fan_in, fan_out=fan_out, role=role, depth=depth)
        return rng.standard_normal((fan_out, fan_in)) * math.sqrt(variance)

    def bias(self, rng: np.random.Generator, size: int) -> Array:
        """A bias vector (size,) in float64."""
        return rng.standard_normal(size) * self.bias_std


@choice("init", "he")
@dataclass(frozen=True, kw_only=True)
class He(Initialiser):
    """Var W = 2/fan_in: keeps E[z²] through a ReLU layer. He et al. 2015."""

    def variance(self, *, fan_in: int, fan_out: int, role: Role, depth: int) -> float:
        return 2 / fan_in


@choice("init", "lecun")
@dataclass(frozen=True, kw_only=True)
class LeCun(Initialiser):
    """Var W = 1/fan_in: keeps the variance through a linear layer. LeCun et al. 1998."""

    def variance(self, *, fan_in: int, fan_out: int, role: Role, depth: int) -> float:
        return 1 / fan_in


@choice("init", "normal")
@dataclass(frozen=True, kw_only=True)
class Normal(Initialiser):
    """Var W_inner = inner/fan_in, Var W_outer = outer/fan_in: the σ_w² of mean-field theory.

    Poole et al. 2016. He's rule is 2 and 2, LeCun's 1 and 1; 1 and 2 keep E[x²] through a ReLU
    branch.
    """

    inner: float = 1.0
    outer: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        number("init.inner", self.inner, at_least=0)
        number("init.outer", self.outer, at_least=0)

    def variance(self, *, fan_in: int, fan_out: int, role: Role, depth: int) -> float:
        return (self.inner if role == "inner" else self.outer) / fan_in


@choice("init", "xavier")
@dataclass(frozen=True, kw_only=True)
class Xavier(Initialiser):
    """Var W = 2/(fan_in + fan_out): between forward and backward. Glorot and Bengio 2010."""

    def variance(self, *, fan_in: int, fan_out: int, role: Role, depth: int) -> float:
        return 2 / (fan_in + fan_out)


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


@choice("init", "gpt2")
@dataclass(frozen=True, kw_only=True)
class GPT2(Initialiser):
    """Var W = 1/fan_in, and the outer matrix's divided by L, the number of residual additions.

    Radford et al. 2019, section 2.3: "a factor of 1/sqrt(N) where N is the number of residual
    layers", here on the LeCun rule instead of the paper's fixed 0.02.
    """

    def variance(self, *, fan_in: int, fan_out: int, role: Role, depth: int) -> float:
        return 1 / fan_in / (depth if role == "outer" else 1)


@choice("init", "fixup")
@dataclass(frozen=True, kw_only=True)
class Fixup(Initialiser):
    """Var W_inner = 2/(fan_in L), W_outer = 0: each block starts as the identity.

    Zhang et al. 2019: He's rule times L^(-1/(2m-2)) on the standard deviation, with m = 2 layers in
    a branch, and zero in the last. The paper's scalar biases and multipliers are left out.
    """

    def variance(self, *, fan_in: int, fan_out: int, role: Role, depth: int) -> float:
        return 2 / (fan_in * depth) if role == "inner" else 0.0


@choice("init", "deepnorm")
@dataclass(frozen=True, kw_only=True)
class DeepNorm(Initialiser):
    """Var W = β² 2/(fan_in + fan_out) with β = (4 L)^(-1/4). Wang et al. 2022, "DeepNet".

    The paper's (8N)^(-1/4) counts N layers of two residual sums each; here each block is one sum.
    """

    def variance(self, *, fan_in: int, fan_out: int, role: Role, depth: int) -> float:
        return 2 / (fan_in + fan_out) / math.sqrt(4 * depth)
