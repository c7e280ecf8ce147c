"""Is a gradient right, and if it is not, which known mistake gives the same numbers?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import permutations

import numpy as np

from ffn_train.nn.core import Floats
from ffn_train.teach.mistakes import (
    AXIS,
    BATCH,
    FLOAT32,
    IN_PLACE,
    ORDER,
    Key,
    Mistake,
    predictions,
    totals,
)
from ffn_train.teach.networks import Case, Network, Values, backward
from ffn_train.teach.subject import Outcome, Subject

TOLERANCE = 1e-8  # of a tensor's largest entry
ROUNDED = 1e-2  # the largest such error that half precision can be the cause of
NEAR, FAR = 1e-9, 1e-3  # relative steps: float64 resolves both, float32 the second alone
Gradients = Mapping[str, Floats | None]
Trial = tuple[Case, Outcome]


@dataclass
class Judgement:
    """What the trials of one function come to.

    ``wrong`` are the tensors whose gradients disagree somewhere; ``mistakes`` those that explain
    all of it, none if no single one does; ``trial`` is the smallest input that fails, ``tensor``
    and ``entry`` what differs most there, and ``predicted`` what a mistake has there.
    ``notes``: what a function that is right does not take. ``problem``: why it cannot be judged, or
    not further; ``answered``: it took some of the inputs.
    """

    subject: Subject
    wrong: tuple[str, ...] = ()
    mistakes: list[Mistake] = field(default_factory=list)
    trial: Trial | None = None
    tensor: str = ""
    entry: tuple[int, ...] = ()
    predicted: float | None = None
    changed: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    problem: str | None = None
    answered: bool = False
    missing: bool = False

    @property
    def right(self) -> bool:
        return not self.wrong and not self.mistakes and self.problem is None


def same(a: Floats | None, b: Floats) -> bool:
    """Equal up to rounding, shape included."""
    if a is None or a.shape != b.shape:
        return False
    return error(a, b) <= TOLERANCE


def error(a: Floats, b: Floats) -> float:
    """The largest difference, relative to b's largest entry."""
    if not a.size:
        return 0.0
    with np.errstate(all="ignore"):
        gap = float(np.abs(np.asarray(a, np.float64) - b).max() / max(np.abs(b).max(), 0.01))
    return gap if np.isfinite(gap) else np.inf


def ask(subject: Subject, cases: Sequence[Case]) -> list[Trial]:
    """What the function gives for each input."""
    return [(case, subject.ask(case.values, case.act)) for case in cases]


def refused(trials: Sequence[Trial]) -> int:
    """How many inputs the function does not take."""
    return sum(outcome.error is not None for _, outcome in trials)


def judge(subject: Subject, network: Network | None, trials: Sequence[Trial]) -> Judgement:
    """Which gradients are wrong, and what explains all of them."""
    judgement = Judgement(subject)
    answered, judgement.notes = _answered(trials)
    if not answered:
        first = trials[-1][1]
        judgement.problem, judgement.missing = first.error, first.missing
        return judgement
    judgement.answered = True
    vectors = not judgement.notes or any(case.vector for case, _ in answered)
    batches = not judgement.notes or not all(case.vector for case, _ in answered)
    refusing = [
        (case, outcome)
        for case, outcome in trials
        if outcome.error is not None and (vectors if case.vector else batches)
    ]
    if refusing:
        case, outcome = refusing[0]
        judgement.problem = f"{case.shapes}: {outcome.error}"
    names = tuple(answered[0][0].right)
    judgement.wrong = tuple(
        name
        for name in names
        if not all(same(outcome.gradients[name], case.right[name]) for case, outcome in answered)
    )
    judgement.changed = {name for _, outcome in answered for name in outcome.after}
    last, outcome = answered[-1]
    if not _repeats(subject.ask(last.values, last.act), outcome):
        judgement.wrong = judgement.wrong or names
        judgement.problem = "the same arguments give other gradients the second time"
    else:
        judgement.mistakes = _mistakes(judgement, network, answered, refusing)
        if judgement.mistakes:
            judgement.problem = None
    if judgement.wrong:
        _locate(judgement, network, answered)
    return judgement


def _mistakes(
    judgement: Judgement,
    network: Network | None,
    answered: Sequence[Trial],
    refusing: Sequence[Trial],
) -> list[Mistake]:
    """What explains everything that is wrong; nothing if it takes two mistakes."""
    changed = judgement.changed
    if not judgement.wrong or (changed and _explained_by_changes(judgement, network, answered)):
        return [IN_PLACE] if changed else []
    if changed:
        return []
    if _rounds(judgement.subject, judgement.wrong, answered):
        return [FLOAT32]
    return _explained(judgement, network, answered, refusing)


