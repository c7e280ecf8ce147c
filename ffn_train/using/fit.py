"""Training on a table that is in memory."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ffn_train.config.composition import Config, compose, texts
from ffn_train.config.registry import canonical
from ffn_train.config.settings import SettingError, counted
from ffn_train.running import Notify
from ffn_train.running.execution import execute
from ffn_train.running.experiment import build_experiment
from ffn_train.using.run import Run, load_run
from ffn_train.using.tables import array_of, framed


def fit(
    table: Any,
    target: Any,
    overrides: Sequence[str] = ("experiment=table",),
    *,
    notify: Notify | None = None,
) -> Run:
    """Train on a table in memory, as the command does on a file with these overrides.

    ``table``: a frame, a mapping of columns, or an array (N, D) or list of rows, whose
    columns are x1 ... xD. ``target``: the name of its target or a list of names, or the targets
    (N,) or (N, M), which keep their names in pandas and are otherwise y1 ... yM; no column of the
    table may have these. ``notify`` gets what the command prints beside the outcome, by default on
    stderr. Returns the run, whose directory is new unless ``run.dir=PATH`` names one.
    Raises SettingError, in one line, for settings or data that cannot be used.
    """
    arguments = "table and target are arguments"
    refuse_overrides(overrides, {"task.path": arguments, "task.target": arguments})
    return fit_configured(compose([*overrides, "task=table"]), table, target, notify=notify)


def refuse_overrides(overrides: Sequence[str], taken: Mapping[str, str]) -> None:
    """Raises SettingError for an override of a key that is taken, or of a section with one, with
    the reason, for another task than the table, and for one of ``dry_run`` or ``sweep``, which the
    command alone reads.
    """
    for text in texts(overrides):
        key, _, value = text.partition("=")
        key = key.strip("+~ ")
        if key == "task" and canonical("task", value.strip()) != "table":
            raise SettingError(f"overrides must not have {text}: the task is the given table")
        if key == "dry_run" or key.partition(".")[0] == "sweep":
            raise SettingError(f"overrides must not have {text}: this trains one network, at once")
        for name, reason in taken.items():
            if key == name or (name.startswith(f"{key}.") and key != "task"):
                raise SettingError(f"overrides must not have {text}: {reason}")


def fit_configured(
    config: Config,
    table: Any,
    target: Any,
    *,
    notify: Notify | None = None,
    progress: bool = True,
) -> Run:
    """``fit`` with a resolved configuration, of ``task=table``; ``progress`` as in ``execute``."""
    frame = framed(table, lambda shape: _numbered("x", shape[1])).reset_index(drop=True)
    target = target.item() if isinstance(target, np.generic) else target
    if isinstance(target, tuple) and target in frame.columns:  # a name in several levels
        target = str(target)
    if not _are_names(target, frame):
        _check_order(target, table)
        columns = array_of(target, "the target", (1, 2))
        columns = columns[:, None] if columns.ndim == 1 else columns
        if len(columns) != len(frame):
            raise SettingError(
                f"the table has {counted(len(frame), 'row')} and the target {len(columns)}"
            )
        target = _own_names(target) or _numbered("y", columns.shape[1])
        taken = sorted({*target} & {str(name).strip() for name in frame.columns})
        if taken:
            raise SettingError(
                f"the table has a column {taken[0]!r}, as the target is called: the network would "
                "predict from it; drop it, rename one of the two, or give its name as the target"
            )
        frame = frame.assign(**dict(zip(target, columns.T, strict=True)))
    config = {**config, "task": {**config["task"], "path": None, "target": target}}
    run = execute(build_experiment(config, frame=frame), notify or _tell, progress=progress)
    return load_run(run.path)


def _are_names(target: Any, frame: Any) -> bool:
    """Whether a target names columns, and does not hold the values of all rows."""
    if isinstance(target, (list, tuple)):
        if len(target) != len(frame):
            return all(isinstance(name, (str, int)) for name in target)
        columns = {str(name).strip() for name in frame.columns}
        return all(isinstance(name, str) and name.strip() in columns for name in target)
    return target is None or np.isscalar(target)


def _check_order(target: Any, table: Any) -> None:
    """Raises SettingError where pandas would pair the rows in another order than they stand in."""
    import pandas as pd

    if not all(isinstance(each, (pd.Series, pd.DataFrame)) for each in (target, table)):
        return
    own, index = target.index, table.index
    same = own.is_unique and index.is_unique and len(own) == len(index) and own.isin(index).all()
    if same and not own.equals(index):
        raise SettingError(
            "the target has the table's index in another order: bring both into one order, such as "
            "with target.loc[table.index], or give the values alone, target.to_numpy()"
        )


def _own_names(target: Any) -> list[str]:
    """The names that pandas has for targets; none for arrays and numbered columns."""
    import pandas as pd

    if isinstance(target, pd.Series):
        target = target.to_frame()
    columns = list(target.columns) if isinstance(target, pd.DataFrame) else []
    names = [name.strip() for name in columns if isinstance(name, str)]
    return names if all(names) and len({*names}) == len(columns) else []


def _numbered(letter: str, columns: int) -> list[str]:
    return [f"{letter}{place + 1}" for place in range(columns)]


def _tell(line: str) -> None:
    print(line, file=sys.stderr)
