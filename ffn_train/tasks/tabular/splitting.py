"""Which rows of a table are in each part, and what the rows must have for it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ffn_train.config.settings import SettingError, counted
from ffn_train.tasks.table import Parts, Table
from ffn_train.tasks.tabular.categories import as_words
from ffn_train.tasks.tabular.cells import shown
from ffn_train.tasks.tabular.problems import LISTED

FEWEST_ROWS = 4


def by_order(rows: int, validation: int, test: int) -> Parts:
    """The last of so many rows for the test, those before them for validation."""
    return Parts(*np.split(np.arange(rows), [rows - validation - test, rows - test]))


def by_groups(frame: Any, name: str, validation: int, test: int, rng: np.random.Generator) -> Parts:
    """Groups at random, as many as come closest to so many rows; ``name``: of the groups' column.

    Raises SettingError if there are not enough for each part that has rows to have one.
    """
    group = as_words(frame[name])[1]
    sizes = np.bincount(group)
    order = rng.permutation(len(sizes))
    numbers = validation, test
    needed = 1 + sum(number > 0 for number in numbers)
    if len(order) < needed:
        few = counted(len(order), "group")
        raise SettingError(f"task.groups={name!r} has {few} only; {needed} are needed")
    rows, chosen = np.arange(len(frame)), []
    for number in numbers:
        needed -= number > 0  # a group at least for each part to come, of which training is one
        upto = np.cumsum(sizes[order])[: len(order) - needed]
        count = np.abs(upto - number).argmin() + 1 if number else 0
        chosen.append(rows[np.isin(group, order[:count])])
        order = order[count:]
    return Parts(rows[np.isin(group, order)], *chosen)


def check_rows(frame: Any, source: str) -> None:
    """Raises SettingError for fewer rows than all parts need."""
    if len(frame) < FEWEST_ROWS:
        raise SettingError(
            f"{source} has {counted(len(frame), 'row')} that can be used; "
            f"at least {FEWEST_ROWS} are needed"
        )


def check_inputs(table: Table, train: NDArray[np.int64]) -> None:
    """Raises SettingError if the training rows do not differ in any input."""
    columns = table.inputs.columns
    # the first rows tell most tables, and are found at once
    if all((c[rows] == c[rows[0]]).all() for rows in (train[:100], train) for c in columns):
        raise SettingError(
            f"no input differs between the {len(train)} training rows "
            f"({', '.join(table.input_names[:LISTED])}): there is nothing to learn from"
        )


def check_classes(table: Table, train: NDArray[np.int64], target: str) -> None:
    """Raises SettingError if all training rows are of one class."""
    sizes = table.targets[train].sum(axis=0)
    if sizes.max() == len(train):
        raise SettingError(
            f"task.target {shown(target)} is {shown(table.target_names[sizes.argmax()])} in all "
            f"{len(train)} training rows: there is nothing to learn"
        )
