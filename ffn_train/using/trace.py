"""What a network computes from given rows: the signals and, for given targets, the gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ffn_train.nn.core import Array, Arrays, Views
from ffn_train.nn.losses.loss import Loss
from ffn_train.nn.segments import SignalGradients
from ffn_train.nn.stack import Stack


@dataclass(frozen=True, eq=False)
class Trace:
    """The passes over N rows, of width D and depth L, in the run's precision.

    ``signals``: x_0 ... x_L, (N, D) each; ``hidden``: the hidden units of each block, (N, H);
    ``outputs`` (N, M), of standardised targets or logits. Without targets the rest is None:
    ``loss``, its gradients dL/dx_0 ... dL/dx_L (N, D), and dL/dθ by the parameter's name.
    """

    signals: Sequence[Array]
    hidden: Sequence[Array]
    outputs: Array
    loss: float | None = None
    signal_gradients: Sequence[Array] | None = None
    gradients: Mapping[str, Array] | None = None


def trace(stack: Stack, params: Views, loss: Loss, x: Array, targets: Array | None = None) -> Trace:
    """One forward pass over x (N, inputs) and, with targets (N, M), one backward pass."""
    signals: list[Array] = []
    hidden: list[Array] = []
    dx: dict[int, Array] = {}

    def forward(seen: Arrays, units: Arrays) -> None:
        signals.extend(np.array(array) for array in seen)  # the passes overwrite them
        hidden.extend(np.array(array) for array in units)

    def backward(flow: SignalGradients) -> None:
        dx.update({flow.first + place: np.array(array) for place, array in enumerate(flow.dx)})

    y, pullback = stack.forward(params, x, observe=forward)
    outputs = y.copy()
    if targets is None:
        return Trace(signals, hidden, outputs)
    value, dy = loss.value_and_gradient(y, targets)
    grads = stack.layout.zeros(params.vector.dtype)
    pullback(dy, grads, observe=backward)
    return Trace(
        signals,
        hidden,
        outputs,
        float(value),
        [dx[place] for place in sorted(dx)],
        stack.layout.named(grads.vector),
    )
