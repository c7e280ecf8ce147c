"""What is left to do in a run's directory: everything, the rest from a checkpoint, or nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ffn_train.config.keys import differences, lasting
from ffn_train.config.settings import SettingError
from ffn_train.runs import files
from ffn_train.runs.checkpoint import Checkpoint, Damaged, checkpoints, read_checkpoint
from ffn_train.runs.directory import is_empty
from ffn_train.runs.files import RunError, read_json


@dataclass(frozen=True)
class Plan:
    """``done``: the directory holds this very run, ended. ``checkpoint``: where to go on from."""

    done: bool
    checkpoint: Checkpoint | None
    notes: tuple[str, ...] = ()


def plan(path: Path, config: Mapping[str, Any], provenance: Mapping[str, Any]) -> Plan:
    """Compare the run that is asked for with what a directory holds; nothing is written.

    Raises SettingError if the directory holds something else.
    """
    if is_empty(path):
        return Plan(done=False, checkpoint=None)
    if not (path / files.CONFIG).is_file():
        raise SettingError(f"run.dir={path} is not empty and holds no run; name another directory")
    before = read_json(path / files.CONFIG)
    _refuse_other(path, before, config, provenance)
    steps, wanted = before["trainer"]["steps"], config["trainer"]["steps"]
    ended = (path / files.SUMMARY).is_file()
    if ended and steps == wanted:
        return Plan(done=True, checkpoint=None)
    checkpoint, damaged = _newest(path, last_usable(path))
    notes = [*damaged, *_other_bits(path, provenance)]
    if checkpoint is None:
        notes.append(f"{path} has no usable checkpoint: starting again from step 0")
    elif ended:
        notes.append(f"{path} ended at step {steps}: extended to {wanted}")
    else:
        notes.append(f"{path} continues at step {checkpoint.step}")
    return Plan(done=False, checkpoint=checkpoint, notes=tuple(notes))


def _refuse_other(
    path: Path, before: Mapping[str, Any], config: Mapping[str, Any], now: Mapping[str, Any]
) -> None:
    old, new = lasting(before), lasting(config)
    steps, wanted = old.pop("trainer.steps", None), new.pop("trainer.steps")
    differing = differences(old, new)
    if not isinstance(steps, int) or wanted < steps:
        differing.append(f"trainer.steps={steps!r} there, {wanted!r} here (it can only grow)")
    origin = read_json(path / files.PROVENANCE) if (path / files.PROVENANCE).is_file() else {}
    there, here = (sorted(record.get("parts", {}).items()) for record in (origin, now))
    if [digest for _, digest in there] != [digest for _, digest in here]:
        differing.append(f"parts with the content {_short(there)} there, {_short(here)} here")
    if differing:
        raise SettingError(f"run.dir={path} holds another run: {'; '.join(differing)}")


def _short(parts: list[tuple[str, str]]) -> str:
    return ", ".join(f"{name} {digest[:8]}" for name, digest in parts) or "(none)"


def last_usable(path: Path) -> int:
    """The last step that a run can go on from; older versions left checkpoints behind it.

    They lie behind the last row, which takes no update, or behind the step at which it diverged.
    Raises RunError.
    """
    summary = read_json(path / files.SUMMARY) if (path / files.SUMMARY).is_file() else {}
    trainer = read_json(path / files.CONFIG).get("trainer")
    for section, key in ((summary.get("divergence"), "step"), (trainer, "steps")):
        if isinstance(section, dict) and isinstance(section.get(key), int):
            return int(section[key])
    raise RunError(f"{path / files.CONFIG}: it has no trainer.steps")


def _newest(path: Path, steps: int) -> tuple[Checkpoint | None, list[str]]:
    """The last checkpoint that is whole and not behind the last step to go on from."""
    damaged: list[str] = []
    for candidate in reversed(checkpoints(path)):
        try:
            checkpoint = read_checkpoint(candidate)
            if checkpoint.step <= steps:
                return checkpoint, damaged
        except Damaged as error:
            damaged.append(f"damaged checkpoint, using the one before: {error}")
    return None, damaged


def _other_bits(path: Path, now: Mapping[str, Any]) -> Iterator[str]:
    """Notes on what may make the rest differ in its last bits from an undisturbed run."""
    before = read_json(path / files.PROVENANCE) if (path / files.PROVENANCE).is_file() else now
    for key, what, default in (
        ("blas_threads", "BLAS threads", None),
        ("blas", "the BLAS library", None),
        ("shards", "shards of a batch", 1),
        ("validation_shards", "shards of the validation part", 1),
        ("engine", "the engine", "numpy"),
    ):
        then = before.get(key, default)
        if then != now[key]:
            yield (
                f"{what} was {then}, is {now[key]}: products are summed in another "
                "order, so the last bits may differ from an undisturbed run"
            )
    for package in ("numpy", "numba") if now["engine"] == "compiled" else ("numpy",):
        then, here = (before.get("packages") or {}).get(package), now["packages"][package]
        if then not in (here, None):
            yield (
                f"{package} was {then}, is {here}: its functions may round otherwise, "
                "so the last bits may differ from an undisturbed run"
            )
