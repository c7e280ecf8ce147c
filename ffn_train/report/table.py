"""Text tables with aligned columns."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence


def aligned(
    rows: Iterable[Sequence[str] | str], *, left: Container[int] = (0,), gap: str = "  "
) -> list[str]:
    """The rows as lines; a column is as wide as its widest cell.

    The columns numbered in ``left`` are left-aligned, the others right-aligned. A row that is a
    string is a line of its own, of any width. No line ends in blanks.
    """
    rows = list(rows)
    columns = zip(*(row for row in rows if not isinstance(row, str)), strict=True)
    widths = [max(map(len, column)) for column in columns]

    def line(row: Sequence[str]) -> str:
        cells = enumerate(zip(row, widths, strict=True))
        return gap.join(c.ljust(w) if i in left else c.rjust(w) for i, (c, w) in cells).rstrip()

    return [row if isinstance(row, str) else line(row) for row in rows]