def _answered(trials: Sequence[Trial]) -> tuple[list[Trial], list[str]]:
    """The trials to judge by, and what the function does not take.

    Functions for batches alone, or for vectors alone, are judged by these, provided that they
    refuse the others or return what has no gradient's shape.
    """
    answered = [trial for trial in trials if trial[1].error is None]
    vectors = [trial for trial in trials if trial[0].vector]
    batches = [trial for trial in answered if not trial[0].vector]
    if len(answered) == len(batches) or (
        batches
        and any(
            all(_fits(t, name) for t in batches) and not any(_fits(t, name) for t in vectors)
            for name in trials[0][0].right
        )
    ):
        notes = ["it takes batches; a single vector (D,) it does not take"] if vectors else []
        return batches, notes
    telling = [t for t in batches if len(t[0].values["dy"]) not in _widths(t[0])]
    if not telling and len(vectors) < len(trials) and len(answered) > len(batches):
        only = [trial for trial in answered if trial[0].vector]
        return only, ["it takes one vector (D,); a batch (N, D) it does not take"]
    return answered, []


def _widths(case: Case) -> set[int]:
    """The widths of a batch: where one is the number of samples, W x may be computed as x Wᵀ."""
    return {array.shape[-1] for array in case.values.values()}


def _fits(trial: Trial, name: str) -> bool:
    """Whether there is a gradient of the shape of its tensor."""
    case, outcome = trial
    array = outcome.gradients.get(name)
    return array is not None and array.shape == case.right[name].shape


def _repeats(again: Outcome, before: Outcome) -> bool:
    if again.error is not None:
        return False
    pairs = ((again.gradients[name], array) for name, array in before.gradients.items())
    return all(
        (a is None and b is None)
        or (a is not None and b is not None and np.array_equal(a, b, equal_nan=True))
        for a, b in pairs
    )


def _explained(
    judgement: Judgement,
    network: Network | None,
    answered: Sequence[Trial],
    refusing: Sequence[Trial],
) -> list[Mistake]:
    """The mistakes each of which leads to all wrong gradients, in all cases, and applies to none
    of the inputs that are refused.
    """
    wrong = judgement.wrong
    alive: dict[str, dict[Key, Mistake]] = {}
    keys: set[Key] | None = None
    for case, outcome in sorted(answered, key=lambda trial: -_telling(trial)):
        agreeing: dict[str, dict[Key, Mistake]] = {name: {} for name in wrong}
        for mistake, key, gradients in predictions(network, case, keys):
            for name in wrong:
                if name in gradients and (not alive or key in alive[name]):
                    user = outcome.gradients[name]
                    if (
                        same(user, gradients[name])
                        or (mistake is BATCH and unsummed(user, case, name))
                        or (mistake is AXIS and _kept_axis(user, gradients[name]))
                    ):
                        agreeing[name][key] = mistake
        alive = agreeing
        keys = {key for its in alive.values() for key in its}
        if not all(alive.values()):
            break
    kinds = [{mistake.name: mistake for mistake in its.values()} for its in alive.values()]
    common = [m for name, m in kinds[0].items() if all(name in others for others in kinds)]
    for case, _ in refusing if common else ():
        possible = {mistake.name for mistake, *_ in predictions(network, case, keys)}
        common = [mistake for mistake in common if mistake.name not in possible]
    if not refusing and _permuted(wrong, answered):
        common.append(ORDER)
    return common


def _telling(trial: Trial) -> int:
    """How much an input tells apart: large ones of different widths come first."""
    case, _ = trial
    widths = {length for array in case.values.values() for length in array.shape}
    return 1000 * len(widths) + case.size


def unsummed(user: Floats | None, case: Case, name: str) -> bool:
    """Whether these are the samples' shares in any order, or np.outer of all samples with all."""
    share, right = case.shares[name], case.right[name]
    expected, samples = np.sort(share, axis=None), len(share)
    if user is None or name == "x":
        return False
    if samples == 1:  # it has nothing to sum, though perhaps an axis too many
        return user.size == right.size and same(user.reshape(right.shape), right)
    if user.shape == right.shape:
        return False
    if user.size == share.size:
        return same(np.sort(user, axis=None), expected)
    if user.ndim == 2 and user.size == samples * share.size and share.ndim == 3:
        _, high, wide = share.shape
        by_sample = user.reshape(samples, high, samples, wide).diagonal(axis1=0, axis2=2)
        by_unit = user.reshape(high, samples, wide, samples).diagonal(axis1=1, axis2=3)
        return any(same(np.sort(a, axis=None), expected) for a in (by_sample, by_unit))
    return False


