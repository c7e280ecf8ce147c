"""What is observed of one forward pass and its backward pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node, get_gradient_edge

from ffn_train.interop.torch.blocks import Unwatchable
from ffn_train.interop.torch.norms import norm
from ffn_train.interop.torch.signals import Passage

Exchange = list[tuple[Tensor, Tensor]]  # a submodule's argument, and the view that replaces it
RECTIFYING = (nn.ReLU, nn.ReLU6, nn.GELU, nn.SiLU)  # act(z) > 0 exactly where z > 0


@dataclass(eq=False)
class Boundary:
    """A signal at a boundary between blocks: its norm, and the norm of dL/d(signal)."""

    signal: float
    size: int
    gradient: float | None = None

    def arrived(self, gradient: Tensor) -> None:
        """The gradient has arrived. Raises Unwatchable for a second one."""
        if self.gradient is not None:
            raise Unwatchable(
                "two backward passes go through one forward pass: add the losses instead"
            )
        self.gradient = norm(gradient)


@dataclass(eq=False)
class Start:
    """Where a branch leaves the skip path, by submodules that read a view of the signal there.

    ``reader``: the first of them, ``order``: the number of its call within the block. The
    gradient of the view is the ``branch`` part, the rest is the ``skip`` part. It holds no signal,
    and measures nothing without a ``boundary``.
    """

    reader: str
    order: int
    boundary: Boundary | None
    skip: float | None = None
    branch: float | None = None
    _part: Tensor | None = None

    def branch_arrived(self, gradient: Tensor) -> None:
        """The gradient of the view has arrived."""
        if self.boundary is not None:
            self.branch, self._part = norm(gradient), gradient

    def whole_arrived(self, gradient: Tensor) -> None:
        """The gradient of the block's signal has arrived, right after that of the view."""
        if self._part is not None:
            # half precision would round the difference, too
            half = gradient.dtype in (torch.float16, torch.bfloat16)
            self.skip = norm((gradient.float() if half else gradient) - self._part)
            self._part = None


@dataclass(eq=False)
class Sum:
    """A tensor that a block's own code computed from its input, or the input itself.

    ``node``: its node in the graph; ``before``: the sums that it is computed from; ``through``: the
    sum that a submodule turned into it. ``view``: what submodules read in its place.
    """

    tensor: Tensor
    node: Node
    before: list[Sum] = field(default_factory=list)
    through: Sum | None = None
    view: Tensor | None = None
    start: Start | None = None
    version: int = 0

    def read(self, start: Start) -> None:
        """Make the view for the submodules; the first to read the sum is at this start."""
        self.start, self.version = start, self.tensor._version
        self.view = self.tensor.view_as(self.tensor)
        self.view.register_hook(start.branch_arrived)
        self.tensor.register_hook(start.whole_arrived)

    def measured(self, block: str) -> Start:
        """The start, with a boundary."""
        start = self.start
        assert start is not None
        if start.boundary is None:
            if self.tensor._version != self.version:
                raise Unwatchable(f"{block}: the input of {start.reader} is changed in place")
            start.boundary = Boundary(norm(self.tensor), self.tensor.numel())
            self.tensor.register_hook(start.boundary.arrived)
        return start


