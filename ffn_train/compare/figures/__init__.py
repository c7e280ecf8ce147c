"""The figures of a comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ffn_train.compare import earlier, forking
from ffn_train.compare.comparison import Comparison
from ffn_train.compare.header import overrides
from ffn_train.config.registry import modules
from ffn_train.config.sections import FORMATS
from ffn_train.config.settings import SettingError, some_of
from ffn_train.plots import MARGIN, encoded
from ffn_train.plots.style import look
from ffn_train.runs import files

Draw = Callable[[Comparison], Figure | None]

_ATTEMPTS = 2  # at the requested width; the second corrects for changed line breaks

FIGURES: dict[str, Draw] = {
    module.NAME: module.draw for module in modules(__name__) if hasattr(module, "NAME")
}


def figure(comparison: Comparison, name: str) -> Figure | None:
    """The named figure, not yet written; None if the runs have nothing to show in it."""
    with look(), np.errstate(all="ignore"):
        drawn = FIGURES[name](comparison)
        inches = comparison.options.inches
        for _ in range(_ATTEMPTS):
            if drawn is not None and inches is not None:
                # the width of legends is known only once they are drawn
                right = comparison.right + _width(drawn) - inches
                comparison = replace(comparison, right=right)
                drawn = FIGURES[name](comparison)
        return drawn


def _width(drawn: Figure) -> float:
    """The width of a figure as it is saved, in inches."""
    return float(drawn.get_tightbbox().width) + 2 * MARGIN


def write_figures(
    comparison: Comparison, out: Path, formats: Sequence[str], processes: int
) -> list[Path]:
    """Draw each figure, or the requested ones, once; then write them in each format."""
    formats = some_of("--formats", formats, FORMATS)
    requested = comparison.options.figures
    names = [*FIGURES] if requested is None else some_of("--figures", requested, FIGURES)
    drawn = forking.each(partial(_contents, comparison, formats), names, processes)
    out.mkdir(parents=True, exist_ok=True)
    contents = {out / file: content for each in drawn for file, content in each.items()}
    earlier.check(contents)
    for path, content in contents.items():
        files.write_whole(path, content)
    return [*contents]


def _contents(comparison: Comparison, formats: Sequence[str], name: str) -> dict[str, bytes]:
    """The content of a figure's file in each format; none if the runs have nothing to show."""
    try:
        drawn = figure(comparison, name)
    except SettingError as mistake:
        raise SettingError(f"{name}: {mistake}") from None
    if drawn is None:
        return {}
    title, note = (text.get_text() for text in drawn.texts[:2])
    about = title, note, overrides(comparison), earlier.MAKER
    return {f"{name}.{kind}": encoded(drawn, kind, whole=True, about=about) for kind in formats}
