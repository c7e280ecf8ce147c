"""Learning-rate schedules: the factor on ``optimizer.lr`` at each step, all with linear warm-up."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from ffn_train.config.registry import Choice, choice
from ffn_train.config.settings import setting
from ffn_train.nn.trial import number

TRIED = 1000  # steps at which a schedule of the user's own is tried before the training


@dataclass(frozen=True, kw_only=True)
class Schedule(Choice, ABC):
    """lr(step) = lr · warm-up · factor(progress).

    The warm-up is (step + 1)/warmup during the first ``warmup`` steps and 1 after them; progress
    runs from 0 at their end to 1 at the last step.
    """

    warmup: int = setting("steps of linear warm-up", 0, unit="steps", at_least=0)

    def rate(self, step: int, steps: int) -> float:
        """The factor on the learning rate at ``step`` of a run of ``steps``.

        Raises SettingError if ``factor`` gives no finite number.
        """
        if step < self.warmup:
            return (step + 1) / self.warmup
        after = step - self.warmup
        factor = self.factor(after, after / max(1, steps - self.warmup))
        if type(factor) is float and math.isfinite(factor):
            return factor
        who = f"schedule={self.name}: factor"
        return number(who, factor, finite=True, where=f" at step {step}")

    def check_results(self, steps: int) -> None:
        """Try a schedule of your own at steps from the first to the last of a run of ``steps``.

        Raises SettingError if it gives no finite number.
        """
        with np.errstate(all="ignore"):
            for step in (*range(0, steps, max(1, steps // TRIED)), max(0, steps - 1)):
                self.rate(step, steps)

    def warnings(self, steps: int) -> list[str]:
        """Warnings about it for a run of ``steps``."""
        if self.warmup <= steps:
            return []
        return [
            f"the run ends within the warm-up, at {self.rate(steps - 1, steps):.2g} of the highest "
            "learning rate"
        ]

    @abstractmethod
    def factor(self, step: int, progress: float) -> float:
        """The factor ``step`` steps after the warm-up; ``progress`` is their share of the rest.

        A finite number, Python's or NumPy's.
        """


@choice("schedule", "constant")
class Constant(Schedule):
    """factor = 1."""

    def factor(self, step: int, progress: float) -> float:
        return 1.0


@choice("schedule", "cosine")
class Cosine(Schedule):
    """factor = final + (1 - final)(1 + cos(π progress))/2. Loshchilov and Hutter 2017."""

    final: float = setting("factor at the last step", 0.0, at_least=0, at_most=1)

    def factor(self, step: int, progress: float) -> float:
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * progress)) / 2


@choice("schedule", "linear")
class Linear(Schedule):
    """factor = 1 - (1 - final) progress."""

    final: float = setting("factor at the last step", 0.0, at_least=0, at_most=1)

    def factor(self, step: int, progress: float) -> float:
        return 1 - (1 - self.final) * progress


@choice("schedule", "step")
class Step(Schedule):
    """factor = decay^floor(step/every)."""

    every: int = setting("steps between two drops", 200, unit="steps", at_least=1)
    decay: float = setting("factor of each drop", 0.5, above=0, at_most=1)

    def factor(self, step: int, progress: float) -> float:
        return float(self.decay ** (step // self.every))
