"""The findings of the checks, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ffn_train.nn.core import Floats
from ffn_train.teach.activations import OWN
from ffn_train.teach.judge import Judgement
from ffn_train.teach.mistakes import Mistake, error
from ffn_train.teach.networks import Case
from ffn_train.teach.subject import Convention, gradient_name

UNNAMED = "no single known mistake"
PRINTED = 60  # the most entries of a failing input that are printed in full


@dataclass(frozen=True)
class Finding:
    """The finding on one function; ``mistakes`` are the names that fit, if any."""

    function: str
    verdict: Literal["right", "wrong", "unchecked"]
    mistakes: tuple[str, ...]
    text: str
    convention: Convention | None = None

    @property
    def right(self) -> bool:
        return self.verdict == "right"

    @classmethod
    def unchecked(cls, function: str, text: str) -> Finding:
        return cls(function, "unchecked", (), text)

    def __str__(self) -> str:
        verdict = "cannot be checked" if self.verdict == "unchecked" else self.verdict
        return f"{self.function}: {verdict}: {self.text}"


@dataclass(frozen=True)
class Report:
    """The findings on all functions; print it to read them."""

    findings: tuple[Finding, ...]

    @property
    def right(self) -> bool:
        return bool(self.findings) and all(finding.right for finding in self.findings)

    @property
    def status(self) -> int:
        """0 right, 1 wrong, 2 something cannot be checked."""
        if any(finding.verdict == "wrong" for finding in self.findings):
            return 1
        return 0 if self.right else 2

    def __str__(self) -> str:
        return "\n".join(map(str, self.findings)) or "there is nothing to check"

    __repr__ = __str__


def seen_in(forward: str, mistake: Mistake, function: str) -> Finding:
    """A forward pass that makes a mistake, so that its differences mean nothing."""
    return Finding(function, "wrong", (mistake.name,), _named([mistake], f"seen in {forward}"))


def explained(
    judgement: Judgement, cases: Sequence[Case], names: Mapping[str, str], shown: str = ""
) -> Finding:
    """A judgement in words; ``names`` are the user's names of the tensors."""
    function, convention = shown or judgement.subject.name, judgement.subject.convention
    words = tuple(mistake.name for mistake in judgement.mistakes)
    if judgement.right:
        text = "; ".join(
            filter(None, (_agreement(judgement, cases, names), str(convention), *judgement.notes))
        )
        return Finding(function, "right", (), text, convention)
    if not judgement.wrong and not words:
        text = judgement.problem or ""
        if judgement.missing:
            text += f"; it must return {_gradients(judgement.subject.results, names)}"
        if judgement.answered:
            return Finding(function, "wrong", (), f"it fails for {text}", convention)
        return Finding(function, "unchecked", (), text, convention)
    shows = _evidence(judgement, names)
    if words and judgement.problem is None:
        text = _named(judgement.mistakes, *shows, _tensors(judgement, names), _read(convention))
        return Finding(function, "wrong", words, text, convention)
    lines = [UNNAMED, judgement.problem or "", *_input(judgement, names), *shows]
    text = "\n  ".join(filter(None, [*lines, _tensors(judgement, names), _read(convention)]))
    return Finding(function, "wrong", (), text, convention)


def _read(convention: Convention) -> str:
    return f"read with {convention}" if str(convention) else ""


def _named(mistakes: Sequence[Mistake], *shows: str) -> str:
    lines = [" or ".join(mistake.name for mistake in mistakes)]
    if len(mistakes) > 1:
        lines[0] += " (no input tells them apart)"
    for mistake in mistakes:
        lines += [mistake.sentence, f"right: {mistake.equation}"]
    return "\n  ".join(filter(None, [*lines, *shows]))


def _agreement(judgement: Judgement, cases: Sequence[Case], names: Mapping[str, str]) -> str:
    tensors = _gradients(judgement.subject.results, names)
    verb = "agrees" if len(judgement.subject.results) == 1 else "agree"
    what = "the equation" if judgement.subject.results == ("y",) else "centred differences"
    return f"{tensors} {verb} with {what} for {len(cases)} inputs"


def _tensors(judgement: Judgement, names: Mapping[str, str]) -> str:
    right = [name for name in judgement.subject.results if name not in judgement.wrong]
    if not judgement.wrong:
        return ""
    also = f"; right: {_gradients(right, names)}" if right else ""
    return f"wrong: {_gradients(judgement.wrong, names)}{also}"


def _gradients(tensors: Sequence[str], names: Mapping[str, str]) -> str:
    return _listed([gradient_name(name, names) for name in tensors])


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def _evidence(judgement: Judgement, names: Mapping[str, str]) -> list[str]:
    """The numbers that show it."""
    roles = sorted(names.get(role, role) for role in judgement.changed)
    changed = [f"changed: {_listed(roles)}"] if roles else []
    if judgement.trial is None:
        return changed
    case, outcome = judgement.trial
    user, right = outcome.gradients[judgement.tensor], case.right[judgement.tensor]
    tensor, where = gradient_name(judgement.tensor, names), _where(judgement, case, names)
    if user is None:
        return [f"{tensor} is missing: what is returned in its place is not an array of numbers"]
    needed = _given(judgement, judgement.tensor, right)
    if user.shape != right.shape:
        shape = outcome.shapes[judgement.tensor]
        return [f"{tensor} has shape {shape}, it needs {needed.shape} ({where})"]
    user, right = _given(judgement, judgement.tensor, user), needed
    entry = ", ".join(map(str, judgement.entry))
    digits = 6 if error(user, right) > 1e-5 else 12
    line = (
        f"{tensor}{f'[{entry}]' if entry else ''} is {user[judgement.entry]:.{digits}g}, "
        f"{'it is' if judgement.tensor == 'y' else 'by differences'} "
        f"{right[judgement.entry]:.{digits}g}"
    )
    if judgement.predicted is not None:
        line += f", with this mistake {judgement.predicted:.{digits}g}"
    return [f"{line} ({where})", *changed]


def _given(judgement: Judgement, name: str, array: Floats) -> Floats:
    """An array in the layout of the function, which may differ from that of the cases."""
    return judgement.subject.convention.given(name, array)


def _where(judgement: Judgement, case: Case, names: Mapping[str, str]) -> str:
    shapes = [f"{names.get(n, n)} {_given(judgement, n, a).shape}" for n, a in case.values.items()]
    act = "" if case.act.name in ("identity", OWN) else f"; {case.act.name}"
    return ", ".join(shapes) + act


def _input(judgement: Judgement, names: Mapping[str, str]) -> list[str]:
    """The smallest input that fails, if it is small enough to print."""
    if judgement.trial is None or judgement.trial[0].size > PRINTED:
        return []
    case = judgement.trial[0]
    given = {names.get(n, n): _given(judgement, n, a) for n, a in case.values.items()}
    arrays = "; ".join(f"{name} = {_numbers(array)}" for name, array in given.items())
    return [f"the smallest input that fails: {arrays}"]


def _numbers(array: Floats) -> str:
    return np.array2string(array, separator=", ", max_line_width=10_000).replace("\n", "")
