"""A run's figures, drawn from its directory alone.

Each figure is a module of this folder with a ``RunFigure``; a new figure needs only a new module. A
quantity has a figure of its name that follows from its declaration. matplotlib is imported when the
first figure is requested: nothing is slower to import.
"""

from __future__ import annotations

import gc
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ffn_train.config.outside import loaded, origin, place_in_part
from ffn_train.config.registry import choices
from ffn_train.config.sections import FORMATS
from ffn_train.config.settings import SettingError, UserError, described, shortened, some_of
from ffn_train.plots.appearance import USUAL, Appearance, requested
from ffn_train.runs import Run, RunError, files
from ffn_train.train.instruments import USUAL as USUAL_QUANTITIES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# how a file of each of FORMATS is written: without dates, so that a run gives the same bytes again;
# this level packs a PNG in half the time of the usual one, into 4 % more bytes
_OPTIONS: Mapping[str, dict[str, Any]] = {
    "png": {"metadata": {}, "pil_kwargs": {"compress_level": 3}},
    "svg": {"metadata": {"Date": None}},
    "pdf": {"metadata": {"CreationDate": None}},
}


class Undrawn(RunError):
    """Figures whose code failed; the others are ``written``.

    ``reasons``: by name, a line each, which says where it failed.
    """

    def __init__(self, reasons: Mapping[str, str], written: list[Path]) -> None:
        super().__init__("; ".join(f"figure {name}: {line}" for name, line in reasons.items()))
        self.reasons, self.written = reasons, written


def figure(run: Run, name: str, appearance: Appearance = USUAL) -> Figure:
    """One figure of a run, not yet written.

    Raises SettingError for an unknown name or an appearance that the figure cannot have, RunError
    where no step has been measured yet or the run lacks what the figure needs, TypeError for a
    figure of your own that returns none.
    """
    _check(run, _known(run, [name]))
    return _drawn(run, name, appearance)


def _drawn(run: Run, name: str, appearance: Appearance) -> Figure:
    """A figure that is known and for which the run has what it needs."""
    from matplotlib.figure import Figure

    from ffn_train.plots.curves import tell_if_empty
    from ffn_train.plots.quantity import draw_quantity
    from ffn_train.plots.sheet import adjust
    from ffn_train.plots.style import look

    before = requested.set(appearance)
    try:
        with look(), np.errstate(all="ignore"):  # a run that diverged is drawn like any other
            if name in choices("figure"):
                returned = choices("figure")[name]().draw(run)
                if not isinstance(returned, Figure):
                    got = shortened(repr(returned))
                    raise TypeError(f"draw must return a matplotlib Figure, got {got}")
                drawn = returned
            else:
                drawn = draw_quantity(run, name)
            if appearance != USUAL:
                adjust(drawn, name, appearance)
            for panel in drawn.axes:
                tell_if_empty(panel)
            return drawn
    finally:
        requested.reset(before)


def _check(run: Run, figures: Sequence[str]) -> None:
    """Raises RunError if no step has been measured or the run lacks what one of them needs."""
    if figures and not len(run.measures.step):
        raise RunError(f"{run.path}: no step has been measured yet, so there is nothing to draw")
    for lack in filter(None, (_lack(run, name) for name in figures)):
        raise RunError(lack)


def _known(run: Run, figures: Sequence[str]) -> tuple[str, ...]:
    """The figures without repetitions. Raises SettingError for an unknown name."""
    try:
        declared = [name for name in figures if name not in run.measures.series]
        if declared or not figures:
            some_of("figures", declared, choices("figure"))
    except SettingError as error:
        raise SettingError(f"{error}{_elsewhere(run)}") from None
    return tuple(dict.fromkeys(figures))


def _elsewhere(run: Run) -> str:
    """A hint that an unknown figure may be declared in the run's parts, which are never loaded
    unasked; "" if some parts are loaded.
    """
    parts = ",".join(_words(run.config.get("parts")))
    return f"; {run.path} was made with parts: --parts {parts}" if parts and not loaded() else ""


def _words(value: Any) -> list[str]:
    """A setting's word or words; none in whatever else a configuration may hold."""
    words = [value] if isinstance(value, str) else value
    return [word for word in words if isinstance(word, str)] if isinstance(words, list) else []


def _lack(run: Run, name: str) -> str:
    """In a line what a figure needs that the run lacks; "" if it lacks nothing."""
    if name not in choices("figure"):
        return ""
    if not _applies(run, name):
        kinds = " or ".join(choices("figure")[name].kinds)
        return f"{name} is for {kinds}, and the task of {run.path} is {_kind(run)}"
    for need in choices("figure")[name].needs:
        if reason := run.lacks(need):
            return f"{name} needs {need}, which {run.path} lacks: {reason}"
    return ""


def _applies(run: Run, name: str) -> bool:
    """Whether a figure is for targets of the run's kind."""
    kinds = choices("figure")[name].kinds
    return not kinds or _kind(run) in kinds


def _kind(run: Run) -> str:
    """Of the targets: old runs are regressions, and one recorded by another program has no task."""
    return run.provenance.kind or ("regression" if "task" in run.config else "unknown")


