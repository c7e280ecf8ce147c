"""Checks of a user's own functions: the textbook's, and any pair of forward and backward pass."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain, permutations, product
from typing import Any

import numpy as np

from ffn_train.nn.core import Floats
from ffn_train.teach.activations import ACTIVATIONS, PASSED
from ffn_train.teach.calls import Bench, Local, Signature
from ffn_train.teach.judge import ask, judge, refused
from ffn_train.teach.losses import check_loss, losses
from ffn_train.teach.mistakes import FLOAT32, IN_PLACE
from ffn_train.teach.networks import BLOCK, LAYER, Case, Network, cases
from ffn_train.teach.recognise import Forward, recognise, unknown_cases
from ffn_train.teach.report import Finding, Report, explained, seen_in
from ffn_train.teach.subject import ACT, CONVENTIONS, SLOPE, Convention, Subject
from ffn_train.teach.unfit import unfit, unsteady

ACTS = tuple(ACTIVATIONS[name] for name in PASSED)
# what a backward function may take before and after the arguments of the forward function
AROUND: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("dy",), ()),
    ((), ("dy",)),
    (("dy",), (SLOPE,)),
    ((), (SLOPE, "dy")),
)
REMEMBERED = [("dy",), ("dy", SLOPE), (SLOPE, "dy")]  # where the forward pass keeps the others
OUTPUT = re.compile("y.*|out.*|act.*|res.*|[ahps]", re.IGNORECASE)  # names of what forward returned
FORWARD = ("x", "W", "b", ACT)  # the arguments of forward_pass
TEXTBOOK = ("forward_pass", "backward_pass", "backprop_two_layer", "residual_backward")


def check_gradients(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    shapes: Mapping[str, tuple[int, ...]] | None = None,
) -> Report:
    """Whether ``backward`` is the gradient of ``forward``, and if not, which mistake it makes.

        y = forward(x, *parameters)
        dparameters and dx = backward(dy, x, *parameters)       in the order of the arguments,
                                                                 dx first or last; or a dictionary
        y, cache = forward(x, *parameters);  backward(dy, cache)    works too

    x is a vector (D,) or a batch (N, D), or (D, N) with samples in columns; weights are
    (fan_out, fan_in) or the other way round. ``shapes`` of the arguments of ``forward``, x
    included, are needed where they cannot be guessed. An activation and its derivative can be
    arguments, as in the textbook's ``forward_pass`` and ``backward_pass``. ``forward`` may also be
    a loss of predictions and targets, and ``backward`` its gradient for the predictions.

    The gradients of <dy, y> are compared with centred differences in float64 for random dy. Print
    the result to read it; ``report.right`` is True or False, ``report.findings[0].mistakes`` the
    names of the mistakes. The functions run in this process; ``ffn-train check FILE.py`` runs them
    in a separate process with limits. Raises ValueError for shapes that no array has.
    """
    bench = Local({"forward": forward, "backward": backward}, {"forward": shapes} if shapes else {})
    names = (getattr(forward, "__name__", "forward"), getattr(backward, "__name__", "backward"))
    return Report((_pair_or_loss(bench, "forward", "backward", names[1]),))


def check_functions(
    functions: Mapping[str, Callable[..., Any]] | Iterable[Callable[..., Any]],
) -> Report:
    """Check functions by their names, as ``ffn-train check`` does for a file."""
    if not isinstance(functions, Mapping):
        functions = {function.__name__: function for function in functions}
    return check_bench(Local(functions))


def check_bench(bench: Bench) -> Report:
    """Check all functions of a bench that can be checked."""
    names, findings = bench.signatures, []
    forward_of = {
        backward: forward
        for backward, forward in pairs(names).items()
        if not _of_activation(names, forward, backward)
    }
    conventions: tuple[Convention, ...] = CONVENTIONS
    before: tuple[str, tuple[str, ...]] = ("", ())
    if "forward_pass" in names and "forward_pass" not in forward_of.values():
        finding, conventions = _forward_pass(bench)
        findings.append(finding)
        before = ("forward_pass", FORWARD) if finding.right else before
    if "backward_pass" in names and "backward_pass" not in forward_of:
        findings.append(_textbook_backward(bench, "backward_pass", LAYER, conventions, before))
    if "backprop_two_layer" in names and "backprop_two_layer" not in forward_of:
        findings.append(_textbook_backward(bench, "backprop_two_layer", BLOCK, conventions))
    if "residual_backward" in names and "residual_backward" not in forward_of:
        findings.append(_residual_backward(bench))
    if "backward" in names and "backward" not in forward_of:
        findings.append(Finding.unchecked("backward", "there is no function named forward"))
    findings += [_pair_or_loss(bench, forward, name, name) for name, forward in forward_of.items()]
    others = {name: loss for name, loss in losses(names).items() if name not in forward_of}
    of_losses = (check_loss(bench, loss, name, name) for name, loss in others.items())
    return Report((*findings, *(finding for finding in of_losses if finding is not None)))


def pairs(names: Iterable[str]) -> dict[str, str]:
    """Names of backward functions, each with that of its forward function."""
    known, forward_of = {*names}, dict[str, str]()
    likely = [(name, name.replace("forward", "backward")) for name in names]
    likely += [(name, f"{name}_{ending}") for name in names for ending in ("backward", "grad")]
    for name, other in likely:
        if other != name and other in known:
            forward_of.setdefault(other, name)
    return forward_of


def _of_activation(names: Mapping[str, Signature], forward: str, backward: str) -> bool:
    """Whether they are act and act', or the textbook's, which are given these."""
    first, second = names[forward], names[backward]
    if forward == "forward_pass":
        return len(second.names) > 4 and (first.takes(4) or second.required > 4)
    return backward.endswith("_grad") and len(first.names) == len(second.names) == 1


def _textbook_backward(
    bench: Bench,
    name: str,
    network: Network,
    conventions: Sequence[Convention],
    before: tuple[str, tuple[str, ...]] = ("", ()),
) -> Finding:
    """``before``: a forward function, which may leave something behind for the backward pass."""
    usual: tuple[str, ...] = ("dy", "x", "W", "b", ACT, SLOPE)
    if network is BLOCK:
        usual = ("x", "W1", "b1", "W2", "b2", ACT, SLOPE, "dy")
    forward = tuple(word for word in usual if word not in ("dy", SLOPE))
    names = {**dict(zip(usual, usual, strict=True)), "activation_fn": ACT}
    names["activation_grad_fn"] = SLOPE
    roles = _arguments(bench.signatures[name], forward, names, [usual])
    if not roles:
        takes = {ACT: "activation_fn", SLOPE: "activation_grad_fn"}
        return _takes(bench, name, [takes.get(word, word) for word in usual])
    subject = Subject(bench, name, (), tuple(network.shapes))
    inputs = cases(network, ACTS)
    finding = _best(subject, roles, network, inputs, conventions)
    if before[0] and not finding.right:
        after = _best(replace(subject, before=before), roles, network, inputs, conventions)
        finding = _clearest([finding, after])
    if not finding.right and len(conventions) < len(CONVENTIONS):
        others = [convention for convention in CONVENTIONS if convention not in conventions]
        other = _best(subject, roles, network, inputs, others)
        if other.right:
            text = (
                f"the layout of its arrays differs from that of forward_pass ({other.convention})"
            )
            return Finding(name, "wrong", ("another convention than forward_pass",), text)
    return finding


def _residual_backward(bench: Bench) -> Finding:
    inputs: list[Case] = []
    shapes: list[tuple[int, ...]] = [(1,), (3,), (1, 2), (2, 3), (4, 2), (3, 3)]
    for shape in shapes:
        dy: Floats = np.round(np.random.default_rng(len(inputs)).normal(size=shape), 2)
        right = {"dx_input": dy, "dx_ffn": dy}
        shares = {name: np.atleast_2d(dy) for name in right}
        inputs.append(Case({"dy": dy}, ACTS[0], dy.ndim == 1, right, shares))
    if not bench.signatures["residual_backward"].takes(1):
        return _takes(bench, "residual_backward", ["dout"])
    subject = Subject(bench, "residual_backward", ("dy",), ("dx_input", "dx_ffn"))
    return explained(judge(subject, None, ask(subject, inputs)), inputs, {"dy": "dout"})


def _pair_or_loss(bench: Bench, forward: str, backward: str, shown: str) -> Finding:
    finding = _pair(bench, forward, backward, shown)
    if finding.verdict != "unchecked" or not {forward, backward} <= {*bench.signatures}:
        return finding
    return check_loss(bench, forward, backward, shown) or finding


@np.errstate(all="ignore")  # of results that are not finite
def _pair(bench: Bench, forward: str, backward: str, shown: str) -> Finding:
    for name in (forward, backward):
        if name not in bench.signatures:
            return Finding.unchecked(shown, f"the arguments of {name} cannot be determined")
    findings: list[Finding] = []
    for readings in recognise(bench, forward):
        for reading in readings:
            findings.append(_pair_as(reading, backward, shown, first=not findings))
            if findings[-1].right:
                return findings[-1]
        if any(finding.verdict == "wrong" for finding in findings):
            break
    return _clearest(findings or [Finding.unchecked(shown, unfit(bench, forward))])


def _clearest(findings: Sequence[Finding]) -> Finding:
    """The finding that the function is right, or its mistake has a name, or the first."""
    right = (finding for finding in findings if finding.right)
    named = (finding for finding in findings if finding.mistakes)
    return next(chain(right, named, findings))


def _takes(bench: Bench, name: str, wanted: Iterable[str], shown: str = "") -> Finding:
    takes = ", ".join(bench.signatures[name].names) or "no arguments"
    return Finding.unchecked(shown or name, f"takes {takes}, not {', '.join(wanted)}")


def _pair_as(reading: Forward, backward: str, shown: str, first: bool) -> Finding:
    """The finding on one reading of the forward function; where it is not the first, gradients
    of other shapes than the arguments' speak against the reading.
    """
    passed, outcome = reading.subject, reading.outcome()
    bench, network, words = passed.bench, reading.network, passed.arguments
    if problem := unsteady(reading):
        return Finding.unchecked(shown, problem)
    if reading.rounds or outcome.after:
        return seen_in(passed.name, FLOAT32 if reading.rounds else IN_PLACE, shown)
    given = dict(zip(bench.signatures[passed.name].names, words, strict=False))
    signature = bench.signatures[backward]
    cached = outcome.more and len(signature.names) == 2
    roles = [("dy",)] if cached else _arguments(signature, words, given, REMEMBERED)
    if ACT in words[bench.signatures[passed.name].required :]:  # else its default is meant
        roles = [role for role in roles if {ACT, SLOPE} & {*role}]
    before = passed.name, words
    subject = Subject(bench, backward, (), reading.tensors, passed.convention, before, cached)
    if network is None and not first:
        roles = [role for role in roles if _fits(replace(subject, arguments=role), reading)]
    if not roles:
        return _takes(bench, backward, ("dy", *given), shown)
    if network is not None:
        drawn = cases(network, ACTS if ACT in words else (reading.act,))
        inputs = [case for case in drawn if case.vector or not reading.alone]
    else:
        inputs = unknown_cases(reading)
    if not inputs:
        return Finding.unchecked(shown, unfit(bench, passed.name, reading))
    names = {role: name for name, role in given.items()}
    finding = _best(subject, roles, network, inputs, [passed.convention], names, shown)
    if not finding.right and _takes_output(signature, given):
        after = replace(subject, cached=True)
        finding = _clearest(
            [finding, _best(after, [("dy",)], network, inputs, [passed.convention], names, shown)]
        )
    return replace(finding, text=f"{finding.text}{reading.guessed}") if finding.right else finding


def _takes_output(signature: Signature, given: Collection[str]) -> bool:
    """Whether a backward function takes y, as ``sigmoid_backward(dy, y)`` may, by its names."""
    _, *kept = signature.names
    return len(kept) == 1 and kept[0] not in given and OUTPUT.fullmatch(kept[0]) is not None


def _arguments(
    signature: Signature,
    forward: Sequence[str],
    names: Mapping[str, str],
    usual: Sequence[tuple[str, ...]],
) -> list[tuple[str, ...]]:
    """What the arguments of a backward function may be: by name, then by position. A function
    among them is act' rather than act, unless its name says otherwise.
    """
    by_name = list[tuple[str, ...]]()
    for takes in signature.choices:
        rest = [name for name in takes if name not in names]
        known = {names[name] for name in takes if name in names}
        for words in permutations(("dy", ACT, SLOPE), len(rest)) if len(known) > 1 else ():
            if not known & {*words} and words != (SLOPE, ACT):
                others = dict(zip(rest, words, strict=True))
                by_name.append(tuple(names.get(name) or others[name] for name in takes))
    bare = tuple(word for word in forward if word != ACT)
    biased = tuple(word for word in bare if not word.startswith("b"))
    by_place = [
        (*before, *words, *behind) for words in (forward, bare, biased) for before, behind in AROUND
    ]
    roles = [
        words
        for words in [*by_name, *usual, *by_place]
        if signature.takes(len(words))
        and "dy" in words
        and (ACT in forward or not {ACT, SLOPE} & {*words})
        and not any(names.get(n) == ACT != w for n, w in zip(signature.names, words, strict=False))
    ]
    return sorted(roles, key=lambda words: ACT in words and SLOPE not in words)


def _best(
    subject: Subject,
    roles: Sequence[tuple[str, ...]],
    network: Network | None,
    inputs: Sequence[Case],
    conventions: Sequence[Convention],
    names: Mapping[str, str] | None = None,
    shown: str = "",
) -> Finding:
    """The finding in the convention in which the function is right, or its mistake has a name.

    The results of the subject are the parameters.
    """
    orders = _orders(subject)
    subjects = [
        replace(subject, arguments=words, convention=convention, results=orders[0])
        for words, convention in product(dict.fromkeys(roles), conventions)
    ]
    judgements = []
    for each, order in product(_most_accepting(subjects, inputs), orders):
        ordered = replace(each, results=order)
        judgements.append(judge(ordered, network, ask(ordered, inputs)))
        if judgements[-1].right:
            break
    if not judgements[-1].right:
        judgements.append(judge(subjects[0], network, ask(subjects[0], inputs)))
    best = min(judgements, key=lambda judgement: judgement.rank)
    return explained(best, inputs, names or {}, shown)


def _orders(subject: Subject) -> list[tuple[str, ...]]:
    """The orders of its results: dx comes last or first, or in its place among the arguments of the
    forward function.
    """
    tensors = subject.results
    taken = tuple(word for word in subject.before[1] if word != ACT) or ("x", *tensors)
    return list(dict.fromkeys([(*tensors, "x"), ("x", *tensors), taken]))


def _fits(subject: Subject, reading: Forward) -> bool:
    """Whether the gradients have the shapes of the arguments, in some order."""
    values = reading.values()
    return any(
        outcome.error is None
        and all(g is not None and g.shape == values[n].shape for n, g in outcome.gradients.items())
        for order in _orders(subject)
        for outcome in [replace(subject, results=order).ask(values, reading.act)]
    )


def _most_accepting(subjects: Sequence[Subject], inputs: Sequence[Case]) -> Sequence[Subject]:
    """The ways of calling a function in which it refuses the fewest inputs."""
    for vector in (False, True) if len(subjects) > 1 else ():
        some = [case for case in inputs if case.vector is vector][::3]
        counts = [refused(ask(subject, some)) for subject in subjects]
        if min(counts) < len(some) or vector:
            counted = zip(subjects, counts, strict=True)
            return [subject for subject, count in counted if count == min(counts)]
    return subjects


def _forward_pass(bench: Bench) -> tuple[Finding, tuple[Convention, ...]]:
    """Whether it is y = act(W x + b), and in which conventions."""
    if not bench.signatures["forward_pass"].takes(len(FORWARD)):
        return _takes(bench, "forward_pass", ["x", "W", "b", "activation_fn"]), CONVENTIONS
    inputs = []
    for case in cases(LAYER, ACTS):
        y = LAYER.output(case.values, case.act)
        inputs.append(replace(case, right={"y": y}, shares={"y": np.atleast_2d(y)}))
    judgements = []
    fitting: tuple[Convention, ...] = ()
    for convention in CONVENTIONS:
        subject = Subject(bench, "forward_pass", FORWARD, ("y",), convention)
        trials = ask(subject, inputs)
        batches = [trial for trial in trials if not trial[0].vector]
        judgements.append((refused(trials), judge(subject, None, trials)))
        # b.reshape(-1, 1) takes b of two shapes, but one of them only beside a batch
        if judgements[-1][1].right or judge(subject, None, batches).right:
            fitting += (convention,)
    best = min(judgements, key=lambda pair: (not pair[1].right, pair[0]))[1]
    best.mistakes = [mistake for mistake in best.mistakes if mistake is IN_PLACE]
    return explained(best, inputs, {}, "forward_pass"), fitting or CONVENTIONS
