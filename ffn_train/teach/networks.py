"""Small networks with their right gradients: what a user's functions are compared with.

A network is a chain of stages. Its passes are written to be read, unlike those that train, and keep
each sample's share of a parameter's gradient, so that a wrong sum can be distinguished from a right
one. The backward step of any stage can be replaced by a mistaken one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from itertools import product
from typing import Literal

import numpy as np

from ffn_train.nn.core import Floats
from ffn_train.teach.activations import Activation

Values = Mapping[str, Floats]
Sizes = tuple[int | None, int, int, int]  # number of samples (None: one vector), D, H, M
STEP = 1e-3  # of the five-point differences: truncation and rounding are both about 1e-12
CLEAR = 0.02  # the least distance of a pre-activation from the kink at 0


@dataclass(frozen=True)
class Stage:
    """A stage of a network, of one of these kinds.

        affine   W a + b
        act      act(z)
        norm     gain ∘ x̂ + shift, x̂ = (x - mean) / sqrt(var + eps), of each sample or feature
        fork     where the skip path leaves, and
        join     where ``factor`` times the branch is added to it

    ``weight`` and ``bias`` name the parameters (W and b, or gain and shift; "" for none), ``sizes``
    are the letters of the weight's shape.
    """

    kind: Literal["affine", "act", "norm", "fork", "join"]
    weight: str = ""
    bias: str = ""
    sizes: str = "D"
    centred: bool = True
    axis: int = 1
    eps: float = 1e-5
    factor: float = 1.0


@dataclass(eq=False)
class Step:
    """A stage in one forward pass: its input and output.

    ``d`` is dL/d(output) in the latest backward pass, ``right`` in the correct one.
    """

    stage: Stage
    into: Floats
    out: Floats
    d: Floats = field(default_factory=lambda: np.empty(0))
    right: Floats = field(default_factory=lambda: np.empty(0))


@dataclass
class Pass:
    """A forward pass, and what its backward pass needs."""

    steps: list[Step]
    values: Values
    act: Activation


Slip = Callable[[Pass, Step], Values]  # what a mistaken step passes back instead


@dataclass(frozen=True)
class Case:
    """An input, samples in rows and weights (fan_out, fan_in), and its right gradients.

    ``shares`` are each sample's shares of the parameters' gradients, and dL/dx by sample.
    """

    values: Values
    act: Activation
    vector: bool
    right: Values
    shares: Values

    @property
    def size(self) -> int:
        return sum(array.size for array in self.values.values())

    @property
    def shapes(self) -> str:
        """Its shapes in words."""
        return ", ".join(f"{name} {array.shape}" for name, array in self.values.items())

    def totals(self, shares: Values) -> dict[str, Floats]:
        """Gradients of this input from the samples' shares."""
        dx = shares["x"].reshape(self.values["x"].shape)
        return {name: dx if name == "x" else share.sum(0) for name, share in shares.items()}


@dataclass(frozen=True)
class Network:
    """Stages that map x (N, D) to y (N, M), with H hidden units."""

    stages: tuple[Stage, ...]

    def has(self, kind: str) -> bool:
        return any(stage.kind == kind for stage in self.stages)

    @cached_property
    def shapes(self) -> dict[str, str]:
        """The parameters in their order, with the letters of their shapes."""
        named = [((s.weight, s.sizes), (s.bias, s.sizes[0])) for s in self.stages]
        return {name: letters for pair in named for name, letters in pair if name}

    @property
    def outputs(self) -> str:
        """The letter of the output's width."""
        return next((s.sizes[0] for s in reversed(self.stages) if s.kind == "affine"), "D")

    def forward(self, values: Values, act: Activation) -> Pass:
        x = skip = np.atleast_2d(values["x"])
        steps = []
        for stage in self.stages:
            out = x
            if stage.kind == "affine":
                out = x @ values[stage.weight].T
            elif stage.kind == "act":
                out = np.asarray(act.value(x), np.float64)
            elif stage.kind == "norm":
                out = normalised(stage, x)[0] * values.get(stage.weight, 1.0)
            elif stage.kind == "fork":
                skip = x
            else:
                out = skip + stage.factor * x
            if stage.bias:
                out = out + values[stage.bias]
            steps.append(Step(stage, x, out))
            x = out
        return Pass(steps, values, act)

    def output(self, values: Values, act: Activation) -> Floats:
        """y, (M,) of a vector and (N, M) of a batch."""
        y = self.forward(values, act).steps[-1].out
        return y.reshape(*values["x"].shape[:-1], y.shape[1])


