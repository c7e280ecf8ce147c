"""The composition root: builds the objects that a configuration describes and connects them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ffn_train.config import combinations
from ffn_train.config.keys import FORMATS, GROUPS, MODEL_GROUPS, check_keys
from ffn_train.config.registry import build
from ffn_train.config.settings import SettingError, boolean, integer, one_of
from ffn_train.nn.core import FlatVector
from ffn_train.nn.engine import engine
from ffn_train.nn.initialisers.initialiser import Initialiser
from ffn_train.nn.stack import Stack
from ffn_train.tasks.table import Data, Task, split
from ffn_train.train import threads
from ffn_train.train.batches import Batches
from ffn_train.train.cadence import Cadence
from ffn_train.train.trainer import Trainer


@dataclass(frozen=True)
class PlotSettings:
    """Which figures are drawn at the end of a run, and in which formats."""

    when: str
    figures: Sequence[str] | None
    formats: Sequence[str]


@dataclass(frozen=True)
class Experiment:
    """One run, ready to start: every value checked, the data read, nothing written yet."""

    config: Mapping[str, Any]
    seed: int
    model: Stack
    initialiser: Initialiser
    initial_seed: np.random.SeedSequence
    dtype: str
    data: Data
    trainer: Trainer
    threads: int
    log: Cadence
    checkpoint_every: int | None
    plot: PlotSettings
    directory: Path | None
    warnings: list[str]

    @cached_property
    def params(self) -> FlatVector:
        """The parameters, drawn when first asked for: to check a run none are needed."""
        rng = np.random.default_rng(self.initial_seed)
        return self.model.initial(self.initialiser, rng, self.dtype)


class Streams(NamedTuple):
    """A run's independent random streams; a new one goes last."""

    data: np.random.SeedSequence
    initialisation: np.random.SeedSequence
    batches: np.random.SeedSequence


def build_experiment(config: Mapping[str, Any], *, to_train: bool = True) -> Experiment:
    """Build the run that a resolved configuration describes; nothing is drawn but its data.

    Raises SettingError, in one line, for an unknown key, a value out of range, choices that do not
    go together, data that cannot be used, or a model ``to_train`` that this machine cannot hold.
    """
    check_keys(config)
    seed = integer("seed", config["seed"], at_least=0)
    streams = Streams(*np.random.SeedSequence(seed).spawn(len(Streams._fields)))
    dtype = one_of("dtype", config["dtype"], ("float32", "float64"))
    parts = {group: build(group, config[group]) for group in GROUPS}
    names = {group: parts[group].name for group in MODEL_GROUPS}
    combinations.check(names)
    sizes = config["model"]
    for key in ("depth", "width", "expansion"):
        integer(f"model.{key}", sizes[key], at_least=1)
    if to_train:
        _check_size(sizes, dtype)
    computed_by = engine(config["engine"])
    plot = _plot_settings(config["plot"])
    directory = _directory(config["run"]["dir"])
    checkpoint_every = config["checkpoint"]["every"]
    if checkpoint_every is not None:
        integer("checkpoint.every", checkpoint_every, at_least=1)
    trainer = config["trainer"]
    data = _load_data(parts["task"], streams.data).astype(dtype)
    x, y = data.x_train, data.y_train
    batches = Batches(x, y, size=trainer["batch_size"], seed=streams.batches)
    model = Stack(
        inputs=x.shape[1],
        outputs=y.shape[1],
        **sizes,
        engine=computed_by,
        **{group: parts[group] for group in MODEL_GROUPS if group != "init"},
    )
    plan, validation = (
        threads.choose(
            config["threads"],
            batch=rows,
            width=model.width,
            hidden=model.hidden,
            depth=model.depth,
            engine=config["engine"],
        )
        for rows in (batches.size, len(data.x_validation))
    )
    return Experiment(
        config=config,
        seed=seed,
        model=model,
        initialiser=parts["init"],
        initial_seed=streams.initialisation,
        dtype=dtype,
        data=data,
        trainer=Trainer(
            model=model,
            data=data,
            batches=batches,
            loss=parts["loss"],
            optimizer=computed_by.update(parts["optimizer"]),
            schedule=parts["schedule"],
            steps=trainer["steps"],
            clip=trainer["clip"],
            patience=trainer["patience"],
            measure=_cadence("measure", config),
            evaluate=_cadence("evaluate", config),
            shards=plan.shards,
            # the BLAS's own threads would come on top of them
            validation_shards=validation.shards if plan.blas == 1 else plan.shards,
        ),
        threads=plan.blas,
        log=_cadence("log", config),
        checkpoint_every=checkpoint_every,
        plot=plot,
        directory=directory,
        warnings=[
            *combinations.warnings(names, model.depth),
            *threads.warnings(config["threads"]),
        ],
    )


def _load_data(task: Task, seed: np.random.SeedSequence) -> Data:
    """The task's rows, drawn and split by two streams of the data seed."""
    rows_seed, split_seed = seed.spawn(2)
    table = task.table(np.random.default_rng(rows_seed))
    return split(table, validation=task.validation, rng=np.random.default_rng(split_seed))


def _check_size(sizes: Mapping[str, int], dtype: str) -> None:
    """Refuse a model whose weights, gradients and momentum exceed this machine's memory."""
    matrices = 2 * sizes["depth"] * sizes["expansion"] * sizes["width"] ** 2
    needed = 3 * matrices * np.dtype(dtype).itemsize
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > memory:
        raise SettingError(
            f"model.depth={sizes['depth']}, model.width={sizes['width']} and "
            f"model.expansion={sizes['expansion']} need {needed / 2**30:.3g} GiB, "
            f"more than this machine's {memory / 2**30:.3g} GiB"
        )


def _cadence(section: str, config: Mapping[str, Any]) -> Cadence:
    every, limit = config[section]["every"], config[section]["limit"]
    return Cadence(
        integer(f"{section}.every", every, at_least=1),
        integer(f"{section}.limit", limit, at_least=1),
    )


def _plot_settings(section: Mapping[str, Any]) -> PlotSettings:
    when = one_of("plot.when", section["when"], ("auto", "always", "never"))
    figures = None
    if section["figures"] != "all":
        from ffn_train.plots import FIGURES  # late: it imports matplotlib

        figures = _words("plot.figures", section["figures"], FIGURES)
    formats = _words("plot.formats", section["formats"], FORMATS)
    boolean("plot.theory", section["theory"])  # read by the figures from the run's configuration
    return PlotSettings(when, figures, formats)


def _words(key: str, value: Any, allowed: Sequence[str]) -> list[str]:
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list) or not words or not all(isinstance(w, str) for w in words):
        raise SettingError(f"{key} must be a list of words, got {value!r}")
    return [one_of(key, word, allowed) for word in words]


def _directory(value: Any) -> Path | None:
    if value is None:
        return None
    if not isinstance(value, (str, int, float)) or not str(value).strip():
        raise SettingError(f"run.dir must be a path, got {value!r}")
    return Path(str(value)).expanduser()
