"""The update rules in one pass over parameters, gradient and memory."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import asdict
from math import sqrt
from typing import Any, ClassVar

import numpy as np

from ffn_train.nn.compiled.jit import entry
from ffn_train.nn.compiled.refusal import no_twin
from ffn_train.nn.core import Array
from ffn_train.nn.optim.adam import Adam
from ffn_train.nn.optim.optimizer import Memory, Optimizer
from ffn_train.nn.optim.sgd import SGD


@entry
def _descend(params, grads, velocity, second, numbers):
    real = params.dtype.type
    rate, momentum, nesterov = real(numbers[0]), real(numbers[1]), numbers[2] != 0
    for i in range(params.size):
        v = grads[i]
        if momentum != 0:
            v += momentum * velocity[i]
            velocity[i] = v
        params[i] -= rate * (grads[i] + momentum * v if nesterov else v)


@entry
def _adam(params, grads, mean, square, numbers):
    real = params.dtype.type
    rate, correction = real(numbers[0]), real(numbers[1])
    beta1, beta2, eps = real(numbers[2]), real(numbers[3]), real(numbers[4])
    new1, new2 = real(1 - numbers[2]), real(1 - numbers[3])
    for i in range(params.size):
        g = grads[i]
        m = beta1 * mean[i] + new1 * g
        s = beta2 * square[i] + new2 * g * g
        mean[i], square[i] = m, s
        params[i] -= rate * m / (real(sqrt(s * correction)) + eps)


class CompiledOptimizer(Optimizer):
    """A rule whose descent is ``kernel(params, grads, first, second, numbers)``.

    ``first`` and ``second`` are the vectors of its memory; an empty one stands for none.
    """

    side_by_side = True

    kernel: ClassVar[Any]

    @abstractmethod
    def numbers(self, lr: float, count: int) -> tuple[float, ...]:
        """What the kernel needs for the update number ``count`` at the learning rate ``lr``."""

    def vectors(self, memory: Memory, like: Array) -> list[Array]:
        """``first`` and ``second``."""
        return [*(memory[name] for name in self.slots), *[like[:0]] * 2][:2]

    def descend(
        self, params: Array, grads: Array, memory: Memory, *, lr: float, count: int
    ) -> None:
        numbers = np.array(self.numbers(lr, count))
        self.kernel(params, grads, *self.vectors(memory, params), numbers)


class CompiledSGD(CompiledOptimizer, SGD):
    """``SGD``, compiled."""

    kernel = staticmethod(_descend)

    def numbers(self, lr: float, count: int) -> tuple[float, ...]:
        return float(lr), self.momentum, self.nesterov


class CompiledAdam(CompiledOptimizer, Adam):
    """``Adam``, compiled."""

    kernel = staticmethod(_adam)

    def numbers(self, lr: float, count: int) -> tuple[float, ...]:
        rate, correction = lr / (1 - self.beta1**count), 1 / (1 - self.beta2**count)
        return rate, correction, self.beta1, self.beta2, self.eps


def compiled_update(optimizer: Optimizer) -> Optimizer:
    """The same rule and settings, compiled. Raises SettingError for a rule without a twin."""
    twins: dict[type[Optimizer], type[Optimizer]] = {SGD: CompiledSGD, Adam: CompiledAdam}
    kind = type(optimizer)
    if kind not in twins:
        raise no_twin(optimizer)
    return twins[kind](**asdict(optimizer))
