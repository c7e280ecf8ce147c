"""Elementary functions of one number, in arithmetic that the compiler can vectorise.

The C library's ``expf`` takes one number at a time; a polynomial takes as many as a register holds.
So in float32 these are polynomials, accurate to a few units in the last place and zero below
float32's normal range; in float64 they are the C library's.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from ffn_train.nn.compiled.jit import inlined
from ffn_train.nn.special import ERF_NEAR_ZERO, MILLS_FRACTION

_f = np.float32
_ZERO, _HALF, _ONE, _TWO, _SQRT_TWO, _HUNDRED = map(_f, (0, 0.5, 1, 2, math.sqrt(2), 100))
_LOG2E = _f(1 / math.log(2))
_LN2_HIGH, _LN2_LOW = _f(0.693359375), _f(-2.12194440e-4)  # n * _LN2_HIGH is exact
_SMALLEST = _f(-126 * math.log(2))
_INV_SQRT_2PI, _SQRT_2_BY_PI = _f(1 / math.sqrt(2 * math.pi)), _f(math.sqrt(2 / math.pi))
_E0, _E1, _E2, _E3, _E4, _E5, _E6, _E7 = (_f(1 / math.factorial(k)) for k in range(8))
_MA, _MB, _MC, _MD, _ME, _MF, _MG, _MH = map(_f, MILLS_FRACTION)
_R0, _R1, _R2, _R3, _R4, _R5, _R6, _R7, _R8, _R9, _R10, *_ = map(_f, ERF_NEAR_ZERO)
_T0, _T1, _T2, _T3, _T4, _T5 = map(_f, (1, -1 / 3, 2 / 15, -17 / 315, 62 / 2835, -1382 / 155925))
_NEAR = _f(0.4)  # below it the series of tanh is as accurate as the quotient


@inlined
def _decay32(x):
    """2ⁿ exp(r) with r = x - n ln 2 and |r| <= ln(2)/2, for x <= 0; NaN stays NaN."""
    inside = _SMALLEST if x < _SMALLEST else x
    n = np.floor(inside * _LOG2E + _HALF)
    r = (inside - n * _LN2_HIGH) - n * _LN2_LOW
    p = _E3 + r * (_E4 + r * (_E5 + r * (_E6 + r * _E7)))
    p = _E0 + r * (_E1 + r * (_E2 + r * p))
    power = np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)
    return _ZERO if x < _SMALLEST else p * power


@inlined
def _tanh32(x):
    """tanh x: its series near zero, elsewhere (1 - e)/(1 + e) with e = exp(-2|x|)."""
    size = abs(x)
    e = _decay32(-_TWO * size)
    far = (_ONE - e) / (_ONE + e)
    s = size * size
    near = size * (_T0 + s * (_T1 + s * (_T2 + s * (_T3 + s * (_T4 + s * _T5)))))
    return math.copysign(near if size < _NEAR else far, x)


@inlined
def _mills32(z):
    """(1 - Φ(z))/φ(z) for z >= 0, as in ``special``; z is clipped at 100, where φ is 0."""
    z = min(z, _HUNDRED)
    inner = _ME * (z + _MF) / (z * (z + _MG) + _MH)
    return _MA / (z + _MB + _MC / (z + _MD + inner))


@inlined
def _normal32(z):
    """φ(z) and Φ(z); the smaller tail is density times Mills' ratio."""
    density = _decay32(-_HALF * z * z) * _INV_SQRT_2PI
    tail = density * _mills32(abs(z))
    return density, (_ONE - tail if z >= 0 else tail)


@inlined
def _erf32(x):
    size = abs(x)
    s = size * size
    q = _R5 + s * (_R6 + s * (_R7 + s * (_R8 + s * (_R9 + s * _R10))))
    near = size * (_R0 + s * (_R1 + s * (_R2 + s * (_R3 + s * (_R4 + s * q)))))
    far = _ONE - _SQRT_2_BY_PI * _decay32(-s) * _mills32(_SQRT_TWO * size)
    return math.copysign(near if s < _ONE else far, x)


@inlined
def _normal64(z):
    return math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi), 0.5 * math.erfc(-z / math.sqrt(2))


def _by_dtype(single: Any, double: Any) -> Any:
    """A function for compiled code: ``single`` of a float32, ``double`` of a float64."""

    def function(x: float) -> Any:
        raise NotImplementedError

    overload(function)(
        lambda x: (lambda x: single(x)) if x == types.float32 else lambda x: double(x)
    )
    return function


tanh = _by_dtype(_tanh32, math.tanh)
normal = _by_dtype(_normal32, _normal64)  # φ(z) and Φ(z), the lower tail in full precision
erf = _by_dtype(_erf32, math.erf)
decay = _by_dtype(_decay32, math.exp)  # exp(x) for x <= 0
gauss = inlined(lambda x: decay(-x * x))


@inlined
def sigmoid(x):
    """1/(1 + exp(-x)), without losing the digits of the lower tail."""
    one, e = type(x)(1), decay(-abs(x))
    return (one if x >= 0 else e) / (one + e)
