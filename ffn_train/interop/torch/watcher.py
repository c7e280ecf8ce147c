"""The hooks of a watched model at the steps that are due, and the rows made from them."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakMethod, WeakSet, finalize

import torch
from torch import Tensor, nn
from torch._C._dynamo.eval_frame import get_eval_frame_callback
from torch.amp import GradScaler
from torch.optim.optimizer import (
    Optimizer,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from ffn_train.interop.recorder import Recorder, Recording, say
from ffn_train.interop.torch.blocks import Unwatchable, check
from ffn_train.interop.torch.flow import absent, flow, layout, values
from ffn_train.interop.torch.norms import norm, norms
from ffn_train.interop.torch.passes import Call, Exchange, Pass, tensors_of
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
        open_run: Callable[[RunLayout], Recorder],
        *,
        every: int,
        split: bool | None,
        scaler: GradScaler | None,
        first: int,
    ) -> None:
        self._model, self._names, self._blocks = model, list(blocks), list(blocks.values())
        self._path = path
        self._alone()
        self._every, self._split, self._step = every, split, first
        self._scaler = scaler if scaler is not None and scaler.is_enabled() else None
        self._open_run = open_run
        self._recorder: Recorder | None = None
        self._structure: list[tuple[str, int]] = []  # of the first measured pass
        self._shapes: dict[str, tuple[int, ...]] = {}  # of the parameters trained then
        self._absent: dict[str, str] = {}
        self._handles: list[Any] = []
        self._hooked: dict[str, nn.Module | nn.Parameter] = {}
        self._ours: dict[Optimizer, bool] = {}
        self._closed = False
        self._of_optimizers = [
            register_optimizer_step_pre_hook(_weakly(self._steps)),
            register_optimizer_step_post_hook(_weakly(self._stepped)),
        ]
        for handles in (self._handles, self._of_optimizers):
            finalize(self, _remove, handles)
        self._begin()
        _OPEN.add(self)

    def log(self, loss: float | Tensor, **scalars: float | Tensor) -> None:
        """Write the row of the step that the optimizer has just taken.

        ``loss``: of the whole step. ``scalars``: of the other columns, such as
        ``validation_loss``. A step that the gradient scaler skipped has no row.
        Raises Unwatchable for a due step that was not observed completely, SettingError for
        scalars that do not fit.
        """
        if self._closed:
            raise Unwatchable("the watch is closed: it takes no more steps")
        if self._scaler is None or self._taken:
            measures = self._measures() if self._due else {}
            assert self._recorder is not None
            row = {"lr": self._lr, "loss": loss, **scalars}
            numbers: dict[str, Any] = {
                name: value.detach() if isinstance(value, Tensor) else value
                for name, value in row.items()
            }
            self._recorder.log(self._step, numbers, measures)
            self._step += 1
        self._begin()

    def end(self, error: BaseException | None) -> Run | None:
        if error is None and self._recorder is None and not self._closed:
            say("warning: no step was logged (run.log), so that nothing was recorded")
        self._closed = True
        _OPEN.discard(self)
        _remove(self._of_optimizers)
        self._unhook()
        self._passes.clear()
        return self._recorder.end(error) if self._recorder is not None else None

    def _alone(self) -> None:
        """Raises Unwatchable if another watch that is open has one of the blocks."""
        for other in _OPEN:
            for name, block in zip(self._names, self._blocks, strict=True):
                if any(block is each for each in other._blocks):
                    raise Unwatchable(
                        f"block {name} is watched already (path={other._path}): close that watch "
                        "first, or use watch in a `with`"
                    )

    # the hooks

    def _begin(self) -> None:
        """Begin a step of which nothing has been observed; add hooks if it is due."""
        self._due = self._recorder is None or self._step % self._every == 0
        self._lr = math.nan
        self._stepping: set[Optimizer] = set()  # ours that are taking a step
        self._taken: set[Optimizer] = set()  # ours that have taken one
        self._passes: list[Pass] = []
        self._running: Call | None = None
        self._evaluated = ""  # a block that ran in eval mode
        self._before: dict[str, Tensor] = {}  # the parameters that the update starts from
        self._gradients: dict[str, float] = {}
        # the backward passes that gave them, by number: whether it was within an optimizer's step
        self._backward: dict[int, bool] = {}
        self._arrived = -1  # the last backward pass that reached a parameter
        self._late = False  # whether one reached a parameter after a step of the optimizer
        if not self._due:
            self._unhook()
        elif not self._handles:
            self._hook()

    def _unhook(self) -> None:
        _remove(self._handles)

    def _hook(self) -> None:
        check(self._model)
        self._hooked = self._hookable()
        add, within = self._handles.append, dict[nn.Module, tuple[str, str]]()
        add(self._model.register_forward_pre_hook(Hook("the model", _weakly(self._model_called))))
        for index, (block_name, block) in enumerate(zip(self._names, self._blocks, strict=True)):
            called = partial(_weakly(self._called), index)
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
        for name, parameter in self._parameters().items():
            add(parameter.register_hook(_weakly(self._arriving)))
            accumulated = partial(_weakly(self._accumulated), name)
            add(parameter.register_post_accumulate_grad_hook(accumulated))

    def _parameters(self, *, remove_duplicate: bool = True) -> dict[str, nn.Parameter]:
        """The trained parameters; a shared one under each of its names, or under one."""
        named = self._model.named_parameters(remove_duplicate=remove_duplicate)
        return {name: parameter for name, parameter in named if parameter.requires_grad}

    def _hookable(self) -> dict[str, nn.Module | nn.Parameter]:
        """What the hooks are for: the modules of the blocks and the trained parameters, by name."""
        blocks = zip(self._names, self._blocks, strict=True)
        within = [each for name, block in blocks for each in block.named_modules(prefix=name)]
        return {**dict(within), **self._parameters(remove_duplicate=False)}

    def _changed(self) -> list[str]:
        """The names of what the hooks are for and are not on, and the reverse."""
        now, hooked = self._hookable(), self._hooked
        return [name for name in {**hooked, **now} if now.get(name) is not hooked.get(name)]

    def _model_called(self, *_: Any) -> None:
        if torch.is_grad_enabled():
            if not self._before and self._changed():
                self._unhook()
                self._hook()
            self._passes.append(Pass(self._scale()))

    def _scale(self) -> float:
        return 1.0 if self._scaler is None else float(self._scaler.get_scale())

    def _called(
        self, index: int, block: nn.Module, args: Any, kwargs: dict[str, Any]
    ) -> tuple[Any, dict[str, Any]] | None:
        name = self._names[index]
        self._running = None
        if not torch.is_grad_enabled():
            return None
        if not block.training:
            self._evaluated = name
            return None
        if torch._C._current_graph_task_id() != -1:
            raise Unwatchable(f"{name} is checkpointed: the backward pass runs it again")
        if self._taken:
            return None
        if not self._passes or (
            index in self._passes[-1].calls and self._passes[-1].differentiated
        ):
            self._passes.append(Pass(self._scale()))
        seen = self._passes[-1]
        if index in seen.calls:
            raise Unwatchable(f"{name} is called twice within one forward pass of the model")
        signal = next(filter(_is_signal, (*args, *kwargs.values())), None)
        if signal is None:
            raise Unwatchable(f"{name} is called with no tensor of floating-point numbers")
        if not self._before:
            with torch.no_grad():
                named = self._parameters()
                self._before = {name: parameter.clone() for name, parameter in named.items()}
        source = signal if signal.requires_grad else signal.detach().requires_grad_()
        boundary = seen.boundary(source)
        # of a leaf a copy, since PyTorch lets no block change a leaf's view in place
        view = source.view_as(source) if signal.requires_grad else source.clone()
        self._running = seen.calls[index] = Call(name, view, boundary)
        return _exchanged(args, kwargs, [(signal, view)])

    def _returned(self, index: int, block: nn.Module, args: Any, output: Any) -> None:
        call, self._running = self._running, None
        if call is None:
            return
        signal = next(tensors_of([output]), None)
        if signal is None:
            raise Unwatchable(f"{call.name} returns no tensor that has a gradient")
        call.end(signal)
        if index == len(self._blocks) - 1:
            self._passes[-1].output = self._passes[-1].boundary(signal)

    def _submodule_called(
        self, name: str, module: nn.Module, args: Any, kwargs: dict[str, Any]
    ) -> tuple[Any, dict[str, Any]] | None:
        if self._running is None:
            return None
        tensors = tensors_of((*args, *kwargs.values())) if torch.is_grad_enabled() else ()
        return _exchanged(args, kwargs, self._running.enter(name, module, tensors))

    def _submodule_returned(self, module: nn.Module, args: Any, output: Any) -> None:
        if self._running is not None:
            self._running.leave(module, output)

    def _arriving(self, _: Tensor) -> None:
        """A gradient arrives at a parameter: forget the earlier ones if they were discarded."""
        number = torch._C._current_graph_task_id()
        if number == self._arrived or self._taken:
            return
        self._arrived = number
        if not self._gradients:
            return
        left = {name: parameter.grad for name, parameter in self._parameters().items()}
        kept, lost = list[str](), list[str]()
        for name, before in self._gradients.items():
            if before:
                gradient = left.get(name)
                (kept if gradient is not None and norm(gradient) else lost).append(name)
        if lost and kept:
            raise Unwatchable(
                f"step {self._step}: between two backward passes the gradient of {lost[0]} was "
                f"discarded, and that of {kept[0]} was not"
            )
        if lost and any(self._backward.values()):
            raise Unwatchable(
                "the optimizer evaluates several gradients within a step, none of which is the "
                "step's own"
            )
        if lost:
            self._forget()

    def _accumulated(self, name: str, parameter: Tensor) -> None:
        number = torch._C._current_graph_task_id()
        if self._taken and number not in self._backward:
            self._late = True
        elif parameter.grad is not None and self._before:
            self._gradients[name] = norm(parameter.grad) / self._scale()
            self._backward.setdefault(number, bool(self._stepping))

    def _forget(self) -> None:
        """Forget gradients that were discarded before a step used them."""
        self._gradients.clear()
        self._backward.clear()

    def _steps(self, optimizer: Optimizer, *_: Any) -> None:
        if optimizer not in self._ours:
            trained = {id(p) for group in optimizer.param_groups for p in group["params"]}
            self._ours[optimizer] = any(id(p) in trained for p in self._model.parameters())
        if self._ours[optimizer]:
            self._stepping.add(optimizer)
            unused = bool(self._gradients) and not self._taken
            if unused and all(p.grad is None for p in self._model.parameters()):
                self._forget()

    def _stepped(self, optimizer: Optimizer, *_: Any) -> None:
        if optimizer not in self._stepping:  # not ours, or it called its parent class's step
            return
        self._stepping.remove(optimizer)
        if self._due and self._scaler is None and _scaled():
            raise Unwatchable("a gradient scaler multiplies the loss: pass it as scaler=")
        if getattr(optimizer, "found_inf", None):  # a fused optimizer skips the step itself
            return
        if optimizer in self._taken:
            raise Unwatchable(
                f"path={self._path}: the optimizer has taken 2 steps since the last row; call "
                "run.log after each"
            )
        if self._late:
            raise Unwatchable(
                f"step {self._step}: a backward pass lies between the steps of two optimizers; "
                "watch the part of the model that one of them trains"
            )
        self._taken.add(optimizer)
        if math.isnan(self._lr):
            self._lr = float(optimizer.param_groups[0]["lr"])

    # the values

    def _measures(self) -> dict[str, Any]:
        """The measured values of a due step, by quantity. Raises Unwatchable if any is missing."""
        seen = [each for each in self._passes if each.differentiated]
        if not seen:
            raise Unwatchable(f"step {self._step} is due, but {self._unseen()}")
        passes = [each for each in seen if each.backward in self._backward]
        if not passes:
            raise Unwatchable(
                "the backward pass gave no parameter a gradient (.grad), or it was discarded "
                "before the step"
            )
        if self._evaluated and any(len(each.calls) < len(self._blocks) for each in passes):
            raise Unwatchable(f"step {self._step} is due, but {self._evaluated} ran in eval mode")
        if changed := self._changed():
            raise Unwatchable(
                f"step {self._step}: {changed[0]} was replaced, frozen or unfrozen before run.log"
            )
        flows = [flow(each, self._names, self._split) for each in passes]
        trained, before = self._parameters(), self._before
        updates = norms([trained[name].detach() - before[name] for name in before])
        if math.isnan(self._lr) and not any(updates):
            raise Unwatchable(f"step {self._step} is due, but no optimizer has taken it")
        parameters = self._parameters(remove_duplicate=False)
        shapes = {name: tuple(parameter.shape) for name, parameter in parameters.items()}
        if self._recorder is None:
            self._recorder = self._open_run(layout(flows[0], self._model, shapes))
            self._shapes = shapes
            self._structure, self._absent = flows[0].structure, absent(flows[0])
        for name in {**self._shapes, **shapes}:
            now, then = shapes.get(name), self._shapes.get(name)
            if now != then:
                raise Unwatchable(
                    f"step {self._step}: {name} is {_trained(now)}; at the first measured step it "
                    f"was {_trained(then)}"
                )
        if flows[0].structure != self._structure:
            raise Unwatchable(
                f"step {self._step}: the blocks' branches are not those of the first measured step"
            )
        measured = {
            "gradient_norm": self._by_tensor({**dict.fromkeys(before, 0.0), **self._gradients}),
            "weight_norm": self._by_tensor(_named(before, norms([*before.values()]))),
            "update_norm": self._by_tensor(_named(before, updates)),
            **values(flows),
        }
        return {name: value for name, value in measured.items() if name not in self._absent}

    def _by_tensor(self, norms: Mapping[str, float]) -> dict[str, float]:
        """The values by each name of a parameter; a shared one has several."""
        by_id = {id(each): norms[name] for name, each in self._parameters().items()}
        named = self._parameters(remove_duplicate=False)
        return {name: by_id[id(parameter)] for name, parameter in named.items()}

    def _unseen(self) -> str:
        """Why nothing was observed of a step."""
        if self._passes and any(each.calls for each in self._passes):
            return "no backward pass reached the blocks"
        if self._evaluated:
            return f"{self._evaluated} ran in eval mode: call model.train() first"
        return (
            "no forward pass of the blocks was seen: compiled code (torch.compile) runs no hooks, "
            "nor does a copy of the model"
        )


_OPEN: WeakSet[Watch] = WeakSet()  # those that are not closed


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


def _trained(shape: tuple[int, ...] | None) -> str:
    return "not trained" if shape is None else f"trained with the shape {shape}"


def _named(names: Iterable[str], values: Iterable[float]) -> dict[str, float]:
    return dict(zip(names, values, strict=True))


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


def _is_signal(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


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
