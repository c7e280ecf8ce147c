"""The activations that the checks pass in and recognise, each with its derivative."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ffn_train.nn.activations.gelu import GELU, GELUTanh
from ffn_train.nn.activations.identity import Identity
from ffn_train.nn.activations.relu import LeakyReLU, ReLU
from ffn_train.nn.activations.silu import SiLU
from ffn_train.nn.activations.tanh import Tanh
from ffn_train.nn.core import Array, Floats

Function = Callable[[Floats], Array]


@dataclass(frozen=True, eq=False)
class Activation:
    """act(z) and act'(z); ``of_value`` is act' as a function of y = act(z), if it is one."""

    name: str
    value: Function
    derivative: Function
    of_value: Function | None = None


def _sigmoid(z: Floats) -> Floats:
    return 0.5 + 0.5 * np.tanh(z / 2)


def _leaky(slope: float) -> Activation:
    act = LeakyReLU(slope=slope)
    return Activation(f"leaky ReLU of slope {slope:g}", act.value, act.derivative)


OWN = "its own"  # the name of an activation that is not in this table
_OURS = {
    "identity": Identity(),
    "ReLU": ReLU(),
    "GELU": GELU(),
    "GELU by tanh": GELUTanh(),
    "SiLU": SiLU(),
}
_KNOWN = (
    *(Activation(name, act.value, act.derivative) for name, act in _OURS.items()),
    Activation("tanh", np.tanh, Tanh().derivative, lambda y: 1 - y**2),
    Activation(
        "sigmoid", _sigmoid, lambda z: _sigmoid(z) * (1 - _sigmoid(z)), lambda y: y * (1 - y)
    ),
    Activation("softplus", lambda z: np.logaddexp(z, 0), _sigmoid, lambda y: 1 - np.exp(-y)),
    Activation(
        "ELU", lambda z: np.where(z > 0, z, np.expm1(z)), lambda z: np.where(z > 0, 1, np.exp(z))
    ),
    *map(_leaky, (0.01, 0.1, 0.2)),
    Activation("square", np.square, lambda z: 2 * z),
    Activation("sine", np.sin, np.cos),
)
ACTIVATIONS = {activation.name: activation for activation in _KNOWN}
PASSED = ("tanh", "ReLU", "SiLU")  # as arguments: smooth, kinked, not monotonic
