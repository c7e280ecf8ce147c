"""The update rules in one pass over parameters, gradient and memory."""

from __future__ import annotations

from dataclasses import asdict
from math import sqrt

from ffn_train.nn.compiled.jit import entry
from ffn_train.nn.compiled.refusal import no_twin
from ffn_train.nn.core import Array
from ffn_train.nn.optim.adam import Adam
from ffn_train.nn.optim.optimizer import Memory, Optimizer
from ffn_train.nn.optim.sgd import SGD


@entry
def _descend(params, grads, rate):
    rate = params.dtype.type(rate)
    for i in range(params.size):
        params[i] -= rate * grads[i]


@entry
def _descend_with_momentum(params, grads, velocity, rate, momentum, nesterov):
    real = params.dtype.type
    rate, momentum = real(rate), real(momentum)
    for i in range(params.size):
        v = momentum * velocity[i] + grads[i]
        velocity[i] = v
        params[i] -= rate * (grads[i] + momentum * v if nesterov else v)


@entry
def _adam(params, grads, mean, square, rate, correction, beta1, beta2, eps):
    real = params.dtype.type
    rate, correction, eps = real(rate), real(correction), real(eps)
    new1, new2, beta1, beta2 = real(1 - beta1), real(1 - beta2), real(beta1), real(beta2)
    for i in range(params.size):
        g = grads[i]
        m = beta1 * mean[i] + new1 * g
        s = beta2 * square[i] + new2 * g * g
        mean[i], square[i] = m, s
        params[i] -= rate * m / (real(sqrt(s * correction)) + eps)


class CompiledSGD(SGD):
    """``SGD``, compiled."""

    side_by_side = True

    def descend(
        self, params: Array, grads: Array, memory: Memory, *, lr: float, count: int
    ) -> None:
        if self.momentum:
            velocity = memory["velocity"]
            _descend_with_momentum(params, grads, velocity, lr, self.momentum, self.nesterov)
        else:
            _descend(params, grads, lr)


class CompiledAdam(Adam):
    """``Adam``, compiled."""

    side_by_side = True

    def descend(
        self, params: Array, grads: Array, memory: Memory, *, lr: float, count: int
    ) -> None:
        rate, correction = lr / (1 - self.beta1**count), 1 / (1 - self.beta2**count)
        mean, square = memory["mean"], memory["square"]
        _adam(params, grads, mean, square, rate, correction, self.beta1, self.beta2, self.eps)


def compiled_update(optimizer: Optimizer) -> Optimizer:
    """The same rule and settings, compiled. Raises SettingError for a rule without a twin."""
    twins: dict[type[Optimizer], type[Optimizer]] = {SGD: CompiledSGD, Adam: CompiledAdam}
    kind = type(optimizer)
    if kind not in twins:
        raise no_twin(optimizer)
    return twins[kind](**asdict(optimizer))
