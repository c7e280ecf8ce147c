"""The interface of an optimizer: it updates a flat parameter vector in place."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ffn_train.config.registry import Choice
from ffn_train.config.settings import SettingError, setting
from ffn_train.nn.core import Array
from ffn_train.nn.trial import put_back

# the part of the weights that decay takes in a step: with FEW training rows of a table and more,
# and with ever so few; found by trial
SHRINKING, STRONGEST, FEW = 0.0005, 0.02, 500
CHUNK = 32_768  # elements; parameters, gradient and memory of a chunk stay in the cache

TRIED = 1000  # updates of an optimizer of the user's own, before the training

Memory = dict[str, Array]


@dataclass(frozen=True, kw_only=True)
class Optimizer(Choice, ABC):
    """An update of parameters θ: decoupled weight decay, then the rule's own descent.

    θ <- θ - lr λ θ with λ = ``weight_decay`` (Loshchilov and Hutter 2019), then ``descend``. An
    optimizer holds settings only; the caller holds its memory (flat vectors by name). ``lr`` is the
    highest learning rate, which a schedule scales. ``side_by_side``: whether several threads, each
    with a part of the vectors, are faster than one; ``scale_free``: whether an update is the same
    if all gradients are multiplied by a number.
    """

    lr: float = setting("the highest learning rate, which the schedule scales", at_least=0)
    weight_decay: float | None = setting(
        "decoupled: weight matrices shrink by lr x weight_decay a step; null: by "
        f"{SHRINKING}, and by more with fewer than {FEW} training rows, up to {STRONGEST}",
        0.0,
        at_least=0,
    )

    side_by_side: ClassVar[bool] = False
    scale_free: ClassVar[bool] = False

    @property
    @abstractmethod
    def slots(self) -> tuple[str, ...]:
        """The names of the vectors (P,) in the rule's memory, which start at zero."""

    def step(
        self,
        params: Array,
        grads: Array,
        memory: Memory,
        *,
        lr: float,
        count: int,
        decays: NDArray[np.bool] | bool = True,
    ) -> None:
        """Update ``params`` and ``memory``, flat vectors (P,), in place.

        ``count`` is 1 at the first update. ``decays`` (P,): the entries to which weight decay
        applies. Pullbacks of earlier passes with ``params`` must not be called afterwards.
        """
        if self.weight_decay:
            shrinkage = params.dtype.type(lr) * params.dtype.type(self.weight_decay)
            decays = np.broadcast_to(decays, params.shape)
            for chunk in chunks(params.size):
                params[chunk] *= 1 - shrinkage * decays[chunk]
        self.descend(params, grads, memory, lr=lr, count=count)

    def decaying_for(self, rows: int) -> Self:
        """The same with a weight decay, for so many training rows where none is given: a prior
        weighs as much less beside the data as these are more.
        """
        if self.weight_decay is not None:
            return self
        decay = shrinking(rows) / self.lr if self.lr else 0.0
        return replace(self, weight_decay=float(f"{decay:.3g}"))

    def check_results(self) -> None:
        """Raises SettingError for an optimizer of your own that does not change ``params``, or
        whose memory does not stay of its shape.
        """
        params: Array = np.ones(4)
        arrays: Memory = {name: np.zeros(4) for name in self.slots}
        with np.errstate(all="ignore"):
            for count in range(1, TRIED + 1):  # it may wait, and collect gradients in its memory
                memory = dict(arrays)
                self.step(params, np.full(4, 0.5), memory, lr=1.0, count=count, decays=False)
                put_back(self, memory, arrays)
                if (params != 1).any():
                    return
        raise SettingError(
            f"optimizer={self.name}: descend must change params in place, as in params -= ..."
        )

    @abstractmethod
    def descend(
        self, params: Array, grads: Array, memory: Memory, *, lr: float, count: int
    ) -> None:
        """The rule's step along the gradient, without decay, in place and elementwise.

        An array put into ``memory`` in place of another is copied into that one afterwards.
        """


def shrinking(rows: int) -> float:
    """The part of the weights that decay takes in a step where no weight decay is given."""
    return min(SHRINKING * max(1.0, float((FEW / rows) ** 1.5)), STRONGEST)


def chunks(size: int) -> Iterator[slice]:
    """Slices of at most CHUNK elements that cover a vector."""
    return (slice(start, start + CHUNK) for start in range(0, size, CHUNK))
