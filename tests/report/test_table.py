"""Columns are as wide as their widest cell, and aligned on the side that is asked for."""

from __future__ import annotations

import pytest

from ffn_train.report.table import aligned


def test_words_start_at_the_left_and_numbers_end_at_the_right() -> None:
    rows = [["residual", "n", "loss"], ["none", "3", "0.25"], ["identity", "12", ""]]
    assert aligned(rows) == ["residual   n  loss", "none       3  0.25", "identity  12"]


def test_the_columns_at_the_left_and_the_gap_are_the_callers() -> None:
    rows = [("a", "b", "first"), ("12", "34", "x")]
    assert aligned(rows, left=(1, 2), gap=" | ") == [" a | b  | first", "12 | 34 | x"]


def test_a_string_is_a_line_across_all_columns() -> None:
    title = "a title that is wider than the columns below it"
    assert aligned([title, ("a", "1"), ("b", "20")]) == [title, "a   1", "b  20"]
    assert aligned([title]) == [title]
    assert aligned([]) == []


def test_a_row_that_lacks_a_cell_is_refused() -> None:
    with pytest.raises(ValueError, match="argument"):
        aligned([("a", "1"), ("b",)])
