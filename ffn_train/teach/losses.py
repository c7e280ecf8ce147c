"""Losses: a number for predictions and their targets, and its gradient for the predictions.

    def mse(y, t): ...                  # returns the loss
    def mse_grad(y, t): ...             # returns dloss/dy, in the shape of y

The targets may come first, one function may return both, ``loss, dy = softmax_loss(y, labels)``,
and a class may remember in ``forward(y, t)`` what ``backward()`` needs. Of losses of single samples
the gradient is that of their mean or sum. Which predictions and targets a loss is meant for is
tried: a gradient is right if it is for those of one kind.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any, Literal

import numpy as np

from ffn_train.nn.core import Floats
from ffn_train.teach.calls import Answer, Bench, Call, Signature
from ffn_train.teach.mistakes import IN_PLACE, error
from ffn_train.teach.report import UNNAMED, Finding

DRAWS = 3  # inputs of each kind
SAMPLES, CLASSES = 4, 3
STEP = 1e-6  # of the centred differences
AGREEING = 1e-6  # the largest error of a right gradient, relative to its largest entry
NAMES = re.compile(r"(.*_)?(loss|cost|error|criterion|mse|bce|nll|.*entropy)(_.*)?", re.IGNORECASE)
WORDS = re.compile("loss|cost|error|criterion|mse|mae|bce|nll|entropy", re.IGNORECASE)
# names of an argument; where none of both has one, the first are the predictions
TARGETS = re.compile(r".*(true|target|label|truth|actual|expected|real|gt).*|[td]", re.IGNORECASE)
PREDICTIONS = re.compile(r".*(hat|pred|out|prob|logit|score).*", re.IGNORECASE)
LETTERS = re.compile(r"[ahpz]\d*|al", re.IGNORECASE)
ENDINGS = ("backward", "grad", "gradient", "prime", "derivative", "deriv")
ONE: Floats = np.array(1.0)  # dloss/dloss
Arguments = Sequence[Any]  # arrays of numbers, labels among them
Draw = Callable[[np.random.Generator], Arguments]
Link = Literal["", "softmax", "sigmoid"]  # from logits to probabilities


@dataclass(frozen=True)
class Kind:
    """Arguments of a loss, of which the first are the predictions.

    ``link``: of logits, where the predictions are probabilities. ``across``: samples in columns.
    """

    targets: str
    draw: Draw
    link: Link = ""
    across: bool = False

    def samples(self, predictions: Floats) -> int:
        """Their number."""
        return int(predictions.shape[-1 if self.across else 0])

    def probabilities(self, z: Floats) -> Floats:
        """What the link makes of these logits."""
        if self.link == "sigmoid":
            return 1 / (1 + np.exp(-z))
        powers: Floats = np.exp(z)
        shares: Floats = powers / powers.sum(axis=0 if self.across else -1, keepdims=True)
        return shares

    def logits(self, y: Floats) -> Floats:
        """Those that have these probabilities, up to a shift."""
        z: Floats = np.log(y / (1 - y) if self.link == "sigmoid" else y)
        return z


@dataclass(frozen=True)
class Trial:
    """A gradient as a function gives it, and by differences: for the predictions or, where
    ``logits``, for those of the kind's link. ``changed``: the function overwrote its arguments.
    """

    kind: Kind
    given: Arguments
    user: Floats
    right: Floats
    changed: bool
    logits: bool = False

    @property
    def about(self) -> tuple[str, Link]:
        return self.kind.targets, self.kind.link

    @property
    def fits(self) -> bool:
        """Whether the gradient has the shape of the predictions."""
        return self.user.shape == self.right.shape

    @property
    def error(self) -> float:
        return error(self.user, self.right) if self.fits else np.inf


def _numbers(rng: np.random.Generator, *shape: int) -> Arguments:
    return rng.normal(size=shape), rng.normal(size=shape)


def _either(rng: np.random.Generator, low: float, shape: tuple[int, ...]) -> Arguments:
    return rng.normal(size=shape), rng.permutation(np.resize((low, 1.0), shape))


def _classes(rng: np.random.Generator, targets: Any) -> Arguments:
    """``targets``: those of the classes."""
    drawn = rng.permutation(SAMPLES) % CLASSES
    return rng.normal(size=(SAMPLES, CLASSES)), np.array(targets)[drawn]


def _shares(rng: np.random.Generator) -> Arguments:
    y, t = rng.normal(size=(2, SAMPLES, CLASSES))
    return y, np.exp(t) / np.exp(t).sum(axis=-1, keepdims=True)


def _turned(rng: np.random.Generator) -> Arguments:
    y, t = _classes(rng, np.eye(CLASSES))
    return y.T, t.T


def _linear(rng: np.random.Generator) -> Arguments:
    """Weights, inputs, labels and a regularisation."""
    _, labels = _classes(rng, range(CLASSES))
    shapes = (5, CLASSES), (SAMPLES, 5)
    return *(rng.normal(size=shape) for shape in shapes), labels, np.array(0.1)


LAYOUTS = ((SAMPLES,), (SAMPLES, 1), (1, SAMPLES))
KINDS = (
    Kind("numbers", lambda rng: _numbers(rng, SAMPLES, CLASSES)),
    Kind("numbers", lambda rng: _numbers(rng, SAMPLES)),
    *(
        Kind(targets, partial(_either, low=low, shape=shape), across=shape[0] == 1)
        for targets, low in (("0 and 1", 0.0), ("-1 and 1", -1.0))
        for shape in LAYOUTS
    ),
    Kind("one-hot rows", lambda rng: _classes(rng, np.eye(CLASSES))),
    Kind("one-hot columns", _turned, across=True),
    Kind("labels", lambda rng: _classes(rng, range(CLASSES))),
    Kind("distributions", _shares),
    Kind("positive numbers", lambda rng: [*np.exp(rng.normal(size=(2, SAMPLES, CLASSES)))]),
    Kind("a one-hot vector", lambda rng: [array[0] for array in _classes(rng, np.eye(CLASSES))]),
    Kind("labels, and weights in the place of predictions", _linear),
)
LINKS: dict[str, Link] = {
    "0 and 1": "sigmoid",
    **dict.fromkeys(("one-hot rows", "one-hot columns", "labels"), "softmax"),
    **dict.fromkeys(("distributions", "a one-hot vector"), "softmax"),
}


def _of_probabilities(kind: Kind) -> Kind:
    """The same with probabilities in the place of logits."""
    linked = replace(kind, link=LINKS[kind.targets])

    def draw(rng: np.random.Generator) -> Arguments:
        z, *others = kind.draw(rng)
        return linked.probabilities(z), *others

    return replace(linked, draw=draw)


KINDS += tuple(_of_probabilities(kind) for kind in KINDS if kind.targets in LINKS)


def losses(names: Mapping[str, Signature]) -> dict[str, str]:
    """Names of functions that give gradients of losses, each with that of the loss; the same for a
    function that gives both.
    """
    loss_of: dict[str, str] = {}
    for name, signature in names.items():
        if signature.takes(2) or signature.takes(4):
            others = [f"{name}_{ending}" for ending in ENDINGS]
            others += [f"{start}{name}" for start in ("d_", "d", "grad_", "gradient_")]
            loss_of |= {other: name for other in others if other in names}
    alone = {*names} - {*loss_of} - {*loss_of.values()}
    return loss_of | {name: name for name in names if name in alone and NAMES.fullmatch(name)}


@np.errstate(all="ignore")  # of predictions that a loss is not meant for
def check_loss(bench: Bench, loss: str, gradient: str, shown: str) -> Finding | None:
    """The finding on a loss and its gradient; None if there is no number, or no gradient of it."""
    first = _targets_first(bench.signatures[loss].names)
    findings = []
    for swapped in (first, not first):
        finding = _in_order(bench, loss, gradient, shown, swapped=swapped)
        if finding is not None:
            findings.append(finding)
            if finding.right or finding.mistakes:
                return finding
    return findings[0] if findings else None


def _targets_first(names: Sequence[str]) -> bool:
    """Whether a loss takes the targets before the predictions, by its names for them."""
    if len(names) != 2:
        return False
    one, two = names
    if TARGETS.fullmatch(one) or TARGETS.fullmatch(two):
        return not TARGETS.fullmatch(two)
    if PREDICTIONS.fullmatch(one) or PREDICTIONS.fullmatch(two):
        return not PREDICTIONS.fullmatch(one)
    return bool(LETTERS.fullmatch(two)) and not LETTERS.fullmatch(one)


def _in_order(
    bench: Bench, loss: str, gradient: str, shown: str, *, swapped: bool
) -> Finding | None:
    """The finding with the targets first, or last."""
    names = bench.signatures[loss].names[:: -1 if swapped else 1]
    right: list[Finding] = []
    wrong: list[list[Trial]] = []
    agreed: set[tuple[str, Link]] = set()
    for kind in KINDS:
        readings = list(_readings(bench, loss, gradient, kind, swapped=swapped))
        agreeing = [trials for trials in readings if _agree(trials)]
        right += [_right(shown, names, trials) for trials in agreeing]
        agreed |= {(kind.targets, kind.link)} if agreeing else set()
        wrong += [] if agreeing else readings
    # where it is right for (N, 1), and for (1, N) only but for a factor, it is wrong
    against = [trials for trials in wrong if trials[0].about in agreed and _factor(trials)]
    if right and not against:
        return right[0]
    return _wrong(shown, against or wrong) if wrong else None


def _agree(trials: Sequence[Trial]) -> bool:
    return all(trial.error <= AGREEING for trial in trials)


def _readings(
    bench: Bench, loss: str, gradient: str, kind: Kind, *, swapped: bool
) -> Iterator[list[Trial]]:
    """The trials in each way in which the gradient may be called; none where there is no loss."""
    rng = np.random.default_rng(0)
    inputs = [kind.draw(rng) for _ in range(DRAWS)]
    count = len(inputs[0])
    if (swapped and count != 2) or not bench.signatures[loss].takes(count):
        return
    step = -1 if swapped else 1

    def values(given: Arguments) -> Floats:
        """The loss, or those of the samples; NaN for anything but numbers."""
        answer = bench.call(Call(loss, given[::step]))
        first = answer.arrays[0] if answer.error is None and answer.arrays else None
        return np.array(np.nan) if first is None else first

    def value(reduce: Callable[[Floats], float], given: Arguments) -> float:
        return reduce(values(given))

    start = values(inputs[0])
    if not np.array_equal(start, values(inputs[0])):  # NaN, or a loss that differs between calls
        return
    reductions: list[Any] = [np.sum, np.mean] if start.size > 1 else [np.sum]
    if start.size > 1 and (loss == gradient or not WORDS.search(loss)):
        return
    wanted = list[tuple[bool, list[Floats]]]()
    for reduce, logits in product(reductions, (False, True) if kind.link else (False,)):
        gradients = _gradients(partial(value, reduce), inputs, kind if logits else None)
        wanted += [(logits, gradients)] if gradients is not None else []
    if not wanted:
        return
    for way in _ways(bench, loss, gradient, count):
        calls = [way(given[::step]) for given in inputs]
        answers = [bench.call(call) for call in calls]
        users = [_returned(answer, both=loss == gradient) for answer in answers]
        changed = any(map(_changed, calls, answers))
        for logits, gradients in wanted:
            trials = [
                Trial(kind, given, user, each, changed, logits)
                for given, user, each in zip(inputs, users, gradients, strict=True)
                if user is not None and (user.shape == each.shape or loss != gradient)
            ]
            if len(trials) == DRAWS:
                yield trials


def _gradients(
    value: Callable[[Arguments], float], inputs: Sequence[Arguments], of_logits: Kind | None = None
) -> list[Floats] | None:
    """The gradient for the predictions, or for their logits, by centred differences; None where
    the value is none of a loss.
    """
    gradients = []
    for y, *others in inputs:
        start = y if of_logits is None else of_logits.logits(y)
        gradient = np.empty(start.shape)
        for place in np.ndindex(start.shape):
            ends = []
            for step in (STEP, -STEP):
                moved = start.copy()
                moved[place] += step
                moved = moved if of_logits is None else of_logits.probabilities(moved)
                ends.append(value([moved, *others]))
            gradient[place] = (ends[0] - ends[1]) / (2 * STEP)
            if not np.isfinite(gradient[place]):
                return None
        gradients.append(gradient)
    return gradients if all(gradient.any() for gradient in gradients) else None


def _ways(
    bench: Bench, loss: str, gradient: str, count: int
) -> Iterator[Callable[[Arguments], Call]]:
    """The calls by which a gradient may be asked for."""
    signature = bench.signatures[gradient]
    if signature.takes(count) or loss == gradient:
        yield lambda given: Call(gradient, [*given])
    if signature.takes(1):
        yield lambda given: Call(gradient, [*given], loss, count, cached=True)
    if signature.takes(2):
        yield lambda given: Call(gradient, [*given, ONE], loss, count, cached=True)
    if signature.takes(count + 1):
        yield lambda given: Call(gradient, [ONE, *given])


def _changed(call: Call, answer: Answer) -> bool:
    pairs = zip(call.arguments, answer.after, strict=False)
    return not all(after is None or np.array_equal(np.asarray(a), after) for a, after in pairs)


def _returned(answer: Answer, *, both: bool) -> Floats | None:
    """The array that is returned as the gradient, behind the loss if it is ``both``; None if there
    is none.
    """
    arrays = answer.arrays[both:] if answer.error is None else []
    known = [array for array in arrays if array is not None]  # a layer returns more
    return known[0] if len(known) == 1 or (both and known) else None


def _right(shown: str, names: Sequence[str], trials: Sequence[Trial]) -> Finding:
    first = trials[0]
    if first.changed:
        sentence = IN_PLACE.sentence
        return Finding(shown, "wrong", (IN_PLACE.name,), f"{IN_PLACE.name}\n  {sentence}")
    text = f"d{names[0]} agrees with centred differences for {len(trials)} inputs"
    if first.logits:
        text = (
            f"it agrees with centred differences for {len(trials)} inputs, as the gradient for the "
            f"logits z of {names[0]} = {first.kind.link}(z)"
        )
    return Finding(shown, "right", (), f"{text}; targets: {first.kind.targets}")


def _wrong(shown: str, tried: Sequence[Sequence[Trial]]) -> Finding:
    """The first mistake that has a name or, without one, the first inputs of small error."""
    for trials in tried:
        if factor := _factor(trials):
            name, sentence = _named(factor, trials[0])
            text = f"{name}\n  {sentence}\n  {_evidence(trials[0])}"
            return Finding(shown, "wrong", (name,), text)
    errors = [max(trial.error for trial in trials) for trials in tried]
    first = next(t[0] for t, size in zip(tried, errors, strict=True) if size <= 3 * min(errors))
    if not first.fits:
        needed = f"it needs {first.right.shape}, that of the predictions"
        return Finding(shown, "wrong", (), f"it has shape {first.user.shape}, {needed}")
    return Finding(shown, "wrong", (), f"{UNNAMED}\n  {_evidence(first)}")


def _factor(trials: Sequence[Trial]) -> float:
    """The number by which a gradient is too large; 0 if it is no multiple of the right one."""
    first = trials[0]
    if not first.fits:
        return 0.0
    factor = float((first.user * first.right).sum() / (first.right**2).sum())
    fits = factor and all(error(t.user, factor * t.right) <= AGREEING for t in trials)
    return factor if fits else 0.0


def _named(factor: float, trial: Trial) -> tuple[str, str]:
    """The mistake that makes a gradient so many times too large, and a sentence on it."""
    n = trial.kind.samples(trial.right)
    each = trial.right.size / n
    known = {
        2.0: ("a factor of 2", "the gradient is twice that of this loss"),
        0.5: ("a factor of 1/2", "the gradient is half that of this loss"),
        each: (
            "a mean over the batch only",
            "the loss is a mean over all N C entries: its gradient is divided by N C, not by N",
        ),
        n * each: (
            "no mean over the entries",
            "the loss is a mean over all N C entries, so its gradient has the factor 1/(N C) too",
        ),
        1 / n: (
            "a mean over the batch",
            "the loss is a sum over the samples: its gradient is not divided by their number N",
        ),
        float(n): (
            "no mean over the batch",
            "the loss is a mean over the N samples, so its gradient has the factor 1/N too",
        ),
        -1.0: ("the sign", "the gradient has the opposite sign: it would raise the loss"),
    }
    near = (key for key in known if abs(factor - key) < AGREEING * abs(key))
    what = f"a factor of {factor:.6g}", f"the gradient is {factor:.6g} times that of this loss"
    return known.get(next(near, np.nan), what)


def _evidence(trial: Trial) -> str:
    """The entry that differs most."""
    gaps = np.nan_to_num(np.abs(trial.user - trial.right), nan=np.inf)
    place = tuple(map(int, np.unravel_index(gaps.argmax(), gaps.shape)))
    shapes = ", ".join(str(array.shape) for array in trial.given)
    return (
        f"entry [{', '.join(map(str, place))}] is {trial.user[place]:.6g}, by differences "
        f"{trial.right[place]:.6g} (shapes {shapes}; targets: {trial.kind.targets})"
    )
