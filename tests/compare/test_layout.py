"""Which setting stands on the axis, in the colour and in the panels."""

from __future__ import annotations

from tests.compare.made_up import (
    case,
    compared,
    drawn,
    lines_of,
    words_of,
)


def test_depth_on_the_axis_and_the_residual_in_the_colour() -> None:
    cases = [case(depth=d, residual=r) for d in (4, 8) for r in ("none", "scaled")]
    layout = compared(*cases).layout
    assert (layout.x, layout.over_x.color, layout.over_x.panels) == ("model.depth", "residual", ())
    assert (layout.curves.color, layout.curves.panels) == ("model.depth", ("residual",))
    asked = compared(*cases, x="residual", color="depth").layout
    assert (asked.x, asked.over_x.color) == ("residual", "model.depth")


def test_settings_that_vary_together_are_shown_once() -> None:
    cases = [case(depth=d, lr=1 / d, residual=r) for d in (4, 8, 16) for r in ("none", "scaled")]
    layout = compared(*cases).layout
    assert (layout.x, layout.over_x.color, layout.over_x.panels) == ("model.depth", "residual", ())
    (axes,) = drawn(compared(*cases), "final").axes
    solid = [line for line in axes.lines if line.get_linestyle() != "None"]
    assert [len(line.get_xdata()) for line in solid] == [3, 3]  # a line a residual
    assert layout.partners == {"optimizer.lr": "model.depth"}
    assert "lr changes together with depth" in words_of(axes.figure)


def test_a_search_over_the_rate_at_each_depth() -> None:
    cases = [case(depth=d, lr=lr / d) for d in (4, 8) for lr in (0.11, 0.23, 0.37)]
    layout = compared(*cases, x="lr").layout
    assert (layout.x, layout.over_x.color) == ("optimizer.lr", "model.depth")
    sheet = drawn(compared(*cases, x="lr"), "final")
    assert len(lines_of(sheet, 3)) >= 2  # a line a depth


def test_what_gives_few_panels_goes_to_the_colour() -> None:
    cases = [case(depth=d, lr=lr * (1 + d / 100)) for d in (4, 8) for lr in range(1, 7)]
    roles = compared(*cases).layout.curves
    assert (roles.color, roles.panels) == ("optimizer.lr", ("model.depth",))
    square = [case(depth=d, lr=lr) for d in (4, 8) for lr in (1, 2)]
    assert compared(*square).layout.curves.color == "model.depth"
    asked = compared(*cases, color="depth").layout.curves
    assert (asked.color, asked.panels) == ("model.depth", ("optimizer.lr",))


def test_many_values_go_to_the_colour_and_few_to_the_panels() -> None:
    cases = [case(depth=d, lr=lr / 10) for d in (4, 8) for lr in range(1, 31)]
    roles = compared(*cases).layout.curves
    assert (roles.color, roles.panels, roles.pooled) == ("optimizer.lr", ("model.depth",), ())
