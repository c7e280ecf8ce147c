"""The loss of a batch and its gradient: forward and backward pass, in shards of its rows."""

from __future__ import annotations

import math

from numpy.typing import DTypeLike

from ffn_train.nn.core import Array, Views
from ffn_train.nn.losses.loss import Loss
from ffn_train.nn.stack import Stack
from ffn_train.train.measures import Measurement
from ffn_train.train.quantities.quantity import Step
from ffn_train.train.shards import Shards, worth_threads


class BatchGradient:
    """Storage for dL/dθ, filled batch by batch.

    L is a mean over the N rows of a batch, so over shards of n_s rows, Σ n_s = N,

        L = Σ_s n_s/N L_s,    dL/dθ = Σ_s n_s/N dL_s/dθ.

    Each shard has its own gradient, and they are added in a fixed order: to the last bit the result
    depends on the number of shards, but not on which of them finishes first. A shard's rows are
    passed in ``turns``, so that the activations of a part of them are in memory at a time.
    """

    def __init__(
        self, model: Stack, loss: Loss, shards: Shards, dtype: DTypeLike, turns: int = 1
    ) -> None:
        self._model, self._loss, self._shards = model, loss, shards
        self._norm = model.engine.reductions.norm
        self._gradient_of = model.engine.gradient_of(loss)
        self._turns = turns
        self._gradients = [model.layout.zeros(dtype) for _ in range(shards.count)]
        later = range(shards.count if turns > 1 else 0)
        self._of_later_turns = [model.layout.zeros(dtype) for _ in later]
        self.vector = self._gradients[0].vector
        self.norm = 0.0

    def take(
        self, params: Views, x: Array, targets: Array, measured: Measurement | None = None
    ) -> float:
        """The loss of the batch ``x`` (N, D), ``targets`` (N, M).

        ``vector`` (P,) is then its gradient, not clipped, and ``norm`` the norm of that.
        """
        parts = self._shards.count * self._turns

        def pass_rows(part: int, grads: Views) -> float:
            rows = slice(len(x) * part // parts, len(x) * (part + 1) // parts)
            signals = None if measured is None else measured.shards[part]
            forward, backward = (signals.forward, signals.backward) if signals else (None, None)
            y, pullback = self._model.forward(params, x[rows], observe=forward)
            loss, dy = self._gradient_of(y, targets[rows])
            if len(y) < len(x):
                loss *= len(y) / len(x)
                dy *= len(y) / len(x)
            pullback(dy, grads, observe=backward)
            return loss

        def forward_and_backward(shard: int) -> float:
            first, total = shard * self._turns, self._gradients[shard].vector
            loss = pass_rows(first, self._gradients[shard])
            for part in range(first + 1, first + self._turns):
                loss += pass_rows(part, self._of_later_turns[shard])
                total += self._of_later_turns[shard].vector
            return loss

        losses = self._shards.each(forward_and_backward)
        large = worth_threads(self.vector)
        self.norm = math.hypot(*self._shards.each(self._add, side_by_side=large))
        total = sum(losses)
        if measured is not None:

            def loss_at(vector: Array) -> float:
                y = self._model.predict(self._model.layout.views(vector.copy()), x)
                return self._loss.value(y, targets)

            step = Step(
                measured.step, total, self._model, params.vector, self.vector, loss_at=loss_at
            )
            measured.after_backward(step, self._shards)
        return total

    def _add(self, shard: int) -> float:
        """Add up all shards' gradients in this shard's part of the entries; returns its norm."""
        entries = self._shards.span(shard, self.vector.size)
        total = self.vector[entries]
        for other in self._gradients[1:]:
            total += other.vector[entries]
        return self._norm(total)
