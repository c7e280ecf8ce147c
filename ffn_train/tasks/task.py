"""What a task is: a table of inputs and targets, and the score that a model is judged by."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ffn_train.config.registry import Choice
from ffn_train.config.settings import SettingError, one_of, setting
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
        one_of("score.better", cls.score.better, ("higher", "lower"))

    @abstractmethod
    def table(self, rng: np.random.Generator) -> Table:
        """The table; generators of the same state give the same bytes."""

    def going_on(self, recorded: Mapping[str, Any]) -> Task:
        """The task of a run that goes on, with what its ``data.json`` has; {} of a new run."""
        return self

    def data(self, rows: np.random.Generator, parts: np.random.Generator) -> Data:
        """The table's parts; ``rows`` draws the table and ``parts`` the split."""
        table = self.table(rows)
        if not isinstance(table, Table):
            raise SettingError(f"task={self.name}: its table is {table!r}, which is no Table")
        return split(
            table,
            validation=self.validation,
            test=self.test,
            rng=parts,
            standardise_targets=self.standardise_targets,
            identify=not self.drawn,
        )
