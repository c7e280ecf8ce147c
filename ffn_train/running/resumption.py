"""Decides how a run continues in its directory: from the start, a checkpoint, or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from ffn_train.config.keys import dotted
from ffn_train.config.settings import SettingError
from ffn_train.running.experiment import Experiment
from ffn_train.runs import files
from ffn_train.runs.checkpoint import Checkpoint, checkpoints, newest_step, read_checkpoint
from ffn_train.runs.directory import is_empty
from ffn_train.runs.files import RunError, read_json
from ffn_train.runs.identity import STEPS_KEY, Identity
from ffn_train.runs.provenance import Leg, Origin, Provenance, read_provenance
from ffn_train.runs.status import written_status
from ffn_train.runs.summary import Summary, read_summary
from ffn_train.train.trainer import Trainer


@dataclass(frozen=True)
class Plan:
    """``done``: the directory holds this run, ended. ``checkpoint``: the one to resume from."""

    done: bool
    checkpoint: Checkpoint | None
    notes: tuple[str, ...] = ()


def plan(path: Path, experiment: Experiment, provenance: Provenance) -> Plan:
    """Compare the requested run with that in a directory; nothing is written.

    Raises SettingError if the directory holds something else.
    """
    if is_empty(path):
        return Plan(done=False, checkpoint=None)
    if not files.there(path / files.CONFIG):
        raise SettingError(f"run.dir={path} is not empty and holds no run; name another directory")
    config = read_json(path / files.CONFIG)
    origin = read_provenance(path)
    stored = Identity.of(config, origin.parts or {}, origin.data)
    requested = experiment.identity
    begun = (files.PROVENANCE, files.CHECKPOINTS, files.SUMMARY)
    if not any(files.there(path / name) for name in begun):  # killed before it wrote them down
        stored = replace(stored, parts=requested.parts, data=requested.data)
    elif not checkpoints(path) and (last := written_status(path)) and last.state == "failed":
        # it starts again; the part may have caused the failure and been fixed
        stored = replace(stored, parts=requested.parts)
    stored_steps, steps = _planned(config), experiment.trainer.steps
    differing = stored.differences(requested)
    summary = read_summary(path)
    # what has not ended may also take fewer steps than it was meant to
    least = (stored_steps if summary is not None else newest_step(path)) or 0
    if stored_steps is None or steps < least:
        taken = "it can only grow" if summary is not None else f"it has taken {least}"
        differing.append(f"{STEPS_KEY}={stored_steps!r} there, {steps!r} here ({taken})")
    if differing or stored_steps is None:
        raise SettingError(f"run.dir={path} holds another run: {'; '.join(differing)}")
    if summary is not None and (stored_steps == steps or summary.state != "finished"):
        return Plan(done=True, checkpoint=None, notes=(f"{path} {_ended(summary)}",))
    folder = path / files.CHECKPOINTS
    if files.there(folder) and (folder.is_symlink() or not folder.is_dir()):
        what = "a link" if folder.is_symlink() else "not a directory"
        raise SettingError(f"run.dir={path}: {folder} is {what}, so no checkpoint can be written")
    checkpoint, notes = _newest(path, last_usable(path), requested.digest)
    if checkpoint is None and summary is not None:
        why = f"{notes[0]}; restore the file" if notes else "it has none; restore one"
        raise SettingError(
            f"run.dir={path} has ended, and no checkpoint can be used to extend it: {why} or name "
            "another directory"
        )
    notes += _other_bits(path, provenance)
    if stored.data is None and requested.data:
        notes.append(
            f"{path} is of an old version without a digest of its rows: they are not compared"
        )
    if checkpoint is None:
        notes.append(f"{path} has no usable checkpoint: starting again from step 0")
        return Plan(done=False, checkpoint=None, notes=tuple(notes))
    rates = [_rate(experiment.trainer, checkpoint.step, n) for n in (stored_steps, steps)]
    if rates[0] != rates[1]:
        stretched = "stretched" if steps > stored_steps else "compressed"
        notes.append(
            f"the schedule is {stretched} to {steps} steps: at step {checkpoint.step} the rate "
            f"goes from {rates[0]:.3g} to {rates[1]:.3g}, so the run differs from one of "
            f"{steps} steps"
        )
    if summary is not None:
        notes.append(f"{path} was {summary.state} at step {summary.steps}, now goes on to {steps}")
    else:
        notes.append(f"{path} continues at step {checkpoint.step}")
    return Plan(done=False, checkpoint=checkpoint, notes=tuple(notes))


def _ended(summary: Summary) -> str:
    """How a run has ended, and whether more steps extend it."""
    if summary.state == "finished":
        return "has ended already; a larger trainer.steps extends it"
    if summary.state == "diverged":
        return "has diverged, so it cannot be extended"
    why = summary.divergence.reason if summary.divergence else summary.stopped
    return f"was stopped ({why}); more steps do not extend it"


def _rate(trainer: Trainer, step: int, steps: int) -> float:
    return trainer.optimizer.lr * trainer.schedule.rate(step, steps)


def legs(
    path: Path, now: Provenance, trainer: Trainer, checkpoint: Checkpoint | None
) -> tuple[Leg, ...]:
    """The legs of a run up to a checkpoint, and the one that starts now."""
    first, earlier = 0, tuple[Leg, ...]()
    if checkpoint is not None:
        first, before = checkpoint.step, read_provenance(path)
        # a run of an old version has none
        earlier = before.legs or (_leg(before, 0, _planned(read_json(path / files.CONFIG))),)
    coming = replace(_leg(now, first, trainer.steps), lr=_rate(trainer, first, trainer.steps))
    if earlier and earlier[-1].steps is not None:
        coming = replace(coming, lr_before=_rate(trainer, first, earlier[-1].steps))
    return (*earlier, coming)


def _leg(origin: Provenance, first: int, steps: int | None) -> Leg:
    shared = {field.name: getattr(origin, field.name) for field in fields(Origin)}
    return Leg(first=first, steps=steps, **shared)


def last_usable(path: Path) -> int:
    """The last step that a run can resume from: the last row's, or the one at which it diverged.

    Old versions left checkpoints after it. Raises RunError.
    """
    summary = read_summary(path)
    if summary is not None and summary.divergence is not None:
        return summary.divergence.step
    steps = _planned(read_json(path / files.CONFIG))
    if steps is None:
        raise RunError(f"{path / files.CONFIG}: it has no trainer.steps")
    return steps


def _planned(config: Mapping[str, Any]) -> int | None:
    """The number of steps in a run's settings; None where these have none."""
    steps = dotted(config).get(STEPS_KEY)
    return steps if isinstance(steps, int) else None


