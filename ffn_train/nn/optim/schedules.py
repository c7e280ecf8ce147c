"""Learning-rate schedules: the factor on ``optimizer.lr`` at each step, all with linear warm-up."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from ffn_train.config.registry import choice
from ffn_train.config.settings import integer, number


@dataclass(frozen=True, kw_only=True)
class Schedule(ABC):
    """lr(step) = lr · warm-up · factor(progress).

    The warm-up is (step + 1)/warmup during the first ``warmup`` steps and 1 after them; progress
    runs from 0 at their end to 1 at the last step.
    """

    warmup: int

    name: ClassVar[str]

    def __post_init__(self) -> None:
        integer("schedule.warmup", self.warmup, at_least=0)

    def rate(self, step: int, steps: int) -> float:
        """The factor on the learning rate at ``step`` of a run of ``steps``."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        after = step - self.warmup
        return self.factor(after, after / max(1, steps - self.warmup))

    @abstractmethod
    def factor(self, step: int, progress: float) -> float:
        """The factor at ``step`` steps after the warm-up, which is ``progress`` of the rest."""


@choice("schedule", "constant")
@dataclass(frozen=True, kw_only=True)
class Constant(Schedule):
    """factor = 1."""

    def factor(self, step: int, progress: float) -> float:
        return 1.0


@choice("schedule", "cosine")
@dataclass(frozen=True, kw_only=True)
class Cosine(Schedule):
    """factor = final + (1 - final)(1 + cos(π progress))/2. Loshchilov and Hutter 2017."""

    final: float

    def __post_init__(self) -> None:
        super().__post_init__()
        number("schedule.final", self.final, at_least=0, at_most=1)

    def factor(self, step: int, progress: float) -> float:
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * progress)) / 2


@choice("schedule", "linear")
@dataclass(frozen=True, kw_only=True)
class Linear(Schedule):
    """factor = 1 - (1 - final) progress."""

    final: float

    def __post_init__(self) -> None:
        super().__post_init__()
        number("schedule.final", self.final, at_least=0, at_most=1)

    def factor(self, step: int, progress: float) -> float:
        return 1 - (1 - self.final) * progress


@choice("schedule", "step")
@dataclass(frozen=True, kw_only=True)
class Step(Schedule):
    """factor = decay^floor(step/every)."""

    every: int
    decay: float

    def __post_init__(self) -> None:
        super().__post_init__()
        integer("schedule.every", self.every, at_least=1)
        number("schedule.decay", self.decay, above=0, at_most=1)

    def factor(self, step: int, progress: float) -> float:
        return float(self.decay ** (step // self.every))
