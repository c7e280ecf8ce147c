"""What a task is: a table of inputs and targets, and the score that a model is judged by."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ffn_train.config.registry import Choice
from ffn_train.config.settings import (
    SettingError,
    check_kinds,
    first_line,
    is_number,
    one_of,
    setting,
    shortened,
)
from ffn_train.tasks.scores import R2, Score
from ffn_train.tasks.table import Data, Table, split


@dataclass(frozen=True, kw_only=True)
class Task(Choice, ABC):
    """Makes a table; ``validation`` and ``test`` are the shares of its rows that do not train.

    ``kind``: of the targets; a loss says in ``Loss.kinds`` which it is made for. ``score``: what a
    model is judged by. ``standardise_targets``: whether targets are put in units of their standard
    deviation, as numbers are and one-hot classes are not. ``drawn``: whether its settings and the
    seed alone decide the rows; of another task's rows a digest belongs to what a run is.
    """

    kind: ClassVar[str] = "regression"
    score: ClassVar[Score] = R2()
    standardise_targets: ClassVar[bool] = True
    drawn: ClassVar[bool] = False

    validation: float = setting("share of the rows kept for validation", 0.2, above=0, below=1)
    test: float = setting(
        "share of the rows that nothing looks at before the end",
        0.0,
        at_least=0,
        below=1,
        before=0.0,
    )

    @classmethod
    def check_class(cls) -> None:
        if not isinstance(cls.score, Score):
            raise ValueError(f"score must be an instance of a Score, got {cls.score!r}")
        texts = dict.fromkeys(("name", "symbol", "says", "trivial", "baseline_name"), str)
        check_kinds(cls.score, texts, "score.")
        one_of("score.better", cls.score.better, ("higher", "lower"))
        if cls.score.perfect is not None and not is_number(cls.score.perfect):
            raise ValueError(f"score.perfect must be a number, got {cls.score.perfect!r}")
        if cls.kind == "classes":
            if isinstance(cls.score, R2):
                raise ValueError(
                    "kind is classes, so score must be one of classes, such as "
                    "ffn_train.tasks.scores.Accuracy()"
                )
            if cls.standardise_targets is True:
                raise ValueError("kind is classes, so standardise_targets must be False")

    @abstractmethod
    def table(self, rng: np.random.Generator) -> Table:
        """The table; generators of the same state give the same bytes."""

    def going_on(self, recorded: Mapping[str, Any]) -> Task:
        """The task of a run that goes on, with what its ``data.json`` has; {} of a new run."""
        return self

    def data(self, rows: np.random.Generator, parts: np.random.Generator) -> Data:
        """The table's parts; ``rows`` draws the table and ``parts`` the split."""
        table: Any = self.table(rows)
        if not isinstance(table, Table):
            what = shortened(repr(table))
            raise SettingError(f"task={self.name}: its table is {what}, which is no Table")
        if not self.ours:
            self._check(table)
        return split(
            table,
            validation=self.validation,
            test=self.test,
            rng=parts,
            standardise_targets=self.standardise_targets,
            identify=not self.drawn,
        )

    def _check(self, table: Table) -> None:
        """Raises SettingError for a table with two columns of one name, with a value that is no
        finite number, or with targets of the kind classes that are not one-hot.
        """
        for name, count in Counter((*table.input_names, *table.target_names)).items():
            if count > 1:
                raise SettingError(f"task={self.name}: {count} columns are called {name!r}")
        for columns, names in (
            (table.inputs, table.input_names),
            (table.targets, table.target_names),
        ):
            try:
                numbers = np.asarray(columns, np.float64)
            except (TypeError, ValueError) as error:
                columns_of = f"the columns {', '.join(map(str, names))} are not all numbers"
                raise SettingError(f"task={self.name}: {columns_of}: {first_line(error)}") from None
            for name, column in zip(names, numbers.T, strict=True):
                if wrong := np.count_nonzero(~np.isfinite(column)):
                    what = "NaN" if np.isnan(column).any() else "infinity"
                    raise SettingError(
                        f"task={self.name}: column {name!r} has {what} in {wrong} of {len(column)} "
                        "rows"
                    )
        one = numbers == 1
        hot = (one | (numbers == 0)).all() and (one.sum(axis=1) == 1).all()
        if self.kind == "classes" and not (hot and one.shape[1] > 1):
            raise SettingError(
                f"task={self.name}: targets of the kind classes are one-hot: a column for each of "
                "two classes or more, and a single 1 among zeros in each row"
            )