class Call:
    """A block during its forward pass, and what is known of it afterwards.

    ``starts``: where its branches leave the skip path, at the input first. ``skips``: whether
    the block's own code adds its input to something. ``alive``: for each call of an activation
    the units that were positive for some sample. ``modules``: the submodules called. Both come with
    the number of the call, counting those that the block's own code makes.
    """

    def __init__(self, name: str, signal: Tensor, boundary: Boundary) -> None:
        self.name = name
        self.starts: list[Start] = []
        self._boundary = boundary
        self.skips = False
        self.alive: list[tuple[int, Tensor]] = []
        self.modules: dict[nn.Module, int] = {}
        node = get_gradient_edge(signal).node
        self._began = node._sequence_nr()
        self._version = signal._version
        self._sums = [Sum(signal, node)]
        self._outputs: set[Node] = set()  # of submodules
        self._reading: list[list[Sum]] = []  # what the submodules read that run now
        self._count = 0

    def enter(self, name: str, module: nn.Module, tensors: Iterable[Tensor]) -> Exchange:
        """A submodule is called with these tensors; returns those that it shall read as views."""
        outermost = not self._reading
        self._count += outermost
        self.modules.setdefault(module, self._count)
        known = []
        for tensor in tensors:
            sum_ = next((each for each in self._sums if each.tensor is tensor), None)
            if sum_ is None and outermost:
                sum_ = self._new(tensor)
            if sum_ is not None:
                if getattr(module, "inplace", False):
                    if sum_ is self._sums[0]:
                        raise Unwatchable(f"{self.name}: {name} changes the block's input in place")
                elif sum_.start is None:
                    boundary = self._boundary if sum_ is self._sums[0] else None
                    sum_.read(Start(name, self._count, boundary))
                known.append(sum_)
        self._reading.append(known)
        return [(each.tensor, each.view) for each in known if each.view is not None]

    def leave(self, module: nn.Module, output: Any) -> None:
        """A submodule has returned."""
        read = self._reading.pop()
        if isinstance(module, RECTIFYING):
            self.alive.append((self._count, _positive(output)))
        if not self._reading:
            source = next((each for each in read if each.before), None)
            for tensor in tensors_of([output]):
                node = get_gradient_edge(tensor).node
                self._outputs.add(node)
                if source is not None:
                    self._sums.append(Sum(tensor, node, through=source))

    def end(self, output: Tensor) -> None:
        """The block has returned: find where its branches leave the skip path."""
        first = self._sums[0]
        if first.tensor._version != self._version:
            raise Unwatchable(f"{self.name} changes its input in place")
        if first.start is None:
            raise Unwatchable(f"{self.name}: none of its submodules reads its input")
        parents = [each.before for each in self._sums]
        parents.append(self._reached(get_gradient_edge(output).node))
        going_on = [each for each in self._sums if any(each in before for before in parents)]
        self.skips = first in going_on
        current: Sum | None = first
        while current is not None:
            self.starts.append(current.measured(self.name))
            after = [each for each in self._sums if current in each.before]
            after += [each for each in self._sums if each.through in after]
            current = next((each for each in after if each.start and each in going_on), None)
        self._sums.clear()
        self._outputs.clear()

    def _new(self, tensor: Tensor) -> Sum | None:
        """The tensor as a sum, None if the block's own code did not compute it from another sum."""
        node = get_gradient_edge(tensor).node
        before = [] if node in self._outputs else self._reached(node)
        if not before:
            return None
        self._sums.append(Sum(tensor, node, before))
        return self._sums[-1]

    def _reached(self, start: Node) -> list[Sum]:
        """The sums from which the block's own code computed a tensor, by a search along the graph.

        The search stops at the outputs of submodules and at what existed before the block began.
        """
        places = {each.node: each for each in self._sums}
        reached, ahead, met = [], [start], set[Node]()
        while ahead:
            node = ahead.pop()
            if node in met or node._sequence_nr() < self._began:
                continue
            met.add(node)
            if node in places:
                reached.append(places[node])
            elif node not in self._outputs:
                ahead += [other for other, _ in node.next_functions if other is not None]
        return reached


def _positive(output: Tensor) -> Tensor:
    """Whether each unit is positive anywhere: a channel of an image, or the last axis."""
    units = 1 if output.dim() > 3 else output.dim() - 1
    others = [axis for axis in range(output.dim()) if axis != units]
    return (output.detach().amax(others) if others else output.detach()) > 0


def tensors_of(values: Iterable[Any]) -> Iterator[Tensor]:
    """The tensors among the arguments that require a gradient, each once."""
    met: list[Tensor] = []
    for value in values:
        for item in value if isinstance(value, (tuple, list)) else (value,):
            differentiable = isinstance(item, Tensor) and item.requires_grad
            if differentiable and not any(item is other for other in met):
                met.append(item)
                yield item


@dataclass(eq=False)
class Pass:
    """A forward pass of the model in which its blocks were called, and its backward pass.

    ``scale``: the factor of the gradient scaler. ``last``: the last block that was called, until
    the end of the stack. ``backward``: PyTorch's number of the backward pass.
    """

    scale: float
    calls: dict[int, Call] = field(default_factory=dict)
    last: Passage | None = None
    output: Boundary | None = None
    backward: int | None = None

    @property
    def differentiated(self) -> bool:
        return self.backward is not None

    def boundary(self, signal: Tensor) -> Boundary:
        """The boundary at a tensor; once its gradient arrives, the pass is differentiated."""
        boundary = Boundary(norm(signal), signal.numel())

        def hook(gradient: Tensor) -> None:
            boundary.arrived(gradient)
            self.backward = torch._C._current_graph_task_id()

        signal.register_hook(hook)
        return boundary