def normalised(stage: Stage, x: Floats) -> tuple[Floats, Floats]:
    """x̂ and 1/sqrt(var + eps)."""
    centred = x - x.mean(axis=stage.axis, keepdims=True) if stage.centred else x
    inverse = 1 / np.sqrt(np.mean(centred**2, axis=stage.axis, keepdims=True) + stage.eps)
    return centred * inverse, inverse


def backward(passed: Pass, slip: Slip | None = None, at: Sequence[int] = ()) -> dict[str, Floats]:
    """dL/dx and each sample's share of the parameters' gradients.

    At the steps numbered ``at`` what ``slip`` returns replaces the right values.
    """
    d = skip = np.atleast_2d(passed.values["dy"])
    shares: dict[str, Floats] = {}
    for number, step in reversed([*enumerate(passed.steps)]):
        step.d = d
        if slip is None:
            step.right = d
        local = _right_step(passed, step)
        if slip is not None and number in at:
            local |= slip(passed, step)
        d, skip = local["in"], local.get("skip", skip)
        if step.stage.kind == "fork":
            d = d + skip
        parameters = {step.stage.weight: "weight", step.stage.bias: "bias"}
        shares.update({name: local[role] for name, role in parameters.items() if name})
    return {"x": d, **shares}


def _right_step(passed: Pass, step: Step) -> dict[str, Floats]:
    """``in`` is dL/d(input), ``weight`` and ``bias`` are the samples' shares of the parameters, and
    ``skip`` goes along the skip path.
    """
    stage, d = step.stage, step.d
    if stage.kind == "affine":
        outer = d[:, :, None] * step.into[:, None, :]
        return {"in": d @ passed.values[stage.weight], "weight": outer, "bias": d}
    if stage.kind == "act":
        return {"in": d * passed.act.derivative(step.into)}
    if stage.kind == "norm":
        return norm_step(passed, step)
    return {"in": stage.factor * d, "skip": d} if stage.kind == "join" else {"in": d}


def norm_step(
    passed: Pass, step: Step, *, mean: bool = True, variance: bool = True, gain: bool = True
) -> dict[str, Floats]:
    """The backward step of a norm, optionally without one of its terms."""
    stage = step.stage
    normed, inverse = normalised(stage, step.into)
    dx = hat = step.d * passed.values[stage.weight] if stage.weight and gain else step.d
    if mean and stage.centred:
        dx = dx - hat.mean(axis=stage.axis, keepdims=True)
    if variance:
        dx = dx - normed * np.mean(hat * normed, axis=stage.axis, keepdims=True)
    return {"in": dx * inverse, "weight": step.d * normed, "bias": step.d}


