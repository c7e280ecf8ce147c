"""The known mistakes of backward passes: what each is called, and which gradient it leads to.

A mistake is recognised by its effect alone. Each has one or more forms, functions that compute the
wrong gradient in float64: a ``Slip`` replaces what one kind of step hands back, and everything
behind it follows; a ``Miscount`` computes a whole tensor's gradient from the samples' shares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ffn_train.nn.core import Floats
from ffn_train.teach.activations import ACTIVATIONS
from ffn_train.teach.networks import (
    Act,
    Affine,
    Case,
    Network,
    Norm,
    Pass,
    Slip,
    Step,
    Sum,
    backward,
    norm_step,
)

SIGNALS = ("x", "dx_input", "dx_ffn")  # what has a gradient for each sample, of no sum
Miscount = Callable[[Case, str], Floats]
Form = tuple[tuple[type[Any], ...], Slip]


@dataclass(frozen=True)
class Mistake:
    """A kind of mistake: its name, a sentence on it, and the right equation beside the wrong."""

    name: str
    sentence: str
    equation: str


TRANSPOSE = Mistake(
    "W for Wᵀ",
    "The gradient is sent back through W where it has to go through Wᵀ.",
    "dx = Wᵀ dz, not W dz",
)
FORGOTTEN = Mistake(
    "act' forgotten",
    "The gradient passes the activation unchanged.",
    "dz = dy ∘ act'(z), not dy",
)
PLACE = Mistake(
    "act' taken at the wrong place",
    "The derivative of the activation is evaluated at something else than the pre-activation z, "
    "such as the output y = act(z).",
    "dz = dy ∘ act'(z), not dy ∘ act'(y)",
)
OTHER = Mistake(
    "act' of another activation",
    "The derivative is that of another activation than the forward pass uses.",
    "dz = dy ∘ act'(z) with the act of y = act(z)",
)
VALUE = Mistake(
    "act in place of act'",
    "The gradient is multiplied by the activation instead of its derivative.",
    "dz = dy ∘ act'(z), not dy ∘ act(z)",
)
BATCH = Mistake(
    "the sum over the batch forgotten",
    "The samples share the parameters, so their contributions have to be added up.",
    "dW = Σ_n dz_n x_nᵀ, db = Σ_n dz_n",
)
MEAN = Mistake(
    "a mean over the batch",
    "The samples' contributions are averaged; dy already holds whatever factor the loss has.",
    "dW = Σ_n dz_n x_nᵀ, not 1/N Σ_n dz_n x_nᵀ",
)
ONE_SAMPLE = Mistake(
    "one sample only",
    "Only one sample of the batch contributes, as where a loop overwrites instead of adding.",
    "dW = Σ_n dz_n x_nᵀ, not dz_N x_Nᵀ",
)
AXIS = Mistake(
    "the sum over the wrong axis",
    "The sum runs over the units, where it has to run over the samples.",
    "db_i = Σ_n dz_ni, not Σ_i dz_ni",
)
OUTER = Mistake(
    "the outer product the wrong way round",
    "The gradient of W is transposed.",
    "dW = dz xᵀ (fan_out, fan_in), not x dzᵀ",
)
OTHER_LAYER = Mistake(
    "db of another layer",
    "The bias gets the gradient that arrives at another layer.",
    "db1 = Σ_n dz_n, db2 = Σ_n dy_n",
)
SKIP_FORGOTTEN = Mistake(
    "the skip part forgotten",
    "Along the skip path the gradient arrives unchanged, and it is missing from the sum.",
    "dx = dout + Jᵀ dout, not Jᵀ dout",
)
SKIP_DOUBLED = Mistake(
    "the skip part doubled",
    "The gradient along the skip path is counted twice.",
    "dx = dout + Jᵀ dout, not 2 dout + Jᵀ dout",
)
SKIP_HALVED = Mistake(
    "the skip part halved",
    "A sum hands its whole gradient to both terms; it does not share it out between them.",
    "dx = dout + Jᵀ dout, not dout/2 + Jᵀ dout",
)
BRANCH_INPUT = Mistake(
    "dL/dx of the branch input for that of the block",
    "What arrives at the input of the branch is returned for the gradient of the block's input; "
    "the way through the norm, or along the skip path, is missing.",
    "dx = dout + (through the norm) d(branch input)",
)
NORM_MEAN = Mistake(
    "a norm without its mean term",
    "The mean is taken as a constant, but it depends on every feature.",
    "dx = (dx̂ - mean(dx̂) - x̂ mean(dx̂ ∘ x̂)) / σ, with the first mean",
)
NORM_VARIANCE = Mistake(
    "a norm without its variance term",
    "The variance is taken as a constant, but it depends on every feature.",
    "dx = (dx̂ - mean(dx̂) - x̂ mean(dx̂ ∘ x̂)) / σ, with the last term",
)
NORM_GAIN = Mistake(
    "the gain of a norm forgotten",
    "The gradient passes the gain unchanged.",
    "dx̂ = dy ∘ gain, not dy",
)
NORM_INPUT = Mistake(
    "x in place of x̂",
    "The gradient of the gain is taken with the input before its normalisation.",
    "dgain = Σ_n dy_n ∘ x̂_n, not dy_n ∘ x_n",
)
SIGN = Mistake("the sign reversed", "The gradient points down the loss.", "dW = dL/dW, not -dL/dW")
ORDER = Mistake(
    "the return order exchanged",
    "The gradients are right, and returned in the places of others.",
    "in the order of the arguments, with dx first or last",
)
IN_PLACE = Mistake(
    "an argument changed in place",
    "The caller's array is overwritten, and whoever reads it next gets other numbers.",
    "d = dy * act'(z), not dy *= act'(z)",
)
FLOAT32 = Mistake(
    "float32 inside",
    "Numbers are rounded to single or half precision on the way: arguments that differ in their "
    "last digits give the same bits.",
    "arrays of float64 throughout, such as np.zeros(n) without a dtype",
)


def _affine(passed: Pass, step: Step) -> Floats:
    assert isinstance(step.stage, Affine)
    return np.asarray(passed.values[step.stage.weight])


def _without_bias(passed: Pass, step: Step) -> Floats:
    """W x, of the W x + b that enters an activation."""
    steps = list(passed.every())
    before = steps[steps.index(step) - 1].stage
    bias = before.bias if isinstance(before, Affine) else None
    return step.into - passed.values[bias] if bias else step.into


PLACES: tuple[Callable[[Pass, Step], Floats], ...] = (
    lambda passed, step: step.out,
    lambda passed, step: step.d,
    lambda passed, step: np.atleast_2d(passed.values["x"]),
    lambda passed, step: passed.steps[-1].out,
    _without_bias,
)


def _elsewhere(place: Callable[[Pass, Step], Floats]) -> Slip:
    return lambda passed, step: {"in": step.d * passed.act.derivative(place(passed, step))}


def _of_value_at_z(passed: Pass, step: Step) -> dict[str, Floats]:
    assert passed.act.of_value is not None  # else ValueError: the form does not apply
    return {"in": step.d * passed.act.of_value(step.into)}


def _another(name: str, *, by_value: bool) -> Slip:
    other = ACTIVATIONS[name]
    slope, at = (other.of_value, "out") if by_value else (other.derivative, "into")
    assert slope is not None
    return lambda passed, step: {"in": step.d * slope(getattr(step, at))}


def _bias_of(k: int) -> Slip:
    """The gradient that arrives at the k-th other layer."""

    def slip(passed: Pass, step: Step) -> dict[str, Floats]:
        steps = list(passed.every())
        after = steps.index(step) + 1
        others = [s for s in steps if s is not step and isinstance(s.stage, Affine)]
        others += [s for n, s in enumerate(steps) if isinstance(s.stage, Act) and n != after]
        return {"bias": others[k].right}

    return slip


def _branch_input(*, skip: bool) -> Slip:
    def slip(passed: Pass, step: Step) -> dict[str, Floats]:
        if not any(isinstance(each.stage, Sum) for each in passed.steps):
            raise ValueError("not a block")
        if isinstance(step.stage, Norm):
            return {"in": step.d}
        return {} if skip else {"skip": np.zeros_like(step.d)}

    return slip


def _skip(factor: float, branch: float = 1.0) -> Slip:
    return lambda passed, step: {"skip": factor * step.d, "branch": branch * step.d}


def _norm(**terms: bool) -> Slip:
    """A norm's step without a term, which the norm has to have."""

    def slip(passed: Pass, step: Step) -> dict[str, Floats]:
        assert isinstance(step.stage, Norm)
        assert step.stage.centred or "mean" not in terms
        return {"in": norm_step(passed, step, **terms)["in"]}

    return slip


