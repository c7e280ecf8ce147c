"""provenance.json: the command, code, libraries and machine that produced a run's numbers."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ffn_train import __version__
from ffn_train.runs import files, records
from ffn_train.runs.score import ScoreDeclared
from ffn_train.tasks.outliers import Outliers

PACKAGES = (
    *("numpy", "hydra-core", "omegaconf", "matplotlib", "safetensors", "threadpoolctl"),
    *("pandas", "numba", "scipy"),
)


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What computed a part of a run; None for what its file does not tell.

    ``code``: the commit and whether the tree was dirty.
    """

    command: tuple[str, ...] | None = None
    code: Mapping[str, Any] | None = None
    packages: Mapping[str, Any] | None = None
    blas: str | None = None
    blas_threads: int | None = None
    shards: int | None = None
    engine: str | None = None
    started: str | None = None


@dataclass(frozen=True)
class Leg(Origin):
    """A part of a run's training that one process did without interruption.

    ``first``: its first row. ``steps``: the planned length of the run. ``lr``: the learning rate of
    the first row's update, and ``lr_before``: that of the earlier leg's schedule at this step; they
    differ if the schedule was stretched. None: unknown.
    """

    first: int
    steps: int | None = None
    lr: float | None = None
    lr_before: float | None = None

    @property
    def stretched(self) -> bool:
        """Whether the schedule, which depends on the run's length, gave another rate from here."""
        return self.lr_before is not None and self.lr != self.lr_before


@dataclass(frozen=True)
class Provenance(Origin):
    """Where a run comes from.

    ``parts``: the digests of parts from outside, ``observers`` those of parts with figures and
    loggers alone; ``data``: the digest of the rows, "" where settings and seed decide them.
    ``kind``: of the targets, regression, classes or a part's own. ``score``: as the task declares
    it; ``baseline_loss``: of the score's baseline; ``trivial_loss``: of the trivial model on the
    training rows; ``loss_unit``: of all losses, in words. ``legs``: all that the run had; the last
    one is what the rest tells of. The last three are times and rates, known at the end of the run.
    """

    python: str | None = None
    platform: str | None = None
    processor: str | None = None
    validation_shards: int | None = None
    parts: Mapping[str, str] | None = None
    observers: Mapping[str, str] | None = None
    data: str | None = None
    seed: int | None = None
    dtype: str | None = None
    parameters: int | None = None
    training_rows: int | None = None
    validation_rows: int | None = None
    test_rows: int | None = None
    kind: str | None = None
    inputs: tuple[str, ...] | None = None
    targets: tuple[str, ...] | None = None
    score: ScoreDeclared | None = None
    baseline_loss: float | None = None
    trivial_loss: float | None = None
    loss_unit: str | None = None
    outliers: Outliers | None = None
    legs: tuple[Leg, ...] = ()
    training_seconds: float | None = None
    measuring_seconds: float | None = None
    steps_per_second: float | None = None


def read_provenance(run: Path) -> Provenance:
    """The provenance in a run's directory, without the file all None. Raises RunError."""
    return records.read(Provenance, run / files.PROVENANCE) or Provenance()


def surroundings() -> dict[str, Any]:
    """The command, the commit and whether the tree was dirty, versions, and the processor.

    All but the command are looked up once per process, whose code does not change either.
    """
    return {
        "command": tuple(sys.argv),
        "code": dict(_code()),
        "python": platform.python_version(),
        "packages": {"ffn_train": __version__, **{name: _version(name) for name in PACKAGES}},
        "platform": platform.platform(),
        "processor": _processor(),
    }


@cache
def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@cache
def _code() -> dict[str, Any]:
    """The checkout's commit and whether it is dirty; None outside a checkout."""
    root = Path(__file__).resolve().parents[2]
    if (root / ".git").exists():
        with suppress(OSError, subprocess.SubprocessError):
            commit = _git(root, "rev-parse", "HEAD").strip()
            dirty = bool(_git(root, "status", "--porcelain", "--untracked-files=no").strip())
            return {"commit": commit, "dirty": dirty}
    return {"commit": None, "dirty": None}


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True, timeout=10
    ).stdout


@cache
def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
