"""One run from start to end: make its directory, log the records, write the outcome."""

from __future__ import annotations

import dataclasses
import math
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ffn_train.divergence import Divergence
from ffn_train.experiment import Experiment
from ffn_train.runs import Run, files, load_run
from ffn_train.runs.provenance import provenance
from ffn_train.runs.writer import RunWriter, make_directory, write_weights
from ffn_train.settings import SettingError
from ffn_train.tasks.least_squares import fit_least_squares, r2
from ffn_train.threads import BlasThreads
from ffn_train.trainer import Record, State


@dataclass(frozen=True)
class Baseline:
    """How well ordinary least squares does on the same validation rows."""

    loss: float
    r2: float


def execute(experiment: Experiment) -> Run:
    """Train, log, write the weights, draw, and write the summary last; returns the run.

    Raises SettingError if the run's directory cannot be made or is in use.
    """
    path = _make_directory(experiment.directory)
    with BlasThreads(experiment.threads) as threads:
        baseline = least_squares(experiment)
        origin = _provenance(experiment, baseline, threads)
        files.write_json(path / files.CONFIG, experiment.config)
        files.write_json(path / files.PROVENANCE, origin)
        state = experiment.trainer.start(experiment.params)
        started = time.perf_counter()
        last, divergence = _train(experiment, state, path)
        seconds = time.perf_counter() - started
    origin["training_seconds"] = seconds
    origin["steps_per_second"] = state.step / seconds
    files.write_json(path / files.PROVENANCE, origin)
    write_weights(path, experiment.model.layout, state.params.vector)
    if experiment.plot.when == "always":
        from ffn_train.plots import draw  # late: matplotlib is the slowest import of a run

        draw(load_run(path), figures=experiment.plot.figures, formats=experiment.plot.formats)
    summary = _summary(load_run(path), last, divergence, baseline)
    files.write_json(path / files.SUMMARY, summary)
    return load_run(path)


def least_squares(experiment: Experiment) -> Baseline:
    """The loss and R² of ordinary least squares on the validation part."""
    data = experiment.data
    predictions = fit_least_squares(data)
    loss = experiment.trainer.loss.value(
        predictions.astype(data.y_validation.dtype), data.y_validation
    )
    return Baseline(loss, r2(data.y_validation, predictions))


def _make_directory(path: Path | None) -> Path:
    stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    try:
        return make_directory(path, stamp)
    except FileExistsError:
        raise SettingError(
            f"run.dir={path} is not empty; name another directory or remove it"
        ) from None
    except OSError as error:
        raise SettingError(f"run.dir={path} cannot be made: {error.strerror}") from None


def _provenance(experiment: Experiment, baseline: Baseline, threads: BlasThreads) -> dict[str, Any]:
    return {
        "schema": files.SCHEMA,
        **provenance(),
        "blas": threads.library,
        "blas_threads": threads.threads,
        "seed": experiment.seed,
        "dtype": experiment.params.vector.dtype.name,
        "parameters": experiment.model.layout.size,
        "training_rows": len(experiment.data.x_train),
        "validation_rows": len(experiment.data.x_validation),
        "inputs": list(experiment.data.input_names),
        "targets": list(experiment.data.target_names),
        "least_squares_loss": baseline.loss,
        "least_squares_r2": baseline.r2,
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
    }


def _train(experiment: Experiment, state: State, path: Path) -> tuple[Record, Divergence | None]:
    trainer = experiment.trainer
    bar = tqdm(
        total=trainer.steps,
        unit="step",
        disable=not sys.stderr.isatty(),
        leave=False,
        mininterval=0.2,
    )
    with RunWriter(path, experiment.model.layout, experiment.model.depth) as writer, bar:
        for record in trainer.fit(state):
            writer.record(scalars(record), record.measures)
            if not math.isnan(record.validation_loss):
                bar.set_postfix(loss=f"{record.validation_loss:.3g}", refresh=False)
            bar.update(record.step - bar.n)
    return record, record.divergence


def scalars(record: Record) -> dict[str, float]:
    """A record's row of the table of scalars."""
    row = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
    return {name: value for name, value in row.items() if name not in ("measures", "divergence")}


def _summary(
    run: Run, last: Record, divergence: Divergence | None, baseline: Baseline
) -> dict[str, Any]:
    validation = run.scalars["validation_loss"]
    measures = run.measures
    return {
        "schema": files.SCHEMA,
        "state": "finished" if divergence is None else "diverged",
        "divergence": None if divergence is None else dataclasses.asdict(divergence),
        "steps": last.step,
        "train_loss": last.loss,
        "validation_loss": last.validation_loss,
        "best_validation_loss": float(min((v for v in validation if v == v), default=math.nan)),
        "validation_r2": last.validation_r2,
        "least_squares_loss": baseline.loss,
        "least_squares_r2": baseline.r2,
        "gradient_ratio_start": float(measures.gradient_ratio[0]),
        "gradient_ratio_end": float(measures.gradient_ratio[-1]),
        "growth_per_block_start": float(measures.growth_per_block[0]),
        "growth_per_block_end": float(measures.growth_per_block[-1]),
    }
