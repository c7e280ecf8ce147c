"""What an optimizer is: an in-place update of a flat parameter vector from a flat gradient."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from ffn_train.config.settings import number
from ffn_train.nn.core import Array

CHUNK = 32_768  # elements; parameters, gradient and memory of a chunk stay in the cache

Memory = dict[str, Array]


@dataclass(frozen=True, kw_only=True)
class Optimizer(ABC):
    """Settings of an update rule; its memory (flat vectors by name) is the caller's.

    ``weight_decay`` λ is decoupled (Loshchilov and Hutter 2019): θ <- θ - lr λ θ beside the
    gradient's step, on weight matrices only; biases, gains, shifts and multipliers do not decay.
    ``side_by_side``: parts of the vectors are worth a thread of their own.
    """

    lr: float
    weight_decay: float

    name: ClassVar[str]
    side_by_side: ClassVar[bool] = False

    def __post_init__(self) -> None:
        number("optimizer.lr", self.lr, at_least=0)
        number("optimizer.weight_decay", self.weight_decay, at_least=0)

    @property
    @abstractmethod
    def slots(self) -> tuple[str, ...]:
        """The names of the flat vectors that the rule remembers, which start at zero."""

    @abstractmethod
    def step(self, params: Array, grads: Array, memory: Memory, *, lr: float, count: int) -> None:
        """Update ``params`` and ``memory`` in place; ``count`` is 1 at the first update."""


def chunks(size: int) -> Iterator[slice]:
    """Slices of at most CHUNK elements that cover a vector."""
    return (slice(start, start + CHUNK) for start in range(0, size, CHUNK))
