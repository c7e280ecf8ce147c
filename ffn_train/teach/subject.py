"""How a user's function is called: the layout of its arrays, the order of its arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np

from ffn_train.nn.core import Floats
from ffn_train.teach.activations import Activation
from ffn_train.teach.calls import Argument, Bench, Call, Passed
from ffn_train.teach.networks import Values

ACT, SLOPE = "act", "act'"  # stand for an activation and its derivative among the arguments


@dataclass(frozen=True)
class Convention:
    """The layout: weights (fan_in, fan_out), samples in columns, biases (1, H) or (H, 1)."""

    transposed: bool = False
    columns: bool = False
    flat: bool = True

    def __str__(self) -> str:
        words = [
            "weights (fan_in, fan_out)" if self.transposed else "",
            "samples in columns" if self.columns else "",
            "" if self.flat else f"biases of shape {'(H, 1)' if self.columns else '(1, H)'}",
        ]
        return ", ".join(filter(None, words))

    def given(self, name: str, array: Floats) -> Floats:
        """An array in the function's layout."""
        if name in ("x", "y", "dy"):
            rows = np.atleast_2d(array) if not self.flat else array
            return rows.T if self.columns else rows
        if array.ndim == 2:
            return array.T if self.transposed else array
        if self.flat or array.ndim != 1:
            return array
        return array[:, None] if self.columns else array[None]

    def taken(self, name: str, array: Floats, like: Floats) -> Floats:
        """A returned array with samples in rows and weights (fan_out, fan_in)."""
        if name in ("x", "y", "dy"):
            rows = array.T if self.columns else array
            return rows[0] if like.ndim == 1 and rows.ndim == 2 and len(rows) == 1 else rows
        if like.ndim == 2:
            return np.swapaxes(array, -1, -2) if self.transposed and array.ndim > 1 else array
        array = array.T if self.columns else array
        if self.flat or like.ndim != 1:
            return array
        if array.ndim == 2:
            return array[0] if len(array) == 1 else array
        return array[None]  # flat where the bias is not


CONVENTIONS = tuple(
    Convention(transposed, columns, flat)
    for flat, columns, transposed in product((True, False), (False, True), (False, True))
)


@dataclass
class Outcome:
    """The result of one call: gradients by tensor, or an error.

    ``after``: the arguments that it changed, as it left them. ``more``: it returned several
    arrays. ``shapes`` of the gradients as it returned them, in its own layout.
    """

    gradients: dict[str, Floats | None]
    after: dict[str, Floats]
    error: str | None = None
    missing: bool = False
    more: bool = False
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Subject:
    """A function of a bench, and what its arguments and results are.

    ``before``: the forward function that is called first, and its arguments; ``cached``: what that
    function returns after y is passed on.
    """

    bench: Bench
    name: str
    arguments: tuple[str, ...]
    results: tuple[str, ...]
    convention: Convention = CONVENTIONS[0]
    before: tuple[str, tuple[str, ...]] = ("", ())
    cached: bool = False

    def ask(self, values: Values, act: Activation) -> Outcome:
        """Call it with arguments in the usual layout."""
        forward, first = self.before
        roles = (*first, *self.arguments)
        given: list[Argument] = [
            Passed(act.name, role == SLOPE)
            if role in (ACT, SLOPE)
            else np.array(self.convention.given(role, values[role]), order="C")
            for role in roles
        ]
        call = Call(self.name, given, forward, len(first), cached=self.cached)
        answer = self.bench.call(call)
        if answer.error is not None:
            return Outcome({}, {}, answer.error, answer.missing)
        after = {
            role: self.convention.taken(role, changed, values[role])
            for role, array, changed in zip(roles, given, answer.after, strict=True)
            if changed is not None and not np.array_equal(changed, np.asarray(array))
        }
        arrays, order = answer.arrays, self.results
        more = not answer.single and len(arrays) > 1
        if order == ("y",):
            arrays = arrays[:1]
        elif answer.single and arrays[0] is not None and self._stacked(arrays[0], values):
            arrays = list(arrays[0])  # a list of arrays of one shape
        if answer.names is not None:
            order = _by_key(answer.names, self.results)
        if len(arrays) != len(order):
            wanted = ", ".join(gradient_name(name, {}) for name in self.results)
            plural = "" if len(arrays) == 1 else "s"
            return Outcome({}, after, f"it returns {len(arrays)} array{plural}, not {wanted}")
        gradients = {
            name: None
            if array is None
            else self.convention.taken(name, array, values.get(name, values["dy"]))
            for name, array in zip(order, arrays, strict=True)
        }
        shapes = {n: a.shape for n, a in zip(order, arrays, strict=True) if a is not None}
        ordered = {name: gradients[name] for name in self.results}
        return Outcome(ordered, after, more=more, shapes=shapes)

    def _stacked(self, array: Floats, values: Values) -> bool:
        """Whether one array is all the gradients: it has more dimensions than any of them."""
        most = max(np.ndim(values.get(name, values["dy"])) for name in self.results)
        return array.ndim > most and 1 < len(array) == len(self.results)


def gradient_name(tensor: str, names: Mapping[str, str]) -> str:
    """What its gradient is called; ``names`` are the user's names of the tensors."""
    known = tensor.startswith("dx") or (tensor == "y" and tensor not in names)
    return tensor if known else f"d{names.get(tensor, tensor)}"


def _by_key(keys: Sequence[str], results: Sequence[str]) -> tuple[str, ...]:
    """Which gradient each entry of a returned dictionary is: by its key, or by its place."""
    words = [key.lower().replace("grad", "").replace("_", "") for key in keys]
    plain: Mapping[str, str] = {name.lower(): name for name in results}
    named = [plain.get(word) or plain.get(word.removeprefix("d")) for word in words]
    return tuple(n for n in named if n) if {*named} == {*results} else tuple(results)
