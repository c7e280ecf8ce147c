"""What does a user's forward function compute, and how are its arguments laid out?"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain, islice, permutations, product, takewhile

import numpy as np

from ffn_train.nn.core import Floats
from ffn_train.teach.activations import ACTIVATIONS, OWN, Activation
from ffn_train.teach.calls import Bench
from ffn_train.teach.mistakes import error, same
from ffn_train.teach.networks import ACT as STAGE
from ffn_train.teach.networks import STEP, Case, Network, Sizes, Values, differences, draw, known
from ffn_train.teach.subject import ACT, CONVENTIONS, Convention, Outcome, Subject

SIZES: Sizes = (5, 3, 4, 2)  # all different, so that no array fits in another's place
IDENTITY = ACTIVATIONS["identity"]
GIVEN = ACTIVATIONS["GELU"]  # passed to forward functions that take an activation
NEARLY = 1e-4  # a forward pass that agrees to this may compute in float32
SEARCHED = 10_000  # shapes to try on an unknown function
ATTEMPTS = 100  # of them, to find out why none fits
VECTORS, MATRICES = ("H", "D", "M", ""), ("HD", "DH", "MH", "HM", "MD", "DM", "DD")
BATCHES = ("ND", "NH", "NM", "DN", "HN", "MN")
VECTOR = re.compile(
    r"b\w{0,3}|[bg]_\w+|[gs](\d*|_?\w)|(bias|beta|gain|gamma|shift|offset).*", re.IGNORECASE
)
MATRIX = re.compile(r"[wuvkq].*", re.IGNORECASE)
READINGS = 16  # the most shapes of the arguments in which a function is checked
NEAR, FAR = 1e-9, 1e-3  # relative steps: float64 resolves both, float32 only the second


@dataclass(frozen=True)
class Forward:
    """A forward function: how it is called, and its network and activation if known.

    ``letters``: the shapes of the arguments and dy, or ``shapes`` where declared.
    ``rounds``: it computes in less than float64. ``alone``: x is one vector, not a batch.
    """

    subject: Subject
    letters: tuple[tuple[str, str], ...] = ()
    network: Network | None = None
    act: Activation = IDENTITY
    shapes: tuple[tuple[str, tuple[int, ...]], ...] = ()
    rounds: bool = False
    alone: bool = False

    @property
    def tensors(self) -> tuple[str, ...]:
        return tuple(word for word in self.subject.arguments if word not in ("x", ACT))

    @property
    def guessed(self) -> str:
        """The shapes of arguments that are numbers, or have a row or column for each sample."""
        if self.alone:
            return "; x (D,)"
        words = self.letters[1:-1] if self.network is None else ()
        if self.subject.convention.columns:  # as those of x, the samples of y lie in columns
            words = tuple((n, word[::-1] if n == "y" else word) for n, word in words)
        return "".join(f"; {n} ({', '.join(word)})" for n, word in words if not word or "N" in word)

    def outcome(self) -> Outcome:
        return self.subject.ask(self.values(), self.act)

    def output(self, values: Values) -> Floats | None:
        """y, samples in rows, of truth values as 1 and 0; None if the call fails, or writes into an
        argument that it need not be given, such as ``out``.
        """
        subject, outcome = self.subject, self.subject.ask(values, self.act)
        optional = subject.arguments[subject.bench.signatures[subject.name].required :]
        if outcome.after.keys() & {*optional}:
            return None
        y = outcome.gradients.get("y")
        return y.astype(np.float64) if y is not None and y.dtype == bool else y

    def values(self, sizes: Sizes = SIZES, seed: int = 0) -> Values:
        if not self.shapes:
            return _drawn_once(self.letters, (None, *sizes[1:]) if self.alone else sizes, seed)
        rng = np.random.default_rng(seed)
        return {name: np.round(rng.normal(size=shape), 2) for name, shape in self.shapes}

    def checked(self) -> Forward:
        return replace(self, rounds=rounding(self.output, self.values()))


@cache
def _drawn_once(letters: tuple[tuple[str, str], ...], sizes: Sizes, seed: int) -> Values:
    return draw(dict(letters), sizes, seed)


def recognise(bench: Bench, name: str) -> Iterator[Iterator[Forward]]:
    """What a forward function may be, for each choice of its arguments; the search is the shorter
    the later the choice.
    """
    for place, words in enumerate(choices(bench, name)):
        yield _recognised(bench, name, words, SEARCHED // 4**place)


def choices(bench: Bench, name: str) -> list[tuple[str, ...]]:
    """What a forward function may be given: first what it requires, with the weights and vectors
    behind it, then fewer of these, last the others, which may be anything.
    """
    signature, declared = bench.signatures[name], bench.shapes.get(name, {})
    optional = signature.names[signature.required :]
    told = [*takewhile(lambda word: _told(word, signature.names) or word in declared, optional)]
    more = signature.required + len(told)
    return sorted(signature.choices, key=lambda words: (len(words) > more, abs(len(words) - more)))


def _recognised(bench: Bench, name: str, words: Sequence[str], most: int) -> Iterator[Forward]:
    """The networks that a forward function may be, given these arguments, one for each convention
    that fits; then other shapes that it accepts of arguments whose names do not tell them; last,
    where samples lie in columns, as in W x, one vector.
    """
    readings = []
    for reading in _readings(bench, name, words, most):
        readings.append(reading)
        yield reading
    for reading in readings:
        if reading.letters and reading.subject.convention.columns:
            convention = replace(reading.subject.convention, columns=False, flat=True)
            subject = replace(reading.subject, convention=convention)
            vector = replace(reading, subject=subject, alone=True)
            y = vector.output(vector.values())
            if y is not None and y.shape == vector.values()["dy"].shape:
                yield vector


def _readings(bench: Bench, name: str, words: Sequence[str], most: int) -> Iterator[Forward]:
    """Those of batches."""
    met, told = set[Convention](), all(_told(word, words) for word in _roles(words))
    near: list[Forward] = []
    act: Activation | None = None
    for forward, y in _candidates(bench, name, len(words)):
        convention, values, network = forward.subject.convention, forward.values(), forward.network
        assert network is not None
        for tried in () if convention in met else [act] if act else _activations(forward):
            with np.errstate(all="ignore"):
                expected = network.output(values, tried)
            exact = network if same(y, expected) else _scaled(network, values["x"], y, expected)
            if exact is not None:
                met.add(convention)
                told = told or ACT in forward.subject.arguments
                act = tried
                fitting = replace(forward, network=exact, act=tried)
                yield fitting.checked() if tried.name == OWN else fitting
                break
            if y.shape == expected.shape and error(y, expected) < NEARLY:
                near.append(forward)
    rough = next((forward.checked() for forward in near if forward.checked().rounds), None)
    if rough and not met:
        yield rough
    elif not met or not told:
        yield from islice(_unknown(bench, name, words, most), READINGS)


def _scaled(network: Network, x: Floats, y: Floats, expected: Floats) -> Network | None:
    """The network whose branch is times the constant that gives y in place of ``expected``.

    None if there is none, or if something comes after the sum.
    """
    *before, last = network.stages
    if last.kind != "join" or y.shape != expected.shape:
        return None
    branch = expected - x
    with np.errstate(all="ignore"):
        factor = float(np.vdot(branch, y - x) / np.vdot(branch, branch))
        if not factor or not same((y - x) / factor, branch):
            return None
    return Network((*before, replace(last, factor=factor)))


@cache
def _families() -> dict[tuple[tuple[str, str], ...], list[Network]]:
    """The known networks by the shapes of their arguments and of dy."""
    families: dict[tuple[tuple[str, str], ...], list[Network]] = {}
    for network in known():
        letters = (("x", "D"), *network.shapes.items(), ("dy", network.outputs))
        families.setdefault(letters, []).append(network)
    return families


def _candidates(bench: Bench, name: str, given: int) -> Iterator[tuple[Forward, Floats]]:
    """Known networks with as many arguments, in all conventions, usual ones first, and y, where
    the function returns one.
    """
    signature, refused = bench.signatures[name], set[object]()
    place = _roles(signature.names).index("x") if given else 0
    for usual, convention, (letters, networks), extra in product(
        (True, False), CONVENTIONS, _families().items(), ((), (ACT,))
    ):
        tensors = tuple(word for word, _ in letters[1:-1])
        count = 1 + len(tensors) + len(extra)
        if count != given and not (signature.more and count > given):
            continue
        if convention.transposed and all(len(word) < 2 for _, word in letters):
            continue
        for order in _orders(tensors, usual):
            words = (*order, *extra)
            words = (*words[:place], "x", *words[place:])
            shapes = (tuple(dict(letters).get(word) for word in words), convention)
            if shapes in refused:
                continue
            subject = Subject(bench, name, words, ("y",), convention)
            forward = Forward(subject, letters, act=GIVEN if extra else IDENTITY)
            y = forward.output(forward.values())
            if y is None:
                refused.add(shapes)
                continue
            yield from ((replace(forward, network=network), y) for network in networks)


def _orders(tensors: tuple[str, ...], usual: bool) -> list[tuple[str, ...]]:
    if usual:
        return [tensors]
    if len(tensors) > 4:
        return [(*tensors[2:], *tensors[:2])]  # the norm's parameters last
    return [order for order in permutations(tensors) if order != tensors]


def _activations(forward: Forward) -> Iterator[Activation]:
    """The activations that it may use: the one passed in, all known ones, an unknown one."""
    assert forward.network is not None
    if ACT in forward.subject.arguments:
        yield GIVEN
    elif not forward.network.has("act"):
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
    """The activation of a function, read off its output: z is passed as the first bias, or as x
    if there is none, and the other parameters do nothing to it.
    """
    assert forward.network is not None
    network, stages = forward.network, forward.network.stages
    if stages.count(STAGE) != 1 or network.has("norm"):
        return None

    def value(z: Floats) -> Floats:
        n, letters = z.size, dict(forward.letters)
        values: dict[str, Floats] = {
            name: np.eye(n) if len(word) == 2 else np.zeros(n) for name, word in letters.items()
        }
        values |= {"x": np.zeros((1, n)), "dy": np.zeros((1, n))}
        first = next((stage for stage in stages if stage.kind in ("affine", "act")), STAGE)
        if first.bias:
            values[first.bias], values[first.weight] = z.ravel(), np.zeros((n, n))
        else:
            values["x"] = z.reshape(1, n)
        y = forward.output(values)
        if y is None or y.shape != (1, n):
            return np.full(z.shape, np.nan)
        return (y - values["x"] if network.has("join") else y).reshape(z.shape)

    return value


def _unknown(bench: Bench, name: str, words: Sequence[str], most: int) -> Iterator[Forward]:
    """Shapes of arguments, declared or found by trying, of a function that is not recognised."""
    if not words or undeclared(bench, name, words):
        return
    subject = Subject(bench, name, _roles(words), ("y",))
    if bench.shapes.get(name):
        forward = _declared(subject, words)
        y = forward.output(forward.values())
        if y is not None:
            yield replace(forward, shapes=(*forward.shapes[:-1], ("dy", y.shape))).checked()
        return
    letters = _tried(subject, words)
    first = next(_accepted(subject, letters, most), None)
    if first is not None:
        yield first
    if first is not None and not all(_told(word, words) for word in letters):
        found = dict(first.letters)
        others = {
            word: (found[word],)
            if _told(word, words)
            else sorted(them, key=lambda it: "N" not in it)
            for word, them in letters.items()
        }
        yield from _accepted(subject, others, most)


def _accepted(
    subject: Subject, letters: Mapping[str, Sequence[str]], most: int
) -> Iterator[Forward]:
    """The shapes of arguments, of these, that a function accepts."""
    for forward in islice(_guesses(subject, letters), most):
        y = forward.output(forward.values())
        if y is None or y.ndim != 2 or len(y) != SIZES[0] or not np.isfinite(y).all():
            continue
        for letter, length in zip("DHM", SIZES[1:], strict=True):
            if y.shape[1] == length:
                yield replace(forward, letters=(*forward.letters[:-1], ("dy", letter))).checked()
                break


def _roles(words: Sequence[str]) -> tuple[str, ...]:
    """The arguments of a forward function: x is that of this name, or the first."""
    x = next((word for word in words if word in ("x", "X")), "".join(words[:1]))
    return tuple("x" if word == x else word for word in words)


def _guesses(subject: Subject, letters: Mapping[str, Sequence[str]]) -> Iterator[Forward]:
    """Shapes to try for the arguments of an unknown function."""
    for picked in product(*letters.values()):
        words = (("x", "D"), *zip(letters, picked, strict=True), ("dy", "M"))
        for convention in (CONVENTIONS[0], CONVENTIONS[2]):
            yield Forward(replace(subject, convention=convention), words, act=_given(subject))


def undeclared(bench: Bench, name: str, words: Sequence[str]) -> list[str]:
    """The arguments of a function that are missing where shapes are declared for others."""
    declared = bench.shapes.get(name)
    return [word for word in _roles(words) if word not in {*declared, "x"}] if declared else []


def _declared(subject: Subject, words: Sequence[str]) -> Forward:
    """A function called with the declared shapes of its arguments; the shape of dy is not known."""
    declared = subject.bench.shapes[subject.name]
    named = dict(zip(subject.arguments, words, strict=True))
    shapes = {
        role: declared.get(word, declared.get(role, ()))
        for role, word in named.items()
        if role != ACT
    }
    return Forward(subject, shapes=(*shapes.items(), ("dy", ())), act=_given(subject))


def _given(subject: Subject) -> Activation:
    return GIVEN if ACT in subject.arguments else IDENTITY


def attempts(bench: Bench, name: str) -> Iterator[Forward]:
    """Ways of calling a function of which no reading was found: with the declared shapes, or with
    those of the networks of as many arguments and by the arguments' names; with an activation last.
    """
    words = next(w for w in choices(bench, name) if not undeclared(bench, name, w))
    subject = Subject(bench, name, _roles(words), ("y",))
    if bench.shapes.get(name):
        yield _declared(subject, words)
        return
    letters = _tried(subject, words)
    guesses = islice(_guesses(subject, letters), ATTEMPTS)
    plain, given = _by_family(subject, len(words)), _by_family(subject, len(words), ACT)
    yield from chain(plain, guesses, given)


def _by_family(subject: Subject, count: int, *extra: str) -> Iterator[Forward]:
    for letters in _families():
        roles = (*(role for role, _ in letters[:-1]), *extra)
        if len(roles) == count:
            yield Forward(replace(subject, arguments=roles), letters, act=GIVEN)


def _tried(subject: Subject, words: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The shapes to try for the parameters of a function with these arguments."""
    return {w: _letters(w, words) for w in subject.arguments if w not in ("x", ACT)}


