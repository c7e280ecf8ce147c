"""Checks of a user's own functions: the textbook's, and any pair of a forward and a backward."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from ffn_train.nn.core import Floats
from ffn_train.teach.activations import ACTIVATIONS, PASSED
from ffn_train.teach.calls import Bench, Local, Signature
from ffn_train.teach.judge import Judgement, ask, judge, refused
from ffn_train.teach.mistakes import IN_PLACE
from ffn_train.teach.networks import (
    BLOCK,
    LAYER,
    Case,
    Network,
    cases,
)
from ffn_train.teach.recognise import Forward, recognise, unknown_cases
from ffn_train.teach.report import Finding, Report, explained
from ffn_train.teach.subject import ACT, CONVENTIONS, SLOPE, Convention, Subject

ACTS = tuple(ACTIVATIONS[name] for name in PASSED)
# what arguments may be whose names are not those of the forward function's
REST: tuple[tuple[str, ...], ...] = (
    (),
    ("dy",),
    ("dy", SLOPE),
    (SLOPE, "dy"),
    (ACT, SLOPE),
    ("dy", ACT, SLOPE),
    (ACT, SLOPE, "dy"),
)
TEXTBOOK = ("forward_pass", "backward_pass", "backprop_two_layer", "residual_backward")


def check_gradients(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    shapes: Mapping[str, tuple[int, ...]] | None = None,
) -> Report:
    """Whether ``backward`` is the gradient of ``forward``, and if not, which mistake it is.

        y = forward(x, *parameters)
        dparameters and dx = backward(dy, x, *parameters)       in the order of the arguments,
                                                                 dx first or last; or a dictionary
        y, cache = forward(x, *parameters);  backward(dy, cache)    is another way

    x is a vector (D,) or a batch (N, D), or (D, N) with samples in columns; weights are
    (fan_out, fan_in) or the other way round. ``shapes`` of the arguments of ``forward`` by name are
    needed where they cannot be guessed, x too. An activation and its derivative can be arguments,
    as of the textbook's ``forward_pass`` and ``backward_pass``.

    The gradients of <dy, y> are compared with centred differences in float64 for random dy. Print
    the result to read it; ``report.right`` is True or False, ``report.findings[0].mistakes`` the
    names of the mistakes. The functions run in this process; ``ffn-train check FILE.py`` runs them
    in a process of its own, with limits.
    """
    bench = Local({"forward": forward, "backward": backward}, {"forward": shapes} if shapes else {})
    names = (getattr(forward, "__name__", "forward"), getattr(backward, "__name__", "backward"))
    return Report((_pair(bench, "forward", "backward", names[1]),))


def check_functions(
    functions: Mapping[str, Callable[..., Any]] | Iterable[Callable[..., Any]],
) -> Report:
    """Check functions by their names, as ``ffn-train check`` does those of a file."""
    if not isinstance(functions, Mapping):
        functions = {function.__name__: function for function in functions}
    return check_bench(Local(functions))


def check_bench(bench: Bench) -> Report:
    """All functions of a bench that can be checked."""
    names, findings = bench.signatures, []
    paired = {f: b for f, b in pairs(names) if not _textbook(bench, f)}
    conventions: tuple[Convention, ...] = CONVENTIONS
    if "forward_pass" in names and "forward_pass" not in paired:
        finding, fitting = _forward_pass(bench)
        findings.append(finding)
        conventions = fitting or conventions
    if "backward_pass" in names and "backward_pass" not in paired.values():
        findings.append(_textbook_backward(bench, "backward_pass", LAYER, conventions))
    if "backprop_two_layer" in names:
        findings.append(_textbook_backward(bench, "backprop_two_layer", BLOCK, conventions))
    if "residual_backward" in names and "residual_backward" not in paired.values():
        findings.append(_residual_backward(bench))
    if "backward" in names and "backward" not in paired.values():
        findings.append(Finding("backward", "unchecked", (), "there is no function forward"))
    findings += [_pair(bench, forward, backward, backward) for forward, backward in paired.items()]
    return Report(tuple(findings))


def pairs(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Functions whose names are those of a forward pass and of its backward pass."""
    known = [*names]
    for name in known:
        for other in (name.replace("forward", "backward"), f"{name}_backward", f"{name}_grad"):
            if other != name and other in known:
                yield name, other


