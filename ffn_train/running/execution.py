"""One run from start to end: make its directory, log the records, write the outcome."""

from __future__ import annotations

import dataclasses
import math
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from ffn_train.config.settings import first_line
from ffn_train.report.verdict import verdict
from ffn_train.running import Notify
from ffn_train.running.expectation import expectation
from ffn_train.running.experiment import Experiment
from ffn_train.running.interruption import Interrupted, Interruption
from ffn_train.running.recording import record_training, restore
from ffn_train.running.resumption import plan
from ffn_train.runs import Run, files, load_run
from ffn_train.runs.checkpoint import Checkpoint, newest_step
from ffn_train.runs.directory import claim
from ffn_train.runs.provenance import provenance
from ffn_train.runs.status import Status
from ffn_train.runs.writer import write_weights
from ffn_train.tasks.least_squares import fit_least_squares, r2
from ffn_train.train.threads import BlasThreads
from ffn_train.train.trainer import Record

RUNS = Path("outputs") / "runs"  # where a run without a run.dir gets a new directory


def execute(
    experiment: Experiment, notify: Notify, *, stop: Path | None = None, progress: bool = True
) -> Run:
    """Train, log, write the weights and the summary, and then draw; returns the run.

    In a directory that holds this very run it goes on from the last checkpoint, or does nothing if
    the run has ended. ``notify`` is told, in a line each, what a person should know. The file
    ``stop`` interrupts the run once it exists; ``progress`` shows a bar where a person looks on.
    Figures that cannot be drawn are warned of: the run is what it is without them.
    Raises SettingError if the directory cannot be made, is in use or holds something else;
    Interrupted after a signal; OSError if the disk fails, which names the file and has a note that
    says from where the run goes on.
    """
    for warning in experiment.warnings:
        notify(f"warning: {warning}")
    with BlasThreads(experiment.threads) as threads:
        origin = _provenance(experiment, threads)
        if experiment.directory is not None and experiment.directory.is_dir():
            plan(experiment.directory, experiment.config, origin)  # refuse before the lock is made
        with claim("run.dir", experiment.directory, RUNS) as path:
            what = plan(path, experiment.config, origin)
            delay = experiment.model.engine.delay()
            for note in (*what.notes, *([delay] if delay else [])):
                notify(note)
            if what.done:
                notify(f"{path} has ended already; a larger trainer.steps extends it")
                return load_run(path)
            with _ending(path), Interruption(stop=stop) as interruption:
                run = _carry_out(experiment, path, what.checkpoint, origin, interruption, progress)
            _draw(experiment, run, notify)
            return run


@contextmanager
def _ending(path: Path) -> Iterator[None]:
    """Write down why a run ended before its time."""
    try:
        yield
    except Interrupted as error:
        error.path, error.checkpoint = path, newest_step(path)
        with suppress(OSError):
            Status("interrupted", str(error)).write(path)
        raise
    except Exception as error:
        with suppress(OSError):
            Status("failed", f"{type(error).__name__}: {error}").write(path)
        if isinstance(error, OSError):
            step = newest_step(path)
            then = (
                "starts again: it has no checkpoint" if step is None else f"goes on at step {step}"
            )
            error.add_note(f"the same command with run.dir={shlex.quote(str(path))} {then}")
        raise


def _carry_out(
    experiment: Experiment,
    path: Path,
    checkpoint: Checkpoint | None,
    origin: dict[str, Any],
    interruption: Interruption,
    progress: bool,
) -> Run:
    (path / files.SUMMARY).unlink(missing_ok=True)
    Status("running").write(path)
    # until the first checkpoint there is nothing to keep; it makes these durable, too
    files.write_json(path / files.CONFIG, experiment.config, durable=False)
    files.write_json(path / files.PROVENANCE, origin, durable=False)
    files.write_json(path / files.THEORY, expectation(experiment), durable=False)
    state = experiment.trainer.start(experiment.params)
    if checkpoint is not None:
        restore(state, checkpoint)
    first = state.step
    started = time.perf_counter()
    last = record_training(experiment, state, path, checkpoint, interruption, progress)
    seconds = time.perf_counter() - started
    origin["training_seconds"] = seconds
    origin["measuring_seconds"] = state.measuring
    origin["steps_per_second"] = (state.step - first) / seconds
    files.write_json(path / files.PROVENANCE, origin, durable=False)
    write_weights(path, experiment.model.layout, state.params.vector)
    run = load_run(path)
    summary = files.finite(_summary(run, last))
    files.write_json(path / files.SUMMARY, summary)  # with its name, those of all before it last
    with suppress(OSError):  # the summary is what counts
        Status(summary["state"], str(last.divergence or "")).write(path)
    return dataclasses.replace(run, summary=summary, state=summary["state"])


def _draw(experiment: Experiment, run: Run, notify: Notify) -> None:
    """Draw what is asked for; that it cannot be drawn is said, and is no failure of the run."""
    if experiment.plot.when == "never":
        return
    command = f"python -m ffn_train.plots {shlex.quote(str(run.path))}"
    try:
        from ffn_train.plots import draw  # late: matplotlib is the slowest import of a run

        draw(run, figures=experiment.plot.figures, formats=experiment.plot.formats)
    except KeyboardInterrupt:
        notify(f"figures interrupted; {command} draws them")
    except Exception as error:
        notify(f"warning: figures left out: {first_line(error)}; {command} draws them")


def _provenance(experiment: Experiment, threads: BlasThreads) -> dict[str, Any]:
    targets = experiment.data.y_validation
    predictions = fit_least_squares(experiment.data)
    return {
        "schema": files.SCHEMA,
        **provenance(),
        "blas": threads.library,
        "blas_threads": threads.threads,
        "shards": experiment.trainer.shards,
        "validation_shards": experiment.trainer.validation_shards,
        "engine": experiment.config["engine"],
        "parts": dict(experiment.parts),
        "seed": experiment.seed,
        "dtype": experiment.params.vector.dtype.name,
        "parameters": experiment.model.layout.size,
        "training_rows": len(experiment.data.x_train),
        "validation_rows": len(experiment.data.x_validation),
        "inputs": list(experiment.data.input_names),
        "targets": list(experiment.data.target_names),
        "least_squares_loss": experiment.trainer.loss.value(
            predictions.astype(targets.dtype), targets
        ),
        "least_squares_r2": r2(targets, predictions),
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
    }


def _summary(run: Run, last: Record) -> dict[str, Any]:
    validation = run.scalars["validation_loss"]
    measures, divergence, ratio = run.measures, last.divergence, run.worst_ratio
    return {
        "schema": files.SCHEMA,
        "state": "finished" if divergence is None else "diverged",
        "divergence": None if divergence is None else dataclasses.asdict(divergence),
        "steps": last.step,
        "train_loss": last.loss,
        "validation_loss": last.validation_loss,
        "best_validation_loss": float(min((v for v in validation if v == v), default=math.nan)),
        "validation_r2": last.validation_r2,
        **{key: run.provenance[key] for key in ("least_squares_loss", "least_squares_r2")},
        "gradient_ratio_start": float(measures.gradient_ratio[0]),
        "gradient_ratio_end": float(measures.gradient_ratio[-1]),
        "growth_per_block_start": float(measures.growth_per_block[0]),
        "growth_per_block_end": float(measures.growth_per_block[-1]),
        "verdict": verdict(run, diverged=divergence is not None),
        "theory": None if ratio is None else dataclasses.asdict(ratio),
    }
