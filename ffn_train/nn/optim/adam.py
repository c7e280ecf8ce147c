"""Adam, with decoupled weight decay (AdamW)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ffn_train.config.registry import choice
from ffn_train.config.settings import number
from ffn_train.nn.core import Array
from ffn_train.nn.optim.optimizer import Memory, Optimizer, chunks


@choice("optimizer", "adam")
@dataclass(frozen=True, kw_only=True)
class Adam(Optimizer):
    """m <- β₁ m + (1-β₁) g; s <- β₂ s + (1-β₂) g²; θ <- θ - lr m̂/(sqrt(ŝ) + eps).

    m̂ = m/(1-β₁ᵗ) and ŝ = s/(1-β₂ᵗ) undo the start at zero. With ``weight_decay`` it is AdamW.
    Kingma and Ba 2015; Loshchilov and Hutter 2019.
    """

    beta1: float
    beta2: float
    eps: float

    def __post_init__(self) -> None:
        super().__post_init__()
        number("optimizer.beta1", self.beta1, at_least=0, below=1)
        number("optimizer.beta2", self.beta2, at_least=0, below=1)
        number("optimizer.eps", self.eps, above=0)

    @property
    def slots(self) -> tuple[str, ...]:
        return ("mean", "square")

    def descend(
        self, params: Array, grads: Array, memory: Memory, *, lr: float, count: int
    ) -> None:
        scalar = params.dtype.type
        rate = scalar(lr / (1 - self.beta1**count))
        correction = scalar(1 / (1 - self.beta2**count))
        for chunk in chunks(params.size):
            grad, mean, square = grads[chunk], memory["mean"][chunk], memory["square"][chunk]
            mean *= scalar(self.beta1)
            mean += scalar(1 - self.beta1) * grad
            square *= scalar(self.beta2)
            square += scalar(1 - self.beta2) * grad * grad
            scale = np.sqrt(square * correction)
            scale += scalar(self.eps)
            params[chunk] -= rate * mean / scale