def _textbook(bench: Bench, forward: str) -> bool:
    """Whether it is the textbook's forward_pass, which is given the activation."""
    return forward == "forward_pass" and len(bench.signatures["backward_pass"].names) > 4


def _textbook_backward(
    bench: Bench, name: str, network: Network, conventions: Sequence[Convention]
) -> Finding:
    usual: tuple[str, ...] = ("dy", "x", "W", "b", ACT, SLOPE)
    if network is BLOCK:
        usual = ("x", "W1", "b1", "W2", "b2", ACT, SLOPE, "dy")
    forward = tuple(word for word in usual if word not in ("dy", SLOPE))
    by_name = ("activation_fn", "activation_grad_fn")
    names = {word: word for word in usual} | dict(zip(by_name, (ACT, SLOPE), strict=True))
    inputs = cases(network, ACTS)
    roles = _arguments(bench.signatures[name], forward, names, [usual])
    finding = _best(bench, name, roles, tuple(network.shapes), network, inputs, conventions)
    if not finding.right and len(conventions) < len(CONVENTIONS):
        others = [convention for convention in CONVENTIONS if convention not in conventions]
        other = _best(bench, name, roles, tuple(network.shapes), network, inputs, others)
        if other.right:
            return Finding(
                name,
                "wrong",
                ("another convention than forward_pass",),
                f"its arrays lie in another way than those of forward_pass ({other.convention})",
            )
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


def _pair(bench: Bench, forward: str, backward: str, shown: str) -> Finding:
    for name in (forward, backward):
        if name not in bench.signatures:
            return Finding(shown, "unchecked", (), f"{name} has arguments that cannot be told")
    findings = []
    for reading in recognise(bench, forward, bench.shapes.get(forward)):
        findings.append(_pair_as(reading, backward, shown))
        if findings[-1].right:
            return findings[-1]
    if not findings:
        return _not_understood(bench, forward, shown)
    return next((finding for finding in findings if finding.mistakes), findings[0])


def _pair_as(reading: Forward, backward: str, shown: str) -> Finding:
    bench, forward = reading.bench, reading.name
    if reading.rounds:
        return Finding.of_rounding(shown, forward)
    if _changes(reading):
        return Finding.of_change(shown, forward)
    given = dict(zip(bench.signatures[forward].names, reading.arguments, strict=False))
    signature = bench.signatures[backward]
    if reading.network is not None:
        acts = ACTS if ACT in reading.arguments else (reading.act,)
        inputs: Sequence[Case] = cases(reading.network, acts)
    else:
        inputs = unknown_cases(reading)
    if not inputs:
        return _not_understood(bench, forward, shown)
    cached = not signature.more and len(signature.names) == (2 if reading.cached else 1)
    roles = [reading.arguments] if cached else _arguments(signature, reading.arguments, given, [])
    return _best(
        bench,
        backward,
        roles,
        reading.tensors,
        reading.network,
        inputs,
        (reading.convention,),
        cached=forward if cached else "",
        names={role: name for name, role in given.items()},
        shown=shown,
    )


def _changes(forward: Forward) -> bool:
    values = forward.values()
    subject = Subject(forward.bench, forward.name, forward.arguments, ("y",), forward.convention)
    return bool(subject.ask(values, forward.act).after)


def _not_understood(bench: Bench, forward: str, shown: str) -> Finding:
    words = bench.signatures[forward].names
    like = ", ".join(f'"{word}": (5, 3)' for word in words[:2])
    answer = bench.call(forward, [np.ones((5, 3)) for _ in words])
    if answer.missing:
        return Finding(shown, "unchecked", (), f"{forward}: {answer.error}")
    return Finding(
        shown,
        "unchecked",
        (),
        f"no shapes of arguments are found that {forward} takes; give them: shapes = {{{like}}}",
    )


