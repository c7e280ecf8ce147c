"""One run from start to end: makes its directory, logs the records, writes the results."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

from ffn_train.config.outside import located, place_in_part
from ffn_train.config.overrides import command, written
from ffn_train.config.settings import counted, described
from ffn_train.nn.engine import NUMPY
from ffn_train.plots import Undrawn, draw, undrawn
from ffn_train.report.conclusion import conclude
from ffn_train.running import Notify
from ffn_train.running.expectation import expectation
from ffn_train.running.experiment import Experiment
from ffn_train.running.guard import GuardedLogger
from ffn_train.running.interruption import SOON, Interrupted, Interruption
from ffn_train.running.later import later
from ffn_train.running.recording import record_training, restore
from ffn_train.running.resumption import legs, plan
from ffn_train.running.scoring import declared, final_scores
from ffn_train.runs import Run, files, load_run, records
from ffn_train.runs.checkpoint import NO_LOGS, Checkpoint, newest_step
from ffn_train.runs.directory import claim
from ffn_train.runs.outputs import Outputs
from ffn_train.runs.provenance import Provenance, surroundings
from ffn_train.runs.status import Status
from ffn_train.runs.writer import write_weights
from ffn_train.train.threads import BlasThreads
from ffn_train.train.trainer import BEST, Record, State

PROMPT = 0.3  # seconds: a result that comes sooner needs no announcement
RUNS = Path("outputs") / "runs"  # parent of the new directory of a run without a run.dir


def execute(
    experiment: Experiment,
    notify: Notify,
    *,
    announce: Notify | None = None,
    stop: Path | None = None,
    progress: bool = True,
) -> Run:
    """Train, log, write weights and summary, and draw the figures; returns the run.

    If its directory already holds the run, it resumes from the last checkpoint or, if the run has
    ended, draws the missing figures. ``notify`` gets warnings and notes, a line each; ``announce``
    a line about model and data if training takes longer than ``PROMPT`` seconds. The file ``stop``
    interrupts the run once it exists; ``progress`` shows a bar on a terminal. Figures that cannot
    be drawn are only warned of.
    Raises SettingError if the directory cannot be made, is in use or holds something else;
    Interrupted after a signal; OSError if writing fails, which names the file and has a note on how
    to resume.
    """
    for note in (*experiment.notes, *(f"warning: {text}" for text in experiment.warnings)):
        notify(note)
    with BlasThreads(experiment.threads) as threads:
        origin = _provenance(experiment, threads)
        if experiment.directory is not None and experiment.directory.is_dir():
            plan(experiment.directory, experiment, origin)  # refuses before a lock is made
        with claim("run.dir", experiment.directory, RUNS) as path:
            what = plan(path, experiment, origin)
            delay = experiment.model.engine.delay()
            for note in (*what.notes, *([delay] if delay else [])):
                notify(note)
            if what.done:
                run = load_run(path)
                _draw(experiment, run, notify, again=False)
                return run
            about = f"{_about(experiment)}; files in {path}"
            with (
                _ending(path),
                later(PROMPT, partial(announce, about)) if announce else nullcontext(),
                Interruption(stop=stop) as interruption,
                GuardedLogger(experiment.logger, notify) as logger,
            ):
                origin = replace(
                    origin, legs=legs(path, origin, experiment.trainer, what.checkpoint)
                )
                _write_settings(experiment, path, origin, notify)
                state = _beginning(experiment, what.checkpoint)
                first, started = state.step, time.perf_counter()
                logs = NO_LOGS if what.checkpoint is None else what.checkpoint.logs
                last = record_training(
                    experiment, state, path, logs, logger, interruption, progress
                )
                seconds = time.perf_counter() - started
                origin = replace(
                    origin,
                    training_seconds=seconds,
                    measuring_seconds=state.measuring,
                    steps_per_second=(state.step - first) / seconds,
                )
                run = _write_results(experiment, path, state, last, origin)
            _draw(experiment, run, notify)
            with Interruption(patience=SOON):
                logger.close(run.state or "")
            return run


def _about(experiment: Experiment) -> str:
    """The model, the number of steps and the data, in words."""
    model, data, task = experiment.model, experiment.data, experiment.config["task"]
    names = data.target_names
    several = f"{len(names)} {'classes' if experiment.kind == 'classes' else 'targets'}"
    targets = names[0] if len(names) == 1 else several
    source = f" {task['path']}" if task.get("path") else ""
    return (
        f"training {counted(model.depth, 'block')} of width {model.width} "
        f"({model.layout.size:,} parameters) "
        f"for {counted(experiment.trainer.steps, 'step')} "
        f"with engine={experiment.config['engine']} "
        f"on {task['name']}{source}: {targets} from "
        f"{len(data.input_names)} inputs, {len(data.x_train):,} training and "
        f"{len(data.x_validation):,} validation rows"
    )


@contextmanager
def _ending(path: Path) -> Iterator[None]:
    """A context that records in the status why a run ended prematurely."""
    try:
        yield
    except Interrupted as error:
        error.path, error.checkpoint = path, newest_step(path)
        with suppress(OSError):
            Status("interrupted", str(error)).write(path)
        raise
    except BaseException as error:
        with suppress(OSError):
            Status("failed", located(error)).write(path)
        ends = SystemExit if not place_in_part(error) else (SystemExit, KeyboardInterrupt)
        if isinstance(error, ends):  # from a part, which must not end the program
            raise RuntimeError(described(error)).with_traceback(error.__traceback__) from None
        if isinstance(error, OSError):
            step = newest_step(path)
            then = (
                "starts again: it has no checkpoint" if step is None else f"goes on at step {step}"
            )
            again = f"the same command with {shlex.quote(written('run.dir', str(path)))}"
            error.add_note(f"once that is fixed, {again} {then}")
        raise


def _write_settings(experiment: Experiment, path: Path, origin: Provenance, notify: Notify) -> None:
    """Write what is known before the first step, and what theory predicts of it."""
    Status("running").write(path)  # first: without a summary the status says how a run ended
    if files.there(path / files.SUMMARY):
        (path / files.SUMMARY).unlink()
        files.flush_directory(path)  # no power loss brings it back beside other settings
    # the first checkpoint makes these durable, too; until then there is nothing to lose
    files.write_json(path / files.CONFIG, experiment.config, durable=False)
    records.write(path / files.PROVENANCE, origin)
    files.write_json(path / files.DATA, experiment.exact.to_json(), durable=False)
    files.write_json(path / files.THEORY, expectation(experiment, notify), durable=False)


def _beginning(experiment: Experiment, checkpoint: Checkpoint | None) -> State:
    """The state to train from, with what a step needs compiled: not a part of the training."""
    trainer, every = experiment.trainer, experiment.settings.checkpoint.steps
    if trainer.model.engine is not NUMPY:
        next(trainer.fit(trainer.start(experiment.params), state_every=every))
    state = trainer.start(experiment.params)
    experiment.forget_params()
    if checkpoint is not None:
        restore(state, checkpoint)
    return state


def _write_results(
    experiment: Experiment, path: Path, state: State, last: Record, origin: Provenance
) -> Run:
    """Write weights, predictions and summary of a run that has ended; returns the run."""
    records.write(path / files.PROVENANCE, origin)
    layout, params = experiment.model.layout, state.params
    write_weights(path / files.WEIGHTS, layout.named(params.vector))
    if state.kept is not None:
        params = layout.views(state.memory[BEST])
        write_weights(path / files.BEST, layout.named(params.vector))
    outputs, scores = final_scores(experiment, params)
    Outputs.of(experiment.exact, experiment.kind, outputs).write(path)
    return conclude(path, last.divergence, last.stopped, kept_step=state.kept, **scores)


def _draw(experiment: Experiment, run: Run, notify: Notify, *, again: bool = True) -> None:
    """Draw the requested figures, unless ``again`` only the missing ones; errors are warnings."""
    plot = experiment.plot
    if plot.when == "never":
        return
    parts = ",".join([*experiment.parts, *experiment.observers])
    words = ["--parts", parts] if parts else []

    def to_draw(*more: str) -> str:
        return command(*words, *more, module="ffn_train.plots", path=run.path)

    try:
        with Interruption(patience=SOON):
            figures = plot.figures if again else undrawn(run, plot.figures, plot.formats)
            if figures != []:
                draw(run, figures=figures, formats=plot.formats, notify=notify)
    except Interrupted as error:
        notify(f"figures interrupted by {error}; to draw them: {to_draw()}")
    except Undrawn as error:
        for name, reason in error.reasons.items():
            then = f"once that is fixed, to draw it: {to_draw('--figures', name)}"
            notify(f"warning: figure {name} left out: {reason}; {then}")
    except BaseException as error:  # also from parts
        then = f"once that is fixed, to draw them: {to_draw()}"
        notify(f"warning: figures left out: {described(error)}; {then}")


def _provenance(experiment: Experiment, threads: BlasThreads) -> Provenance:
    trainer, data = experiment.trainer, experiment.data
    score, outputs = declared(trainer.score, experiment.exact)
    baseline_loss, targets = None, data.y_validation
    if outputs is not None:
        baseline_loss = float(trainer.loss.value(outputs.astype(targets.dtype), targets))
    return Provenance(
        **surroundings(),
        blas=threads.library,
        blas_threads=threads.threads,
        shards=trainer.shards * trainer.turns,
        validation_shards=trainer.validation_shards,
        engine=experiment.config["engine"],
        parts=dict(experiment.parts),
        observers=dict(experiment.observers),
        data=experiment.data.digest,
        seed=experiment.settings.seed,
        dtype=experiment.settings.dtype,
        parameters=experiment.model.layout.size,
        training_rows=len(data.x_train),
        validation_rows=len(data.x_validation),
        test_rows=len(data.x_test) or None,
        kind=experiment.kind,
        inputs=data.input_names,
        targets=data.target_names,
        score=score,
        baseline_loss=baseline_loss,
        trivial_loss=trainer.trivial_loss,
        loss_unit=experiment.loss_unit,
        outliers=experiment.data.outliers,
        started=datetime.now().astimezone().isoformat(timespec="seconds"),
    )
