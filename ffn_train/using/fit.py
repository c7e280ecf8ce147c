"""Training on a table that is in memory."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from ffn_train.config.composition import Config, compose
from ffn_train.config.settings import SettingError, counted
from ffn_train.running import Notify
from ffn_train.running.execution import execute
from ffn_train.running.experiment import build_experiment
from ffn_train.using.run import Run, load_run


def fit(
    table: Any,
    target: Any,
    overrides: Sequence[str] = ("experiment=table",),
    *,
    notify: Notify | None = None,
) -> Run:
    """Train on a table in memory, as the command does on a file with these overrides.

    ``table``: a pandas frame, a mapping of columns, or an array (N, D) of columns x1 ... xD.
    ``target``: the name of its target or a list of names, or an array (N,) or (N, M) of targets,
    which are y1 ... yM, names that no column may have. ``notify`` gets what the command prints
    beside the outcome, by default on stderr. Returns the run, whose directory is new unless
    ``run.dir=PATH`` names one.
    Raises SettingError, in one line, for settings or data that cannot be used.
    """
    return fit_configured(compose([*overrides, "task=table"]), table, target, notify=notify)


def fit_configured(
    config: Config,
    table: Any,
    target: Any,
    *,
    notify: Notify | None = None,
    progress: bool = True,
) -> Run:
    """``fit`` with a resolved configuration, of ``task=table``; ``progress`` as in ``execute``."""
    import pandas as pd

    if isinstance(table, np.ndarray):
        _check(table, "the table", (2,))
        table = pd.DataFrame(table, columns=[f"x{place + 1}" for place in range(table.shape[1])])
    frame = pd.DataFrame(table).reset_index(drop=True)
    if isinstance(target, (np.ndarray, pd.Series, pd.DataFrame)):
        array = np.asarray(target)
        _check(array, "the target", (1, 2))
        columns = array.reshape(len(array), -1)
        if len(columns) != len(frame):
            raise SettingError(
                f"the table has {counted(len(frame), 'row')} and the target {len(columns)}"
            )
        target = [f"y{place + 1}" for place in range(columns.shape[1])]
        taken = sorted({*target} & {str(name).strip() for name in frame.columns})
        if taken:
            raise SettingError(
                f"the table has a column {taken[0]!r}, as the target array is called: rename it"
            )
        frame = frame.assign(**dict(zip(target, columns.T, strict=True)))
    config = {**config, "task": {**config["task"], "path": None, "target": target}}
    run = execute(build_experiment(config, frame=frame), notify or _tell, progress=progress)
    return load_run(run.path)


def _check(array: Any, what: str, dimensions: tuple[int, ...]) -> None:
    if array.ndim not in dimensions:
        raise SettingError(f"{what} has shape {array.shape}: (N, columns) is needed")


def _tell(line: str) -> None:
    print(line, file=sys.stderr)
