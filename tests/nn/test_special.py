"""The special functions' coefficients are those that the script fits, and accurate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal, localcontext

import numpy as np
import pytest

from ffn_train.nn.special import ERF_NEAR_ZERO, ERFCX, MILLS_FRACTION
from tests.nn import fit_special as fit


def polynomial(x: Decimal, coefficients: Sequence[float]) -> Decimal:
    value = Decimal(0)
    for coefficient in reversed(coefficients):
        value = value * x + Decimal(coefficient)
    return value


def test_erf_near_zero_is_its_truncated_chebyshev_series() -> None:
    assert list(ERF_NEAR_ZERO) == fit.erf_coefficients()
    with localcontext(prec=fit.DIGITS):
        for s in (Decimal(k) / 200 for k in range(1, 201)):
            exact = fit.erf_by_series(s.sqrt()) / s.exp() / s.sqrt()
            assert abs(polynomial(s, ERF_NEAR_ZERO) / exact - 1) < 4e-17


def test_erfcx_is_its_truncated_chebyshev_series() -> None:
    # the last digits of the high powers differ, together by a fiftieth of the last place of Q
    apart = np.abs(np.subtract(ERFCX, fit.erfcx_coefficients())).sum()
    assert apart < np.spacing(0.4 / np.sqrt(np.pi)) / 50  # Q is least at t = 0
    with localcontext(prec=fit.DIGITS):
        for t in (Decimal(k) / 200 for k in range(1, 201)):
            exact = fit.erfcx((1 / t - 1) / Decimal("0.4")) / t
            assert abs(polynomial(1 - 2 * t, ERFCX) / exact - 1) < 4e-16


def test_the_scripts_erfcx_is_right() -> None:
    with localcontext(prec=fit.DIGITS):
        for x in (Decimal(k) / 4 for k in range(8, 20)):  # the fraction against the series
            assert abs(((x * x).exp() - fit.erf_by_series(x)) / fit.erfcx(x) - 1) < Decimal("1e-40")
        for v in (0.01, 0.5, 1.99, 2.0, 7.25, 20.0):
            exact = math.exp(v * v) * math.erfc(v)
            assert float(fit.erfcx(Decimal(v))) == pytest.approx(exact, rel=1e-12)


def test_the_fraction_is_nearly_the_best_of_its_shape() -> None:
    committed = fit.relative_error([float(c) for c in MILLS_FRACTION])
    best = fit.relative_error(fit.mills_fraction())
    assert best == pytest.approx(3.46e-7, rel=0.01)
    assert best < committed < 1.2 * best
