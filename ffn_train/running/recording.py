"""The trainer's records into the run's files: rows, checkpoints, the bar, stopping when asked."""

from __future__ import annotations

import math
import sys
from pathlib import Path

from tqdm import tqdm

from ffn_train.running.experiment import Experiment
from ffn_train.running.interruption import Interrupted, Interruption
from ffn_train.runs.checkpoint import Checkpoint, write_checkpoint
from ffn_train.runs.writer import RunWriter
from ffn_train.train.trainer import Record, State


def record_training(
    experiment: Experiment,
    state: State,
    path: Path,
    checkpoint: Checkpoint | None,
    interruption: Interruption,
    progress: bool,
) -> Record:
    """Train from ``state`` and write what comes, on top of what a checkpoint had; the last record.

    Raises Interrupted after a signal, with a checkpoint written: of the state after the step under
    way or, where that takes too long, of the state before it.
    """
    trainer, model, first = experiment.trainer, experiment.model, state.step
    bar = tqdm(
        total=trainer.steps,
        initial=state.step,
        unit="step",
        disable=not (progress and sys.stderr is not None and sys.stderr.isatty()),
        leave=False,
        mininterval=0.2,
    )
    interruption.may_break = lambda: state.between_updates
    with RunWriter(path, model.layout, model.depth, checkpoint) as writer, bar:
        try:
            for record in trainer.fit(state):
                if _logged(record, experiment):
                    writer.record(scalars(record), record.measures)
                if not math.isnan(record.validation_loss):
                    bar.set_postfix(loss=f"{record.validation_loss:.3g}", refresh=False)
                bar.update(record.step - bar.n)
                if record.step == trainer.steps or record.divergence is not None:
                    break  # there is nothing to go on to
                if interruption.requested is not None:
                    interruption.settle()
                    _save(state, writer)
                    raise Interrupted(interruption.requested)
                if _checkpoint_due(state.step, experiment):
                    _save(state, writer)
        except Interrupted:
            if state.between_updates and state.step > first:  # in the middle of a step
                _save(state, writer)
            raise
        writer.to_disk()
    return record


def _logged(record: Record, experiment: Experiment) -> bool:
    extraordinary = record.measures is not None or not math.isnan(record.validation_loss)
    return extraordinary or experiment.log.due(record.step)


def _checkpoint_due(step: int, experiment: Experiment) -> bool:
    """``step`` is that of the row to come; the last row can be taken again to extend a run."""
    every, last = experiment.checkpoint_every, experiment.trainer.steps
    return step == last or (every is not None and step % every == 0)


def scalars(record: Record) -> dict[str, float]:
    """A record's row of the table of scalars."""
    row = record._asdict()
    return {name: value for name, value in row.items() if name not in ("measures", "divergence")}


def restore(state: State, checkpoint: Checkpoint) -> None:
    """Put the state where the checkpoint was taken."""
    state.params.vector[...] = checkpoint.parameters
    for name, vector in state.memory.items():
        vector[...] = checkpoint.memory[name]
    state.step, state.hopeless_for = checkpoint.step, checkpoint.hopeless_for


def _save(state: State, writer: RunWriter) -> None:
    scalars_bytes, measures_rows = writer.to_disk()
    write_checkpoint(
        writer.path,
        Checkpoint(
            step=state.step,
            parameters=state.params.vector,
            memory=state.memory,
            hopeless_for=state.hopeless_for,
            scalars_bytes=scalars_bytes,
            measures_rows=measures_rows,
        ),
    )