# mistake -> the kind of step that it is made at, and what that hands back
SLIPS: tuple[tuple[Mistake, Form], ...] = (
    (TRANSPOSE, ((Affine,), lambda p, s: {"in": s.d @ _affine(p, s).T})),
    (FORGOTTEN, ((Act,), lambda p, s: {"in": s.d})),
    *((PLACE, ((Act,), _elsewhere(place))) for place in PLACES),
    (PLACE, ((Act,), _of_value_at_z)),
    *((OTHER, ((Act,), _another(n, by_value=False))) for n in ACTIVATIONS if n != "identity"),
    *(
        (OTHER, ((Act,), _another(name, by_value=True)))
        for name, activation in ACTIVATIONS.items()
        if activation.of_value
    ),
    (VALUE, ((Act,), lambda p, s: {"in": s.d * s.out})),
    *((OTHER_LAYER, ((Affine,), _bias_of(k))) for k in range(3)),
    (SKIP_FORGOTTEN, ((Sum,), _skip(0))),
    (SKIP_DOUBLED, ((Sum,), _skip(2))),
    (SKIP_HALVED, ((Sum,), _skip(0.5))),
    (SKIP_HALVED, ((Sum,), _skip(0.5, 0.5))),
    (BRANCH_INPUT, ((Norm, Sum), _branch_input(skip=True))),
    (BRANCH_INPUT, ((Norm, Sum), _branch_input(skip=False))),
    (NORM_MEAN, ((Norm,), _norm(mean=False))),
    (NORM_VARIANCE, ((Norm,), _norm(variance=False))),
    (NORM_GAIN, ((Norm,), _norm(gain=False))),
    (NORM_INPUT, ((Norm,), lambda p, s: {"gain": s.d * s.into})),
)


