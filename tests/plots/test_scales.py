"""Limits, ticks and labels of axes."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from ffn_train.plots import scales
from ffn_train.plots.curves import binned
from ffn_train.plots.heatmap import edges


@pytest.mark.parametrize(
    "values",
    [[3.0, 3.0], [0.9, 1.1], [1e-20, 1.0], [0, np.nan, np.inf], [1e-300, 1e300], [5e-324, 2.0], []],
)
def test_log_limits_hold_the_values_and_a_decade_and_a_tick(values: list[float]) -> None:
    low, high = scales.log_limits(values)
    assert 0 < low < high < np.inf
    assert high / low > 9.999
    shown = [value for value in values if 1e-300 <= value < np.inf]
    assert all(low < value < high for value in shown)
    major, minor = scales.log_ticks(low, high)
    assert 2 <= len(major) <= 7
    assert all(low <= tick <= high for tick in (*major, *minor))


@pytest.mark.parametrize(
    ("ticks", "words"),
    [
        ([-2e-6, -1e-6, 0, 1e-6], "−2e−6 −1e−6 0 1e−6"),
        ([-1.5e12, 0, 1.5e12], "−1.5e12 0 1.5e12"),
        ([0, 0.5, 1], "0.0 0.5 1.0"),
        ([99.98, 100, 100.02], "99.98 100.00 100.02"),
        ([1234567.25, 1234567.5], "1234567.25 1234567.5"),
        ([3e7 + 1, 3e7 + 2], "30000001 30000002"),
    ],
)
def test_ticks_of_a_linear_axis_need_no_number_in_the_corner(
    ticks: list[float], words: str
) -> None:
    axes = Figure().add_axes((0, 0, 1, 1))
    scales.linear_axis(axes, ticks)
    labels = axes.yaxis.get_major_formatter().format_ticks(ticks)
    assert " ".join(labels) == words
    assert axes.yaxis.get_major_formatter().get_offset() == ""


def test_minor_ticks_are_drawn_once_where_the_last_limits_put_them() -> None:
    axes = Figure().add_axes((0, 0, 1, 1))
    scales.log_axis(axes, [1, 10])
    scales.log_axis(axes, [0.2, 30])
    (ticks,) = axes.collections
    _, minor = scales.log_ticks(*scales.log_limits([0.2, 30]))
    np.testing.assert_allclose(ticks.get_offsets(), [(0, tick) for tick in minor])
    assert not axes.get_legend_handles_labels()[0]


@pytest.mark.parametrize(
    ("value", "text"),
    [(1, "1"), (0.05, "0.05"), (200, "200"), (1e-4, "$10^{-4}$"), (2e5, r"$2{\times}10^{5}$")],
)
def test_tick_labels(value: float, text: str) -> None:
    assert scales.tick_label(value) == text


def test_cells_of_the_heat_map_lie_around_their_steps() -> None:
    np.testing.assert_array_equal(edges(np.array([0, 10, 14])), [-5, 5, 12, 16])
    np.testing.assert_array_equal(edges(np.array([7])), [6.5, 7.5])


@pytest.mark.parametrize("log", [True, False])
def test_a_long_curve_is_binned_to_its_mean_and_quantiles(log: bool) -> None:
    steps = np.arange(2000.0)
    values = np.tile(np.linspace(1, 3, 40), 50)
    values[[5, 60]] = np.inf, np.nan
    centres, mean, low, high = binned(steps, values, log=log)
    np.testing.assert_allclose(centres, np.arange(50) * 40 + 19.5)
    np.testing.assert_allclose(low[2:], 1.205, rtol=0.01)
    np.testing.assert_allclose(high[2:], 2.795, rtol=0.01)
    expected = np.exp(np.log(values[80:120]).mean()) if log else 2
    np.testing.assert_allclose(mean[2:], expected)
    assert np.isfinite([mean, low, high]).all()


@pytest.mark.parametrize(
    ("value", "text"), [(1.0, "1.000"), (1.0004, "1.0004"), (0.99962, "0.9996"), (1.25, "1.250")]
)
def test_a_number_is_told_from_1(value: float, text: str) -> None:
    assert scales.number(value, 4) == text
