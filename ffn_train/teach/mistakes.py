"""The known mistakes of backward passes: their names, and the gradients that they lead to.

A mistake is recognised by its effect alone. The table gives its candidate gradients, computed in
float64: a ``Slip`` replaces what one kind of step passes back, and all earlier steps follow; a
``Total`` computes a whole tensor's gradient from the samples' shares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ffn_train.nn.core import Floats
from ffn_train.teach.activations import ACTIVATIONS
from ffn_train.teach.networks import Case, Network, Pass, Slip, Step, Values, backward, norm_step

SIGNALS = ("x", "dx_input", "dx_ffn")  # their gradients are not summed over the batch
TOLERANCE = 1e-8  # of a tensor's largest entry
Total = Callable[[Case, str], Floats]
Matches = Callable[[Floats | None, Floats, Case, str], bool]
Key = tuple[int, int, tuple[int, ...]]  # a candidate: its mistake, its number, the steps


def same(user: Floats | None, expected: Floats) -> bool:
    """Equal up to rounding, shape included."""
    if user is None or user.shape != expected.shape:
        return False
    return error(user, expected) <= TOLERANCE


def error(user: Floats, expected: Floats) -> float:
    """The largest difference, relative to the largest expected entry."""
    with np.errstate(all="ignore"):
        scale = np.abs(expected).max(initial=0.01)
        gap = float(np.abs(np.asarray(user, np.float64) - expected).max(initial=0.0) / scale)
    return gap if np.isfinite(gap) else np.inf


@dataclass(frozen=True, eq=False)
class Mistake:
    """A kind of mistake: its name, a sentence on it, the right equation beside the wrong.

    ``slips`` are made at each of the kinds of steps ``at``, alone and together, or only together;
    ``throughout``: all gradients show it, none by chance, as that of a multiple of an activation.
    ``matches`` compares a user's gradient with a candidate. ``unseen``: further totals where the
    stages of the forward pass, which may have a skip path, are not known.
    """

    name: str
    sentence: str
    equation: str
    at: tuple[str, ...] = ()
    slips: tuple[Slip, ...] = ()
    together: bool = False
    throughout: bool = False
    totals: tuple[Total, ...] = ()
    unseen: tuple[Total, ...] = ()
    matches: Matches = lambda user, predicted, case, name: same(user, predicted)


def _times(factor: Callable[[Pass, Step], Floats]) -> Slip:
    """The gradient times something other than act'(z)."""
    return lambda passed, step: {"in": step.d * factor(passed, step)}


def _without_bias(passed: Pass, step: Step) -> Floats:
    """W x, of the W x + b that enters an activation."""
    before = passed.steps[passed.steps.index(step) - 1].stage
    return step.into - passed.values.get(before.bias, 0.0)


ELSEWHERE: tuple[Callable[[Pass, Step], Floats], ...] = (
    lambda passed, step: step.out,
    lambda passed, step: step.d,
    lambda passed, step: np.atleast_2d(passed.values["x"]),
    lambda passed, step: passed.steps[-1].out,
    _without_bias,
)


def _derivative_at(place: Callable[[Pass, Step], Floats]) -> Slip:
    return _times(lambda passed, step: np.asarray(passed.act.derivative(place(passed, step))))


def _of_value_at_z(passed: Pass, step: Step) -> Values:
    if passed.act.of_value is None:
        raise ValueError("act' is not known as a function of y")
    return {"in": step.d * passed.act.of_value(step.into)}


def _derivatives_of(name: str) -> list[Slip]:
    """act' of another activation: at z, and from y where there is such a form."""
    other = ACTIVATIONS[name]
    slips = [_times(lambda passed, step: np.asarray(other.derivative(step.into)))]
    if (of_value := other.of_value) is not None:
        slips.append(_times(lambda passed, step: np.asarray(of_value(step.out))))
    return slips


def _bias_of(k: int) -> Slip:
    """The gradient that arrives at the k-th other layer."""

    def slip(passed: Pass, step: Step) -> Values:
        after = passed.steps.index(step) + 1
        others = [
            other.right
            for number, other in enumerate(passed.steps)
            if other is not step and other.stage.kind in ("affine", "act") and number != after
        ]
        return {"bias": others[k]}

    return slip


