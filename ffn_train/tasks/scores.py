"""Scores: how good a model's outputs are, as a familiar number."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np

from ffn_train.config.registry import is_ours
from ffn_train.config.settings import SettingError, shortened
from ffn_train.nn.core import Array
from ffn_train.nn.trial import number, protected, tried
from ffn_train.tasks.least_squares import fit_least_squares
from ffn_train.tasks.logistic_regression import fit_logistic_regression, log_softmax
from ffn_train.tasks.table import Data, is_constant

ALL = "all"  # in place of a target's name, for what is of all of them


class Score(ABC):
    """What a task judges a model by on the validation rows, besides the loss.

    ``name``: in files; ``symbol``: in print. ``better``: which direction is better. ``says``: a
    one-sentence description. ``perfect``: the score of outputs without error, None if there is
    none. ``trivial``: in words, what a model does that has learned nothing from the inputs.
    ``baseline_name``: in words, the simple model whose outputs ``baseline`` gives.
    """

    name: ClassVar[str] = "score"
    symbol: ClassVar[str] = "score"
    better: ClassVar[Literal["higher", "lower"]] = "higher"
    says: ClassVar[str] = ""
    perfect: ClassVar[float | None] = None
    trivial: ClassVar[str] = "predicting the mean"
    baseline_name: ClassVar[str] = "baseline"

    @abstractmethod
    def value(self, targets: Array, outputs: Array) -> float:
        """The score of outputs (N, M) for targets (N, M); NaN where it is undefined."""

    def no_skill(self, data: Data) -> float | None:
        """The score of the trivial model on the validation rows; None if that is not known.

        Without it a run's verdict cannot tell whether it learned.
        """
        return None

    def baseline(self, data: Data) -> Array | None:
        """The baseline's outputs (N, M) for the validation rows; None without a baseline."""
        return None

    def check_results(self, data: Data) -> None:
        """Try a score of your own. Raises SettingError if it changes what it is given, or gives
        something else than numbers.
        """
        if is_ours(type(self)):
            return
        who, data, targets = f"score {self.name}: ", protected(data), data.y_validation
        given = {"the targets": targets, "the outputs": targets}
        number(f"{who}value", tried(f"{who}value", self.value, given))
        with np.errstate(all="ignore"):
            no_skill = self.no_skill(data)
        if no_skill is not None:
            number(f"{who}no_skill", no_skill)
        tried(f"{who}details", partial(self.plain_details, data), {"the outputs": targets})

    def details(self, data: Data, outputs: Array) -> Mapping[str, Mapping[str, float]]:
        """Other scores of outputs (N, M) for the validation rows: symbol -> target -> value.

        In the target's own units; under ``ALL`` what is of all targets together.
        """
        return {}

    def plain_details(self, data: Data, outputs: Array) -> dict[str, dict[str, float]]:
        """``details`` in Python's own types. Raises SettingError if they are something else."""
        details: Any = self.details(protected(data), outputs)
        who = f"score {self.name}: details"
        mapping = isinstance(details, Mapping)
        if not mapping or not all(isinstance(values, Mapping) for values in details.values()):
            got = shortened(repr(details))
            raise SettingError(f"{who} must return symbol -> target -> value, got {got}")
        return {
            str(symbol): {
                str(target): number(who, value, where=f" as {symbol} of {target}")
                for target, value in values.items()
            }
            for symbol, values in details.items()
        }


class R2(Score):
    """The coefficient of determination, 1 - SS_res/SS_tot, averaged over the M targets.

    SS_res = Σ_n (y_n - ŷ_n)² and SS_tot = Σ_n (y_n - mean(y))², for targets and outputs (N, M).
    NaN if a target is constant or there are fewer than two rows. Raises ValueError if the shapes
    differ.
    """

    name = "r2"
    symbol = "R²"
    says = "share of the targets' variance that the outputs explain"
    perfect = 1.0
    baseline_name = "linear regression"

    def value(self, targets: Array, outputs: Array) -> float:
        if targets.shape != outputs.shape:
            raise ValueError(f"targets are {targets.shape}, predictions are {outputs.shape}")
        if len(targets) < 2 or is_constant(targets).any():
            return math.nan
        targets, outputs = targets.astype(np.float64), outputs.astype(np.float64)
        # A diverged model's errors may overflow float64: its R² is -inf or NaN.
        with np.errstate(all="ignore"):
            residual = ((targets - outputs) ** 2).sum(axis=0)
            total = ((targets - targets.mean(axis=0)) ** 2).sum(axis=0)
            return float((1 - residual / total).mean())

    def no_skill(self, data: Data) -> float:
        return 0.0

    def baseline(self, data: Data) -> Array:
        return fit_least_squares(data)

    def details(self, data: Data, outputs: Array) -> Mapping[str, Mapping[str, float]]:
        targets, names = data.y_validation, data.target_names
        with np.errstate(all="ignore"):
            errors = (outputs.astype(np.float64) - targets) * data.target_std
            rmse, mae = np.sqrt((errors**2).mean(axis=0)), np.abs(errors).mean(axis=0)
        r2 = [self.value(targets[:, [m]], outputs[:, [m]]) for m in range(len(names))]
        return {
            symbol: dict(zip(names, map(float, values), strict=True))
            for symbol, values in ((self.symbol, r2), ("RMSE", rmse), ("MAE", mae))
        }


class Accuracy(Score):
    """The share of rows whose largest output is that of their class, of one-hot targets (N, K).

    Of several largest outputs the first counts. NaN where an output is.
    """

    name = "accuracy"
    symbol = "accuracy"
    says = "share of the rows that are put in their class"
    perfect = 1.0
    trivial = "knowing only how common each class is"
    baseline_name = "logistic regression"

    def value(self, targets: Array, outputs: Array) -> float:
        if np.isnan(outputs).any():
            return math.nan
        return float((targets.argmax(axis=1) == outputs.argmax(axis=1)).mean())

    def no_skill(self, data: Data) -> float:
        return float(data.y_validation[:, data.y_train.sum(axis=0).argmax()].mean())

    def baseline(self, data: Data) -> Array:
        return fit_logistic_regression(data)

    def details(self, data: Data, outputs: Array) -> Mapping[str, Mapping[str, float]]:
        logs = log_softmax(outputs.astype(np.float64))
        log_loss = -float((data.y_validation * logs).sum(axis=1).mean())
        return {"log loss": {ALL: log_loss}}