def _letters(word: str, words: Sequence[str]) -> tuple[str, ...]:
    """The shapes to try for one of these arguments, judging by its name."""
    if MATRIX.fullmatch(word):
        return MATRICES
    if _vector(word, words) or word.startswith("scale"):
        return VECTORS
    return VECTORS + BATCHES + MATRICES


def _vector(word: str, words: Sequence[str]) -> bool:
    """Whether an argument's name says that it is a vector; c does behind a weight, as in V h + c,
    and may be a state before it.
    """
    weighted = word == "c" and any(map(MATRIX.fullmatch, words[: words.index(word)]))
    return weighted or bool(VECTOR.fullmatch(word))


def _told(word: str, words: Sequence[str]) -> bool:
    """Whether an argument's name says that it is x, a weight, or a vector."""
    return word == "x" or bool(MATRIX.fullmatch(word)) or _vector(word, words)


def unknown_cases(forward: Forward) -> list[Case]:
    """Inputs of an unknown function, with gradients by differences, away from kinks."""
    sizes: list[Sizes] = [(None, 3, 4, 2), (2, 2, 2, 2), (3, 3, 3, 3), SIZES, (4, 4, 3, 5)]
    drawn = product([SIZES] if forward.shapes else sizes, range(2))
    return [case for size, seed in drawn if (case := _case(forward, size, seed)) is not None]


