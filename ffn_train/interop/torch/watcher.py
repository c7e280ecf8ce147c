"""The rows of a watched model, made from what its hooks observe at the steps that are due."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from weakref import WeakSet

from torch import Tensor, nn
from torch.amp import GradScaler

from ffn_train.interop.recorder import Recorder, Recording, say
from ffn_train.interop.torch.blocks import Unwatchable
from ffn_train.interop.torch.flow import absent, flow, layout, values
from ffn_train.interop.torch.hooks import Hooks, trained
from ffn_train.interop.torch.norms import norms
from ffn_train.runs import Run
from ffn_train.runs.layout import RunLayout


class Watch(Recording):
    """A watched model: call ``log`` after each step of the optimizer, and use it in a ``with``.

    At steps that are not due the model has no hooks. The hooks do not keep the watch alive: one
    that is dropped without ``close`` ends without a word, and its run as if the process had died.
    """

    def __init__(
        self,
        model: nn.Module,
        blocks: Mapping[str, nn.Module],
        path: str | Path,
        open_run: Callable[[RunLayout, int], Recorder],
        *,
        every: int,
        split: bool | None,
        scaler: GradScaler | None,
        first: int,
    ) -> None:
        _alone(blocks)
        self._every, self._split = every, split
        self._open_run = open_run
        self._recorder: Recorder | None = None
        self._structure: list[tuple[str, int]] = []  # of the first measured pass
        self._shapes: dict[str, tuple[int, ...]] = {}  # of the parameters trained then
        self._absent: dict[str, str] = {}
        self._closed = False
        self._hooks = Hooks(model, blocks, path, scaler)
        self._begin(first)
        _OPEN.add(self)

    def log(self, loss: float | Tensor, **scalars: float | Tensor) -> None:
        """Write the row of the step that the optimizer has just taken.

        ``loss``: of the whole step. ``scalars``: of the other columns, such as
        ``validation_loss``. A step that the gradient scaler skipped has no row.
        Raises Unwatchable for a due step that was not observed completely and for a second row
        of a step, SettingError for scalars that do not fit.
        """
        if self._closed:
            raise Unwatchable("the watch is closed: it takes no more steps")
        seen = self._hooks.seen
        step = seen.step
        if self._hooks.scaler is None or seen.taken:
            self._hooks.check_taken()
            measures = self._measures() if seen.due else {}
            assert self._recorder is not None
            rate = {} if math.isnan(seen.lr) else {"lr": seen.lr}
            row = {**rate, "loss": loss, **scalars}
            numbers: dict[str, Any] = {
                name: value.detach() if isinstance(value, Tensor) else value
                for name, value in row.items()
            }
            self._recorder.log(step, numbers, measures)
            step += 1
        self._begin(step)

    def end(self, error: BaseException | None) -> Run | None:
        if error is None and self._recorder is None and not self._closed:
            say("warning: no step was logged (run.log), so that nothing was recorded")
        self._closed = True
        _OPEN.discard(self)
        self._hooks.close()
        return self._recorder.end(error) if self._recorder is not None else None

    def _begin(self, step: int) -> None:
        self._hooks.begin(step, due=self._recorder is None or step % self._every == 0)

    def _measures(self) -> dict[str, Any]:
        """The measured values of a due step, by quantity. Raises Unwatchable if any is missing."""
        seen, model = self._hooks.seen, self._hooks.model
        names = list(self._hooks.blocks)
        flows = [flow(each, names, self._split) for each in self._hooks.used_passes()]
        tensors, before = trained(model), seen.before
        updates = norms([tensors[name].detach() - before[name] for name in before])
        if math.isnan(seen.lr) and not any(updates):
            raise Unwatchable(f"step {seen.step} is due, but no optimizer has taken it")
        parameters = trained(model, remove_duplicate=False)
        shapes = {name: tuple(parameter.shape) for name, parameter in parameters.items()}
        if self._recorder is None:
            count = sum(tensor.numel() for tensor in tensors.values())
            self._recorder = self._open_run(layout(flows[0], model, shapes), count)
            self._shapes = shapes
            self._structure, self._absent = flows[0].structure, absent(flows[0])
        for name in {**self._shapes, **shapes}:
            now, then = shapes.get(name), self._shapes.get(name)
            if now != then:
                raise Unwatchable(
                    f"step {seen.step}: {name} is {_trained(now)}; at the first measured step it "
                    f"was {_trained(then)}"
                )
        if flows[0].structure != self._structure:
            raise Unwatchable(
                f"step {seen.step}: the blocks' branches are not those of the first measured step"
            )
        first_name = {id(tensor): name for name, tensor in tensors.items()}

        def by_tensor(norms: Mapping[str, float]) -> dict[str, float]:
            """The values by each name of a parameter; a shared one has several."""
            return {name: norms[first_name[id(tensor)]] for name, tensor in parameters.items()}

        measured = {
            "gradient_norm": by_tensor({**dict.fromkeys(before, 0.0), **seen.gradients}),
            "weight_norm": by_tensor(_named(before, norms([*before.values()]))),
            "update_norm": by_tensor(_named(before, updates)),
            **values(flows),
        }
        return {name: value for name, value in measured.items() if name not in self._absent}


_OPEN: WeakSet[Watch] = WeakSet()  # those that are not closed


def _alone(blocks: Mapping[str, nn.Module]) -> None:
    """Raises Unwatchable if a watch that is open has one of the blocks."""
    for other in _OPEN:
        for name, block in blocks.items():
            if any(block is each for each in other._hooks.blocks.values()):
                raise Unwatchable(
                    f"block {name} is watched already (path={other._hooks.path}): close that watch "
                    "first, or use watch in a `with`"
                )


def _trained(shape: tuple[int, ...] | None) -> str:
    return "not trained" if shape is None else f"trained with the shape {shape}"


def _named(names: Iterable[str], values: Iterable[float]) -> dict[str, float]:
    return dict(zip(names, values, strict=True))