def _branch_input(skip: float) -> Slip:
    """The norm's backward step left out; the skip part times a factor."""

    def slip(passed: Pass, step: Step) -> Values:
        if passed.steps[0].stage.kind != "fork":
            raise ValueError("not a block")
        return {"in": step.d} if step.stage.kind == "norm" else {"skip": skip * step.d}

    return slip


def _skip(factor: float, branch: float = 1.0) -> Slip:
    return lambda passed, step: {
        "skip": factor * step.d,
        "in": branch * step.stage.factor * step.d,
    }


def _branch_factor(skip: bool) -> Slip:
    """The branch's factor left out, or on the skip path as well."""

    def slip(passed: Pass, step: Step) -> Values:
        factor = step.stage.factor
        if factor == 1:
            raise ValueError("it has none")
        return {"skip": factor * step.d} if skip else {"in": step.d}

    return slip


def _norm_without(term: str) -> Slip:
    def slip(passed: Pass, step: Step) -> Values:
        if term == "mean" and not step.stage.centred:
            raise ValueError("it has none")
        return {"in": norm_step(passed, step, **{term: False})["in"]}

    return slip


def _of_batches(wrong: Total) -> Total:
    """A mistake that does not show with a single vector."""
    return lambda case, name: case.right[name] if case.vector else wrong(case, name)


def _of_parameters(wrong: Total) -> Total:
    return lambda case, name: case.right[name] if name in SIGNALS else wrong(case, name)


def _divided_by_length(of: str) -> Total:
    """Divided by len(x) or len(dy), which for a vector is its width."""
    return lambda case, name: case.right[name] / len(case.values[of])


def _sample(n: int, *, alone: bool) -> Total:
    """The n-th sample's share, alone or (of dL/dx) with zeros for the other samples."""

    def wrong(case: Case, name: str) -> Floats:
        share = np.asarray(case.shares[name])
        if name not in SIGNALS or alone:
            return np.asarray(share[n])
        return np.where(np.arange(len(share)).reshape(-1, 1) == n % len(share), share, 0.0)

    return wrong


def _unsummed(user: Floats | None, predicted: Floats, case: Case, name: str) -> bool:
    """Whether the samples' shares are all there, in any order, perhaps among others (np.outer)."""
    share, right = case.shares[name], case.right[name]
    if user is None or name in SIGNALS:
        return False
    if len(share) == 1:  # nothing to sum, though there may be an extra axis
        return user.size == right.size and same(user.reshape(right.shape), right)
    if user.shape == right.shape or user.size % share.size:
        return False
    gaps = np.abs(user.reshape(-1, 1) - share.reshape(1, -1)).min(axis=0)
    return bool(gaps.max() <= TOLERANCE * np.abs(share).max())


def _same_entries(user: Floats | None, predicted: Floats, case: Case, name: str) -> bool:
    """Equal but for axes of length 1."""
    return user is not None and same(np.squeeze(user), np.squeeze(predicted))


def _skip_part(factor: float) -> Total:
    """dL/dx plus a multiple of the skip part."""

    def wrong(case: Case, name: str) -> Floats:
        if name not in SIGNALS or (name == "dx_ffn" and factor != -0.5):  # halved between both
            return case.right[name]
        return case.right[name] + factor * case.values["dy"]

    return wrong


