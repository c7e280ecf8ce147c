"""Stochastic gradient descent with momentum."""

from __future__ import annotations

from dataclasses import dataclass

from ffn_train.config.registry import choice
from ffn_train.config.settings import SettingError, boolean, number
from ffn_train.nn.core import Array
from ffn_train.nn.optim.optimizer import Memory, Optimizer, chunks


@choice("optimizer", "sgd")
@dataclass(frozen=True, kw_only=True)
class SGD(Optimizer):
    """v <- μ v + g; θ <- θ - lr v, or with Nesterov's look-ahead θ <- θ - lr (g + μ v).

    Polyak 1964; Nesterov 1983 in the form of Sutskever et al. 2013.
    """

    momentum: float
    nesterov: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        number("optimizer.momentum", self.momentum, at_least=0, below=1)
        if boolean("optimizer.nesterov", self.nesterov) and self.momentum == 0:
            raise SettingError("optimizer.nesterov=true needs optimizer.momentum > 0, got 0")

    @property
    def slots(self) -> tuple[str, ...]:
        return ("velocity",) if self.momentum else ()

    def descend(
        self, params: Array, grads: Array, memory: Memory, *, lr: float, count: int
    ) -> None:
        rate, momentum = params.dtype.type(lr), params.dtype.type(self.momentum)
        for chunk in chunks(params.size):
            part, grad = params[chunk], grads[chunk]
            if not self.momentum:
                part -= rate * grad
                continue
            velocity = memory["velocity"][chunk]
            velocity *= momentum
            velocity += grad
            if self.nesterov:
                part -= rate * (grad + momentum * velocity)
            else:
                part -= rate * velocity
