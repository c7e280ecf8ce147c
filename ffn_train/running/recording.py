"""Writes the trainer's records to the run's files, with checkpoints, progress and interrupts."""

from __future__ import annotations

import math
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from tqdm import tqdm as text_bar

from ffn_train.running.experiment import Experiment
from ffn_train.running.guard import GuardedLogger
from ffn_train.running.interruption import Interrupted, Interruption
from ffn_train.runs.checkpoint import Checkpoint, Logs, discard_after, write_checkpoint
from ffn_train.runs.layout import layout_of
from ffn_train.runs.writer import RunWriter
from ffn_train.train.trainer import Record, State

SHOWN = 1.0  # seconds until the bar, which comes after the announcement
COLUMNS = Record._fields[: Record._fields.index("measures")]  # the numbers


def record_training(
    experiment: Experiment,
    state: State,
    path: Path,
    logs: Logs,
    logger: GuardedLogger,
    interruption: Interruption,
    progress: bool,
) -> Record:
    """Train from ``state`` and append to the given logs; returns the last record.

    Raises Interrupted after a signal and writes a checkpoint: of the state after the current step
    or, if that takes too long, of the state before it.
    """
    trainer, identity = experiment.trainer, experiment.identity.digest
    first, layout = state.step, layout_of(experiment.model, trainer.instruments)
    bar_of, shown = _bar()
    bar = bar_of(
        total=trainer.steps,
        initial=state.step,
        unit="step",
        disable=not (progress and shown),
        leave=False,
        mininterval=0.2,
        delay=SHOWN,
    )
    saved = time.monotonic()
    interruption.may_break = lambda: state.between_updates or logger.busy
    with RunWriter(path, layout, logs) as writer, bar:
        discard_after(path, first)  # whose rows are cut off now
        logger.open(path, experiment.config, state.step)
        hung = False  # whether a signal had to break the logger off
        try:
            for record in trainer.fit(state, state_every=experiment.settings.checkpoint.steps):
                evaluated = not math.isnan(record.validation_loss)
                if record.measures or evaluated or experiment.log.due(record.step):
                    row = scalars(record)
                    writer.record(row, record.measures)
                    try:
                        if not hung:
                            logger.log(row, record.measures)
                    except Interrupted:
                        hung = True  # the row and its update are complete: they are saved below
                if state.step > record.step + 1:
                    continue  # it was one of several updates at once, of which more rows follow
                if evaluated:
                    bar.set_postfix(loss=f"{record.validation_loss:.3g}", refresh=False)
                bar.update(record.step - bar.n)
                if record.step == trainer.steps or record.ends:
                    break  # no further step needs a checkpoint
                if interruption.requested is not None:
                    interruption.settle()
                    _save(state, writer, identity)
                    raise Interrupted(interruption.requested)
                if _checkpoint_due(state.step, experiment, saved):
                    _save(state, writer, identity)
                    saved = time.monotonic()
        except Interrupted:
            if state.between_updates and state.step > first:  # in the middle of a step
                _save(state, writer, identity)
            raise
        writer.to_disk()
    return record


def _bar() -> tuple[Any, bool]:
    """The kind of progress bar for where this runs, and whether anyone sees it."""
    notebook = "ipykernel" in sys.modules
    if not notebook or find_spec("ipywidgets") is None:  # without which the other one warns
        return text_bar, notebook or (sys.stderr is not None and sys.stderr.isatty())
    from tqdm.auto import tqdm  # imports more than a command needs

    return tqdm, True


def _checkpoint_due(step: int, experiment: Experiment, saved: float) -> bool:
    """Whether to save before row ``step``, after having ``saved`` last at that time; also before
    the last row, to extend the run from.
    """
    every, last = experiment.settings.checkpoint.steps, experiment.trainer.steps
    if step == last or every is None or step % every:
        return step == last
    return time.monotonic() - saved >= experiment.settings.checkpoint.pause


def scalars(record: Record) -> dict[str, float | None]:
    """A record's row of scalars.csv; None in place of NaN, which is what was not computed."""
    values = zip(COLUMNS, cast("tuple[float, ...]", record), strict=False)
    return {name: None if value != value else value for name, value in values}


def restore(state: State, checkpoint: Checkpoint) -> None:
    """Restore the state from a checkpoint."""
    state.params.vector[...] = checkpoint.parameters
    for name, vector in state.memory.items():
        vector[...] = checkpoint.memory[name]
    state.step = checkpoint.step
    state.progress = checkpoint.progress


def _save(state: State, writer: RunWriter, identity: str) -> None:
    write_checkpoint(
        writer.path,
        Checkpoint(
            step=state.step,
            parameters=state.params.vector,
            memory=state.memory,
            progress=state.progress,
            logs=writer.to_disk(),
            identity=identity,
        ),
    )
