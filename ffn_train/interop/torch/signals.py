"""Which of the tensors that a block is given and returns are its signals x_l and x_(l+1)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from torch import Tensor
from torch.autograd.graph import Node, get_gradient_edge

from ffn_train.config.settings import counted
from ffn_train.interop.torch.blocks import Unwatchable

if TYPE_CHECKING:
    from ffn_train.interop.torch.passes import Call


@dataclass(eq=False)
class Passage:
    """What a block is given and returns; ``calls``: what is observed for each possible x_l.

    The signals are the only tensor of floating-point numbers among the arguments and the only
    tensor with a gradient that is returned. Of several arguments, x_l is the one that the block
    before returned as its signal, or one that neither the block before nor the one after is given
    too. Of several that are returned, x_(l+1) is the one that the block after is given, or the one
    in the place of the signal that the block before returned. If some of them have one shape, the
    signals have, and where still several are left, nothing is guessed.
    """

    index: int
    name: str
    before: Passage | None
    given: list[Tensor]
    calls: list[tuple[Tensor, Call]] = field(default_factory=list)
    returned: list[Tensor] = field(default_factory=list)
    output: Tensor | None = None  # x_(l+1), as soon as it is known
    ends: list[Node] = field(default_factory=list)  # the nodes of what is returned

    @property
    def possible(self) -> list[Tensor]:
        """What x_l may be, as far as the block before tells."""
        if len(self.given) == 1 or self.before is None:
            return self.given
        same = [each for each in self.given if each is self.before.output]
        known = self.before.given + self.before.returned
        return same or _without(self.given, known) or self.given

    @property
    def clear(self) -> bool:
        """Whether the block after need not be seen."""
        return len(self.possible) == len(self.returned) == 1

    def follow(self) -> None:
        """Raises Unwatchable if nothing that this block is given comes from the block before: if
        that was given it too, as one of several heads is, or if it was computed from other things.
        A tensor that is cut off the graph may come from anywhere.
        """
        if (before := self.before) is None:
            return
        others = _without(self.given, before.returned)
        sources = [each for each in others if not _among(each, before.given)]
        if len(others) == len(self.given) and all(
            each.grad_fn is not None and not _from(each, before.ends) for each in sources
        ):
            raise Unwatchable(
                f"{self.name} is not given what {before.name} returned: blocks follow one another "
                "from input to output; name these in blocks="
            )

    def end(self, after: list[Tensor]) -> Call:
        """What was observed of x_l, once it is known what the block after is given.

        Raises Unwatchable if it cannot be told which tensors the signals are.
        """
        inputs, outputs = self.possible, self.returned
        fitting = [x.shape == y.shape for x in inputs for y in outputs]
        inputs = _without(inputs, after) or inputs
        handed = [each for each in outputs if _among(each, after)]
        if _without(after, self.given + outputs):  # which may be computed from the signal
            handed = []
        outputs = handed or self._placed or outputs
        pairs = [(x, y) for x in inputs for y in outputs if x.shape == y.shape or not any(fitting)]
        observed = [(call, y) for x, y in pairs for tensor, call in self.calls if tensor is x]
        if len(pairs) != 1 or not observed:
            raise Unwatchable(
                f"{self.name} is given {counted(len(self.given), 'tensor')} and returns "
                f"{len(self.returned)}, and which of them are its signals cannot be told: put the "
                "others into a tuple, or wrap the block in a module that does"
            )
        ((call, self.output),) = observed
        call.end(self.output)
        self.before = None
        return call

    @property
    def _placed(self) -> list[Tensor]:
        """What has the place of the signal among as many tensors that the block before returned."""
        if self.before is None or len(self.before.returned) != len(self.returned):
            return []
        pairs = zip(self.before.returned, self.returned, strict=True)
        return [now for then, now in pairs if then is self.before.output]


def _from(tensor: Tensor, ends: list[Node]) -> bool:
    """Whether a tensor is computed from one of these nodes, by a search of what is younger."""
    oldest = min(node._sequence_nr() for node in ends)
    ahead, met = [get_gradient_edge(tensor).node], set[Node]()
    while ahead:
        node = ahead.pop()
        if node in ends:
            return True
        if node not in met and node._sequence_nr() >= oldest:
            met.add(node)
            ahead += [other for other, _ in node.next_functions if other is not None]
    return False


def _among(tensor: Tensor, tensors: Iterable[Tensor]) -> bool:
    return any(tensor is each for each in tensors)


def _without(tensors: list[Tensor], others: list[Tensor]) -> list[Tensor]:
    return [each for each in tensors if not _among(each, others)]
