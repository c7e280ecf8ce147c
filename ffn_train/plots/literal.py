"""Text from data as a figure shows it: nothing in it is mathematics, and each letter is visible."""

from __future__ import annotations

from functools import cache

NO_BREAK = "\xa0"  # the one space besides the common one that headers use


def literal(text: str) -> str:
    """A name where ``$`` would begin a formula: it is a dollar; and see ``legible``."""
    escaped = legible(text).replace("$", r"\$")
    return f" {escaped}" if escaped.startswith("_") else escaped  # legends leave out names with _


def legible(text: str, *, first_font: bool = False) -> str:
    r"""A text whose letters can all be seen; one that the fonts lack, or that is a control of the
    direction of writing or the like, becomes its escape: \u76ee, \u202e.

    ``first_font``: for a text with formulas, which is set in the first font alone.
    """
    letters = _letters()[:1] if first_font else _letters()
    return "".join(
        letter
        if (letter.isprintable() or letter == NO_BREAK) and any(ord(letter) in f for f in letters)
        else letter.encode("unicode_escape").decode()
        for letter in text
    )


@cache
def _letters() -> list[frozenset[int]]:
    """The letters of each font that figures are set in."""
    from matplotlib.font_manager import findfont, get_font  # late: slow to import

    from ffn_train.plots.style import FONTS

    return [frozenset(get_font(findfont(font)).get_charmap()) for font in FONTS]
