"""Why a forward function cannot be checked, in a line."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ffn_train.nn.core import Floats
from ffn_train.teach.calls import Bench
from ffn_train.teach.networks import Values
from ffn_train.teach.recognise import Forward, attempts, undeclared
from ffn_train.teach.subject import ACT

CALLS = 4  # with the same arguments, to see whether the results differ
OF_SHAPES = ("ValueError", "IndexError", "AssertionError")  # what wrong shapes lead to
CALLED = "object is not callable"  # an array in the place of an activation
NUMBER = "returns a number, not an array"


def unsteady(forward: Forward) -> str:
    """Why y has no gradient: it is a number, or differs between calls; empty if it has one."""
    name = forward.subject.name
    first, *others = (forward.output(forward.values()) for _ in range(CALLS))
    if first is not None and first.ndim == 0:
        return f"{name} {NUMBER}"
    if all(_equal(first, other) for other in others):
        return ""
    return f"{name} differs between calls with the same arguments"


def _equal(one: Floats | None, other: Floats | None) -> bool:
    if one is None or other is None:
        return one is other
    return np.array_equal(one, other, equal_nan=True)


def unfit(bench: Bench, name: str, known: Forward | None = None) -> str:
    """Why no inputs were found for a forward function; ``known``: how it is called, if it is."""
    words = bench.signatures[name].names
    if not words:
        return f"{name} takes no arguments, not x and its parameters"
    if missing := undeclared(bench, name, bench.signatures[name].choices[-1]):
        return f"{name}: the shape of {', '.join(missing)} is not declared in shapes"
    errors: list[str] = []
    for forward in [known] if known else attempts(bench, name):
        values = forward.values()
        outcome, where = forward.subject.ask(values, forward.act), _where(forward, values, words)
        if outcome.missing:
            return f"{name}: {outcome.error}"
        if outcome.error is not None:
            if ACT not in forward.subject.arguments:  # else most are of what is given in its place
                errors.append(f"{outcome.error} (for {where})")
            continue
        y = outcome.gradients["y"]
        if y is None or y.ndim == 0:
            return f"{name} returns no array of numbers" if y is None else f"{name} {NUMBER}"
        if not np.isfinite(y).all():
            return f"{name} is not finite (for {where})"
    if known:
        return f"{name} jumps where it was tried, or is not finite nearby: differences say nothing"
    if shown := [error for error in errors if bench.shapes.get(name) or not _of_shape(error)]:
        return f"{name} fails: {shown[0]}"
    like = ", ".join(f'"{word}": (5, 3)' for word in words)
    return f"{name} accepts none of the shapes that were tried; declare them: shapes = {{{like}}}"


def _of_shape(error: str) -> bool:
    return error.startswith(OF_SHAPES) or any(word in error for word in (" shape", " size", CALLED))


def _where(forward: Forward, values: Values, words: Sequence[str]) -> str:
    shapes = [
        f"{word} {forward.subject.convention.given(role, values[role]).shape}"
        for word, role in zip(words, forward.subject.arguments, strict=False)
        if role != ACT
    ]
    return ", ".join(shapes)
