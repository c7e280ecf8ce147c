"""Every setting of a run that belongs to no choice, section by section, with its default."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ffn_train.config.settings import (
    SettingError,
    integer,
    one_of,
    section,
    setting,
    shortened,
    unchecked,
)

FORMATS = ("png", "svg", "pdf")
STEPS = 500  # without trainer.steps and trainer.epochs


def _integer_or(words: str, *special: object) -> Callable[[str, Any], None]:
    """A check of a setting that is one of the special values or an integer of at least 1."""

    def check(key: str, value: Any) -> None:
        if not any(value is word or value == word for word in special):
            try:
                integer(key, value, at_least=1)
            except SettingError:
                raise SettingError(f"{key} must be {words}, got {value!r}") from None

    return check


def listed(words: str | Sequence[str]) -> Sequence[str]:
    """A word or a list of words, as a list."""
    return [words] if isinstance(words, str) else words


def _words(key: str, value: Any) -> None:
    words: object = listed(value)
    if not isinstance(words, list) or not words or not all(isinstance(w, str) and w for w in words):
        raise SettingError(f"{key} must be a list of words, got {value!r}")


def _names(key: str, value: Any) -> None:
    if value != []:
        _words(key, value)


def _quantities(key: str, value: Any) -> None:
    _words(key, [*value] if value and isinstance(value, Mapping) else value)


def _formats(key: str, value: Any) -> None:
    _words(key, value)
    for name in listed(value):
        one_of(key, name, FORMATS)


def path(key: str, value: Any) -> None:
    """Check a path, or null. A name that YAML reads as another number is refused."""
    if value is not None and (type(value) not in (str, int) or not str(value).strip()):
        quotes = ", in quotes" if isinstance(value, (bool, float)) else ""
        raise SettingError(f"{key} must be a path{quotes}, got {value!r}")
    if re.search("[\0\n\ud800-\udfff]", str(value)):  # the last: bytes that are not UTF-8
        raise SettingError(f"{key} must be a path, got {value!r}")
    try:
        os.lstat(Path(str(value)).expanduser())
    except RuntimeError:
        raise SettingError(f"{key}={value}: there is no such user") from None
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:  # such as a name that is too long
        raise SettingError(f"{key}={shortened(str(value))}: {error.strerror}") from None


def path_of(value: Any) -> Path | None:
    """The path that a setting names, None for null."""
    return None if value is None else Path(str(value)).expanduser()


def _mapping(key: str, value: Any) -> None:
    if not isinstance(value, Mapping):
        raise SettingError(f"{key} must map settings to lists of values, got {value!r}")


@dataclass(frozen=True, kw_only=True)
class Model:
    """The stack's size."""

    depth: int = setting("L, the number of blocks", 8, at_least=1)
    width: int = setting("D, the number of features between blocks", 64, at_least=1)
    expansion: int = setting("hidden width H = expansion x width", 4, at_least=1)
    recompute: int | str | None = setting(
        "activation checkpointing: blocks between two stored activations (auto: sqrt(depth)), "
        "which takes less memory and more time; null stores all",
        None,
        check=_integer_or("null, auto or an integer >= 1", None, "auto"),
    )


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """The training loop."""

    steps: int | None = setting(
        f"updates; a larger number extends a finished run; null is {STEPS}, or set by the epochs",
        None,
        at_least=1,
    )
    epochs: int | None = setting(
        "passes over the training rows, instead of steps, a preset's too",
        None,
        at_least=1,
        before=None,
    )
    batch_size: int = setting(
        "rows per mini-batch; the default, and any of a table, is at most all training rows",
        128,
        at_least=1,
    )
    clip: float | None = setting(
        "largest global gradient norm (gradient clipping); null for none", 1.0, above=0
    )
    patience: int = setting(
        "a run is stopped after so many steps with a loss above 1000 times that of predicting the "
        "mean, unless the loss is falling",
        100,
        at_least=1,
    )
    keep: str = setting(
        "last: the weights of the last step; best: beside them those of the best validation score",
        "last",
        among=("last", "best"),
        before="last",
    )
    early_stopping: int | None = setting(
        "evaluations without a better validation score that stop a run; null for none",
        None,
        at_least=1,
        before=None,
    )


def _every(what: str, default: int) -> Any:
    return setting(f"steps between {what}", default, at_least=1)


