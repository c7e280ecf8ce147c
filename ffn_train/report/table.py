"""Rows of text with aligned columns, as a terminal shows them."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence


def aligned(
    rows: Iterable[Sequence[str] | str], *, left: Container[int] = (0,), gap: str = "  "
) -> list[str]:
    """A line for each row; a column is as wide as its widest cell.

    The columns numbered in ``left`` start at the left, the others end at the right. A heading is a
    row like any other. A row that is one string is a line across all columns, which may be wider
    than they are. No line ends in blanks.
    """
    rows = list(rows)
    columns = zip(*(row for row in rows if not isinstance(row, str)), strict=True)
    widths = [max(map(len, column)) for column in columns]

    def line(row: Sequence[str]) -> str:
        cells = enumerate(zip(row, widths, strict=True))
        return gap.join(c.ljust(w) if i in left else c.rjust(w) for i, (c, w) in cells).rstrip()

    return [row if isinstance(row, str) else line(row) for row in rows]
