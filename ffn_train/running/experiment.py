"""The composition root: builds and connects the objects that a configuration describes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ffn_train.config.keys import GROUPS, MODEL_GROUPS, read_settings
from ffn_train.config.outside import load, observes
from ffn_train.config.registry import BEFORE, build, choices
from ffn_train.config.sections import STEPS, Model, Plot, Settings, listed, path_of
from ffn_train.config.sections import Trainer as TrainerSettings
from ffn_train.config.settings import SettingError, counted, declared, defaults, some_of
from ffn_train.nn.core import Views
from ffn_train.nn.engine import NUMPY, WORTH_COMPILING, Engine, engine
from ffn_train.nn.initialisers.initialiser import Initialiser
from ffn_train.nn.initialisers.weights import Weights
from ffn_train.nn.optim.optimizer import Optimizer
from ffn_train.nn.stack import Stack
from ffn_train.running import checks
from ffn_train.runs import files
from ffn_train.runs.files import RunError, read_json
from ffn_train.runs.identity import Identity
from ffn_train.runs.logger import Logger
from ffn_train.tasks.table import Data
from ffn_train.train import threads
from ffn_train.train.batches import Batches
from ffn_train.train.cadence import Cadence
from ffn_train.train.instruments import instruments
from ffn_train.train.trainer import Trainer

LOSSES = {"classes": "cross_entropy"}  # of kinds of tasks that the default loss does not fit


@dataclass(frozen=True)
class Experiment:
    """One run, ready to start: every value checked, the data read, nothing written yet.

    ``parts``: the digests of the user's parts that belong to the run's identity, by name;
    ``observers``: those of parts with only figures and loggers. ``data`` is in the run's dtype,
    ``exact`` the same in float64; ``notes``: how it was read; ``warnings``: what may go wrong;
    ``kind``: of the task's targets.
    """

    config: Mapping[str, Any]
    parts: Mapping[str, str]
    observers: Mapping[str, str]
    settings: Settings
    model: Stack
    initialiser: Initialiser
    initial_seed: np.random.SeedSequence
    kind: str
    data: Data
    exact: Data
    trainer: Trainer
    loss_unit: str | None
    threads: int
    log: Cadence
    logger: Logger
    plot: Plot
    directory: Path | None
    notes: list[str]
    warnings: list[str]

    @property
    def identity(self) -> Identity:
        """The run's identity, by which a directory's run is recognised."""
        return Identity.of(self.config, self.parts, self.data.digest)

    @cached_property
    def params(self) -> Views:
        """The initial parameters, drawn at the first use, since checks need none."""
        rng = np.random.default_rng(self.initial_seed)
        return self.model.initial(self.initialiser, rng, self.settings.dtype)

    def forget_params(self) -> None:
        """Free the memory of the initial parameters; the next use draws the same again."""
        vars(self).pop("params", None)


def build_experiment(
    config: Mapping[str, Any], *, to_train: bool = True, frame: Any = None
) -> Experiment:
    """Build the run that a resolved configuration describes, with its data; parameters come later.

    Raises SettingError for an unknown key, a value out of range, incompatible choices, unusable
    data, or a model ``to_train`` that exceeds this machine's memory.
    """
    settings, resolved = read_settings(config), dict(config)
    digests = load(listed(settings.parts))
    sizes, trainer, measure = settings.model, settings.trainer, settings.measure
    # independent random streams; new ones are appended
    data_seed, initial_seed, batch_seed = np.random.SeedSequence(settings.seed).spawn(3)
    described = {**BEFORE, **config}
    tables = {} if frame is None else {"task": {"frame": frame}}
    parts = {group: build(group, described[group], **tables.get(group, {})) for group in GROUPS}
    directory = path_of(settings.run.dir)
    parts["task"] = parts["task"].going_on(_written(directory, files.DATA))
    notes = []
    if config["loss"] == {"name": "mse"} and (loss := LOSSES.get(parts["task"].kind)):
        parts["loss"] = build("loss", {"name": loss})
        resolved["loss"] = {"name": loss, **vars(parts["loss"])}
        notes.append(f"loss={loss}: the target is {parts['task'].kind}")
    checks.choices(parts, settings)
    if to_train:
        checks.size(sizes, settings.dtype)
    measured = instruments(measure.quantities, Cadence(measure.every, measure.limit))
    quantities = [quantity for instrument in measured for quantity in instrument.quantities]
    plot = _plot_settings(settings.plot, [quantity.name for quantity in quantities])
    exact = parts["task"].data(*map(np.random.default_rng, data_seed.spawn(2)))  # drawn and split
    data = exact.astype(settings.dtype)
    x, y = data.x_train, data.y_train
    parts["optimizer"] = parts["optimizer"].decaying_for(len(x))
    decay = parts["optimizer"].weight_decay
    if decay != config["optimizer"]["weight_decay"]:
        resolved["optimizer"] = {**config["optimizer"], "weight_decay": decay}
        notes.append(f"optimizer.weight_decay={decay:g}, of {len(x):,} training rows")
    size = trainer.batch_size
    # of a table nobody chose the number of rows
    if size == defaults(type(trainer))["batch_size"] or "rows" not in declared(type(parts["task"])):
        size = min(size, len(x))
    if size != trainer.batch_size:
        rows = counted(size, "training row")
        asked = f"trainer.batch_size={trainer.batch_size}"
        notes.append(f"{asked} is more than the {rows}: a batch is all of them")
    checks.targets(data, parts["loss"], parts["task"].score, size)
    batches = Batches(x, y, size=size, seed=batch_seed)
    steps = _steps(trainer, batches.per_epoch)
    checks.own(parts["schedule"], steps)

    def computed_by(name: str) -> tuple[str, Stack, Optimizer]:
        chosen = engine(name)
        stack = build_stack(sizes, parts, x.shape[1], y.shape[1], chosen)
        return name, stack, chosen.update(parts["optimizer"])

    automatic = settings.engine == "auto"
    engine_name, model, optimizer = computed_by("numpy" if automatic else settings.engine)
    if automatic and to_train and _compiles(directory, model.layout.size * steps):
        with suppress(SettingError):  # it is not installed, or a part has no compiled twin
            engine_name, model, optimizer = computed_by("compiled")
    checks.layers(parts, model, settings.dtype)
    checks.initialiser(parts["init"], model)
    for quantity in quantities:
        quantity.check_results(model, np.dtype(settings.dtype))
    resolved["engine"] = engine_name
    resolved["trainer"] = {**config["trainer"], "steps": steps, "epochs": None}
    if isinstance(init := parts["init"], Weights):
        parts["init"] = init.fitting(model.layout)
        resolved["init"] = {**config["init"], "digest": parts["init"].digest}
    unit = parts["loss"].unit
    if parts["task"].standardise_targets and unit:
        unit += f" of the target{'s' * (y.shape[1] > 1)}"
    elif parts["task"].kind == "regression":
        unit = ""
    shape = {"width": model.width, "hidden": model.hidden, "depth": model.depth}
    plan, validation = (
        threads.choose(settings.threads, batch=rows, engine=engine_name, **shape)
        for rows in (batches.size, len(data.x_validation))
    )
    return Experiment(
        config=resolved,
        parts={name: digest for name, digest in digests.items() if not observes(name)},
        observers={name: digest for name, digest in digests.items() if observes(name)},
        settings=settings,
        model=model,
        initialiser=parts["init"],
        initial_seed=initial_seed,
        kind=parts["task"].kind,
        data=data,
        exact=exact,
        trainer=Trainer(
            model=model,
            data=data,
            batches=batches,
            loss=parts["loss"],
            score=parts["task"].score,
            optimizer=optimizer,
            schedule=parts["schedule"],
            steps=steps,
            settings=trainer,
            instruments=measured,
            evaluate=Cadence(**vars(settings.evaluate)),
            shards=plan.shards,
            # the BLAS's own threads would come on top of them
            validation_shards=validation.shards if plan.blas == 1 else plan.shards,
            turns=threads.turns(batches.size // plan.shards, **shape),
        ),
        loss_unit=unit or None,
        threads=plan.blas,
        log=Cadence(**vars(settings.log)),
        logger=parts["logger"],
        plot=plot,
        directory=directory,
        notes=[*exact.notes, *notes],
        warnings=checks.warnings(parts, settings, model, steps, data),
    )


def build_stack(
    sizes: Model, parts: Mapping[str, Any], inputs: int, outputs: int, engine: Engine = NUMPY
) -> Stack:
    """The stack of these sizes and choices, by their groups."""
    chosen = {group: parts[group] for group in MODEL_GROUPS if group != "init"}
    return Stack(inputs=inputs, outputs=outputs, **vars(sizes), engine=engine, **chosen)


def _compiles(directory: Path | None, work: int) -> bool:
    """Whether ``engine=auto`` means compiled: as before in the run's directory, or by the work."""
    before = _written(directory, files.CONFIG)
    return before.get("engine") == "compiled" if before else work > WORTH_COMPILING


def _written(directory: Path | None, name: str) -> dict[str, Any]:
    """What the run in a directory has written in a file; {} if it has none that can be read."""
    if directory is not None and files.there(directory / name):
        with suppress(RunError):  # of which resuming tells
            return read_json(directory / name)
    return {}


def _steps(trainer: TrainerSettings, per_epoch: int) -> int:
    """The number of updates, with ``per_epoch`` updates in an epoch. Raises SettingError."""
    if trainer.epochs is None:
        return STEPS if trainer.steps is None else trainer.steps
    if trainer.steps is not None:
        raise SettingError(
            f"trainer.epochs={trainer.epochs} and trainer.steps={trainer.steps}: give only one; "
            "trainer.steps=null takes a preset's back"
        )
    return trainer.epochs * per_epoch


def _plot_settings(plot: Plot, quantities: Sequence[str]) -> Plot:
    """The settings with lists of formats and of figures that exist; None: all figures."""
    figures = None
    if plot.figures != "all":
        figures = some_of("plot.figures", listed(plot.figures), (*choices("figure"), *quantities))
    return replace(plot, figures=figures, formats=listed(plot.formats))