BATCH = "the sum over the batch forgotten"
ORDER = Mistake(
    "the return order exchanged",
    "Each gradient is right but returned in the place of another.",
    "in the order of the arguments, with dx first or last",
)
IN_PLACE = Mistake(
    "an argument changed in place",
    "The caller's array is overwritten, and whatever reads it next gets other numbers.",
    "d = dy * act'(z), not dy *= act'(z)",
)
FLOAT32 = Mistake(
    "float32 inside",
    "Numbers are rounded to single or half precision on the way: arguments that differ only in "
    "their last digits give identical results.",
    "arrays of float64 throughout, such as np.zeros(n) without a dtype",
)
MISTAKES = (
    Mistake(
        "W for Wᵀ",
        "The gradient is sent back through W; it has to go through Wᵀ.",
        "dx = Wᵀ dz, not W dz",
        at=("affine",),
        slips=(lambda p, step: {"in": step.d @ p.values[step.stage.weight].T},),
    ),
    Mistake(
        "act' forgotten",
        "The gradient passes the activation unchanged.",
        "dz = dy ∘ act'(z), not dy",
        at=("act",),
        slips=(lambda p, step: {"in": step.d},),
    ),
    Mistake(
        "act' taken at the wrong place",
        "The derivative of the activation is evaluated at something other than the pre-activation "
        "z, such as the output y = act(z).",
        "dz = dy ∘ act'(z), not dy ∘ act'(y)",
        at=("act",),
        slips=(*map(_derivative_at, ELSEWHERE), _of_value_at_z),
    ),
    Mistake(
        "act' of another activation",
        "The derivative is not that of the activation in the forward pass.",
        "dz = dy ∘ act'(z) with the act of y = act(z)",
        at=("act",),
        slips=tuple(
            slip for name in ACTIVATIONS if name != "identity" for slip in _derivatives_of(name)
        ),
        throughout=True,
    ),
    Mistake(
        "act in place of act'",
        "The gradient is multiplied by the activation instead of its derivative.",
        "dz = dy ∘ act'(z), not dy ∘ act(z)",
        at=("act",),
        slips=(_times(lambda p, step: step.out),),
    ),
    Mistake(
        BATCH,
        "The samples share the parameters, so their contributions have to be added up.",
        "dW = Σ_n dz_n x_nᵀ, db = Σ_n dz_n",
        totals=(lambda case, name: case.right[name],),
        matches=_unsummed,
    ),
    Mistake(
        "a mean over the batch",
        "The samples' contributions are averaged; dy already includes any factor of the loss.",
        "dW = Σ_n dz_n x_nᵀ, not 1/N Σ_n dz_n x_nᵀ",
        totals=(
            _of_batches(_divided_by_length("dy")),
            _divided_by_length("x"),
            _divided_by_length("dy"),
        ),
    ),
    Mistake(
        "one sample only",
        "Only one sample of the batch contributes, as when a loop overwrites instead of adding.",
        "dW = Σ_n dz_n x_nᵀ, not dz_N x_Nᵀ",
        totals=tuple(
            _of_batches(_sample(n, alone=alone)) for n in (0, -1) for alone in (False, True)
        ),
    ),
    Mistake(
        "the sum over the wrong axis",
        "The sum runs over the units; it has to run over the samples.",
        "db_i = Σ_n dz_ni, not Σ_i dz_ni",
        totals=(
            _of_batches(_of_parameters(lambda case, name: case.shares[name].sum(axis=1))),
            _of_parameters(lambda case, name: case.shares[name].sum(axis=1)),
        ),
        matches=_same_entries,
    ),
    Mistake(
        "the sum over all axes",
        "The sum runs over the units, too; it has to run over the samples alone.",
        "db_i = Σ_n dz_ni, not Σ_n Σ_i dz_ni",
        totals=(_of_parameters(lambda case, name: np.asarray(case.right[name].sum())),),
        matches=_same_entries,
    ),
    Mistake(
        "the outer product the wrong way round",
        "The gradient of W is transposed.",
        "dW = dz xᵀ (fan_out, fan_in), not x dzᵀ",
        totals=(_of_parameters(lambda case, name: case.right[name].T),),
    ),
    Mistake(
        "db of another layer",
        "The bias gets the gradient that arrives at another layer.",
        "db1 = Σ_n dz_n, db2 = Σ_n dy_n",
        at=("affine",),
        slips=tuple(map(_bias_of, range(3))),
    ),
    Mistake(
        "the skip part forgotten",
        "The gradient passes the skip path unchanged, and this part is missing from the sum.",
        "dx = dout + Jᵀ dout, not Jᵀ dout",
        at=("join",),
        slips=(_skip(0),),
        unseen=(_skip_part(-1),),
    ),
    Mistake(
        "the skip part doubled",
        "The gradient along the skip path is counted twice.",
        "dx = dout + Jᵀ dout, not 2 dout + Jᵀ dout",
        at=("join",),
        slips=(_skip(2),),
        unseen=(_skip_part(1),),
    ),
    Mistake(
        "the skip part halved",
        "A sum passes its whole gradient on to both terms; it does not divide it between them.",
        "dx = dout + Jᵀ dout, not dout/2 + Jᵀ dout",
        at=("join",),
        slips=(_skip(0.5), _skip(0.5, 0.5)),
        unseen=(_skip_part(-0.5),),
    ),
    Mistake(
        "the branch's factor forgotten",
        "A branch that is added times a constant c gets the gradient times c.",
        "dx = dout + c Jᵀ dout, not dout + Jᵀ dout",
        at=("join",),
        slips=(_branch_factor(skip=False),),
    ),
    Mistake(
        "the branch's factor on the skip path",
        "The constant c is the branch's alone; the gradient passes the skip path unchanged.",
        "dx = dout + c Jᵀ dout, not c dout + c Jᵀ dout",
        at=("join",),
        slips=(_branch_factor(skip=True),),
    ),
    Mistake(
        "dL/dx of the branch input for that of the block",
        "What arrives at the input of the branch is returned as the gradient of the block's input; "
        "the way through the norm, or along the skip path, is missing.",
        "dx = dout + (through the norm) d(branch input)",
        at=("norm", "join"),
        slips=(_branch_input(1), _branch_input(0)),
        together=True,
    ),
    Mistake(
        "a norm without its mean term",
        "The mean is treated as a constant, but it depends on every feature.",
        "dx = (dx̂ - mean(dx̂) - x̂ mean(dx̂ ∘ x̂)) / σ, with the first mean",
        at=("norm",),
        slips=(_norm_without("mean"),),
    ),
    Mistake(
        "a norm without its variance term",
        "The variance is treated as a constant, but it depends on every feature.",
        "dx = (dx̂ - mean(dx̂) - x̂ mean(dx̂ ∘ x̂)) / σ, with the last term",
        at=("norm",),
        slips=(_norm_without("variance"),),
    ),
    Mistake(
        "the gain of a norm forgotten",
        "The gradient passes the gain unchanged.",
        "dx̂ = dy ∘ gain, not dy",
        at=("norm",),
        slips=(_norm_without("gain"),),
    ),
    Mistake(
        "x in place of x̂",
        "The gradient of the gain is computed from the input before it is normalised.",
        "dgain = Σ_n dy_n ∘ x̂_n, not dy_n ∘ x_n",
        at=("norm",),
        slips=(lambda p, step: {"weight": step.d * step.into},),
    ),
    Mistake(
        "the sign reversed",
        "The gradient points down the loss.",
        "dW = dL/dW, not -dL/dW",
        totals=(lambda case, name: -case.right[name],),
    ),
)


