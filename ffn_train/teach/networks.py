"""Small networks with their right gradients: what a user's functions are compared with.

A network is a sequence of stages. Its passes are written for reading, apart from those that train,
and keep each sample's share of a parameter's gradient, so that a wrong sum can be told from a right
one. Any stage's backward step can be replaced by a mistaken one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property

import numpy as np

from ffn_train.nn.core import Floats
from ffn_train.teach.activations import Activation

Values = Mapping[str, Floats]
STEP = 1e-3  # of the five-point differences: truncation and rounding are both about 1e-12
CLEAR = 0.02  # the least distance of a pre-activation from the kink at 0


@dataclass(frozen=True)
class Affine:
    """W a + b; ``sizes`` are the letters of (fan_out, fan_in)."""

    weight: str
    bias: str | None
    sizes: str = "HD"


@dataclass(frozen=True)
class Act:
    """act(z)."""


@dataclass(frozen=True)
class Norm:
    """gain ∘ x̂ + shift with x̂ = (x - mean) / sqrt(var + eps), of each sample or each feature."""

    gain: str | None = None
    shift: str | None = None
    centred: bool = True
    axis: int = 1
    eps: float = 1e-5


@dataclass(frozen=True)
class Sum:
    """x + branch(x)."""

    branch: tuple[Stage, ...]


Stage = Affine | Act | Norm | Sum


@dataclass
class Step:
    """A stage in one forward pass: its input and output.

    ``d`` is dL/d(output) in the latest backward pass, ``right`` in the one without mistakes.
    """

    stage: Stage
    into: Floats
    out: Floats
    inner: list[Step] = field(default_factory=list)
    d: Floats = field(default_factory=lambda: np.empty(0))
    right: Floats = field(default_factory=lambda: np.empty(0))


@dataclass
class Pass:
    """A forward pass, and what its backward pass needs."""

    steps: list[Step]
    values: Values
    act: Activation

    def every(self, steps: Sequence[Step] | None = None) -> Iterator[Step]:
        """All steps, those within sums too, in their order."""
        for step in self.steps if steps is None else steps:
            yield step
            yield from self.every(step.inner)


Slip = Callable[
    [Pass, Step], Mapping[str, Floats]
]  # what a mistaken step has in place of the right


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
        """Its shapes, for people."""
        return ", ".join(f"{name} {array.shape}" for name, array in self.values.items())


@dataclass(frozen=True)
class Network:
    """Stages that map x (N, D) to y (N, M), with H hidden units; ``equation`` is for people."""

    equation: str
    stages: tuple[Stage, ...]

    def every_stage(self) -> Iterator[Stage]:
        """All stages, those of sums too."""
        for stage in self.stages:
            yield stage
            yield from stage.branch if isinstance(stage, Sum) else ()

    @cached_property
    def shapes(self) -> dict[str, str]:
        """The parameters in their order, with the letters of their shapes."""
        shapes: dict[str, str] = {}
        for stage in self.every_stage():
            if isinstance(stage, Affine):
                shapes[stage.weight] = stage.sizes
                shapes.update({stage.bias: stage.sizes[0]} if stage.bias else {})
            elif isinstance(stage, Norm):
                shapes.update({name: "D" for name in (stage.gain, stage.shift) if name})
        return shapes

    @property
    def outputs(self) -> str:
        """The letter of the output's width."""
        affine = [stage for stage in self.every_stage() if isinstance(stage, Affine)]
        return affine[-1].sizes[0] if affine else "D"

    def forward(self, values: Values, act: Activation) -> Pass:
        return Pass(_forward(self.stages, np.atleast_2d(values["x"]), values, act), values, act)

    def output(self, values: Values, act: Activation) -> Floats:
        """y, (M,) of a vector and (N, M) of a batch."""
        y = self.forward(values, act).steps[-1].out
        return y.reshape(*values["x"].shape[:-1], y.shape[1])

    def shares(self, values: Values, act: Activation) -> dict[str, Floats]:
        return backward(self.forward(values, act))