def differences(
    output: Callable[[Values], Floats], values: Values, h: float = STEP
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """The gradients of <dy, output> for x and the parameters, entry by entry, and the shares.

    (8 (F(h) - F(-h)) - (F(2h) - F(-2h))) / (12 h).
    """
    gradients, shares = {}, {}
    dy = np.atleast_2d(values["dy"])
    rest = tuple(range(1, dy.ndim))
    for name, array in values.items():
        if name == "dy":
            continue
        share = np.empty((len(dy), *array.shape))
        for index in np.ndindex(array.shape):
            total = np.zeros(dy.shape)
            for factor, weight in ((1, 8), (-1, -8), (2, -1), (-2, 1)):
                moved = np.array(array)
                moved[index] += factor * h
                total += weight * np.atleast_2d(output({**values, name: moved}))
            share[(slice(None), *index)] = np.sum(dy * total, axis=rest) / (12 * h)
        gradients[name] = share.sum(axis=0)
        shares[name] = share if name != "x" else np.atleast_2d(gradients[name])
    return gradients, shares


# smallest first, so that failing inputs are small
SHAPES: tuple[Sizes, ...] = (
    (None, 1, 1, 1),
    (None, 2, 2, 2),
    (None, 3, 4, 2),
    (1, 2, 3, 4),
    (2, 1, 1, 1),
    (2, 2, 2, 2),
    (2, 3, 2, 4),
    (3, 3, 3, 3),
    (4, 3, 3, 3),
    (5, 3, 4, 2),
)


def draw(letters: Mapping[str, str], sizes: Sizes, seed: int) -> dict[str, Floats]:
    """Random values with two decimals, short enough to be printed in full.

    N is the number of samples, an axis that a single vector does not have.
    """
    samples, *widths = sizes
    lengths = dict(zip("NDHM", sizes, strict=True))
    rng = np.random.default_rng([seed, samples or 0, *widths])
    axes = {name: f"N{word}" if name in ("x", "dy") else word for name, word in letters.items()}
    shapes = {
        name: [length for letter in word if (length := lengths[letter]) is not None]
        for name, word in axes.items()
    }
    return {name: np.round(rng.normal(size=shape), 2) for name, shape in shapes.items()}


@cache
def cases(network: Network, acts: tuple[Activation, ...]) -> tuple[Case, ...]:
    """Inputs of all shapes with their right gradients, two draws where there is one activation."""
    axes = [stage.axis for stage in network.stages if stage.kind == "norm"]
    made = []
    for sizes in SHAPES:
        if any((sizes[0] or 1, sizes[1])[axis] < 3 for axis in axes):
            continue  # x̂ would be 1 or -1 for any x
        small = max(sizes[1:]) < 3  # small inputs are easy to read, large ones tell mistakes apart
        for seed, act in enumerate(acts[:1] if small else acts if len(acts) > 1 else acts * 2):
            made.append(_case(network, sizes, act, seed))
    return tuple(made)


def _case(network: Network, sizes: Sizes, act: Activation, seed: int) -> Case:
    letters = {"x": "D", **network.shapes, "dy": network.outputs}
    while True:
        values = draw(letters, sizes, seed)
        steps = network.forward(values, act).steps
        if all(np.abs(s.into).min() > CLEAR for s in steps if s.stage.kind == "act"):
            break
        seed += 100
    right, shares = differences(lambda moved: network.output(moved, act), values)
    return Case(values, act, sizes[0] is None, right, shares)


ACT, FORK, JOIN = Stage("act"), Stage("fork"), Stage("join")
FIRST, SECOND = Stage("affine", "W1", "b1", "HD"), Stage("affine", "W2", "b2", "MH")
LAYER = Network((Stage("affine", "W", "b", "HD"), ACT))
BLOCK = Network((FIRST, ACT, SECOND))


@cache
def known() -> tuple[Network, ...]:
    """The networks that a forward function is compared with, the simple ones first: layers and
    two-layer blocks, with and without biases, skip path, and a norm at the input or output.
    """
    bodies: list[tuple[Stage, ...]] = [()]
    for body in ((ACT,), LAYER.stages, BLOCK.stages, (*BLOCK.stages, ACT)):
        bodies += dict.fromkeys((body, tuple(replace(stage, bias="") for stage in body)))
    norms: list[tuple[Stage, ...]] = [()]
    for eps, centred in product((1e-5, 1e-6, 1e-8, 1e-12, 0.0, 1e-3), (True, False)):
        pairs = (("g", "s"), ("g", ""), ("", ""))
        norms += [(Stage("norm", *pair, "D", centred, 1, eps),) for pair in pairs]
        norms += [(Stage("norm", "g", "s", "D", centred, 0, eps),)] if centred else []
    networks = []
    for norm, body in product(norms, bodies):
        branch = tuple(replace(s, sizes=s.sizes.translate(_WITHIN[len(body) > 2])) for s in body)
        networks += [(*norm, *body), (FORK, *norm, *branch, JOIN), (FORK, *branch, JOIN, *norm)]
    simple = sorted(networks, key=len)
    return tuple(Network(stages) for stages in dict.fromkeys(simple) if {*stages} - {FORK, JOIN})


# the letters of a branch, which has to come back to the width of its input
_WITHIN = (str.maketrans("HM", "DD"), str.maketrans("M", "D"))
