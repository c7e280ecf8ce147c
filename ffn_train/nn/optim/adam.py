"""Adam, with decoupled weight decay (AdamW)."""

from __future__ import annotations

import numpy as np

from ffn_train.config.registry import choice
from ffn_train.config.settings import setting
from ffn_train.nn.core import Array
from ffn_train.nn.optim.optimizer import Memory, Optimizer, chunks


@choice("optimizer", "adam")
class Adam(Optimizer):
    """m <- β₁ m + (1-β₁) g; s <- β₂ s + (1-β₂) g²; θ <- θ - lr m̂/(sqrt(ŝ) + eps).

    m̂ = m/(1-β₁ᵗ) and ŝ = s/(1-β₂ᵗ) undo the start at zero. With ``weight_decay`` it is AdamW.
    Kingma and Ba 2015; Loshchilov and Hutter 2019.
    """

    lr: float = setting("the highest learning rate, which the schedule scales", 0.001, at_least=0)
    beta1: float = setting("share of m that a step keeps", 0.9, at_least=0, below=1)
    beta2: float = setting("share of s that a step keeps", 0.999, at_least=0, below=1)
    eps: float = setting("added to sqrt(ŝ)", 1.0e-8, above=0)

    scale_free = True  # up to eps

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
