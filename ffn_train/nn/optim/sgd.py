"""Stochastic gradient descent with momentum."""

from __future__ import annotations

from ffn_train.config.registry import choice
from ffn_train.config.settings import SettingError, setting
from ffn_train.nn.core import Array
from ffn_train.nn.optim.optimizer import Memory, Optimizer, chunks


@choice("optimizer", "sgd")
class SGD(Optimizer):
    """v <- μ v + g; θ <- θ - lr v, or with Nesterov's look-ahead θ <- θ - lr (g + μ v).

    Polyak 1964; Nesterov 1983 in the form of Sutskever et al. 2013.
    """

    lr: float = setting("the highest learning rate, which the schedule scales", 0.15, at_least=0)
    momentum: float = setting("μ", 0.9, at_least=0, below=1)
    nesterov: bool = setting("Nesterov's look-ahead, which needs momentum", False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nesterov and self.momentum == 0:
            raise SettingError(
                f"{self.group}.nesterov=true needs {self.group}.momentum > 0, got {self.momentum:g}"
            )

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
