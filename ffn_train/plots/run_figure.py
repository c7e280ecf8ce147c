"""What every figure of a run is; importing it does not import matplotlib."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from ffn_train.config.registry import Choice
from ffn_train.config.settings import check_words
from ffn_train.runs import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class RunFigure(Choice, ABC):
    """A figure of a single run, drawn from its directory; chosen by ``plot.figures``.

    ``needs`` names the quantities, the columns of scalars and the file (predictions.npz) without
    which there is nothing to draw; a run that lacks one has no such figure. ``kinds``: of the
    targets that it is for (``Task.kind``), () for all.
    """

    needs: ClassVar[tuple[str, ...]] = ()
    kinds: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def check_class(cls) -> None:
        if cls.name == "all":
            raise ValueError("the name stands for all figures")
        check_words(cls, "needs", "loss")
        check_words(cls, "kinds", "classes")

    @abstractmethod
    def draw(self, run: Run) -> Figure:
        """The figure as a matplotlib Figure; without pyplot, whose state is global."""