def _over_samples(wrong: Miscount) -> Miscount:
    """A mistake that a single vector does not show."""
    return lambda case, name: case.right[name] if case.vector else wrong(case, name)


def _mean(case: Case, name: str) -> Floats:
    return case.right[name] / (1 if case.vector else len(case.values["dy"]))


def _by_length(of: str) -> Miscount:
    """Divided by len(x) or len(dy), which of a vector is its width."""
    return lambda case, name: case.right[name] / len(case.values[of])


def _one_sample(n: int, *, alone: bool) -> Miscount:
    def wrong(case: Case, name: str) -> Floats:
        share = case.shares[name]
        if name not in SIGNALS or alone:
            return np.asarray(share[n])
        rows = np.zeros_like(share)
        rows[n] = share[n]
        return rows

    return wrong


def _parameters(wrong: Miscount) -> Miscount:
    """A mistake that is made with parameters alone."""
    return lambda case, name: wrong(case, name) if name not in SIGNALS else case.right[name]


def _transposed(case: Case, name: str) -> Floats:
    return case.right[name].T if name not in SIGNALS else case.right[name]


MISCOUNTS: tuple[tuple[Mistake, Miscount], ...] = (
    (BATCH, _over_samples(_parameters(lambda case, name: case.shares[name]))),
    (MEAN, _mean),
    (MEAN, _by_length("x")),
    (MEAN, _by_length("dy")),
    *(
        (ONE_SAMPLE, _over_samples(_one_sample(n, alone=alone)))
        for n in (0, -1)
        for alone in (False, True)
    ),
    (AXIS, _over_samples(_parameters(lambda case, name: case.shares[name].sum(axis=1)))),
    (AXIS, _parameters(lambda case, name: case.shares[name].sum(axis=1))),
    (AXIS, _parameters(lambda case, name: np.asarray(case.right[name].sum()))),
    (OUTER, _transposed),
    (SIGN, lambda case, name: -case.right[name]),
)


def _more_skip(factor: float) -> Miscount:
    """dL/dx with so much more of the skip part, or that part alone."""

    def wrong(case: Case, name: str) -> Floats:
        if name not in SIGNALS or (name == "dx_ffn" and factor == -1):
            return case.right[name]
        return case.right[name] + factor * case.values["dy"]

    return wrong


# where the stages of the forward pass are not known: it may have a skip path
UNSEEN: tuple[tuple[Mistake, Miscount], ...] = (
    (SKIP_FORGOTTEN, _more_skip(-1)),
    (SKIP_DOUBLED, _more_skip(1)),
    (SKIP_HALVED, _more_skip(-0.5)),
)

Key = tuple[int, tuple[int, ...] | None]


def predictions(
    network: Network | None, case: Case, keys: set[Key] | None = None
) -> Iterator[tuple[Mistake, Key, dict[str, Floats]]]:
    """The wrong gradients that each form of each mistake leads to: at one step, or at all.

    A form is left out where it does not apply, as W for Wᵀ where W is not square. ``keys``: these
    alone.
    """
    with np.errstate(all="ignore"):
        if network is not None:
            passed = network.forward(case.values, case.act)
            steps = list(passed.every())
            backward(passed)
            for k, (mistake, (kinds, slip)) in enumerate(SLIPS):
                at = [n for n, step in enumerate(steps) if isinstance(step.stage, kinds)]
                places = [(n,) for n in at] if len(kinds) == 1 else []
                for place in [*places, *([tuple(at)] if len(at) > 1 or not places else [])]:
                    if not place or (keys is not None and (k, place) not in keys):
                        continue
                    try:
                        shares = backward(passed, slip, place)
                    except (ValueError, IndexError, AssertionError):
                        continue
                    yield mistake, (k, place), totals(case, shares)
        miscounts = MISCOUNTS if network is not None else MISCOUNTS + UNSEEN
        for k, (mistake, wrong) in enumerate(miscounts):
            if keys is None or (k, None) in keys:
                yield mistake, (k, None), _counted(case, wrong)


def totals(case: Case, shares: dict[str, Floats]) -> dict[str, Floats]:
    """The gradients of a case from the samples' shares."""
    x = shares["x"]
    dx = x[0] if case.vector and len(x) == 1 else x
    return {name: dx if name == "x" else array.sum(axis=0) for name, array in shares.items()}


def _counted(case: Case, wrong: Miscount) -> dict[str, Floats]:
    gradients = {}
    for name in case.right:
        try:
            gradients[name] = wrong(case, name)
        except (ValueError, IndexError, KeyError):  # no such axis, no x
            continue
    return gradients
