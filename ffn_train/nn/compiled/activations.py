"""Each activation's value and derivative, with the bias added before, in one pass over memory.

The derivative of a rectifier is told by its value's sign and that of tanh by its value; for the
others the forward pass keeps it. ``real`` is the dtype: a bare 0.5 would make a float64 of it all.
"""

from __future__ import annotations

import math
from typing import Any

from ffn_train.nn.activations.activation import Activation
from ffn_train.nn.activations.erf import Erf
from ffn_train.nn.activations.gelu import GELU as ExactGELU
from ffn_train.nn.activations.gelu import GELUTanh
from ffn_train.nn.activations.identity import Identity
from ffn_train.nn.activations.relu import LeakyReLU, ReLU
from ffn_train.nn.activations.silu import SiLU
from ffn_train.nn.activations.tanh import Tanh
from ffn_train.nn.compiled.jit import inlined
from ffn_train.nn.compiled.scalars import erf, gauss, normal, sigmoid, tanh

IDENTITY, RELU, LEAKY_RELU, TANH, GELU, GELU_TANH, SILU, ERF = range(8)
CODES: dict[type[Activation], int] = {
    Identity: IDENTITY,
    ReLU: RELU,
    LeakyReLU: LEAKY_RELU,
    Tanh: TANH,
    ExactGELU: GELU,
    GELUTanh: GELU_TANH,
    SiLU: SILU,
    Erf: ERF,
}
TOLD_BY_VALUE = (IDENTITY, RELU, LEAKY_RELU, TANH)

_SCALE, _CUBIC = math.sqrt(2 / math.pi), 0.044715
_SATURATED = 1e4  # z², from which on gelu_tanh is a rectifier
_ERF_AT_0 = 2 / math.sqrt(math.pi)


@inlined
def _gelu(z):
    density, distribution = normal(z)
    return z * distribution, distribution + z * density


@inlined
def _gelu_tanh(z):
    real = type(z)
    square = min(z * z, real(_SATURATED))
    gate = sigmoid(z * (real(2 * _SCALE) + real(2 * _SCALE * _CUBIC) * square))
    steep = real(2 * _SCALE) + real(6 * _SCALE * _CUBIC) * square
    # z last: where it is large, the rest is 0
    return z * gate, gate + gate * (real(1) - gate) * steep * z


@inlined
def _silu(z):
    real = type(z)
    gate = sigmoid(z)
    return z * gate, gate * (real(1) + z * (real(1) - gate))


@inlined
def _erf(z):
    return erf(z), type(z)(_ERF_AT_0) * gauss(z)


@inlined
def _identity(z, _):
    return z


@inlined
def _relu(z, _):
    zero = type(z)(0)
    return zero if z < zero else z  # NaN stays NaN


@inlined
def _leaky_relu(z, slope):
    return slope * z if z < type(z)(0) else z


@inlined
def _tanh(z, _):
    return tanh(z)


def _keeping(pair: Any) -> Any:
    """act(z + b) in the place of z, and act'(z + b)."""

    @inlined
    def rows(z, bias, slope):
        for n in range(z.shape[0]):
            for j in range(z.shape[1]):
                value, derivative = pair(z[n, j] + bias[j])
                z[n, j] = value
                slope[n, j] = derivative

    return rows


def _alone(act: Any) -> Any:
    """act(z + b) in the place of z."""

    @inlined
    def rows(z, bias, parameter):
        for n in range(z.shape[0]):
            for j in range(z.shape[1]):
                z[n, j] = act(z[n, j] + bias[j], parameter)

    return rows


_gelu_rows, _gelu_tanh_rows, _silu_rows, _erf_rows = map(_keeping, (_gelu, _gelu_tanh, _silu, _erf))
_identity_rows, _relu_rows, _leaky_relu_rows, _tanh_rows = map(
    _alone, (_identity, _relu, _leaky_relu, _tanh)
)


@inlined
def activate(code, parameter, z, bias, slope):
    """act(z + b) in the place of z (N, H); act' into ``slope``, unless the value tells it."""
    if code == IDENTITY:
        _identity_rows(z, bias, parameter)
    elif code == RELU:
        _relu_rows(z, bias, parameter)
    elif code == LEAKY_RELU:
        _leaky_relu_rows(z, bias, parameter)
    elif code == TANH:
        _tanh_rows(z, bias, parameter)
    elif code == GELU:
        _gelu_rows(z, bias, slope)
    elif code == GELU_TANH:
        _gelu_tanh_rows(z, bias, slope)
    elif code == SILU:
        _silu_rows(z, bias, slope)
    else:
        _erf_rows(z, bias, slope)


@inlined
def _through_identity(dh, value, parameter):
    return dh


@inlined
def _through_rectifier(dh, value, parameter):
    return dh if value > type(dh)(0) else parameter * dh


@inlined
def _through_tanh(dh, value, parameter):
    return dh * (type(dh)(1) - value * value)


@inlined
def _through_kept(dh, slope, parameter):
    return dh * slope


def _backward(through: Any) -> Any:
    @inlined
    def rows(dh, told, parameter, dbias):
        for n in range(dh.shape[0]):
            for j in range(dh.shape[1]):
                dz = through(dh[n, j], told[n, j], parameter)
                dh[n, j] = dz
                dbias[j] += dz

    return rows


_identity_back, _rectifier_back, _tanh_back, _kept_back = map(
    _backward, (_through_identity, _through_rectifier, _through_tanh, _through_kept)
)


@inlined
def activate_backward(code, parameter, dh, hidden, slope, dbias):
    """dz = dh ∘ act' in the place of dh (N, H), and db = Σ_n dz_n."""
    dbias[:] = 0
    if code == IDENTITY:
        _identity_back(dh, hidden, parameter, dbias)
    elif code in (RELU, LEAKY_RELU):
        _rectifier_back(dh, hidden, parameter, dbias)
    elif code == TANH:
        _tanh_back(dh, hidden, parameter, dbias)
    else:
        _kept_back(dh, slope, parameter, dbias)
