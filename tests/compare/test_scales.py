"""Colours and axes of the values of a setting."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_rgba

from ffn_train.compare.colours import Colours
from tests.compare.made_up import (
    case,
    compared,
    drawn,
    lines_of,
    small_sweep,
)


def test_a_value_has_one_colour_in_all_figures() -> None:
    comparison = compared(*small_sweep())
    depth = Colours(comparison.layout, "model.depth")
    residual = Colours(comparison.layout, "residual")
    assert len({to_rgba(c(v)) for c in (depth, residual) for v in c.levels}) == 4
    for name in ("loss_curves", "gradient_flow"):
        for line in lines_of(drawn(comparison, name), 5 if name == "gradient_flow" else 3)[:1]:
            assert to_rgba(line.get_color()) == to_rgba(depth(4))
    lines = lines_of(drawn(comparison, "final"), 2)
    assert [to_rgba(line.get_color()) for line in lines] == [
        to_rgba(residual("none")),
        to_rgba(residual("scaled")),
    ]
    words = lines_of(drawn(compared(*small_sweep(), by=["residual"]), "loss_curves"), 3)
    assert [to_rgba(line.get_color()) for line in words] == [
        to_rgba(residual("none")),
        to_rgba(residual("scaled")),
    ]


def test_numbers_have_an_ordered_colour_scale() -> None:
    layout = compared(*(case(depth=d) for d in (2, 4, 8, 16, 32))).layout
    shades = [to_rgba(Colours(layout, "model.depth")(d)) for d in (2, 4, 8, 16, 32)]
    light = [0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b, _ in shades]
    assert light == sorted(light)
    assert min(np.diff(light)) > 0.02


def test_a_few_near_numbers_have_colours_that_are_told_apart() -> None:
    rates = (0.001, 1.0, 1.01, 1.02)
    shade = Colours(compared(*(case(lr=lr) for lr in rates)).layout, "optimizer.lr")
    shades = np.array([to_rgba(shade(lr)) for lr in rates])
    assert np.linalg.norm(np.diff(shades, axis=0), axis=1).min() > 0.2


def test_rates_over_decades_and_ratios_have_logarithmic_axes() -> None:
    cases = [case(lr=lr, depth=d, ratio=1 + lr) for lr in (0.01, 0.02, 0.3) for d in (4, 8)]
    sheet = drawn(compared(*cases, x="lr", metric="gradient_ratio_end"), "final")
    (axes,) = sheet.axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    losses = drawn(compared(*cases, x="lr", metric="train_loss"), "final").axes[0]
    assert losses.get_yscale() == "linear"


def test_every_near_value_has_its_tick_and_no_label_stands_on_another() -> None:
    cases = [case(lr=lr) for lr in (0.001, 0.01, 1.0, 1.01)]
    (axes,) = drawn(compared(*cases), "final").axes
    assert axes.get_xticks().tolist() == [0.001, 0.01, 1.0, 1.01]
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == ["0.001", "0.01", "1", ""]


@pytest.mark.parametrize(
    "rates",
    [
        (0, 0.15, 1e6),
        (0.0, 0.001, 0.01, 0.1),
        (0, *(float(f"{10 ** (-4 + at / 3):.3g}") for at in range(13))),  # some have ticks
    ],
)
def test_a_zero_among_numbers_over_decades_has_a_place_and_a_colour(
    rates: tuple[float, ...],
) -> None:
    comparison = compared(*(case(1.0 + at, lr=lr) for at, lr in enumerate(rates)))
    (axes,) = drawn(comparison, "final").axes
    (line,) = lines_of(axes.figure, len(rates))
    assert axes.get_xscale() == "log"
    gaps = np.diff(np.log10(line.get_xdata()))
    np.testing.assert_allclose(line.get_xdata()[1:], rates[1:])
    np.testing.assert_allclose(gaps[0], gaps[1:].mean())  # as wide as the others on average
    words = [label.get_text() for label in axes.get_xticklabels()]
    assert (words[0], words[-1]) == ("0", f"{rates[-1]:.7g}")
    assert axes.get_xticks()[[0, -1]].tolist() == [line.get_xdata()[0], rates[-1]]
    shade = Colours(comparison.layout, "optimizer.lr")
    shades = np.array([to_rgba(shade(lr)) for lr in rates])
    assert np.linalg.norm(np.diff(shades, axis=0), axis=1).min() > 0.03


def test_a_zero_among_numbers_of_a_decade_is_to_scale() -> None:
    (axes,) = drawn(compared(*(case(lr=lr) for lr in (0, 1, 2, 4, 9))), "final").axes
    assert axes.get_xscale() == "linear"
    assert axes.get_xticks().tolist() == [0, 1, 2, 4, 9]