def _newest(path: Path, steps: int, identity: str) -> tuple[Checkpoint | None, list[str]]:
    """The last undamaged checkpoint up to ``steps`` that matches the run, of this identity, and its
    logs, if any, and notes on damaged ones.
    """
    unusable: list[str] = []
    for candidate in reversed(checkpoints(path)):
        try:
            checkpoint = read_checkpoint(candidate)
            if checkpoint.step <= steps:
                checkpoint.check(path, identity)
                return checkpoint, [f"using the checkpoint before: {error}" for error in unusable]
        except RunError as error:
            unusable.append(str(error))
    return None, unusable


def _other_bits(path: Path, now: Provenance) -> Iterator[str]:
    """Notes on differences that may change the last bits, compared with an uninterrupted run."""
    before = read_provenance(path) if files.there(path / files.PROVENANCE) else now
    for key, what, default in (
        ("blas_threads", "BLAS threads", None),
        ("blas", "the BLAS library", None),
        ("shards", "shards of a batch", 1),
        ("validation_shards", "shards of the validation part", 1),
        ("engine", "the engine", "numpy"),
    ):
        earlier, current = getattr(before, key), getattr(now, key)
        earlier = default if earlier is None else earlier
        if earlier != current:
            yield (
                f"{what} was {earlier}, is {current}: products are summed in another "
                "order, so the last bits may differ from an uninterrupted run"
            )
    for package in ("numpy", "numba") if now.engine == "compiled" else ("numpy",):
        earlier, current = ((origin.packages or {}).get(package) for origin in (before, now))
        if earlier not in (current, None):
            yield (
                f"{package} was {earlier}, is {current}: its functions may round differently, "
                "so the last bits may differ from an uninterrupted run"
            )
