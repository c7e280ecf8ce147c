"""Is a gradient right, and if not, which known mistake gives the same numbers?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import permutations

import numpy as np

from ffn_train.nn.core import Floats
from ffn_train.teach.mistakes import (
    FLOAT32,
    IN_PLACE,
    ORDER,
    Key,
    Mistake,
    error,
    predictions,
    same,
)
from ffn_train.teach.networks import Case, Network, Values, backward
from ffn_train.teach.recognise import rounding
from ffn_train.teach.subject import Outcome, Subject

ROUNDED = 1e-2  # the largest error that half precision can cause
Trial = tuple[Case, Outcome]


@dataclass
class Judgement:
    """The verdict on the trials of one function.

    ``wrong`` are the tensors whose gradients disagree for some input; ``mistakes`` those that
    explain all of it, none if no single one does; ``trial`` is the smallest input that fails,
    ``tensor`` and ``entry`` (in the function's layout) what differs most there, and ``predicted``
    what a mistake gives there.
    ``changed``: arguments that were overwritten. ``notes``: what a right function does not accept.
    ``problem``: why it cannot be judged, or not completely; ``answered``: it accepted some input.
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

    @property
    def rank(self) -> tuple[int, int]:
        """In this order: right, a known mistake, an unknown one (the fewest wrong tensors first),
        cannot be judged.
        """
        kind = 0 if self.right else 1 if self.mistakes else 2 if self.answered else 3
        return kind, len(self.wrong)


def ask(subject: Subject, cases: Sequence[Case]) -> list[Trial]:
    """The function's outcome for each input."""
    return [(case, subject.ask(case.values, case.act)) for case in cases]


def refused(trials: Sequence[Trial]) -> int:
    """How many inputs the function does not accept."""
    return sum(outcome.error is not None for _, outcome in trials)


def judge(subject: Subject, network: Network | None, trials: Sequence[Trial]) -> Judgement:
    """Which gradients are wrong, and what explains all of them."""
    judgement = Judgement(subject)
    answered, judgement.notes = _answered(trials)
    if not answered:
        _, last = trials[-1]
        judgement.problem, judgement.missing = last.error, last.missing
        return judgement
    judgement.answered = True
    judged = {case.vector for case, _ in answered} if judgement.notes else {False, True}
    refusing = [
        (case, outcome)
        for case, outcome in trials
        if outcome.error is not None and case.vector in judged
    ]
    for case, outcome in refusing[:1]:
        judgement.problem = f"{case.shapes}: {outcome.error}"
    names = tuple(answered[0][0].right)
    judgement.wrong = tuple(name for name in names if not all(_right(t, name) for t in answered))
    judgement.changed = {name for _, outcome in answered for name in outcome.after}
    last_case, before = answered[-1]
    if not _repeats(subject.ask(last_case.values, last_case.act), before):
        judgement.wrong = judgement.wrong or names
        judgement.problem = "the same arguments give different gradients the second time"
    else:
        judgement.mistakes = _mistakes(judgement, network, answered, refusing)
        if judgement.mistakes:
            judgement.problem = None
    if judgement.wrong:
        _locate(judgement, network, answered)
    return judgement


def _right(trial: Trial, name: str) -> bool:
    return same(trial[1].gradients[name], trial[0].right[name])


def _answered(trials: Sequence[Trial]) -> tuple[list[Trial], list[str]]:
    """The trials to judge by, and what the function does not accept.

    Functions for batches alone, or for vectors alone, are judged by these, provided that they
    refuse some of the others and none of these, all others, or return arrays of wrong shapes.
    """
    answered = [trial for trial in trials if trial[1].error is None]
    vectors = [trial for trial in trials if trial[0].vector]
    batches = [trial for trial in answered if not trial[0].vector]
    if (
        len(answered) == len(batches)
        or (len(batches) == len(trials) - len(vectors) > 0 and refused(vectors))
        or any(
            all(_fits(t, name) for t in batches) and not any(_fits(t, name) for t in vectors)
            for name in (trials[0][0].right if batches else ())
        )
    ):
        notes = ["it accepts batches, but no single vector (D,)"] if vectors else []
        return batches, notes
    # where the number of samples is also a width, W x may be computed as x Wᵀ
    telling = [
        case
        for case, _ in batches
        if case.values["dy"].shape[:1] not in {array.shape[-1:] for array in case.values.values()}
    ]
    if not telling and len(vectors) < len(trials):
        only = [trial for trial in answered if trial[0].vector]
        return only, ["it accepts one vector (D,), but no batch (N, D)"]
    return answered, []


def _fits(trial: Trial, name: str) -> bool:
    """Whether the gradient has the shape of its tensor."""
    case, outcome = trial
    array = outcome.gradients.get(name)
    return array is not None and array.shape == case.right[name].shape


def _repeats(again: Outcome, before: Outcome) -> bool:
    def bits(outcome: Outcome) -> list[bytes | None]:
        return [None if a is None else a.tobytes() for a in outcome.gradients.values()]

    return again.error is None and bits(again) == bits(before)


def _mistakes(
    judgement: Judgement,
    network: Network | None,
    answered: Sequence[Trial],
    refusing: Sequence[Trial],
) -> list[Mistake]:
    """What explains everything that is wrong; nothing if it takes two mistakes."""
    if judgement.changed:
        alone = all(_by_changes(judgement, network, answered, name) for name in judgement.wrong)
        return [IN_PLACE] if alone else []
    if not judgement.wrong:
        return []
    if _rounds(judgement.subject, judgement.wrong, answered):
        return [FLOAT32]
    explaining = _explaining(judgement.wrong, network, answered, refusing)
    if not refusing and _permuted(judgement.wrong, answered):
        explaining.append(ORDER)
    return explaining


def _explaining(
    wrong: Sequence[str],
    network: Network | None,
    answered: Sequence[Trial],
    refusing: Sequence[Trial],
) -> list[Mistake]:
    """The mistakes that each explain all wrong gradients in all cases, and that do not apply to
    the inputs that are refused.
    """
    left: dict[str, dict[Key, Mistake]] = {}  # for each tensor the candidates that agree so far
    keys: set[Key] | None = None
    for case, outcome in sorted(answered, key=lambda trial: _telling(trial[0]), reverse=True):
        agreeing: dict[str, dict[Key, Mistake]] = {name: {} for name in wrong}
        for mistake, key, gradients in predictions(network, case, keys):
            if mistake.throughout and not _all_same(outcome, gradients):
                continue
            for name in wrong:
                user, expected = outcome.gradients[name], gradients.get(name)
                if expected is None or (left and key not in left[name]):
                    continue
                if mistake.matches(user, expected, case, name):
                    agreeing[name][key] = mistake
        left, keys = agreeing, {key for its in agreeing.values() for key in its}
        if not all(left.values()):
            return []
    for case, _ in refusing:
        applying = {mistake for mistake, *_ in predictions(network, case, keys)}
        left = {
            name: {key: mistake for key, mistake in its.items() if mistake not in applying}
            for name, its in left.items()
        }
    first, *others = ({*its.values()} for its in left.values())
    return [m for m in dict.fromkeys(left[wrong[0]].values()) if m in first.intersection(*others)]


def _all_same(outcome: Outcome, gradients: Values) -> bool:
    return all(same(outcome.gradients[name], expected) for name, expected in gradients.items())


def _telling(case: Case) -> tuple[int, int]:
    """How well an input tells mistakes apart: large ones of different widths do best."""
    return len({length for array in case.values.values() for length in array.shape}), case.size


def _permuted(wrong: Sequence[str], answered: Sequence[Trial]) -> bool:
    """Whether the wrong gradients are the right ones in exchanged places."""
    fitting = {
        (name, other)
        for name in wrong
        for other in wrong
        if all(same(outcome.gradients[name], case.right[other]) for case, outcome in answered)
    }
    return any(fitting.issuperset(zip(wrong, order, strict=True)) for order in permutations(wrong))


def _by_changes(
    judgement: Judgement, network: Network | None, answered: Sequence[Trial], name: str
) -> bool:
    """Whether a gradient is right for the arguments, all or one of them, as the function leaves
    them: in the whole pass or in the backward pass alone.
    """
    choices = [judgement.changed, *({role} for role in judgement.changed)]
    return network is not None and any(
        all(same(o.gradients[name], _changed(network, c, o, pick, back)[name]) for c, o in answered)
        for pick in choices
        for back in (False, True)
    )


def _changed(
    network: Network, case: Case, outcome: Outcome, pick: set[str], back: bool
) -> dict[str, Floats]:
    values = dict(case.values)
    for role, array in outcome.after.items():
        if role in pick and array.shape == values[role].shape:
            values[role] = array
    passed = network.forward(case.values if back else values, case.act)
    passed.values = values
    passed.steps[0].into = np.atleast_2d(values["x"])
    return case.totals(backward(passed))


def _rounds(subject: Subject, wrong: Sequence[str], answered: Sequence[Trial]) -> bool:
    """Whether the wrong gradients are nearly right, and insensitive to the inputs' last digits."""
    if not all(
        _fits((case, outcome), name)
        and error(np.asarray(outcome.gradients[name]), case.right[name]) <= ROUNDED
        for case, outcome in answered
        for name in wrong
    ):
        return False
    case = max((case for case, _ in answered), key=lambda case: case.size)

    def gradient(name: str, values: Values) -> Floats | None:
        return subject.ask(values, case.act).gradients.get(name)

    for name in wrong:
        start = gradient(name, case.values)
        more = gradient(name, {**case.values, "dy": 4 * case.values["dy"]})
        if start is None or more is None or not np.array_equal(4 * start, more):
            return False  # rounded to decimals, for example
    return all(rounding(partial(gradient, name), case.values) for name in wrong)


def _locate(judgement: Judgement, network: Network | None, answered: Sequence[Trial]) -> None:
    """Find the smallest failing input, its most different entry, what the mistake gives there."""
    failing = [t for t in answered if not all(_right(t, name) for name in judgement.wrong)]
    if not failing:
        return
    case, outcome = judgement.trial = min(failing, key=lambda trial: trial[0].size)

    def gap(name: str) -> float:
        user = outcome.gradients[name]
        return (
            np.inf
            if user is None or not _fits((case, outcome), name)
            else error(user, case.right[name])
        )

    judgement.tensor = name = max(judgement.wrong, key=gap)
    user, right = outcome.gradients[name], case.right[name]
    if user is None or user.shape != right.shape:
        return
    theirs = partial(judgement.subject.convention.given, name)
    difference = theirs(np.nan_to_num(np.abs(user - right), nan=np.inf))
    place = np.unravel_index(difference.argmax(), difference.shape)
    judgement.entry = tuple(int(k) for k in place)
    for mistake, _, gradients in predictions(network, case) if judgement.mistakes else ():
        if mistake in judgement.mistakes and same(user, gradients.get(name, right)):
            judgement.predicted = float(theirs(gradients[name])[judgement.entry])
            break
