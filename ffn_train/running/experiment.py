"""The composition root: builds the objects that a configuration describes and connects them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ffn_train.config import combinations
from ffn_train.config.keys import GROUPS, MODEL_GROUPS, check_keys
from ffn_train.config.registry import build
from ffn_train.config.settings import SettingError, boolean, integer, one_of
from ffn_train.nn.core import FlatVector
from ffn_train.nn.engine import check_engine, engine
from ffn_train.nn.initialisers.initialiser import Initialiser
from ffn_train.nn.segments import segment_length
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
        return initial_parameters(self.model, self.initialiser, self.initial_seed, self.dtype)


def build_experiment(config: Mapping[str, Any]) -> Experiment:
    """Build the run that a resolved configuration describes.

    Raises SettingError, in one line, for an unknown key, a value out of range, choices that do not
    go together or data that cannot be used.
    """
    seed, dtype, parts = checked(config)
    data_seed, init_seed, batch_seed = np.random.SeedSequence(seed).spawn(3)
    sizes = config["model"]
    _check_size(sizes, dtype)
    plot = _plot_settings(config["plot"])
    directory = _directory(config["run"]["dir"])
    checkpoint_every = config["checkpoint"]["every"]
    if checkpoint_every is not None:
        integer("checkpoint.every", checkpoint_every, at_least=1)
    trainer = config["trainer"]
    integer("trainer.batch_size", trainer["batch_size"], at_least=1)
    plan = _threads(config, trainer["batch_size"])
    data = load_data(parts["task"], data_seed).astype(dtype)
    validation = _threads(config, len(data.x_validation))
    model = build_model(config, data)
    return Experiment(
        config=config,
        seed=seed,
        model=model,
        initialiser=parts["init"],
        initial_seed=init_seed,
        dtype=dtype,
        data=data,
        trainer=Trainer(
            model=model,
            data=data,
            batches=Batches(
                data.x_train, data.y_train, size=trainer["batch_size"], seed=batch_seed
            ),
            loss=parts["loss"],
            optimizer=engine(config["engine"]).update(parts["optimizer"]),
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
            *combinations.warnings(_names(parts), model.depth),
            *threads.warnings(config["threads"]),
        ],
    )


def _threads(config: Mapping[str, Any], rows: int) -> threads.Threads:
    """What a pass of so many rows uses threads for."""
    sizes = config["model"]
    return threads.choose(
        config["threads"],
        batch=rows,
        width=sizes["width"],
        hidden=sizes["width"] * sizes["expansion"],
        depth=sizes["depth"],
        engine=config["engine"],
    )


def checked(config: Mapping[str, Any]) -> tuple[int, str, dict[str, Any]]:
    """The seed, the dtype and the object of each group, which go together. Raises SettingError."""
    check_keys(config)
    seed = integer("seed", config["seed"], at_least=0)
    dtype = one_of("dtype", config["dtype"], ("float32", "float64"))
    check_engine(config["engine"])
    parts = {group: build(group, config[group]) for group in GROUPS}
    combinations.check(_names(parts))
    sizes = config["model"]
    for key in ("depth", "width", "expansion"):
        integer(f"model.{key}", sizes[key], at_least=1)
    segment_length(sizes["recompute"], sizes["depth"])
    return seed, dtype, parts


def _names(parts: Mapping[str, Any]) -> dict[str, str]:
    return {group: parts[group].name for group in MODEL_GROUPS}


def load_data(task: Task, seed: np.random.SeedSequence) -> Data:
    """The task's rows, drawn and split by two streams of the data seed."""
    rows_seed, split_seed = seed.spawn(2)
    table = task.table(np.random.default_rng(rows_seed))
    return split(table, validation=task.validation, rng=np.random.default_rng(split_seed))


def build_model(config: Mapping[str, Any], data: Data) -> Stack:
    """The stack that a configuration describes, with the data's numbers of inputs and outputs."""
    return Stack(
        inputs=data.x_train.shape[1],
        outputs=data.y_train.shape[1],
        **config["model"],
        engine=engine(config["engine"]),
        **{group: build(group, config[group]) for group in MODEL_GROUPS if group != "init"},
    )


def initial_parameters(
    model: Stack, init: Initialiser, seed: np.random.SeedSequence, dtype: str
) -> FlatVector:
    """The stack's parameters before the first step."""
    return model.initial(init, np.random.default_rng(seed), dtype)


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
    figures = None if section["figures"] == "all" else _words("plot.figures", section["figures"])
    if figures is not None:
        from ffn_train.plots import FIGURES  # late: it imports matplotlib

        for name in figures:
            one_of("plot.figures", name, FIGURES)
    formats = _words("plot.formats", section["formats"])
    for name in formats:
        one_of("plot.formats", name, ("png", "svg", "pdf"))
    boolean("plot.theory", section["theory"])  # read by the figures from the run's configuration
    return PlotSettings(when, figures, formats)


def _words(key: str, value: Any) -> list[str]:
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list) or not words or not all(isinstance(w, str) for w in words):
        raise SettingError(f"{key} must be a list of words, got {value!r}")
    return words


def _directory(value: Any) -> Path | None:
    if value is None:
        return None
    if not isinstance(value, (str, int, float)) or not str(value).strip():
        raise SettingError(f"run.dir must be a path, got {value!r}")
    return Path(str(value)).expanduser()
