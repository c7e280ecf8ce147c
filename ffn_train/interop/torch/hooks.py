"""The hooks of a watched model, and what they observe of a step."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakMethod, finalize

import torch
from torch import Tensor, nn
from torch._C._dynamo.eval_frame import get_eval_frame_callback
from torch.amp import GradScaler
from torch.autograd.graph import get_gradient_edge
from torch.optim.optimizer import (
    Optimizer,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from ffn_train.interop.torch.blocks import Unwatchable, check
from ffn_train.interop.torch.norms import norm
from ffn_train.interop.torch.passes import Call, Exchange, Pass, tensors_of
from ffn_train.interop.torch.signals import Passage


@dataclass
class Observed:
    """What has been observed of a step.

    ``lr``: of the first optimizer that took it. ``stepping``, ``taken``: the optimizers of this
    model that are taking a step, and that have taken one. ``running``: the block that runs now;
    ``evaluated``: one that ran in eval mode. ``before``: the parameters that the update starts
    from. ``gradients``: the norms of theirs; ``backward``: the backward passes that gave them, by
    number: whether it was within an optimizer's step. ``arrived``: the last backward pass that
    reached a parameter; ``late``: whether one did after a step of the optimizer.
    """

    step: int
    due: bool
    lr: float = math.nan
    stepping: set[Optimizer] = field(default_factory=set)
    taken: set[Optimizer] = field(default_factory=set)
    passes: list[Pass] = field(default_factory=list)
    running: Passage | None = None
    evaluated: str = ""
    before: dict[str, Tensor] = field(default_factory=dict)
    gradients: dict[str, float] = field(default_factory=dict)
    backward: dict[int, bool] = field(default_factory=dict)
    arrived: int = -1
    late: bool = False

    def forget(self) -> None:
        """Forget gradients that were discarded before a step used them."""
        self.gradients.clear()
        self.backward.clear()

    @property
    def unseen(self) -> str:
        """Why nothing was observed of the passes."""
        if any(each.calls for each in self.passes):
            return "no backward pass reached the blocks"
        if self.evaluated:
            return f"{self.evaluated} ran in eval mode: call model.train() first"
        return (
            "no forward pass of the blocks was seen: compiled code (torch.compile) runs no hooks, "
            "nor does a copy of the model"
        )


class Hooks:
    """The hooks of a model at the steps that are due; ``seen`` is what they observe of one.

    They do not keep this object alive, and are removed with it.
    """

    seen: Observed

    def __init__(
        self,
        model: nn.Module,
        blocks: Mapping[str, nn.Module],
        path: str | Path,
        scaler: GradScaler | None,
    ) -> None:
        self.model, self.blocks, self.path = model, blocks, path
        self.scaler = scaler if scaler is not None and scaler.is_enabled() else None
        self._handles: list[Any] = []
        self._hooked: dict[str, nn.Module | nn.Parameter] = {}
        self._ours: set[Optimizer] = set()
        self._of_optimizers = [
            register_optimizer_step_pre_hook(_weakly(self._steps)),
            register_optimizer_step_post_hook(_weakly(self._stepped)),
        ]
        for handles in (self._handles, self._of_optimizers):
            finalize(self, _remove, handles)

    def begin(self, step: int, *, due: bool) -> None:
        """Begin a step of which nothing has been observed; add hooks if it is due."""
        self.seen = Observed(step, due)
        if not due:
            _remove(self._handles)
        elif not self._handles:
            self._hook()

    def close(self) -> None:
        """Remove all hooks."""
        _remove(self._of_optimizers)
        _remove(self._handles)
        self.seen.passes.clear()

    def check_taken(self) -> None:
        """Raises Unwatchable for a row without a step, once an optimizer has been seen."""
        if self._ours and not self.seen.taken:
            raise Unwatchable(
                f"step {self.seen.step}: no optimizer has taken a step since the last row; call "
                "run.log once after each"
            )

    def used_passes(self) -> list[Pass]:
        """The passes whose gradients a due step used. Raises Unwatchable if anything is missing."""
        seen = self.seen
        differentiated = [each for each in seen.passes if each.differentiated]
        if not differentiated:
            raise Unwatchable(f"step {seen.step} is due, but {seen.unseen}")
        used = [each for each in differentiated if each.backward in seen.backward]
        if not used:
            raise Unwatchable(
                "the backward pass gave no parameter a gradient (.grad), or it was discarded "
                "before the step"
            )
        if seen.evaluated and any(len(each.calls) < len(self.blocks) for each in used):
            raise Unwatchable(f"step {seen.step} is due, but {seen.evaluated} ran in eval mode")
        if changed := self._changed():
            raise Unwatchable(
                f"step {seen.step}: {changed[0]} was replaced, frozen or unfrozen before run.log"
            )
        return used

    def _hook(self) -> None:
        check(self.model)
        self._hooked = self._hookable()
        add, within = self._handles.append, dict[nn.Module, tuple[str, str]]()
        add(self.model.register_forward_pre_hook(Hook("the model", _weakly(self._model_called))))
        for index, (block_name, block) in enumerate(self.blocks.items()):
            called = partial(_weakly(self._called), index, block_name)
            returned = partial(_weakly(self._returned), index)
            add(block.register_forward_pre_hook(Hook(block_name, called), with_kwargs=True))
            add(block.register_forward_hook(Hook(block_name, returned)))
            for name, module in block.named_modules():
                if module is not block and not _passes_on(module):
                    within.setdefault(module, (f"{block_name}.{name}", name))
        for module, (whole, name) in within.items():
            reads = Hook(whole, partial(_weakly(self._submodule_called), name))
            add(module.register_forward_pre_hook(reads, with_kwargs=True))
            add(module.register_forward_hook(Hook(whole, _weakly(self._submodule_returned))))
        for name, parameter in trained(self.model).items():
            add(parameter.register_hook(_weakly(self._arriving)))
            accumulated = partial(_weakly(self._accumulated), name)
            add(parameter.register_post_accumulate_grad_hook(accumulated))

    def _hookable(self) -> dict[str, nn.Module | nn.Parameter]:
        """What the hooks are for: the modules of the blocks and the trained parameters, by name."""
        blocks = self.blocks.items()
        within = [each for name, block in blocks for each in block.named_modules(prefix=name)]
        return {**dict(within), **trained(self.model, remove_duplicate=False)}

    def _changed(self) -> list[str]:
        """The names of what the hooks are for and are not on, and the reverse."""
        now, hooked = self._hookable(), self._hooked
        return [name for name in {**hooked, **now} if now.get(name) is not hooked.get(name)]

    def _model_called(self, *_: Any) -> None:
        if torch.is_grad_enabled():
            if not self.seen.before and self._changed():
                _remove(self._handles)
                self._hook()
            self.seen.passes.append(Pass(self._scale()))

    def _scale(self) -> float:
        return 1.0 if self.scaler is None else float(self.scaler.get_scale())

    def _called(
        self, index: int, name: str, block: nn.Module, args: Any, kwargs: dict[str, Any]
    ) -> tuple[Any, dict[str, Any]] | None:
        seen = self.seen
        seen.running = None
        if not torch.is_grad_enabled():
            return None
        if not block.training:
            seen.evaluated = name
            return None
        if torch._C._current_graph_task_id() != -1:
            raise Unwatchable(f"{name} is checkpointed: the backward pass runs it again")
        if seen.taken:
            return None
        if not seen.passes or (index in seen.passes[-1].calls and seen.passes[-1].differentiated):
            seen.passes.append(Pass(self._scale()))
        latest = seen.passes[-1]
        if index in latest.calls:
            raise Unwatchable(f"{name} is called twice within one forward pass of the model")
        given = _floats((*args, *kwargs.values()))
        if not given:
            raise Unwatchable(f"{name} is called with no tensor of floating-point numbers")
        if not seen.before:
            with torch.no_grad():
                named = trained(self.model)
                seen.before = {name: parameter.clone() for name, parameter in named.items()}
        before = latest.last
        if before is not None and before.output is None:
            latest.calls[before.index] = before.end(given)
        running = latest.last = Passage(index, name, before, given)
        running.follow()
        views: Exchange = []
        for signal in running.possible:
            # a mask is left without a gradient, with which attention would compute another way
            if not signal.requires_grad and signal is not running.possible[0]:
                continue
            source = signal if signal.requires_grad else signal.detach().requires_grad_()
            if source.is_leaf and signal.requires_grad:  # a parameter, say, which outlives the step
                source = signal.view_as(signal)
            boundary = latest.boundary(source)
            # of a leaf a copy, since PyTorch lets no block change a leaf's view in place
            view = source.view_as(source) if signal.requires_grad else source.clone()
            running.calls.append((signal, Call(name, view, boundary)))
            views.append((signal, view))
        seen.running, latest.calls[index] = running, running.calls[0][1]
        return _exchanged(args, kwargs, views)

    def _returned(self, index: int, block: nn.Module, args: Any, output: Any) -> None:
        seen = self.seen
        running, seen.running = seen.running, None
        if running is None:
            return
        running.returned = list(tensors_of([output]))
        if not running.returned:
            raise Unwatchable(f"{running.name} returns no tensor that has a gradient")
        running.ends = [get_gradient_edge(each).node for each in running.returned]
        latest, at_end = seen.passes[-1], index == len(self.blocks) - 1
        if at_end or running.clear:
            latest.calls[index] = running.end([])
        if at_end and running.output is not None:
            latest.output, latest.last = latest.boundary(running.output), None

    def _submodule_called(
        self, name: str, module: nn.Module, args: Any, kwargs: dict[str, Any]
    ) -> tuple[Any, dict[str, Any]] | None:
        if self.seen.running is None:
            return None
        for _, call in self.seen.running.calls:
            tensors = tensors_of((*args, *kwargs.values())) if torch.is_grad_enabled() else ()
            args, kwargs = _exchanged(args, kwargs, call.enter(name, module, tensors))
        return args, kwargs

    def _submodule_returned(self, module: nn.Module, args: Any, output: Any) -> None:
        for _, call in self.seen.running.calls if self.seen.running is not None else ():
            call.leave(module, output)

    def _arriving(self, _: Tensor) -> None:
        """A gradient arrives at a parameter: forget the earlier ones if they were discarded."""
        seen, number = self.seen, torch._C._current_graph_task_id()
        if number == seen.arrived or seen.taken:
            return
        seen.arrived = number
        if not seen.gradients:
            return
        left = {name: parameter.grad for name, parameter in trained(self.model).items()}
        kept, lost = list[str](), list[str]()
        for name, before in seen.gradients.items():
            if before:
                gradient = left.get(name)
                (kept if gradient is not None and norm(gradient) else lost).append(name)
        if lost and kept:
            raise Unwatchable(
                f"step {seen.step}: between two backward passes the gradient of {lost[0]} was "
                f"discarded, and that of {kept[0]} was not"
            )
        if lost and any(seen.backward.values()):
            raise Unwatchable(
                "the optimizer evaluates several gradients within a step, none of which is the "
                "step's own"
            )
        if lost:
            seen.forget()

    def _accumulated(self, name: str, parameter: Tensor) -> None:
        seen, number = self.seen, torch._C._current_graph_task_id()
        if seen.taken and number not in seen.backward:
            seen.late = True
        elif parameter.grad is not None and seen.before:
            seen.gradients[name] = norm(parameter.grad) / self._scale()
            seen.backward.setdefault(number, bool(seen.stepping))

    def _steps(self, optimizer: Optimizer, *_: Any) -> None:
        seen = self.seen
        if optimizer not in self._ours:  # or not yet
            its = {id(p) for group in optimizer.param_groups for p in group["params"]}
            if any(id(p) in its for p in self.model.parameters()):
                self._ours.add(optimizer)
        if optimizer in self._ours:
            seen.stepping.add(optimizer)
            unused = bool(seen.gradients) and not seen.taken
            if unused and all(p.grad is None for p in self.model.parameters()):
                seen.forget()

    def _stepped(self, optimizer: Optimizer, *_: Any) -> None:
        seen = self.seen
        if optimizer not in seen.stepping:  # not ours, or it called its parent class's step
            return
        seen.stepping.remove(optimizer)
        if seen.due and self.scaler is None and _scaled():
            raise Unwatchable("a gradient scaler multiplies the loss: pass it as scaler=")
        if getattr(optimizer, "found_inf", None):  # a fused optimizer skips the step itself
            return
        if optimizer in seen.taken:
            raise Unwatchable(
                f"path={self.path}: the optimizer has taken 2 steps since the last row; call "
                "run.log after each"
            )
        if seen.late:
            raise Unwatchable(
                f"step {seen.step}: a backward pass lies between the steps of two optimizers; "
                "watch the part of the model that one of them trains"
            )
        seen.taken.add(optimizer)
        if math.isnan(seen.lr):
            seen.lr = float(optimizer.param_groups[0]["lr"])


def trained(model: nn.Module, *, remove_duplicate: bool = True) -> dict[str, nn.Parameter]:
    """The trained parameters; a shared one under each of its names, or under one."""
    named = model.named_parameters(remove_duplicate=remove_duplicate)
    return {name: parameter for name, parameter in named if parameter.requires_grad}


def _weakly(method: Callable[..., Any]) -> Callable[..., Any]:
    """A bound method that does not keep its object alive; without it, it does nothing."""
    weak = WeakMethod(method)

    def call(*arguments: Any) -> Any:
        bound = weak()
        return None if bound is None else bound(*arguments)

    return call


def _remove(handles: list[Any]) -> None:
    """Remove hooks by their handles."""
    for handle in handles:
        handle.remove()
    handles.clear()


class Hook:
    """A hook of a module; in a copied or pickled model it does nothing."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self._name, self._function = name, function

    def __call__(self, module: nn.Module, *arguments: Any) -> Any:
        if _compiled() and module.training and torch.is_grad_enabled():
            raise Unwatchable(
                f"{self._name} is compiled, or called by compiled code (torch.compile), which "
                "runs no hooks"
            )
        return self._function(module, *arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return Hook, (self._name, _nothing)


def _nothing(*arguments: Any) -> None:
    """The hooks of a copy."""


def _passes_on(module: nn.Module) -> bool:
    """Whether a module returns its argument, as a skip path does."""
    return isinstance(module, nn.Identity) or (
        isinstance(module, nn.Sequential) and len(module) == 0
    )


def _floats(values: Iterable[Any]) -> list[Tensor]:
    """The tensors of floating-point numbers among the arguments, each once."""
    tensors = [each for each in values if isinstance(each, Tensor) and each.is_floating_point()]
    return [*{id(each): each for each in tensors}.values()]


def _exchanged(args: Any, kwargs: dict[str, Any], pairs: Exchange) -> tuple[Any, dict[str, Any]]:
    """The arguments with the first of each pair replaced by the second."""

    def new(value: Any) -> Any:
        if isinstance(value, Tensor):
            return next((view for old, view in pairs if value is old), value)
        return type(value)(map(new, value)) if type(value) in (tuple, list) else value

    return tuple(map(new, args)), {key: new(value) for key, value in kwargs.items()}


def _compiled() -> bool:
    """Whether compiled code calls a hook, while it is traced or after tracing has failed."""
    return torch.compiler.is_compiling() or get_eval_frame_callback() is not None


def _scaled() -> bool:
    """Whether a gradient scaler calls the optimizer."""
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        caller = frame.f_locals.get("self") if frame.f_code.co_name == "step" else None
        if isinstance(caller, GradScaler) and caller.is_enabled():
            return True
    return False
