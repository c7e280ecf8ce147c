"""The figures of a comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ffn_train.compare.comparison import Comparison
from ffn_train.config.registry import modules
from ffn_train.config.sections import FORMATS
from ffn_train.config.settings import some_of
from ffn_train.plots import encoded
from ffn_train.plots.style import look
from ffn_train.runs import files

Draw = Callable[[Comparison], Figure | None]


FIGURES: dict[str, Draw] = {
    module.NAME: module.draw for module in modules(__name__) if hasattr(module, "NAME")
}


def figure(comparison: Comparison, name: str) -> Figure | None:
    """One figure, not yet written, or None if the runs have nothing to show in it."""
    with look(), np.errstate(all="ignore"):
        return FIGURES[name](comparison)


def write_figures(comparison: Comparison, out: Path, formats: Sequence[str]) -> list[Path]:
    """Draw each figure once and write it in each format."""
    formats = some_of("--formats", formats, FORMATS)
    written = []
    for name in FIGURES:
        drawn = figure(comparison, name)
        for kind in formats:
            path = out / f"{name}.{kind}"
            if drawn is None:
                path.unlink(missing_ok=True)
                continue
            files.write_whole(path, encoded(drawn, kind, whole=True))
            written.append(path)
    return written
