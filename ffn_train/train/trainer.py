"""The training loop: a generator of records that reads no file and writes none."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ffn_train.config.sections import Trainer as Settings
from ffn_train.config.settings import counted
from ffn_train.nn.core import Array, Views
from ffn_train.nn.engine import Fit, Steps
from ffn_train.nn.losses.loss import Loss
from ffn_train.nn.optim.optimizer import Memory, Optimizer
from ffn_train.nn.optim.schedules import Schedule
from ffn_train.nn.stack import Stack
from ffn_train.nn.trial import put_back
from ffn_train.tasks.scores import Score
from ffn_train.tasks.table import Data
from ffn_train.train.batches import Batches
from ffn_train.train.cadence import Cadence
from ffn_train.train.diagnosis import Updates
from ffn_train.train.divergence import Divergence, locate
from ffn_train.train.gradient import BatchGradient
from ffn_train.train.instruments import Instrument
from ffn_train.train.measures import Measurement, Values, memory_of
from ffn_train.train.memory import keep_freed_memory, map_packing_buffers
from ffn_train.train.quantities.quantity import Quantity
from ffn_train.train.shards import Shards, worth_threads
from ffn_train.train.stopping import EXPLODED, Progress

BEST = "best parameters"  # a state's memory of them; no optimizer's or quantity's is called that


class Record(NamedTuple):
    """What is known after ``step`` updates; numbers that are not known are NaN.

    loss: of the batch at ``step``. lr: the learning rate of the update that follows.
    gradient_norm, clipped_norm: the global gradient norm before and after clipping.
    validation_loss, validation_score: on the whole validation part.
    measures: what was measured, by the quantity's name. divergence: why the run ends here, if so,
    or stopped: the rule by which it has come to its end.
    """

    step: int
    loss: float
    lr: float
    gradient_norm: float
    clipped_norm: float
    validation_loss: float
    validation_score: float
    measures: Values = MappingProxyType({})
    divergence: Divergence | None = None
    stopped: str = ""

    @property
    def ends(self) -> bool:
        """Whether the run ends here, before its last step."""
        return self.divergence is not None or bool(self.stopped)


@dataclass
class State:
    """All that training changes; with the seed it determines everything that follows.

    ``memory`` is the optimizer's, that of quantities that have one, and the ``BEST`` parameters
    where they are kept. ``between_updates``: row ``step`` has not changed the state yet, however
    far its passes are. ``measuring``, which determines nothing: the seconds spent on measuring in
    this process.
    """

    params: Views
    memory: Memory
    step: int = 0
    progress: Progress = field(default_factory=Progress)
    between_updates: bool = True
    measuring: float = 0.0

    @property
    def kept(self) -> int | None:
        """The step of the best parameters; None where they are not kept, or no score is known."""
        known = BEST in self.memory and self.progress.best_score is not None
        return self.progress.best_step if known else None


@dataclass(frozen=True)
class _Tools:
    """What a fit uses besides the state."""

    shards: Shards
    validation_shards: Shards
    gradient: BatchGradient
    measurement: Measurement
    fit: Fit
    several: Steps | None  # what makes several steps at once, if something can


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """Fits a stack to data by mini-batch gradient descent.

    ``steps``: how many updates. ``settings``: by which gradients are clipped, a run is stopped if
    its loss has exploded (``EXPLODED``) or its score does not improve, and the parameters of the
    best score are kept. ``instruments`` and ``evaluate`` say at which steps to measure and to
    validate, in addition to the first and the last. Each batch is split into ``shards``, one thread
    each, the validation part into ``validation_shards``; the rows of a shard are passed in
    ``turns``.
    """

    model: Stack
    data: Data
    batches: Batches
    loss: Loss
    score: Score
    optimizer: Optimizer
    schedule: Schedule
    steps: int
    settings: Settings
    instruments: tuple[Instrument, ...]
    evaluate: Cadence
    shards: int = 1
    validation_shards: int = 1
    turns: int = 1

    def start(self, params: Views) -> State:
        """The state before the first step, with a copy of the initial parameters."""
        copy = self.model.layout.views(params.vector.copy())
        names = (*self.optimizer.slots, *([BEST] if self.settings.keep == "best" else []))
        slots = {name: np.zeros_like(params.vector) for name in names}
        return State(copy, slots | memory_of(self.quantities, self.model, copy.vector.dtype))

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """All that is measured."""
        return tuple(q for instrument in self.instruments for q in instrument.quantities)

    def fit(self, state: State, *, state_every: int | None = 1) -> Iterator[Record]:
        """Train from ``state``, changing it in place, and yield a record for each row.

        When record k is yielded the state has k + 1 updates behind it, so a copy taken between
        two records continues exactly. With another ``state_every`` it may have more: it does not
        where k + 1 is a multiple of it, or ``state.step`` is k + 1; None: the state is read at the
        end alone. The last record has step = ``steps`` and no update.
        """
        keep_freed_memory()
        # overflow is checked for, not warned of; a context costs less than np.errstate at every row
        quiet = copy_context()
        quiet.run(np.seterr, over="ignore", under="ignore", invalid="ignore")
        params = state.params.vector
        with Shards(self.shards) as shards, Shards(self.validation_shards) as validation_shards:
            map_packing_buffers(self.model.engine.product, params.dtype, shards)
            gradient = BatchGradient(self.model, self.loss, shards, params.dtype, self.turns)
            measurement = Measurement(
                self.model, self.quantities, state.memory, params.dtype, self.shards, self.turns
            )
            fit, engine = self._fit(state, gradient), self.model.engine
            alone = state_every == 1 or self.shards * self.turns > 1
            several = None if alone else engine.steps(fit)
            tools = _Tools(shards, validation_shards, gradient, measurement, fit, several)
            while state.step <= self.steps:
                state.between_updates = True
                rows = quiet.run(self._rows, state, tools, state_every)
                yield from rows
                if rows[-1].ends:
                    return

    @cached_property
    def _cadences(self) -> tuple[Cadence, ...]:
        """Those at which more than an update is due."""
        return tuple({self.evaluate, *(instrument.cadence for instrument in self.instruments)})

    def validate(self, params: Views, shards: Shards) -> tuple[float, float]:
        """Loss and score on the validation part."""
        y, targets = self.predict(params, shards, self.data), self.data.y_validation
        return float(self.loss.value(y, targets)), float(self.score.value(targets, y))

    def predict(self, params: Views, shards: Shards, data: Data) -> Array:
        """The outputs (N, M) for the validation part of this data."""
        x = data.x_validation
        return np.concatenate(
            shards.each(lambda n: self.model.predict(params, x[shards.span(n, len(x))]))
        )

    def _fit(self, state: State, gradient: BatchGradient) -> Fit:
        trivial = self.trivial_loss  # without a positive one there is no limit
        return Fit(
            model=self.model,
            loss=self.loss,
            optimizer=self.optimizer,
            x=self.batches.x,
            targets=self.batches.y,
            rows=self.batches.size,
            params=state.params.vector,
            gradient=gradient.vector,
            memory=state.memory,
            decays=self._decays(),
            clip=self.settings.clip,
            limit=EXPLODED * trivial if trivial > 0 else math.inf,
        )

    def _rows(self, state: State, tools: _Tools, state_every: int | None) -> list[Record]:
        """The next rows: of several steps at once if each is an update and no more, else one."""
        if tools.several is not None and (rows := self._updates(state, tools.several, state_every)):
            return rows
        record = self._row(state, tools)
        state.step += 1
        return [record]

    def _updates(self, state: State, several: Steps, state_every: int | None) -> list[Record]:
        """The rows of the steps from here on that are only updates, which are made at once."""
        first = state.step
        stop = min(self._more_due(state, state_every), first + several.at_once)
        if stop == first:
            return []
        rates = [self._rate(step) for step in range(first, stop)]
        state.between_updates = False
        losses, norms = several(self.batches.rows(first, stop), rates, first + 1)
        state.step += len(losses)
        state.between_updates = not losses
        return [
            Record(step, loss, lr, norm, self._clipped(norm), np.nan, np.nan)
            for step, loss, lr, norm in zip(count(first), losses, rates, norms)
        ]

    def _more_due(self, state: State, state_every: int | None) -> int:
        """The next step, this one included, at which more than an update is due.

        While a loss has exploded that is each.
        """
        step = state.step
        if state.progress.exploded_for:
            return step
        read = self.steps if state_every is None else (step // state_every + 1) * state_every
        return min(self.steps, read, *(cadence.next(step) for cadence in self._cadences))

    def _row(self, state: State, tools: _Tools) -> Record:
        step, gradient = state.step, tools.gradient
        x, targets = self.batches.at(step)
        due = [
            quantity
            for instrument in self.instruments
            if self._due(step, instrument.cadence)
            for quantity in instrument.quantities
        ]
        measurement = tools.measurement.begin(step, due) if due else None
        state.between_updates = not any("memory" in quantity.needs for quantity in due)
        loss = float(gradient.take(state.params, x, targets, measurement))
        gradient_norm = gradient.norm
        progress = state.progress.with_loss(loss, tools.fit.limit)
        divergence = None
        if not (math.isfinite(loss) and math.isfinite(gradient_norm)):
            before = Updates(step, self.optimizer.lr)
            divergence = locate(self.model, state.params, x, targets, self.loss, before, self.turns)
        elif progress.exploded_for >= min(self.settings.patience, self.steps):
            divergence = self._exploded(step, loss)
        evaluated = self._due(step, self.evaluate) or divergence is not None
        validation = (
            self.validate(state.params, tools.validation_shards) if evaluated else (np.nan, np.nan)
        )
        progress = progress.with_score(step, validation[1], self.score)
        stopped = "" if divergence or step == self.steps else self._stopped_early(progress)
        ends = divergence is not None or bool(stopped)
        values: Values = {}
        state.between_updates = False  # a quantity with memory may be among what is not due
        if ends:  # measure that as well
            values = {} if measurement is None else measurement.values
            rest = [quantity for quantity in self.quantities if quantity not in due]
            if rest:
                measurement = tools.measurement.begin(step, rest)
                gradient.take(state.params, x, targets, measurement)
        state.progress = progress
        if evaluated and state.kept == step:
            state.memory[BEST][...] = state.params.vector
        lr = clipped_norm = np.nan
        if not ends and step < self.steps:
            lr = self._rate(step)
            clipped_norm = self._clipped(gradient_norm)
            if clipped_norm != gradient_norm:
                gradient.vector *= gradient.vector.dtype.type(clipped_norm / gradient_norm)
            self._update(state, tools, lr, measurement)
        if measurement is not None:
            values = {**values, **measurement.values}
            state.measuring += measurement.seconds
        norms = gradient_norm, clipped_norm
        return Record(step, loss, lr, *norms, *validation, values, divergence, stopped)

    def _update(
        self, state: State, tools: _Tools, lr: float, measurement: Measurement | None
    ) -> None:
        params, grads = state.params.vector, tools.gradient.vector

        def part(span: slice) -> None:
            arrays = {name: state.memory[name][span] for name in self.optimizer.slots}
            memory = dict(arrays)
            self.optimizer.step(
                params[span],
                grads[span],
                memory,
                lr=lr,
                count=state.step + 1,
                decays=tools.fit.decays[span],
            )
            put_back(self.optimizer, memory, arrays)

        if measurement is not None:
            measurement.before_update(params)
        if self.optimizer.side_by_side and worth_threads(params):
            tools.shards.each(lambda shard: part(tools.shards.span(shard, params.size)))
        else:
            part(slice(None))
        if measurement is not None:
            measurement.after_update(params, lr)

    def _due(self, step: int, cadence: Cadence) -> bool:
        return cadence.due(step) or step == self.steps

    def _decays(self) -> NDArray[np.bool]:
        """Which entries decay: weight matrices do; biases, gains, shifts and multipliers do not."""
        tensors = self.model.layout.tensors
        return np.repeat([len(t.shape) > 1 for t in tensors], [t.size for t in tensors])

    def _rate(self, step: int) -> float:
        return self.optimizer.lr * self.schedule.rate(step, self.steps)

    def _clipped(self, gradient_norm: float) -> float:
        clip = self.settings.clip
        return gradient_norm if clip is None else min(gradient_norm, clip)

    @property
    def trivial_loss(self) -> float:
        """The loss on the training rows of the trivial model, which knows nothing of the inputs."""
        targets = self.data.y_train
        return float(self.loss.value(self.loss.trivial_outputs(targets), targets))

    def _stopped_early(self, progress: Progress) -> str:
        """Why training ends, if it does because the score does not improve any more."""
        patience = self.settings.early_stopping
        if patience is None or progress.since_best < patience:
            return ""
        return (
            f"early stopping, the best {self.score.symbol} of {progress.best_score:.3g} at step "
            f"{progress.best_step} was not improved on in {counted(patience, 'evaluation')}"
        )

    def _exploded(self, step: int, loss: float) -> Divergence:
        reason = (
            f"the loss, now {loss:.3g}, was above {EXPLODED} times that of "
            f"{self.loss.trivial} for {counted(min(self.settings.patience, self.steps), 'step')} "
            "and did not fall"
        )
        return Divergence(step, "training", "loss", reason)
