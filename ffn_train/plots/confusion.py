"""The confusion matrix: which classes are taken for which."""

from __future__ import annotations

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ffn_train.config.registry import choice
from ffn_train.plots.appearance import requested
from ffn_train.plots.literal import legible, literal
from ffn_train.plots.maps import colour_bar
from ffn_train.plots.run_figure import RunFigure
from ffn_train.plots.settings import briefs
from ffn_train.plots.sheet import BOTTOM, LEFT, RIGHT, TOP, note, sheet
from ffn_train.plots.style import INK, LETTER, SINGLE
from ffn_train.runs import Run, files

_CELL, _PANEL = 0.5, 2.7  # inches: of a cell and of the whole matrix at most
_COUNTED = 20  # classes: up to here each cell has its count
_NAMED = 24  # classes are named at most, of more every second, third or so
_LONGEST = 12  # letters of a class's name
_SIZE = 7
_NOTE = 0.18  # inches


@choice("figure", "confusion")
class Confusion(RunFigure):
    """Of each true class (a row) the share of its rows that is put in each class, with counts.

    Colours go by the square root of the share, so that few mistakes among many rows are seen.
    """

    needs = (files.PREDICTIONS,)
    kinds = ("classes",)

    def draw(self, run: Run) -> Figure:
        outputs = run.outputs()
        names = briefs(run.provenance.targets or (), _LONGEST, legible)
        finite = ~np.isnan(outputs.predicted.sum(axis=1))
        counts = np.zeros((len(names), len(names)), int)
        np.add.at(counts, (outputs.true[finite], outputs.predicted[finite].argmax(axis=1)), 1)

        letters = max(map(len, names)) * LETTER * _SIZE  # inches of the longest name
        left = max(LEFT, 0.4 + letters)
        width = requested.get().inches or max(SINGLE, left + _PANEL + RIGHT)
        cell = min(_CELL, _PANEL / len(names), (width - left - RIGHT) / len(names))
        side, upright = cell * len(names), letters > 0.9 * cell
        height = TOP + 0.06 + _NOTE + side + letters * upright + BOTTOM
        figure, (axes,) = sheet(run, "Confusion matrix", width=width, height=height)
        right, lost = int(np.trace(counts)), int((~finite).sum())
        words = f"{right:,} of {len(finite):,} validation rows {_are(right)} right"
        note(figure, words + f"; {lost:,} {_are(lost)} not finite" * bool(lost))
        height = figure.get_size_inches()[1]
        foot = (BOTTOM + letters * upright) / height
        axes.set_position((left / width, foot, side / width, side / height))

        scale, colours = PowerNorm(0.5, 0, 1), matplotlib.colormaps["Blues"]
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axes.imshow(shares, cmap=colours, norm=scale, aspect="auto")
        axes.grid(False)
        places = range(0, len(names), -(-len(names) // _NAMED))
        shown = [literal(names[place]) for place in places]
        axes.set_xticks(places, shown, size=_SIZE, rotation=90 if upright else 0)
        axes.set_yticks(places, shown, size=_SIZE)
        axes.set_xlabel("predicted class")
        axes.set_ylabel("true class")
        if len(names) <= _COUNTED:
            _write(axes, counts, shares, 72 * cell)
        colour_bar(axes, scale, colours, "share of\nits class", within=(0, 0.32))
        return figure


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _write(axes: Axes, counts: NDArray[np.int_], shares: NDArray[np.floating], cell: float) -> None:
    """Write each count but zeros into its cell, which is ``cell`` points wide."""
    for row, column in np.argwhere(counts):
        number = str(counts[row, column])
        size = min(_SIZE, cell / (0.6 * len(number) + 0.4))
        colour = INK if shares[row, column] < 0.4 else "white"
        axes.text(column, row, number, ha="center", va="center", color=colour, size=size)