def _kept_axis(user: Floats | None, predicted: Floats) -> bool:
    """Whether a sum along an axis was taken with keepdims."""
    return user is not None and same(np.squeeze(user), np.squeeze(predicted))


def _permuted(wrong: Sequence[str], answered: Sequence[Trial]) -> bool:
    """Whether the wrong gradients are the right ones of each other."""
    if len(wrong) < 2:
        return False
    fitting = {
        (name, other)
        for name in wrong
        for other in wrong
        if all(same(o.gradients[name], c.right[other]) for c, o in answered)
    }
    return any(
        all(pair in fitting for pair in zip(wrong, order, strict=True))
        for order in permutations(wrong)
    )


def _explained_by_changes(
    judgement: Judgement, network: Network | None, answered: Sequence[Trial]
) -> bool:
    """Whether the gradients are right for arguments as the function has left them, all or one."""
    if network is None:
        return False
    choices = [None, *judgement.changed, *(f"{n} on the way back" for n in judgement.changed)]
    return all(
        any(
            all(same(o.gradients[n], _changed(network, c, o.after, pick)[n]) for c, o in answered)
            for pick in choices
        )
        for n in judgement.wrong
    )


def _changed(network: Network, case: Case, after: Values, pick: str | None) -> Values:
    """The gradients with arguments as they were left: in the whole pass, or on the way back."""
    replaced = {n: a for n, a in after.items() if pick in (None, n, f"{n} on the way back")}
    usable = {n: a for n, a in replaced.items() if a.shape == case.values[n].shape}
    values = {**case.values, **usable}
    if pick is None or pick in after:
        return totals(case, network.shares(values, case.act))
    passed = network.forward(case.values, case.act)
    passed.values = values
    passed.steps[0].into = np.atleast_2d(values["x"])
    return totals(case, backward(passed))


def _rounds(subject: Subject, wrong: Sequence[str], answered: Sequence[Trial]) -> bool:
    """Whether the wrong gradients are nearly right, and the same bits for nearly the same input."""
    for case, outcome in answered:
        for name in wrong:
            user = outcome.gradients[name]
            if user is None or user.shape != case.right[name].shape:
                return False
            if error(user, case.right[name]) > ROUNDED:
                return False
    case, _ = max(answered, key=lambda trial: trial[0].size)

    def gradient(name: str, values: Values) -> Floats | None:
        return subject.ask(values, case.act).gradients.get(name)

    for name in wrong:
        start = gradient(name, case.values)
        more = gradient(name, {**case.values, "dy": 4 * case.values["dy"]})
        if start is None or more is None or not np.array_equal(4 * start, more):
            return False  # it is rounded to decimals, say
    return all(rounding(partial(gradient, name), case.values) for name in wrong)


def rounding(function: Callable[[Values], Floats | None], values: Values) -> bool:
    """Whether a function follows the last digits of some argument otherwise than the first ones."""

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


def _locate(judgement: Judgement, network: Network | None, answered: Sequence[Trial]) -> None:
    """The smallest failing input, the entry that differs most, and what the mistake has there."""
    failing = [
        trial
        for trial in answered
        if any(not same(trial[1].gradients[n], trial[0].right[n]) for n in judgement.wrong)
    ]
    if not failing:
        return
    case, outcome = judgement.trial = min(failing, key=lambda trial: trial[0].size)
    gaps = {
        name: _gap(outcome.gradients[name], case.right[name])
        for name in judgement.wrong
        if not same(outcome.gradients[name], case.right[name])
    }
    judgement.tensor = name = max(gaps, key=lambda key: gaps[key])
    user, right = outcome.gradients[name], case.right[name]
    if user is None or user.shape != right.shape:
        return
    difference = np.nan_to_num(np.abs(user - right), nan=np.inf)
    judgement.entry = tuple(int(k) for k in np.unravel_index(difference.argmax(), right.shape))
    for mistake, _, gradients in predictions(network, case) if judgement.mistakes else ():
        if mistake in judgement.mistakes and same(user, gradients.get(name, right)):
            judgement.predicted = float(gradients[name][judgement.entry])
            break


def _gap(user: Floats | None, right: Floats) -> float:
    return np.inf if user is None or user.shape != right.shape else error(user, right)
