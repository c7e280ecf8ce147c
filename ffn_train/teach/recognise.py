"""What does a user's forward function compute, and how does it take its arguments?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import permutations, product

import numpy as np

from ffn_train.nn.core import Floats
from ffn_train.teach.activations import ACTIVATIONS, OWN, Activation
from ffn_train.teach.calls import Answer, Bench
from ffn_train.teach.judge import error, rounding, same
from ffn_train.teach.networks import (
    STEP,
    Act,
    Affine,
    Case,
    Network,
    Norm,
    Sum,
    Values,
    differences,
    draw,
    known,
)
from ffn_train.teach.subject import ACT, CONVENTIONS, Convention, arguments

SIZES = (5, 3, 4, 2)  # all different, so that no array fits in the place of another
IDENTITY = ACTIVATIONS["identity"]
GIVEN = ACTIVATIONS["GELU"]  # to a forward function that takes an activation
NEARLY = 1e-4  # a forward pass that agrees so far may compute in float32
SEARCHED = 3000  # calls, for the shapes that an unknown function takes
VECTORS, MATRICES = ("H", "D", "M", ""), ("HD", "DH", "MH", "HM", "MD", "DM", "DD")


@dataclass(frozen=True)
class Forward:
    """A forward function: its arguments, and its network and activation if they are known.

    ``cached``: it returns (y, cache). ``rounds``: it computes in less than float64. ``letters``:
    the shapes of the arguments, or ``shapes`` where they were given.
    """

    bench: Bench
    name: str
    arguments: tuple[str, ...]
    letters: tuple[tuple[str, str], ...] = ()
    network: Network | None = None
    act: Activation = IDENTITY
    convention: Convention = CONVENTIONS[0]
    cached: bool = False
    rounds: bool = False
    shapes: tuple[tuple[str, tuple[int, ...]], ...] = ()

    @property
    def tensors(self) -> tuple[str, ...]:
        return tuple(word for word in self.arguments if word not in ("x", ACT))

    def call(self, values: Values) -> Answer:
        given = arguments(self.arguments, values, self.act, self.convention)
        return self.bench.call(self.name, given)

    def output(self, values: Values) -> Floats | None:
        """y, samples in rows; None where it is refused."""
        answer = self.call(values)
        if answer.error is not None or not answer.arrays or answer.arrays[0] is None:
            return None
        return self.convention.taken("dy", answer.arrays[0], values["dy"])

    def values(self, sizes: tuple[int | None, int, int, int] = SIZES, seed: int = 0) -> Values:
        if self.shapes:
            rng = np.random.default_rng(seed)
            return {n: np.round(rng.normal(size=s), 2) for n, s in self.shapes}
        return _drawn_once(self.letters, sizes, seed)


@cache
def _drawn_once(
    letters: tuple[tuple[str, str], ...], sizes: tuple[int | None, int, int, int], seed: int
) -> Values:
    return draw(dict(letters), sizes, seed)


def recognise(
    bench: Bench, name: str, shapes: Mapping[str, tuple[int, ...]] | None = None
) -> Iterator[Forward]:
    """The networks that a forward function may be, in all conventions that fit; or else arguments
    that it takes.
    """
    first: Forward | None = None
    near: list[Forward] = []
    for forward in [] if shapes else _candidates(bench, name):
        y, values = forward.output(forward.values()), forward.values()
        if y is None or (first is not None and not _alike(first, forward)):
            continue
        for act in _activations(forward) if first is None else [first.act]:
            expected = _expected(forward, values, act)
            if same(y, expected):
                fitting = _with_cache(replace(forward, act=act))
                first = first or fitting
                yield fitting if act.name != OWN else _checked(fitting)
                break
            if y.shape == expected.shape and error(y, expected) < NEARLY:
                near.append(replace(forward, act=act))
    if first is not None:
        return
    for forward in near:
        if rounding(forward.output, forward.values()):
            yield replace(_with_cache(forward), rounds=True)
            return
    unknown = _unknown(bench, name, shapes)
    if unknown is not None:
        yield unknown


def _alike(first: Forward, other: Forward) -> bool:
    """Whether a function may be both: a norm of samples in rows is one of features in columns."""
    assert first.network is not None
    assert other.network is not None
    return first.network == other.network or all(
        isinstance(stage, Norm) for stage in (*first.network.stages, *other.network.stages)
    )


def _expected(forward: Forward, values: Values, act: Activation) -> Floats:
    assert forward.network is not None
    with np.errstate(all="ignore"):
        return forward.network.output(values, act)


def _with_cache(forward: Forward) -> Forward:
    answer = forward.call(forward.values())
    return replace(forward, cached=not answer.single and len(answer.arrays) > 1)


def _candidates(bench: Bench, name: str) -> Iterator[Forward]:
    """The known networks with as many arguments, in all conventions, the usual ones first."""
    signature, refused = bench.signatures[name], set[object]()
    for usual, convention, network, extra in product(
        (True, False), CONVENTIONS, known(), ((), (ACT,))
    ):
        tensors = tuple(network.shapes)
        count = 1 + len(tensors) + len(extra)
        if count != len(signature.names) and not (signature.more and count > len(signature.names)):
            continue
        if convention.transposed and all(len(word) < 2 for word in network.shapes.values()):
            continue
        letters = (("x", "D"), *network.shapes.items(), ("dy", network.outputs))
        for order in _orders(tensors, usual):
            words = ("x", *order, *extra)
            act = GIVEN if extra else IDENTITY
            forward = Forward(bench, name, words, letters, network, act, convention)
            shape = (tuple(dict(letters).get(word) for word in words), convention)
            if shape in refused:
                continue
            if forward.output(forward.values()) is None:
                refused.add(shape)
            else:
                yield forward


def _orders(tensors: tuple[str, ...], usual: bool) -> list[tuple[str, ...]]:
    if usual:
        return [tensors]
    if len(tensors) > 4:
        return [(*tensors[2:], *tensors[:2])]  # those of the norm last
    return [order for order in permutations(tensors) if order != tensors]


def _activations(forward: Forward) -> Iterator[Activation]:
    """Those that it may have: the one that it was given, all that are known, its own."""
    assert forward.network is not None
    if ACT in forward.arguments:
        yield GIVEN
    elif not any(isinstance(stage, Act) for stage in forward.network.every_stage()):
        yield IDENTITY
    else:
        yield from ACTIVATIONS.values()
        if (probe := _probe(forward)) is not None:
            yield Activation(OWN, probe, lambda z: slope(probe, z))


def slope(function: Callable[[Floats], Floats], z: Floats) -> Floats:
    """An elementwise derivative by differences."""
    near = function(z + STEP) - function(z - STEP)
    far = function(z + 2 * STEP) - function(z - 2 * STEP)
    return (8 * near - far) / (12 * STEP)


def _probe(forward: Forward) -> Callable[[Floats], Floats] | None:
    """The activation of a function, read off its output: z as its first bias, the rest out of the
    way.
    """
    assert forward.network is not None
    stages = list(forward.network.every_stage())
    acts = sum(isinstance(stage, Act) for stage in stages)
    sums = isinstance(forward.network.stages[0], Sum)
    if acts != 1 or isinstance(stages[-1], Norm):
        return None

    def value(z: Floats) -> Floats:
        flat = z.ravel()
        n = flat.size
        values: dict[str, Floats] = {"x": np.zeros((1, n)), "dy": np.zeros((1, n))}
        first = True
        for stage in stages:
            if isinstance(stage, Affine):
                biased = stage.bias is not None
                values[stage.weight] = np.zeros((n, n)) if first and biased else np.eye(n)
                if stage.bias:
                    values[stage.bias] = flat if first else np.zeros(n)
                elif first:
                    values[stage.weight], values["x"] = np.diag(flat), np.ones((1, n))
                first = False
            elif isinstance(stage, Norm):
                values.update({name: np.ones(n) for name in (stage.gain, stage.shift) if name})
        if first:
            values["x"] = flat[None]
        y = forward.output(values)
        if y is None or y.shape != (1, n):
            return np.full(z.shape, np.nan)
        return (y - values["x"] if sums else y).reshape(z.shape)

    return value


def _unknown(
    bench: Bench, name: str, shapes: Mapping[str, tuple[int, ...]] | None
) -> Forward | None:
    """Arguments that a function takes which is none of the known: given, or tried."""
    words = bench.signatures[name].names
    if not words:
        return None
    if shapes:
        given = {("x" if k == 0 else word): shapes.get(word, ()) for k, word in enumerate(words)}
        forward = Forward(bench, name, ("x", *words[1:]), shapes=tuple(given.items()))
        answer = forward.call({**forward.values(), "dy": np.zeros(())})
        if answer.error is not None or answer.arrays[0] is None:
            return None
        pairs = (*given.items(), ("dy", answer.arrays[0].shape))
        return _checked(replace(_with_cache(forward), shapes=pairs))
    choices = [_letters(word) for word in words[1:]]
    for count, picked in enumerate(product(*choices)):
        if count * 2 > SEARCHED:
            return None
        for convention in (CONVENTIONS[0], CONVENTIONS[2]):
            letters = (("x", "D"), *zip(words[1:], picked, strict=True), ("dy", "M"))
            forward = Forward(bench, name, ("x", *words[1:]), letters, convention=convention)
            y = forward.output(forward.values())
            if y is None or y.ndim != 2 or len(y) != SIZES[0] or not np.isfinite(y).all():
                continue
            for letter, length in zip("DHM", SIZES[1:], strict=True):
                if y.shape[1] == length:
                    letters = (*letters[:-1], ("dy", letter))
                    return _checked(_with_cache(replace(forward, letters=letters)))
    return None


def _letters(word: str) -> tuple[str, ...]:
    """The shapes to try for an argument, by how its name is written."""
    if word[0].isupper() or word.lower().startswith(("w", "u", "v", "k", "q")):
        return MATRICES
    return VECTORS if word.lower().startswith(("b", "g", "s", "beta")) else VECTORS + MATRICES


def _checked(forward: Forward) -> Forward:
    return replace(forward, rounds=rounding(forward.output, forward.values()))


def unknown_cases(forward: Forward) -> list[Case]:
    """Inputs of a function that is not known, with its differences; kinks are avoided."""
    cases = []
    sizes: list[tuple[int | None, int, int, int]] = [SIZES]
    if not forward.shapes:
        sizes = [(None, 3, 4, 2), (2, 2, 2, 2), (3, 3, 3, 3), SIZES, (4, 4, 3, 5)]
    for size in sizes:
        for seed in range(2):
            case = _drawn(forward, size, seed)
            if case is not None:
                cases.append(case)
    return cases


def _drawn(forward: Forward, sizes: tuple[int | None, int, int, int], seed: int) -> Case | None:
    for attempt in range(6):
        values = forward.values(sizes, seed + 100 * attempt)
        y = forward.output(values)
        if y is None or y.shape != values["dy"].shape:
            return None
        right, shares = differences(lambda moved: _sure(forward, moved), values)
        finer, _ = differences(lambda moved: _sure(forward, moved), values, STEP / 4)
        if all(same(right[name], finer[name]) for name in right):
            return Case(values, forward.act, values["x"].ndim == 1, right, shares)
    return None


def _sure(forward: Forward, values: Values) -> Floats:
    y = forward.output(values)
    return np.full(values["dy"].shape, np.nan) if y is None else y