def _limit(default: int) -> Any:
    return setting("rows after which the interval starts to double", default, at_least=1)


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Evaluations on the validation part."""

    every: int = _every("evaluations", 20)
    limit: int = _limit(1000)


@dataclass(frozen=True, kw_only=True)
class Measure:
    """Per-layer measurements."""

    quantities: Any = setting(
        "what is measured: default, a list such as [default,mine], or a mapping to the steps "
        "between two measurements, such as {default: 50, mine: 1}",
        "default",
        before="default",
        check=_quantities,
    )
    every: int = _every("measurements", 50)
    limit: int = _limit(1000)


@dataclass(frozen=True, kw_only=True)
class Log:
    """Rows of scalars.csv."""

    every: int = _every("rows of scalars.csv", 1)
    limit: int = _limit(10_000)


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """States to resume from."""

    every: int | str | None = setting(
        "steps between checkpoints; auto: 200, but a second at least; null for one at the end only",
        "auto",
        check=_integer_or("null, auto or an integer >= 1", None, "auto"),
        changes="nothing",
    )

    @property
    def steps(self) -> int | None:
        """The least number of steps from one to the next."""
        return 200 if self.every == "auto" else cast("int | None", self.every)

    @property
    def pause(self) -> float:
        """The least time from one to the next, in seconds."""
        return 1.0 if self.every == "auto" else 0.0


@dataclass(frozen=True, kw_only=True)
class Theory:
    """The theory's predictions of the norms at step 0."""

    predict: bool = setting(
        "make them before the first step, which takes up to a ms for each block",
        True,
        changes="nothing",
        before=True,
    )


@dataclass(frozen=True, kw_only=True)
class Plot:
    """The figures of a run."""

    when: str = setting(
        "auto: for single runs, but not for the jobs of a sweep, which are compared",
        "auto",
        among=("auto", "always", "never"),
        changes="nothing",
    )
    figures: Any = setting(
        "all, or a list: [loss, gradient_flow]; --help figure=loss says what it shows",
        "all",
        changes="nothing",
        check=_words,
    )
    formats: Any = setting("a list of png, svg, pdf", ["png"], changes="nothing", check=_formats)
    theory: bool = setting("draw the theory's predictions for step 0", True, changes="nothing")


@dataclass(frozen=True, kw_only=True)
class Run:
    """Where a run goes."""

    dir: Any = setting(
        "the run's directory; null makes a new one under outputs/runs",
        None,
        changes="nothing",
        check=path,
    )


@dataclass(frozen=True, kw_only=True)
class Search:
    """The search of key=interval(low,high), at each point of a sweep."""

    trials: int = setting("values tried at each point", 16, at_least=1, changes="nothing")
    at_once: int = setting("trials proposed at a time", 4, at_least=1, changes="nothing")


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What --multirun runs."""

    dir: Any = setting(
        "the sweep's directory; null makes a new one under outputs/sweeps",
        None,
        changes="nothing",
        check=path,
    )
    grid: Any = setting(
        "values to vary, for presets: {model.depth: [4, 16], residual: [none, scaled]}",
        {},
        changes="nothing",
        check=_mapping,
    )
    zip: Any = setting(
        "settings whose values go in parallel: [model.depth,optimizer.lr]",
        [],
        changes="nothing",
        check=unchecked,
    )
    search: Search = section(Search)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings of a run, except those of its choices."""

    seed: int = setting(
        "of the independent random streams of data, initialisation and batch order", 0, at_least=0
    )
    parts: Any = setting(
        "Python files or packages with your own parts, such as [my_parts.py]; they are executed",
        [],
        changes="nothing",
        before=[],
        check=_names,
    )
    dtype: str = setting(
        "precision of parameters and passes", "float32", among=("float32", "float64")
    )
    threads: int | str = setting(
        "auto, or the number of threads",
        "auto",
        changes="nothing",
        check=_integer_or("auto or an integer >= 1", "auto"),
    )
    engine: str = setting(
        "of passes and updates; auto is compiled if parameters x steps exceed 2³⁰, the extra "
        "`compiled` is installed and every part has a compiled twin, else numpy",
        "auto",
        among=("auto", "numpy", "compiled"),
        changes="rounding",
        before="numpy",
    )
    dry_run: bool = setting(
        "list the jobs and estimate the time, run nothing", False, changes="nothing"
    )
    resume: str = setting(
        "if a sweep's code, data or settings have changed: check refuses, force continues",
        "check",
        among=("check", "force"),
        changes="nothing",
    )
    fail_fast: bool = setting(
        "of a sweep: stop at the first job that fails", False, changes="nothing"
    )
    model: Model = section(Model)
    trainer: Trainer = section(Trainer)
    evaluate: Evaluate = section(Evaluate)
    measure: Measure = section(Measure)
    log: Log = section(Log)
    checkpoint: Checkpoint = section(Checkpoint)
    theory: Theory = section(Theory)
    plot: Plot = section(Plot)
    run: Run = section(Run)
    sweep: Sweep = section(Sweep)
