"""The confusion matrix: which classes are taken for which."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from ffn_train.config.registry import choice
from ffn_train.plots.literal import literal
from ffn_train.plots.run_figure import RunFigure
from ffn_train.plots.sheet import BOTTOM, LEFT, LETTER, RIGHT, TOP, note, sheet
from ffn_train.plots.style import INK, SINGLE
from ffn_train.runs import Run, files

_CELL, _PANEL = 0.5, 2.7  # inches: of a cell and of the whole matrix at most
_COUNTED = 20  # classes: up to here each cell has its count
_NAMED = 24  # classes are named at most, of more every second, third or so
_LONGEST = 12  # letters of a class's name
_SIZE = 7


@choice("figure", "confusion")
class Confusion(RunFigure):
    """Of each true class (a row) the share of its rows that is put in each class, with counts.

    Colours go by the square root of the share, so that few mistakes among many rows are seen.
    """

    needs = (files.PREDICTIONS,)
    kinds = ("classes",)

    def draw(self, run: Run) -> Figure:
        outputs = run.outputs()
        names = [_short(name) for name in run.provenance.targets or ()]
        finite = ~np.isnan(outputs.predicted.sum(axis=1))
        counts = np.zeros((len(names), len(names)), int)
        np.add.at(counts, (outputs.true[finite], outputs.predicted[finite].argmax(axis=1)), 1)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)

        cell = min(_CELL, _PANEL / len(names))
        panel = cell * len(names)
        longest = max(map(len, names)) * LETTER * _SIZE
        upright = longest > 0.9 * cell
        left, below = max(LEFT, 0.4 + longest), BOTTOM + longest * upright
        width, height = max(SINGLE, left + panel + RIGHT), TOP + 0.2 + panel + below
        figure, (axes,) = sheet(run, "Confusion matrix", width=width, height=height)
        right, lost = int(np.trace(counts)), int((~finite).sum())
        words = f"{right:,} of {len(finite):,} validation rows are right"
        note(figure, words + f"; {lost:,} are not finite" * bool(lost))
        axes.set_position((left / width, below / height, panel / width, panel / height))
        image = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, 0, 1), aspect="auto")
        axes.grid(False)
        places = range(0, len(names), -(-len(names) // _NAMED))
        shown = [literal(names[place]) for place in places]
        axes.set_xticks(places, shown, size=_SIZE, rotation=90 if upright else 0)
        axes.set_yticks(places, shown, size=_SIZE)
        axes.set_xlabel("predicted class")
        axes.set_ylabel("true class")
        for row, column in np.argwhere(counts) if len(names) <= _COUNTED else ():
            number = str(counts[row, column])
            colour = INK if shares[row, column] < 0.4 else "white"
            size = min(_SIZE, 72 * cell / (0.6 * len(number) + 0.4))
            axes.text(column, row, number, ha="center", va="center", color=colour, size=size)
        foot = (left + panel + 0.1) / width, below / height
        bar = figure.add_axes((*foot, 0.09 / width, panel / height))
        figure.colorbar(image, cax=bar, ticks=[0, 0.1, 0.25, 0.5, 1])
        bar.set_yticklabels(["0", "10 %", "25 %", "50 %", "100 %"], size=_SIZE)
        bar.set_ylabel("share of the true class")
        return figure


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