def _case(forward: Forward, sizes: Sizes, seed: int) -> Case | None:
    for attempt in range(6):
        values = forward.values(sizes, seed + 100 * attempt)
        y = forward.output(values)
        if y is None or y.shape != values["dy"].shape:
            return None

        def output(moved: Values) -> Floats:
            y = forward.output(moved)
            return np.full(moved["dy"].shape, np.nan) if y is None else y

        right, shares = differences(output, values)
        finer, _ = differences(output, values, STEP / 4)
        if all(same(right[name], finer[name]) for name in right):
            return Case(values, forward.act, values["x"].ndim == 1, right, shares)
    return None


def rounding(function: Callable[[Values], Floats | None], values: Values) -> bool:
    """Whether a function does not respond to the last digits of some argument as to the first."""

    def slope(name: str, step: float) -> Floats | None:
        start, moved = (function({**values, name: values[name] * (1 + h)}) for h in (0, step))
        if start is None or moved is None:
            return None
        return (np.asarray(moved, np.float64) - np.asarray(start, np.float64)) / step

    for name in values:
        near, far = slope(name, NEAR), slope(name, FAR)
        if near is None or far is None or near.shape != far.shape:
            continue
        if np.abs(near - far).max(initial=0) > 0.1 * max(np.abs(far).max(initial=0), 0.01):
            return True
    return False