def draw(
    run: Run,
    *,
    figures: Sequence[str] | None = None,
    formats: Sequence[str] = ("png",),
    notify: Callable[[str], object] = lambda line: None,
    appearance: Appearance = USUAL,
) -> list[Path]:
    """Write the run's figures (None: all) to RUN_DIR/plots/NAME.FORMAT and return their paths.

    Each file appears whole or not at all, and replaces one of the same name. Of all figures, those
    that need what the run lacks are left out; ``notify`` is told which. Raises SettingError for an
    unknown figure or format, RunError where no step has been measured yet or a figure that is named
    lacks what it needs, and Undrawn, once the others are written, for those whose code fails.
    """
    formats = some_of("formats", formats, FORMATS)
    failed: dict[str, str] = {}
    with uncollected():  # which imports matplotlib
        chosen = _drawable(run, notify) if figures is None else _known(run, figures)
        _check(run, chosen)
        from ffn_train.plots.settings import as_overrides, flatten
        from ffn_train.plots.sheet import describe

        drawn = {}
        for name in chosen:
            with _noting(name, failed):
                drawn[name] = _drawn(run, name, appearance)
        settings = {key: [value] for key, value in sorted(flatten(run.config).items())}
        about = describe(run).replace("\n", "; "), as_overrides(settings)
        folder = files.make_folder(run.path / files.PLOTS)
        paths = []
        for name, sheet in drawn.items():
            contents = {}
            with _noting(name, failed):
                title = sheet.texts[0].get_text() if sheet.texts else name
                contents = {kind: encoded(sheet, kind, about=(title, *about)) for kind in formats}
            for kind, content in contents.items():
                paths.append(folder / f"{name}.{kind}")
                files.write_whole(paths[-1], content, durable=False)
    if failed:
        raise Undrawn(failed, paths)
    return paths


@contextmanager
def _noting(name: str, failed: dict[str, str]) -> Iterator[None]:
    """A context that notes why a figure's code fails, so that the others are drawn.

    What is not the figure's fault passes: an appearance that it cannot have, too little memory.
    """
    try:
        yield
    except (Exception, SystemExit) as error:
        ours = isinstance(error, (UserError, MemoryError, SystemExit))
        if ours and not place_in_part(error):
            raise
        failed[name] = origin(error) if loaded() else described(error)


def undrawn(run: Run, figures: Sequence[str] | None, formats: Sequence[str]) -> list[str]:
    """Those of the figures (None: all) that are not there in each of the formats."""
    chosen = _drawable(run, lambda line: None) if figures is None else _known(run, figures)
    there = {path.name for path in (run.path / files.PLOTS).glob("*.*")}
    return [name for name in chosen if not {f"{name}.{kind}" for kind in formats} <= there]


def _drawable(run: Run, notify: Callable[[str], object]) -> list[str]:
    """All figures for which the run has what they need.

    ``notify`` gets a line for each of the others, and for those that the run's configuration names
    and that are not declared now.
    """
    known = [name for name in choices("figure") if _applies(run, name)]
    lacks = {name: _lack(run, name) for name in (*known, *_of_their_own(run))}
    for name in _words(run.section("plot").get("figures")):
        if name != "all":
            lacks.setdefault(name, f"{name} is not declared{_elsewhere(run)}")
    for lack in filter(None, lacks.values()):
        notify(f"left out: {lack}")
    return [name for name, lack in lacks.items() if not lack]


def _of_their_own(run: Run) -> list[str]:
    """The quantities that no figure of the folder shows; each has a figure from its declaration."""
    shown = {*USUAL_QUANTITIES, *choices("figure")}
    shown.update(*(cls.needs for cls in choices("figure").values()))
    return [name for name in run.measures.series if name not in shown]


@contextmanager
def uncollected() -> Iterator[None]:
    """A context without garbage collection, which would take a seventh of the time of figures, many
    objects that live until they are written, and a fifth of that of reading 10,000 runs.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


MARGIN = 0.08  # inches around a whole figure

# what a format calls a figure's title, its description, the settings that it was made with, and
# what made it
_ABOUT = {
    "png": ("Title", "Description", "Overrides", "Software"),
    "svg": ("Title", "Description", "Keywords", "Creator"),
    "pdf": ("Title", "Subject", "Keywords", "Creator"),
}


def encoded(sheet: Figure, kind: str, *, whole: bool = False, about: Sequence[str] = ()) -> bytes:
    """A figure as the bytes of a file of this format; the same figure gives the same bytes.

    ``whole``: with all that stands beside its panels, and no more, whatever the figure's size.
    ``about``: title, description, overrides and, unless it is matplotlib, the maker, which the
    file's metadata hold.
    """
    from ffn_train.plots.style import look

    options: Any = dict(_OPTIONS[kind])
    options["metadata"] = options["metadata"] | dict(zip(_ABOUT[kind], about, strict=False))
    buffer = io.BytesIO()
    with look(), np.errstate(all="ignore"):
        if whole:  # a box; with "tight" in its place the figure would be drawn twice
            options["bbox_inches"] = sheet.get_tightbbox().padded(MARGIN)
        sheet.savefig(buffer, format=kind, **options)
    return buffer.getvalue()
