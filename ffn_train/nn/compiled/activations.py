"""The compiled twins of the activations, each one function of one number z.

A twin returns act(z) and act'(z) in z's dtype: a bare 0.5 would turn everything into float64. Two
loops are made from it, which the passes call by address, so for another activation only these are
compiled. If act(z) determines act'(z), the forward pass does not keep act'(z).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from inspect import signature
from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.core.errors import NumbaError, UnsupportedBytecodeError
from numba.np.numpy_support import carray, from_dtype
from numba.np.unsafe import ndarray

from ffn_train.config.settings import SettingError
from ffn_train.nn.activations.activation import Activation
from ffn_train.nn.activations.erf import Erf
from ffn_train.nn.activations.gelu import GELU, GELUTanh
from ffn_train.nn.activations.identity import Identity
from ffn_train.nn.activations.relu import LeakyReLU, ReLU
from ffn_train.nn.activations.silu import SiLU
from ffn_train.nn.activations.tanh import Tanh
from ffn_train.nn.compiled.jit import address, entry, inlined
from ffn_train.nn.compiled.refusal import no_twin
from ffn_train.nn.compiled.scalars import erf, gauss, normal, sigmoid, tanh

_as_tuple: Any = ndarray.to_fixed_tuple
_SCALE, _CUBIC = math.sqrt(2 / math.pi), 0.044715
_SATURATED = 1e4  # z² beyond which gelu_tanh is a ReLU
_ERF_AT_0 = 2 / math.sqrt(math.pi)

Function = Callable[..., Any]


class Twin(NamedTuple):
    """``pair(z, *settings)``: act(z) and act'(z). ``slope(act(z), *settings)``: act'(z), if any."""

    pair: Function
    slope: Function | None = None

    @property
    def settings(self) -> tuple[str, ...]:
        """The activation's settings that the functions take, by name."""
        return tuple(signature(self.pair).parameters)[1:]


def _identity(z):
    return z, type(z)(1)


def _relu(z):
    zero = type(z)(0)
    return zero if z < zero else z, type(z)(z > zero)  # NaN stays NaN


def _leaky_relu(z, slope):
    real = type(z)
    return slope * z if z < real(0) else z, real(1) if z > real(0) else slope


def _tanh(z):
    value = tanh(z)
    return value, type(z)(1) - value * value


def _gelu(z):
    density, distribution = normal(z)
    return z * distribution, distribution + z * density


def _gelu_tanh(z):
    real = type(z)
    square = min(z * z, real(_SATURATED))
    gate = sigmoid(z * (real(2 * _SCALE) + real(2 * _SCALE * _CUBIC) * square))
    steep = real(2 * _SCALE) + real(6 * _SCALE * _CUBIC) * square
    # z last: where it is large, the rest is 0
    return z * gate, gate + gate * (real(1) - gate) * steep * z


def _silu(z):
    real = type(z)
    gate = sigmoid(z)
    return z * gate, gate * (real(1) + z * (real(1) - gate))


def _erf(z):
    return erf(z), type(z)(_ERF_AT_0) * gauss(z)


TWINS: dict[type[Activation], Twin] = {
    Identity: Twin(_identity, lambda value: type(value)(1)),
    ReLU: Twin(_relu, lambda value: type(value)(value > 0)),
    LeakyReLU: Twin(_leaky_relu, lambda value, slope: type(value)(1) if value > 0 else slope),
    Tanh: Twin(_tanh, lambda value: type(value)(1) - value * value),
    GELU: Twin(_gelu),
    GELUTanh: Twin(_gelu_tanh),
    SiLU: Twin(_silu),
    Erf: Twin(_erf),
}


def twin_of(activation: Activation) -> Twin:
    """The twin declared here, or the activation's own ``compiled_pair``, which is not inherited.

    Raises SettingError where there is none.
    """
    kind = type(activation)
    if kind in TWINS:
        return TWINS[kind]
    if "compiled_pair" not in vars(kind):
        raise no_twin(activation, "engine=numpy, or give it one")
    return Twin(kind.compiled_pair)  # type: ignore[attr-defined]


class Loops(NamedTuple):
    """Addresses of an activation's loops and settings: the fields of that name in ``Scheme``."""

    activate: int
    activate_backward: int
    settings: int
    keeps_slope: bool


_used: list[Any] = []  # keeps alive what the addresses point to


@cache
def loops_of(activation: Activation, dtype: np.dtype[Any]) -> Loops:
    """The loops of an activation for arrays of a dtype.

    Raises SettingError for one without a twin, and for a twin that Numba cannot compile.
    """
    twin, values = twin_of(activation), asdict(activation)  # type: ignore[call-overload]
    for name in twin.settings:
        if not isinstance(values.get(name), int | float):
            raise SettingError(
                f"activation={activation.name}: its compiled_pair takes {name!r}, "
                "which is not a setting with a number"
            )
    settings = np.array([values[name] for name in twin.settings], dtype)
    _used.append(settings)
    try:
        forward, backward = _compiled(type(activation), twin, dtype)
    except (NumbaError, UnsupportedBytecodeError) as error:
        lines = str(error).splitlines()
        reason = next(line for line in lines if not line.startswith("Failed in"))
        raise SettingError(
            f"activation={activation.name}: Numba cannot compile its compiled_pair: "
            f"{reason.strip()}; engine=numpy needs none"
        ) from error
    return Loops(forward, backward, settings.ctypes.data, twin.slope is None)


@cache
def _compiled(kind: type[Activation], twin: Twin, dtype: np.dtype[Any]) -> list[int]:
    real = from_dtype(dtype)
    matrix, vector = types.Array(real, 2, "C"), types.Array(real, 1, "C")
    arguments = matrix, matrix, vector, types.CPointer(real)
    addresses = []
    for loop in (_loop(twin), _backward_loop(twin)):
        loop.__qualname__ = f"{kind.name}_{loop.__name__}"
        function = entry(loop) if kind in TWINS else inlined(loop)
        addresses.append(address(function, *arguments))
        _used.append(function)
    return addresses


def _loop(twin: Twin) -> Function:
    pair, count, keeps_slope = inlined(twin.pair), len(twin.settings), twin.slope is None

    def activate(z, slope, bias, settings):
        """Overwrite z (N, H) with act(z + b); act' goes into ``slope``, if it is kept."""
        numbers = _as_tuple(carray(settings, count), count)
        for n in range(z.shape[0]):
            for j in range(z.shape[1]):
                value, derivative = pair(z[n, j] + bias[j], *numbers)
                z[n, j] = value
                if keeps_slope:
                    slope[n, j] = derivative

    return activate


def _backward_loop(twin: Twin) -> Function:
    count, slope_of = len(twin.settings), inlined(twin.slope or (lambda slope, *settings: slope))

    def activate_backward(dh, kept, dbias, settings):
        """Overwrite dh (N, H) with dz = dh ∘ act'; db = Σ_n dz_n. ``kept`` holds act' or act."""
        numbers = _as_tuple(carray(settings, count), count)
        dbias[:] = 0
        for n in range(dh.shape[0]):
            for j in range(dh.shape[1]):
                dz = dh[n, j] * slope_of(kept[n, j], *numbers)
                dh[n, j] = dz
                dbias[j] += dz

    return activate_backward