def _forward(stages: Sequence[Stage], x: Floats, values: Values, act: Activation) -> list[Step]:
    steps: list[Step] = []
    for stage in stages:
        inner: list[Step] = []
        if isinstance(stage, Affine):
            out = x @ values[stage.weight].T + (values[stage.bias] if stage.bias else 0)
        elif isinstance(stage, Act):
            out = np.asarray(act.value(x), np.float64)
        elif isinstance(stage, Norm):
            normed, _ = normalised(stage, x)
            out = normed * values[stage.gain] if stage.gain else normed
            out = out + values[stage.shift] if stage.shift else out
        else:
            inner = _forward(stage.branch, x, values, act)
            out = x + inner[-1].out
        steps.append(Step(stage, x, out, inner))
        x = out
    return steps


def normalised(stage: Norm, x: Floats) -> tuple[Floats, Floats]:
    """x̂ and 1/sqrt(var + eps)."""
    centred = x - x.mean(axis=stage.axis, keepdims=True) if stage.centred else x
    inverse = 1 / np.sqrt(np.mean(centred**2, axis=stage.axis, keepdims=True) + stage.eps)
    return centred * inverse, inverse


def backward(
    passed: Pass, slip: Slip | None = None, at: Sequence[int] | None = None
) -> dict[str, Floats]:
    """dL/dx and each sample's share of the parameters' gradients.

    At the steps numbered ``at`` (None: at all) what ``slip`` returns replaces the right values.
    """
    wrong = {id(step) for k, step in enumerate(passed.every()) if at is None or k in at}
    shares: dict[str, Floats] = {}

    def back(steps: Sequence[Step], d: Floats) -> Floats:
        for step in reversed(steps):
            step.d = d
            if slip is None:
                step.right = d
            local = _local(passed, step)
            if slip is not None and id(step) in wrong:
                local |= slip(passed, step)
            if isinstance(step.stage, Sum):
                d = local["skip"] + back(step.inner, local["branch"])
            else:
                d = local.pop("in")
                shares.update({n: local[role] for n, role in _roles(step.stage) if n})
        return d

    dy = np.atleast_2d(passed.values["dy"])
    return {"x": back(passed.steps, dy), **shares}


def _roles(stage: Stage) -> list[tuple[str | None, str]]:
    if isinstance(stage, Affine):
        return [(stage.weight, "weight"), (stage.bias, "bias")]
    return [(stage.gain, "gain"), (stage.shift, "shift")] if isinstance(stage, Norm) else []


def _local(passed: Pass, step: Step) -> dict[str, Floats]:
    """The right backward step: ``in`` is dL/d(input), the others are the shares of parameters."""
    stage, d = step.stage, step.d
    if isinstance(stage, Affine):
        outer = d[:, :, None] * step.into[:, None, :]
        return {"in": d @ passed.values[stage.weight], "weight": outer, "bias": d}
    if isinstance(stage, Act):
        return {"in": d * passed.act.derivative(step.into)}
    if isinstance(stage, Norm):
        return norm_step(passed, step)
    return {"skip": d, "branch": d}


def norm_step(
    passed: Pass, step: Step, *, mean: bool = True, variance: bool = True, gain: bool = True
) -> dict[str, Floats]:
    """The backward step of a norm; without one of its terms if asked to."""
    stage = step.stage
    assert isinstance(stage, Norm)
    normed, inverse = normalised(stage, step.into)
    hat = step.d * passed.values[stage.gain] if stage.gain and gain else step.d
    dx = hat
    if mean and stage.centred:
        dx = dx - hat.mean(axis=stage.axis, keepdims=True)
    if variance:
        dx = dx - normed * np.mean(hat * normed, axis=stage.axis, keepdims=True)
    return {"in": dx * inverse, "gain": step.d * normed, "shift": step.d}


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
                moved = array.copy()
                moved[index] += factor * h
                total += weight * np.atleast_2d(output({**values, name: moved}))
            share[(slice(None), *index)] = np.sum(dy * total, axis=rest) / (12 * h)
        gradients[name] = share.sum(axis=0)
        shares[name] = share if name != "x" else np.atleast_2d(gradients[name])
    return gradients, shares