def predictions(
    network: Network | None, case: Case, keys: set[Key] | None = None
) -> Iterator[tuple[Mistake, Key, dict[str, Floats]]]:
    """The wrong gradients that each mistake leads to, made at one step or at all.

    A mistake is left out where it does not apply, as W for Wᵀ where W is not square. ``keys``
    limits the candidates.
    """
    passed = network.forward(case.values, case.act) if network else Pass([], case.values, case.act)
    if network:
        backward(passed)
    for m, mistake in enumerate(MISTAKES):
        at = tuple(k for k, step in enumerate(passed.steps) if step.stage.kind in mistake.at)
        alone = [] if mistake.together else [(k,) for k in at]
        for n, slip in enumerate(mistake.slips):
            for places in dict.fromkeys([*alone, at] if at else ()):
                if keys is None or (m, n, places) in keys:
                    try:
                        with np.errstate(all="ignore"):
                            shares = backward(passed, slip, places)
                    except (ValueError, IndexError):
                        continue
                    yield mistake, (m, n, places), case.totals(shares)
        for n, total in enumerate(mistake.totals + (() if network else mistake.unseen)):
            if keys is None or (m, n, ()) in keys:
                yield mistake, (m, n, ()), _of_all(case, total)


def _of_all(case: Case, total: Total) -> dict[str, Floats]:
    gradients = {}
    for name in case.right:
        try:
            gradients[name] = total(case, name)
        except (ValueError, IndexError, KeyError):  # no such axis, no x
            continue
    return gradients