def _arguments(
    signature: Signature,
    forward: Sequence[str],
    names: Mapping[str, str],
    usual: list[tuple[str, ...]],
) -> list[tuple[str, ...]]:
    """What the arguments of a backward function may be: by their names, then by their places."""
    takes, by_name = signature.names, list[tuple[str, ...]]()
    rest = [name for name in takes if name not in names]
    known = {names[name] for name in takes if name in names}
    for words in REST:
        if len(known) > 1 and len(words) == len(rest) and not known & {*words}:
            others = dict(zip(rest, words, strict=True))
            by_name.append(tuple(names.get(name) or others[name] for name in takes))
    bare = tuple(word for word in forward if word != ACT)
    biased = tuple(word for word in bare if not word.startswith("b"))
    for words in (tuple(forward), bare, biased):
        usual = [*usual, ("dy", *words), (*words, "dy")]
        usual += [("dy", *words, SLOPE), (*words, SLOPE, "dy")]
    return [
        words
        for words in [*by_name, *usual]
        if (len(words) == len(takes) or (signature.more and len(words) > len(takes)))
        and (SLOPE not in words or ACT in forward)
    ]


def _best(
    bench: Bench,
    name: str,
    roles: Sequence[tuple[str, ...]],
    tensors: tuple[str, ...],
    network: Network | None,
    inputs: Sequence[Case],
    conventions: Sequence[Convention],
    *,
    cached: str = "",
    names: Mapping[str, str] | None = None,
    shown: str = "",
) -> Finding:
    """What is found in the convention in which the function is right, or its mistake has a name."""
    takes = bench.signatures[name].names
    if not roles:
        wanted = ", ".join(("dy", "x", *tensors))
        return Finding(shown or name, "unchecked", (), f"takes {', '.join(takes)}, not {wanted}")
    orders = [(*tensors, "x"), ("x", *tensors)] if tensors else [("x",)]
    subjects = []
    for words, convention in product(dict.fromkeys(roles), conventions):
        subject = Subject(bench, name, words, orders[0], convention)
        if cached:
            subject = Subject(bench, name, (), orders[0], convention, (cached, words))
        subjects.append(subject)
    judgements: list[Judgement] = []
    for subject, order in product(_most_taking(subjects, inputs), orders):
        ordered = subject.with_results(order)
        judgements.append(judge(ordered, network, ask(ordered, inputs)))
        if judgements[-1].right or (
            order is orders[-1] and any(judgement.mistakes for judgement in judgements)
        ):
            break
    if not any(judgement.right for judgement in judgements):
        judgements.append(judge(subjects[0], network, ask(subjects[0], inputs)))
    return explained(min(judgements, key=_rank), inputs, names or {}, shown)


def _most_taking(subjects: Sequence[Subject], inputs: Sequence[Case]) -> list[Subject]:
    """The ways to call a function by which it refuses the fewest inputs."""
    if len(subjects) == 1:
        return [*subjects]
    for vector in (False, True):
        some = [case for case in inputs if case.vector is vector][::3]
        counts = [refused(ask(subject, some)) for subject in subjects]
        if min(counts) < len(some):
            break
    return [each for each, count in zip(subjects, counts, strict=True) if count == min(counts)]


def _rank(judgement: Judgement) -> tuple[int, int]:
    """Right, of a known mistake, of an unknown one (right but for inputs that it refuses first), of
    none that can be told.
    """
    kind = 0 if judgement.right else 1 if judgement.mistakes else 2 if judgement.answered else 3
    return kind, len(judgement.wrong)


def _forward_pass(bench: Bench) -> tuple[Finding, tuple[Convention, ...]]:
    """Is it y = act(W x + b), and in which conventions?"""
    takes = bench.signatures["forward_pass"].names
    usual = ("x", "W", "b", ACT)
    if len(takes) != 4:
        text = f"takes {', '.join(takes)}, not x, W, b, activation_fn"
        return Finding("forward_pass", "unchecked", (), text), ()
    inputs = [_forward_case(case) for case in cases(LAYER, ACTS)]
    judgements = []
    for convention in CONVENTIONS:
        subject = Subject(bench, "forward_pass", usual, ("y",), convention)
        trials = ask(subject, inputs)
        judgements.append((refused(trials), judge(subject, None, trials)))
    fitting = tuple(j.subject.convention for _, j in judgements if j.right)
    best = min(judgements, key=lambda pair: (not pair[1].right, pair[0]))[1]
    best.mistakes = [mistake for mistake in best.mistakes if mistake is IN_PLACE]
    return explained(best, inputs, {}, "forward_pass"), fitting


def _forward_case(case: Case) -> Case:
    y = LAYER.output(case.values, case.act)
    return Case(case.values, case.act, case.vector, {"y": y}, {"y": np.atleast_2d(y)})
