"""Checks of a user's own functions: the textbook's, and any pair of forward and backward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import permutations, product
from typing import Any

import numpy as np

from ffn_train.nn.core import Floats
from ffn_train.teach.activations import ACTIVATIONS, PASSED
from ffn_train.teach.calls import Bench, Local, Signature
from ffn_train.teach.judge import ask, judge, refused
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
    arguments, as in the textbook's ``forward_pass`` and ``backward_pass``.

    The gradients of <dy, y> are compared with centred differences in float64 for random dy. Print
    the result to read it; ``report.right`` is True or False, ``report.findings[0].mistakes`` the
    names of the mistakes. The functions run in this process; ``ffn-train check FILE.py`` runs them
    in a separate process with limits. Raises ValueError for shapes that no array has.
    """
    bench = Local({"forward": forward, "backward": backward}, {"forward": shapes} if shapes else {})
    names = (getattr(forward, "__name__", "forward"), getattr(backward, "__name__", "backward"))
    return Report((_pair(bench, "forward", "backward", names[1]),))


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
    forward_of = pairs(names)
    for backward, forward in [*forward_of.items()]:
        if forward == "forward_pass" and len(names[backward].names) > 4:
            del forward_of[backward]  # the textbook's, which is given the activation
    conventions: tuple[Convention, ...] = CONVENTIONS
    if "forward_pass" in names and "forward_pass" not in forward_of.values():
        finding, conventions = _forward_pass(bench)
        findings.append(finding)
    for name, network in (("backward_pass", LAYER), ("backprop_two_layer", BLOCK)):
        if name in names and name not in forward_of:
            findings.append(_textbook_backward(bench, name, network, conventions))
    if "residual_backward" in names and "residual_backward" not in forward_of:
        findings.append(_residual_backward(bench))
    if "backward" in names and "backward" not in forward_of:
        findings.append(Finding.unchecked("backward", "there is no function named forward"))
    findings += [_pair(bench, forward, name, name) for name, forward in forward_of.items()]
    return Report(tuple(findings))


def pairs(names: Iterable[str]) -> dict[str, str]:
    """Names of backward functions, each with that of its forward function."""
    known, forward_of = {*names}, dict[str, str]()
    likely = [(name, name.replace("forward", "backward")) for name in names]
    likely += [(name, f"{name}_{ending}") for name in names for ending in ("backward", "grad")]
    for name, other in likely:
        if other != name and other in known:
            forward_of.setdefault(other, name)
    return forward_of


def _textbook_backward(
    bench: Bench, name: str, network: Network, conventions: Sequence[Convention]
) -> Finding:
    usual: tuple[str, ...] = ("dy", "x", "W", "b", ACT, SLOPE)
    if network is BLOCK:
        usual = ("x", "W1", "b1", "W2", "b2", ACT, SLOPE, "dy")
    forward = tuple(word for word in usual if word not in ("dy", SLOPE))
    names = {**dict(zip(usual, usual, strict=True)), "activation_fn": ACT}
    names["activation_grad_fn"] = SLOPE
    roles = _arguments(bench.signatures[name], forward, names, [usual])
    subject = Subject(bench, name, (), tuple(network.shapes))
    inputs = cases(network, ACTS)
    finding = _best(subject, roles, network, inputs, conventions)
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
    subject = Subject(bench, "residual_backward", ("dy",), ("dx_input", "dx_ffn"))
    return explained(judge(subject, None, ask(subject, inputs)), inputs, {"dy": "dout"})


@np.errstate(all="ignore")  # of results that are not finite
def _pair(bench: Bench, forward: str, backward: str, shown: str) -> Finding:
    for name in (forward, backward):
        if name not in bench.signatures:
            return Finding.unchecked(shown, f"the arguments of {name} cannot be determined")
    findings = []
    for reading in recognise(bench, forward):
        findings.append(_pair_as(reading, backward, shown))
        if findings[-1].right:
            return findings[-1]
    if not findings:
        return Finding.unchecked(shown, unfit(bench, forward))
    return next((finding for finding in findings if finding.mistakes), findings[0])