# vector or number of samples, D, H, M; the smallest first, so that a failing input is a small one
SHAPES: tuple[tuple[int | None, int, int, int], ...] = (
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


def draw(
    letters: Mapping[str, str], sizes: tuple[int | None, int, int, int], seed: int
) -> dict[str, Floats]:
    """Random values with two decimals, which can be printed in full."""
    samples, *widths = sizes
    lengths = dict(zip("DHM", widths, strict=True))
    rng = np.random.default_rng([seed, samples or 0, *widths])
    lead = () if samples is None else (samples,)
    shapes = {
        name: (*(lead if name in ("x", "dy") else ()), *(lengths[letter] for letter in word))
        for name, word in letters.items()
    }
    return {name: np.round(rng.normal(size=shape), 2) for name, shape in shapes.items()}


@cache
def cases(network: Network, acts: tuple[Activation, ...]) -> tuple[Case, ...]:
    """Inputs of all shapes with their right gradients, two draws where there is one activation."""
    norms = [stage for stage in network.every_stage() if isinstance(stage, Norm)]
    made = []
    for sizes in SHAPES:
        averaged = (sizes[0] or 1, sizes[1])
        if any(averaged[stage.axis] < 3 for stage in norms):
            continue  # x̂ is 1 or -1, whatever x
        small = max(sizes[1:]) < 3  # these are for showing, the large ones for telling
        for seed, act in enumerate(acts[:1] if small else acts if len(acts) > 1 else acts * 2):
            made.append(_case(network, sizes, act, seed))
    return tuple(made)


def _case(
    network: Network, sizes: tuple[int | None, int, int, int], act: Activation, seed: int
) -> Case:
    letters = {"x": "D", **network.shapes, "dy": network.outputs}
    while True:
        values = draw(letters, sizes, seed)
        passed = network.forward(values, act)
        before = [s.into for s in passed.every() if isinstance(s.stage, Act)]
        if all(np.abs(z).min() > CLEAR for z in before):
            break
        seed += 100
    right, shares = differences(lambda moved: network.output(moved, act), values)
    return Case(values, act, sizes[0] is None, right, shares)


def _two(*, bias: bool = True) -> tuple[Stage, ...]:
    return (
        Affine("W1", "b1" if bias else None),
        Act(),
        Affine("W2", "b2" if bias else None, "MH"),
    )


def _back_to_width(stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
    return tuple(
        Affine(s.weight, s.bias, "DH") if isinstance(s, Affine) and s.sizes == "MH" else s
        for s in stages
    )


LAYER = Network("act(W x + b)", (Affine("W", "b"), Act()))
BLOCK = Network("W2 act(W1 x + b1) + b2", _two())


@cache
def known() -> tuple[Network, ...]:
    """The networks that a pair of functions is compared with; variants of a norm differ in eps."""
    branch, bare = _back_to_width(_two()), _back_to_width(_two(bias=False))
    networks = [
        LAYER,
        Network("act(W x)", (Affine("W", None), Act())),
        Network("act(x)", (Act(),)),
        BLOCK,
        Network("W2 act(W1 x)", _two(bias=False)),
        Network("act(W2 act(W1 x + b1) + b2)", (*_two(), Act())),
        Network("x + W2 act(W1 x + b1) + b2", (Sum(branch),)),
        Network("x + W2 act(W1 x)", (Sum(bare),)),
        Network("x + act(W x + b)", (Sum((Affine("W", "b", "DD"), Act())),)),
    ]
    for eps in (1e-5, 1e-6, 1e-8, 1e-12, 0.0, 1e-3):
        for centred, name in ((True, "LayerNorm"), (False, "RMSNorm")):
            for gain, shift in (("g", "s"), ("g", None), (None, None)):
                norm = Norm(gain, shift, centred, 1, eps)
                networks += [
                    Network(f"{name}(x)", (norm,)),
                    Network(f"x + W2 act(W1 {name}(x) + b1) + b2", (Sum((norm, *branch)),)),
                    Network(f"{name}(x + W2 act(W1 x + b1) + b2)", (Sum(branch), norm)),
                ]
        networks.append(Network("BatchNorm(x)", (Norm("g", "s", True, 0, eps),)))
    return tuple(networks)
