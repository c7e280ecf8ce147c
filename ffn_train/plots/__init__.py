"""A run's figures, drawn from its directory alone.

Each figure is a module of this folder with a ``NAME`` and a ``draw(run)`` that returns a matplotlib
Figure; a new figure is a new module and nothing else. pyplot, with its global state, is not used.
"""

from __future__ import annotations

import gc
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ffn_train.config.registry import modules
from ffn_train.config.sections import FORMATS
from ffn_train.config.settings import one_of, some_of
from ffn_train.plots.curves import tell_if_empty
from ffn_train.plots.style import look
from ffn_train.runs import Run, RunError, files

# how a file of each of FORMATS is written: without dates, so that a run gives the same bytes again;
# a PNG packed in half the time of the usual level, for four hundredths more bytes
_OPTIONS: Mapping[str, dict[str, Any]] = {
    "png": {"metadata": {}, "pil_kwargs": {"compress_level": 3}},
    "svg": {"metadata": {"Date": None}},
    "pdf": {"metadata": {"CreationDate": None}},
}
_figures: dict[str, Callable[[Run], Figure]] = {
    module.NAME: module.draw for module in modules(__name__) if hasattr(module, "NAME")
}
FIGURES = tuple(_figures)


def figure(run: Run, name: str) -> Figure:
    """One figure of a run, not yet written.

    Raises SettingError for an unknown name, RunError where no step has been measured yet.
    """
    draw_figure = _figures[one_of("plot.figures", name, FIGURES)]
    if not len(run.measures.step):
        raise RunError(f"{run.path}: no step has been measured yet, so there is nothing to draw")
    with look(), np.errstate(all="ignore"):  # a run that diverged is drawn like any other
        drawn = draw_figure(run)
        for panel in drawn.axes:
            tell_if_empty(panel)
        return drawn


def draw(
    run: Run, *, figures: Sequence[str] | None = None, formats: Sequence[str] = ("png",)
) -> list[Path]:
    """Write the run's figures (None: all) to RUN_DIR/plots/NAME.FORMAT and return their paths.

    Each file appears whole or not at all, and replaces one of the same name. Raises SettingError
    for an unknown figure or format, RunError where no step has been measured yet.
    """
    names = FIGURES if figures is None else some_of("plot.figures", figures, FIGURES)
    formats = some_of("plot.formats", formats, FORMATS)
    with _uncollected():
        drawn = {name: figure(run, name) for name in names}
        folder = files.make_folder(run.path / files.PLOTS)
        paths = []
        for name, sheet in drawn.items():
            for kind in formats:
                path = folder / f"{name}.{kind}"
                files.write_whole(path, encoded(sheet, kind), durable=False)
                paths.append(path)
    return paths


@contextmanager
def _uncollected() -> Iterator[None]:
    """No garbage collection: figures are many objects, and all live until they are written.

    Looking for garbage among them takes a seventh of the time.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def encoded(sheet: Figure, kind: str, *, whole: bool = False) -> bytes:
    """A figure as the bytes of a file of this format; the same figure gives the same bytes.

    ``whole``: with all that stands beside its panels, and no more, whatever the figure's size.
    """
    options: Any = {"bbox_inches": "tight", "pad_inches": 0.08} if whole else {}
    buffer = io.BytesIO()
    with look(), np.errstate(all="ignore"):
        sheet.savefig(buffer, format=kind, **_OPTIONS[kind], **options)
    return buffer.getvalue()
