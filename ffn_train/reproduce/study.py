"""The studies: found by their folder, loaded by path, run from measurement to figure."""

from __future__ import annotations

import errno
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ffn_train.config.places import EXPERIMENTS
from ffn_train.config.settings import one_of
from ffn_train.reproduce import table
from ffn_train.reproduce.claim import Claim
from ffn_train.runs import files
from ffn_train.train.threads import BlasThreads

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCRIPT, CLAIMS, FIGURE = "study.py", "claims.csv", "figure.png"


@dataclass(frozen=True)
class Study:
    """``experiments/NAME/study.py``: what it measures, what that says of the claims, its figure.

    ``measure()`` returns the results that ``claims`` and ``figure`` are functions of; ``question``
    is the first line of the file.
    """

    name: str
    folder: Path
    question: str
    measure: Callable[[], Any]
    claims: Callable[[Any], Sequence[Claim]]
    figure: Callable[[Any], Figure]


def discover(folder: Path = EXPERIMENTS) -> tuple[str, ...]:
    """The names of all studies: the folders that hold a ``study.py``."""
    return tuple(sorted(path.parent.name for path in folder.glob(f"*/{SCRIPT}")))


def load(name: str, folder: Path = EXPERIMENTS) -> Study:
    """The study of this name. Raises SettingError if there is none."""
    one_of("study", name, discover(folder))
    path = folder / name / SCRIPT
    spec = importlib.util.spec_from_file_location(f"{__name__}.{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where a dataclass looks for the module it was made in
    spec.loader.exec_module(module)
    question = (module.__doc__ or "").strip().partition("\n")[0]
    return Study(name, path.parent, question, module.measure, module.claims, module.figure)


def run(study: Study, out: Path | None = None) -> Sequence[Claim]:
    """Measure, judge, and write the table and the figure to ``out``/NAME or beside the study.

    The BLAS runs on one thread, so that a study gives the same figures on any number of cores.
    Raises OSError where nothing can be written, before anything is measured.
    """
    from ffn_train.plots import encoded
    from ffn_train.plots.style import look

    folder = study.folder if out is None else out / study.name
    folder.mkdir(parents=True, exist_ok=True)  # before minutes of measuring
    if not os.access(folder, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
    for name in (CLAIMS, FIGURE):
        files.check_replaceable(folder / name)
    with BlasThreads(1):
        results = study.measure()
    claims = study.claims(results)
    with look():
        picture = encoded(study.figure(results), "png")
    files.write_whole(folder / CLAIMS, table.csv_text(claims).encode())
    files.write_whole(folder / FIGURE, picture)
    return claims