def _pair_as(reading: Forward, backward: str, shown: str) -> Finding:
    passed, outcome = reading.subject, reading.outcome()
    bench, network, words = passed.bench, reading.network, passed.arguments
    if problem := unsteady(reading):
        return Finding.unchecked(shown, problem)
    if reading.rounds or outcome.after:
        return seen_in(passed.name, FLOAT32 if reading.rounds else IN_PLACE, shown)
    if network is not None:
        inputs: Sequence[Case] = cases(network, ACTS if ACT in words else (reading.act,))
    else:
        inputs = unknown_cases(reading)
    if not inputs:
        return Finding.unchecked(shown, unfit(bench, passed.name, reading))
    given = dict(zip(bench.signatures[passed.name].names, words, strict=False))
    signature = bench.signatures[backward]
    cached = outcome.more and len(signature.names) == 2
    alone = cached or (not signature.more and len(signature.names) == 1)
    roles = [("dy",)] if alone else _arguments(signature, words, given, [])
    subject = Subject(
        bench, backward, (), reading.tensors, before=(passed.name, words), cached=cached
    )
    names = {role: name for name, role in given.items()}
    return _best(subject, roles, network, inputs, [passed.convention], names, shown)


def _arguments(
    signature: Signature,
    forward: Sequence[str],
    names: Mapping[str, str],
    usual: Sequence[tuple[str, ...]],
) -> list[tuple[str, ...]]:
    """What the arguments of a backward function may be: by name, then by position."""
    takes, by_name = signature.names, list[tuple[str, ...]]()
    rest = [name for name in takes if name not in names]
    known = {names[name] for name in takes if name in names}
    for count in range(4) if len(known) > 1 else ():
        for words in permutations(("dy", ACT, SLOPE), count):
            if len(words) == len(rest) and not known & {*words} and words != (SLOPE, ACT):
                others = dict(zip(rest, words, strict=True))
                by_name.append(tuple(names.get(name) or others[name] for name in takes))
    bare = tuple(word for word in forward if word != ACT)
    biased = tuple(word for word in bare if not word.startswith("b"))
    by_place = [
        (*before, *words, *behind) for words in (forward, bare, biased) for before, behind in AROUND
    ]
    return [
        words
        for words in [*by_name, *usual, *by_place]
        if (len(words) == len(takes) or (signature.more and len(words) > len(takes)))
        and "dy" in words
        and (ACT in forward or not {ACT, SLOPE} & {*words})
    ]


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

    The results of the subject are the parameters; dx comes last or first.
    """
    tensors = subject.results
    if not roles:
        takes = ", ".join(subject.bench.signatures[subject.name].names)
        wanted = ", ".join(("dy", "x", *tensors))
        return Finding.unchecked(shown or subject.name, f"takes {takes}, not {wanted}")
    orders = list(dict.fromkeys([(*tensors, "x"), ("x", *tensors)]))
    subjects = [
        replace(subject, arguments=words, convention=convention, results=orders[0])
        for words, convention in product(dict.fromkeys(roles), conventions)
    ]
    judgements = []
    for each, order in product(_most_accepting(subjects, inputs), orders):
        ordered = replace(each, results=order)
        judgements.append(judge(ordered, network, ask(ordered, inputs)))
        named = order is orders[-1] and any(judgement.mistakes for judgement in judgements)
        if judgements[-1].right or named:
            break
    if not judgements[-1].right:
        judgements.append(judge(subjects[0], network, ask(subjects[0], inputs)))
    best = min(judgements, key=lambda judgement: judgement.rank)
    return explained(best, inputs, names or {}, shown)


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
    takes = bench.signatures["forward_pass"].names
    if len(takes) != 4:
        text = f"takes {', '.join(takes)}, not x, W, b, activation_fn"
        return Finding.unchecked("forward_pass", text), CONVENTIONS
    inputs = []
    for case in cases(LAYER, ACTS):
        y = LAYER.output(case.values, case.act)
        inputs.append(replace(case, right={"y": y}, shares={"y": np.atleast_2d(y)}))
    judgements = []
    for convention in CONVENTIONS:
        subject = Subject(bench, "forward_pass", ("x", "W", "b", ACT), ("y",), convention)
        trials = ask(subject, inputs)
        judgements.append((refused(trials), judge(subject, None, trials)))
    fitting = tuple(j.subject.convention for _, j in judgements if j.right)
    best = min(judgements, key=lambda pair: (not pair[1].right, pair[0]))[1]
    best.mistakes = [mistake for mistake in best.mistakes if mistake is IN_PLACE]
    return explained(best, inputs, {}, "forward_pass"), fitting or CONVENTIONS
