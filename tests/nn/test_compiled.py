"""The compiled engine agrees with NumPy's to rounding, for every allowed combination."""

from __future__ import annotations

import errno
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import numpy as np
import pytest

from ffn_train.config import outside, registry
from ffn_train.config.composition import compose
from ffn_train.config.registry import build
from ffn_train.config.settings import SettingError
from ffn_train.gradcheck import check_layer, check_stack, failures, random_parameters
from ffn_train.nn import engine as engines
from ffn_train.nn.activations.activation import Activation
from ffn_train.nn.activations.erf import Erf
from ffn_train.nn.activations.relu import LeakyReLU, ReLU
from ffn_train.nn.core import Array
from ffn_train.nn.segments import SignalGradients
from ffn_train.nn.stack import Stack
from ffn_train.running.experiment import build_experiment
from ffn_train.runs.files import WEIGHTS
from ffn_train.train import threads
from ffn_train.train.shards import Shards
from tests.support.choices import files, settings, tiny
from tests.support.command import command, process
from tests.support.small_runs import NOTES, SMALL, config, run_in

pytest.importorskip("numba", reason="engine=compiled needs the extra `compiled`")
pytest.importorskip("scipy", reason="engine=compiled needs the extra `compiled`")

PLAIN = {"block": "feedforward", "residual": "none", "norm": "none", "activation": "relu"}
OTHER_SLOPE = np.array([0.011])
TOLERANCE = {"float64": 1e-12, "float32": 3e-5}  # of an array's largest entry


def loops(activation: Activation) -> Any:
    from ffn_train.nn.compiled.activations import loops_of

    return loops_of(activation, np.dtype(np.float64))


def passes(model: Stack, dtype: str) -> list[Array]:
    """Output, gradient, dL/dx and the flow's arrays of one random pass."""
    rng = np.random.default_rng(3)
    params = model.layout.zeros(dtype)
    params.vector[...] = random_parameters(model, rng).vector
    sizes = model.input.fan_in, model.output.fan_out
    x, dy = (rng.standard_normal((7, k)).astype(dtype) for k in sizes)
    grads, again = model.layout.zeros(dtype), model.layout.zeros(dtype)
    grads.vector[...] = again.vector[...] = np.nan
    flow: list[SignalGradients] = []
    # OpenBLAS also computes with what lies beside an array, which may be a NaN from before
    with np.errstate(invalid="ignore"):
        y, pullback = model.forward(params, x)
        dx = pullback(dy, grads)
        model.forward(params, x)[1](dy, again, observe=flow.append)
    (at,) = flow
    parts = [array for arrays in at[1:] if arrays is not None for array in arrays]
    assert again.vector.tobytes() == grads.vector.tobytes()
    assert model.predict(params, x).tobytes() == y.tobytes()
    return [y, grads.vector, dx, *parts]


def difference(arrays: Sequence[Array], expected: Sequence[Array]) -> float:
    """The largest difference, relative to each array's largest entry; NaN if there is one."""
    pairs = zip(arrays, expected, strict=True)
    return float(np.max([np.abs(a - b).max() / max(np.abs(b).max(), 1e-30) for a, b in pairs]))


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_every_combination_agrees_with_the_plain_engine(
    combination: dict[str, str], dtype: str
) -> None:
    plain, compiled = (passes(tiny(combination, engine=name), dtype) for name in engines.ENGINES)
    assert difference(compiled, plain) < TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(
    "chosen",
    [
        {"name": "mse"},
        {"name": "huber", "delta": 0.7},
        {"name": "cross_entropy", "smoothing": 0.0},
        {"name": "cross_entropy", "smoothing": 0.1},
    ],
    ids=str,
)
def test_losses_agree(chosen: dict[str, Any], dtype: str) -> None:
    loss, rng = build("loss", chosen), np.random.default_rng(0)
    y = (3 * rng.standard_normal((9, 4))).astype(dtype)
    targets = np.eye(4, dtype=dtype)[rng.integers(4, size=9)]
    value, dy = engines.engine("compiled").gradient_of(loss)(y, targets)
    expected, expected_dy = loss.value_and_gradient(y, targets)
    assert value == pytest.approx(expected, rel=TOLERANCE[dtype] / 10)
    assert difference([dy], [expected_dy]) < TOLERANCE[dtype] / 10
    y[2, 1] = np.nan
    value, dy = engines.engine("compiled").gradient_of(loss)(y, targets)
    assert np.isnan(value)
    assert np.isnan(dy[2, 1])


@pytest.mark.parametrize("norm", ["none", "pre_layer", "post_rms"])
@pytest.mark.parametrize("block", files("block"))
def test_the_gradient_is_the_derivative(block: str, norm: str) -> None:
    names = {"block": block, "residual": "scaled", "norm": norm, "init": "lecun"}
    model = tiny({**names, "activation": "gelu_tanh"}, engine="compiled")
    checks = check_layer(model, inputs=3, rng=np.random.default_rng(0), tolerance=1e-5)
    assert not list(failures(checks))


@pytest.mark.parametrize(
    ("field", "names", "change"),
    [
        ("multiplier", {"residual": "scaled"}, lambda a: 1.01 * a),
        ("skip", {"residual": "scaled"}, lambda s: 0.99 * s),
        ("eps", {"norm": "pre_layer"}, lambda eps: 100 * eps),
        ("centred", {"norm": "pre_layer"}, lambda _: False),
        ("placement", {"norm": "post_rms"}, lambda _: 1),
        ("settings", {"activation": "leaky_relu"}, lambda _: OTHER_SLOPE.ctypes.data),
        ("activate", {"activation": "gelu"}, lambda _: loops(Erf()).activate),
        ("activate_backward", {"activation": "tanh"}, lambda _: loops(ReLU()).activate_backward),
        ("learnable", {"residual": "rezero"}, lambda _: False),
    ],
)
def test_every_part_of_the_scheme_counts(
    field: str, names: dict[str, str], change: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ffn_train.nn.compiled import segment

    names = {**PLAIN, **names, "init": "lecun"}
    plain, model = passes(tiny(names), "float64"), tiny(names, engine="compiled")
    right, _ = segment.scheme_of(model, np.dtype(np.float64), True, True)
    wrong = right._replace(**{field: change(getattr(right, field))})
    monkeypatch.setattr(segment, "scheme_of", lambda *_: (wrong, wrong.record()))
    with np.errstate(all="ignore"):
        try:
            compiled = passes(model, "float64")
        except (AssertionError, ValueError):  # its passes do not even agree, or the shapes differ
            return
        assert not difference(compiled, plain) < 1e-6


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "erf", "gauss", "density", "distribution"])
def test_elementary_functions_in_float32(name: str) -> None:
    from numba import njit

    from ffn_train.nn.compiled import scalars
    from ffn_train.nn.special import erf

    part = {"density": 0, "distribution": 1}.get(name)
    function = getattr(scalars, "normal" if part is not None else name)

    @njit
    def run(x, y):  # type: ignore[no-untyped-def]
        for i in range(x.size):
            y[i] = function(x[i])

    @njit
    def run_part(x, y):  # type: ignore[no-untyped-def]
        for i in range(x.size):
            y[i] = function(x[i])[part]

    def of(x: Array) -> Array:
        y = np.empty_like(x)
        (run if part is None else run_part)(x, y)
        return y

    x = np.concatenate([np.linspace(-12, 12, 4001), np.geomspace(1e-6, 1, 200)])
    exact: Any = {
        "tanh": np.tanh,
        "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
        "erf": erf,
        "gauss": lambda z: np.exp(-z * z),
        "density": lambda z: np.exp(-z * z / 2) / math.sqrt(2 * math.pi),
        "distribution": np.vectorize(lambda z: math.erfc(-z / math.sqrt(2)) / 2),
    }[name]
    single = x.astype(np.float32)
    expected = exact(single.astype(np.float64))
    computed = of(single)
    normal_range = np.abs(expected) > 1.2e-38
    # the rounding of z² in exp(-z²) alone is z² units in the last place
    allowed = 1.2e-7 * (6 + (single**2 if name not in ("tanh", "sigmoid") else 0)) + 4e-6
    error = np.abs(computed - expected)
    assert (error[normal_range] <= (allowed * np.abs(expected))[normal_range]).all()
    assert (error[~normal_range] < 1.2e-38).all()
    assert np.isnan(of(np.array([np.nan], np.float32))[0])
    assert np.allclose(of(x), exact(x), rtol=1e-12, atol=0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_activations_reach_their_limits_as_the_plain_ones_do(dtype: str) -> None:
    from numba import njit

    from ffn_train.nn.compiled.activations import TWINS, loops_of
    from ffn_train.nn.compiled.jit import call

    @njit(error_model="numpy")
    def run(loops, z, slope):  # type: ignore[no-untyped-def]
        call(loops.activate, (z, slope, np.zeros(z.shape[1], z.dtype), loops.settings))

    powers = np.arange(3, 38.5) if dtype == "float32" else np.arange(3, 308.0, 5)
    size = np.concatenate([10.0**powers, [float(np.finfo(dtype).max)]]).astype(dtype)
    z = np.stack([-size, size])
    for kind in TWINS:
        activation = LeakyReLU(slope=0) if kind is LeakyReLU else kind()
        value, slope = z.copy(), np.full_like(z, np.nan)
        loops = loops_of(activation, np.dtype(dtype))
        run(loops, value, slope)
        with np.errstate(over="ignore", under="ignore"):
            expected, derivative = activation.pair(z)
        np.testing.assert_allclose(value, expected, rtol=1e-6, err_msg=kind.__name__)
        if loops.keeps_slope:
            np.testing.assert_allclose(slope, derivative, rtol=1e-6, err_msg=kind.__name__)


def test_products_with_every_transpose() -> None:
    from ffn_train.nn.compiled import blas

    products = {
        "product": ((5, 3), (3, 4), lambda a, b: a @ b),
        "product_with_transpose": ((5, 3), (4, 3), lambda a, b: a @ b.T),
        "product_of_transpose": ((3, 5), (3, 4), lambda a, b: a.T @ b),
    }
    rng = np.random.default_rng(0)
    for name, (left, right, expected) in products.items():
        function = getattr(blas, name)
        for dtype in ("float32", "float64"):
            a, b = (rng.standard_normal(shape).astype(dtype) for shape in (left, right))
            out = np.full((5, 4), np.nan, dtype)
            _call(function)(a, b, out)
            assert np.allclose(out, expected(a, b), rtol=1e-5)


def test_products_of_what_the_blas_would_read_wrongly_are_refused() -> None:
    from numba.core.errors import TypingError

    from ffn_train.nn.compiled import blas

    a, b, out = np.ones((4, 3)), np.ones((3, 3)), np.ones((4, 3))
    for left, right, into in (
        (np.asfortranarray(a), b, out),
        (np.ones((8, 3))[::2], b, out),
        (a, b.astype(np.float32), out),
        (a, b, out.astype(np.float32)),
        (a.astype(int), b.astype(int), out.astype(int)),
    ):
        with pytest.raises(TypingError, match="need C-ordered arrays, all float32 or all float64"):
            _call(blas.product)(left, right, into)


def test_inputs_of_any_order_and_precision() -> None:
    model = tiny({**PLAIN, "init": "lecun"}, engine="compiled")
    rng = np.random.default_rng(3)
    params = model.layout.zeros("float32")
    params.vector[...] = random_parameters(model, rng).vector

    def run(x: Array, dy: Array) -> list[bytes]:
        grads = model.layout.zeros("float32")
        y, pullback = model.forward(params, x)
        dx = pullback(dy, grads)
        assert model.predict(params, x).tobytes() == y.tobytes()
        return [array.tobytes() for array in (y, dx, grads.vector)]

    x, dy = (rng.integers(-9, 9, (8, k)).astype(np.float32) for k in (3, 2))
    expected = run(x, dy)
    for change in (
        np.asfortranarray,
        lambda array: np.repeat(array, 2, axis=0)[::2],
        lambda array: array[::-1].copy()[::-1],
        lambda array: array.astype(np.float64),
        lambda array: array.astype(int),
    ):
        assert run(change(x), change(dy)) == expected
    x.flags.writeable = dy.flags.writeable = False
    assert run(x, dy) == expected


def test_inputs_of_another_shape_are_refused() -> None:
    model = tiny({**PLAIN, "init": "lecun"}, engine="compiled")
    params, grads = model.layout.zeros("float32"), model.layout.zeros("float32")
    x = np.ones((4, 3), np.float32)
    for wrong in (x[:, :2], np.ones((4, 4)), x[0]):
        with pytest.raises(ValueError, match=r"array has shape .*, the stack needs"):
            model.forward(params, wrong)
    for wrong in (np.ones((3, 2)), np.ones((4, 1))):
        _, pullback = model.forward(params, x)
        with pytest.raises(ValueError, match=r"array has shape .*, the stack needs \(4, 2\)"):
            pullback(wrong, grads)


def _call(function: Any) -> Any:
    from numba import njit

    return njit(lambda a, b, out: function(a, b, out))


@pytest.mark.parametrize(
    "optimizer",
    [
        {"name": "sgd", "momentum": 0.0, "nesterov": False},
        {"name": "sgd", "momentum": 0.9, "nesterov": False},
        {"name": "sgd", "momentum": 0.9, "nesterov": True},
        {"name": "adam", "beta1": 0.9, "beta2": 0.99, "eps": 1e-8},
    ],
)
def test_updates_agree_with_the_plain_ones(optimizer: dict[str, Any]) -> None:
    plain = build("optimizer", {"lr": 0.1, "weight_decay": 0.3, **optimizer})
    compiled = engines.engine("compiled").update(plain)
    assert compiled.slots == plain.slots
    rng = np.random.default_rng(0)
    start, grads = rng.standard_normal(1001), rng.standard_normal((3, 1001))
    decays = rng.random(1001) < 0.5
    ends = []
    for rule in (plain, compiled):
        params = start.copy()
        memory: dict[str, Array] = {name: np.zeros_like(params) for name in rule.slots}
        for count, gradient in enumerate(grads, start=1):
            rule.step(params, gradient, memory, lr=0.1, count=count, decays=decays)
        ends.append([params, *memory.values()])
    assert difference(ends[1], ends[0]) < 1e-14
    assert not np.array_equal(ends[0][0], start)


def test_an_update_in_parts_is_the_whole_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ffn_train.train.shards.LARGE", 1)
    vectors = []
    for count in (1, 3):
        optimizer = {**settings("optimizer", "sgd"), "weight_decay": 0.1}
        experiment = build_experiment(config(engine="compiled", threads=1, optimizer=optimizer))
        trainer = experiment.trainer
        state = trainer.start(experiment.params)
        grads = np.linspace(-1, 1, state.params.vector.size, dtype=np.float32)
        with Shards(count) as shards:
            tools = SimpleNamespace(shards=shards, gradient=SimpleNamespace(vector=grads))
            tools.fit = SimpleNamespace(decays=trainer._decays())
            trainer._update(state, cast(Any, tools), 0.1, None)
        vectors.append(state.params.vector.tobytes())
    assert vectors[0] == vectors[1]


def test_a_run_learns_the_same(tmp_path: Path) -> None:
    plain = run_in(tmp_path / "plain", config())
    compiled = run_in(tmp_path / "compiled", config(engine="compiled"))
    for column in ("loss", "gradient_norm", "validation_loss"):
        values, expected = (np.array(run.scalars[column]) for run in (compiled, plain))
        assert np.allclose(values, expected, rtol=1e-4, equal_nan=True), column
    weights = [(run.path / WEIGHTS).read_bytes() for run in (plain, compiled)]
    assert weights[0] != weights[1]  # rounded differently: the other engine was used


def test_neither_measures_nor_recompute_change_the_weights(tmp_path: Path) -> None:
    base = config(engine="compiled", norm=settings("norm", "pre_layer"))
    changes: list[dict[str, Any]] = [
        {},
        {"measure": {"every": 1}},
        {"model": {**base["model"], "recompute": "auto"}},
    ]
    weights = []
    for number, change in enumerate(changes):
        merged = {**base, **{key: {**base[key], **value} for key, value in change.items()}}
        run = run_in(tmp_path / str(number), merged)
        weights.append((run.path / "weights.safetensors").read_bytes())
    assert weights[0] == weights[1] == weights[2]


def test_a_resumed_run_equals_a_straight_one(tmp_path: Path) -> None:
    def settled(steps: int) -> dict[str, Any]:
        return config(
            engine="compiled", trainer={"steps": steps}, schedule=settings("schedule", "constant")
        )

    straight = run_in(tmp_path / "straight", settled(8))
    run_in(tmp_path / "resumed", settled(5))
    resumed = run_in(tmp_path / "resumed", settled(8))
    for name in ("weights.safetensors", "scalars.csv"):
        assert (resumed.path / name).read_bytes() == (straight.path / name).read_bytes()


def test_going_on_with_the_other_engine_is_told(tmp_path: Path) -> None:
    run_in(tmp_path / "run", config(trainer={"steps": 5}))
    NOTES.clear()
    run = run_in(tmp_path / "run", config(engine="compiled"))
    assert any("the engine was numpy, is compiled" in note for note in NOTES)
    assert run.provenance.engine == "compiled"


def test_a_run_that_diverges_is_explained_alike() -> None:
    explained = []
    for engine in engines.ENGINES:
        experiment = build_experiment(
            config(engine=engine, residual=settings("residual", "identity"), trainer={"clip": None},
                   optimizer={**settings("optimizer", "sgd"), "lr": 1e6})
        )  # fmt: skip
        *_, last = experiment.trainer.fit(experiment.trainer.start(experiment.params))
        assert last.divergence is not None
        explained.append((last.step, last.divergence.phase, last.divergence.site))
    assert explained[0] == explained[1]


@pytest.fixture
def declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., list[str]]]:
    """Writes a file of parts; returns the overrides that name it. Forgotten at the end."""
    monkeypatch.setattr(outside, "_loaded", {})

    def write(*parts: str) -> list[str]:
        path = tmp_path / "my_parts.py"
        path.write_text("\n".join([PARTS, *parts]), encoding="utf-8")
        return [*SMALL, f"parts=[{path}]"]

    yield write
    for name, digest in outside._loaded.items():
        registry.forget(outside._module(name, digest))


PARTS = """
import math
import numpy as np
from ffn_train.nn.blocks.feedforward import FeedForward
from ffn_train.nn.layers.norms import LayerNorm
from ffn_train.nn.optim.sgd import SGD
from ffn_train.parts import Activation, Block, Norm, Residual, choice, setting

class Mine(FeedForward):
    pass

@choice("block", "mine")
class MyBlock(Block):
    def branch(self, *, width, hidden, activation):
        return Mine(width, hidden, activation)

class Centred(LayerNorm):
    pass

@choice("norm", "mine")
class MyNorm(Norm):
    placement = "pre"

    def layer(self, width):
        return Centred(width, 1e-5)

@choice("residual", "mine")
class MyResidual(Residual):
    def multiplier(self, depth):
        return 1 / depth

@choice("optimizer", "mine")
class Lion(SGD):
    pass

@choice("activation", "softplus")
class Softplus(Activation):
    beta: float = setting("β", 1.0, above=0)

    def value(self, z):
        return np.logaddexp(self.beta * z, 0) / self.beta

    def derivative(self, z):
        return 1 / (1 + np.exp(-self.beta * z))
"""
TWIN = """
    @staticmethod
    def compiled_pair(z, beta):
        real = type(z)
        decay = math.exp(-abs(beta * z))
        value = max(z, real(0)) + math.log1p(decay) / beta
        return value, (real(1) if z > 0 else decay) / (real(1) + decay)
"""


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_an_activation_of_ones_own_brings_its_twin(
    dtype: str, declared: Callable[..., list[str]]
) -> None:
    overrides = [*declared(TWIN), "activation=softplus", "residual=mine", f"dtype={dtype}"]
    for beta in ("activation.beta=1.7", "activation.beta=0.6"):
        plain, compiled = (
            build_experiment(compose([*overrides, beta, f"engine={name}"]))
            for name in engines.ENGINES
        )
        arrays, expected = passes(compiled.model, dtype), passes(plain.model, dtype)
        assert difference(arrays, expected) < TOLERANCE[dtype]
        losses = [
            [record.loss for record in run.trainer.fit(run.trainer.start(run.params))]
            for run in (compiled, plain)
        ]
        assert np.allclose(losses[0], losses[1], rtol=100 * TOLERANCE[dtype])


@pytest.mark.parametrize(
    ("right", "wrong", "failing"),
    [
        ("return value, (real(1) if", "return value, real(1.01) * (real(1) if", "x"),
        ("math.exp(-abs(beta * z))", "math.exp(-abs(z))", "y"),
    ],
)
def test_a_wrong_twin_fails_the_gradient_check(
    right: str, wrong: str, failing: str, declared: Callable[..., list[str]]
) -> None:
    beta = "activation.beta=1.7"
    for twin, fails in ((TWIN, False), (TWIN.replace(right, wrong), True)):
        overrides = [*declared(twin), "activation=softplus", beta, "engine=compiled"]
        model = build_experiment(compose(overrides)).model
        checks = check_stack(model, np.random.default_rng(0))
        failed = [check.tensor for part in checks.values() for check in part if check.failed]
        assert (failing in failed) is fails
        assert bool(failed) is fails


@pytest.mark.parametrize(
    ("choice", "named"),
    [
        ("activation=softplus", "activation=softplus (Softplus): engine=numpy, or give it one"),
        ("block=mine", "block=mine (MyBlock): engine=numpy"),
        ("norm=mine", "norm=mine (MyNorm): engine=numpy"),
        ("optimizer=mine", "optimizer=mine (Lion): engine=numpy"),
    ],
)
def test_a_part_without_a_twin_is_refused_by_its_name(
    choice: str, named: str, declared: Callable[..., list[str]]
) -> None:
    with pytest.raises(SettingError) as caught:
        build_experiment(compose([*declared(), choice, "engine=compiled"]))
    assert str(caught.value) == f"engine=compiled has no compiled twin of {named}"


@pytest.mark.parametrize(
    ("twin", "reason"),
    [
        (TWIN.replace("z, beta", "z, alpha"), "'alpha', which is not a setting with a number"),
        (TWIN.replace("math.exp(", "np.fft.fft("), "its compiled_pair: Unknown attribute 'fft'"),
        (TWIN.replace("return value, ", "return "), "its compiled_pair: failed to unpack float32"),
        (
            TWIN.replace("real = type(z)", "with open('x') as f:\n            return z, z"),
            "its compiled_pair: The 'with .*' construct is not supported",
        ),
    ],
)
def test_a_twin_that_cannot_be_compiled_is_refused_in_one_line(
    twin: str, reason: str, declared: Callable[..., list[str]]
) -> None:
    with pytest.raises(SettingError, match=f"^activation=softplus: .*{reason}") as caught:
        build_experiment(compose([*declared(twin), "activation=softplus", "engine=compiled"]))
    assert "\n" not in str(caught.value)


def test_a_twin_is_not_inherited() -> None:
    model, compiled = tiny({**PLAIN, "init": "lecun"}), engines.engine("compiled")

    class Softplus(type(model.activation)):  # type: ignore[misc]
        """Has even the name of the activation that it is made from."""

    model.branch.activation = Softplus()
    with pytest.raises(SettingError, match=r"no compiled twin of activation=relu \(Softplus\): "):
        compiled.segment.check(model)


def test_without_numba_it_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_installed", lambda: False)
    with pytest.raises(SettingError, match=r"engine=compiled needs Numba and SciPy: pip install"):
        build_experiment(config(engine="compiled"))
    build_experiment(config())


def test_the_command_line_knows_the_engines(tmp_path: Path) -> None:
    done = command("engine=fast", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "ffn_train: engine must be one of auto, numpy, compiled, got 'fast'"
    ]
    done = command("engine=compiled", "block=geglu", cwd=tmp_path, module="ffn_train.gradcheck")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("setting", "depth", "batch", "shards"),
    [("auto", 8, 64, 1), ("auto", 128, 64, 2), (2, 1, 64, 2), (1, 128, 64, 1), (4, 1, 2, 2)],
)
def test_threads_by_the_whole_pass(
    setting: Any, depth: int, batch: int, shards: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    sizes = {"batch": batch, "width": 32, "hidden": 128, "depth": depth}
    chosen = threads.choose(setting, **sizes, engine="compiled")
    assert chosen == threads.Threads(blas=1, shards=shards)


def test_numba_that_cannot_be_imported_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ffn_train.nn.compiled.blocks", None)
    with pytest.raises(SettingError, match=r"^engine=compiled cannot be used here: .*; engine="):
        build_experiment(config(engine="compiled"))


def test_numba_that_compiles_nothing_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    done = process("engine=compiled", cwd=tmp_path)
    assert done.returncode == 2
    reason = "NUMBA_DISABLE_JIT is set; engine=numpy can"
    assert done.stderr == f"ffn_train: engine=compiled cannot be used here: {reason}\n"
    assert not list(tmp_path.iterdir())


def test_any_other_source_is_another_machine_code(tmp_path: Path) -> None:
    from ffn_train.nn.compiled import jit
    from ffn_train.nn.compiled.blocks import forward

    assert jit.digest() == jit.SOURCES
    assert jit.SOURCES in forward.__qualname__  # part of the name of what Numba keeps
    folder = tmp_path / "compiled"
    folder.mkdir()
    digests = set()
    (tmp_path / "special.py").touch()
    for name in ("special.py", "compiled/blocks.py", "compiled/branch.py"):
        (tmp_path / name).write_text(f"# {name}", encoding="utf-8")
        digests.add(jit.digest(folder))
    assert len(digests) == 3


def test_machine_code_of_other_sources_is_removed(tmp_path: Path) -> None:
    from ffn_train.nn.compiled import jit

    cache = tmp_path / "__pycache__"
    cache.mkdir()
    for name in ("a_0123.nbi", "a_0123.1.nbc", f"a_{jit.SOURCES}.nbi", "a.pyc"):
        (cache / name).touch()
    jit.forget_outdated(tmp_path)
    assert {path.name for path in cache.iterdir()} == {f"a_{jit.SOURCES}.nbi", "a.pyc"}


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """An entry as in a new process, its machine code cached in a folder of the test."""
    from numba.core import config as numba_config

    from ffn_train.nn.compiled import jit

    monkeypatch.setattr(numba_config, "CACHE_DIR", "")

    path = tmp_path / "twice.py"
    path.write_text("def twice(x):\n    return x + x\n", encoding="utf-8")

    def load() -> Any:
        space: dict[str, Any] = {"__name__": "twice"}
        exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), space)
        return jit.entry(space["twice"])

    return load


def _results(entry: Any) -> tuple[list[Any], int]:
    """What it returns for each dtype, and the number of cache hits."""
    results = [entry(np.ones(2, dtype)).tolist() for dtype in ("float32", "float64")]
    return results, sum(entry.stats.cache_hits.values())


def test_machine_code_is_kept(fresh: Callable[[], Any]) -> None:
    assert [_results(fresh()) for _ in range(2)] == [([[2, 2]] * 2, 0), ([[2, 2]] * 2, 2)]


def test_an_activations_loops_are_kept() -> None:
    from ffn_train.nn.compiled import activations

    for kind in (ReLU, Erf):
        for hits in (0, 1):  # at the first it is compiled, or was by another test
            activations._compiled.__wrapped__(kind, activations.TWINS[kind], np.dtype("float32"))
            for loop in activations._used[-2:]:
                assert sum(loop.stats.cache_hits.values()) >= hits


@pytest.mark.parametrize("damage", ["an empty index", "cut data", "another's data"])
def test_damaged_machine_code_is_made_again(
    damage: str, fresh: Callable[[], Any], tmp_path: Path
) -> None:
    _results(fresh())
    (index,) = tmp_path.glob("__pycache__/*.nbi")
    first, second = sorted(tmp_path.glob("__pycache__/*.nbc"))
    if damage == "an empty index":
        index.write_bytes(b"")
    elif damage == "cut data":
        first.write_bytes(first.read_bytes()[:100])
    else:  # as when two processes write at the same moment
        first.write_bytes(second.read_bytes())
    results, hits = _results(fresh())
    assert results == [[2, 2]] * 2
    assert hits < 2
    assert _results(fresh()) == ([[2, 2]] * 2, 2)


def test_a_full_disk_does_not_stop_it(
    fresh: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from numba.core.caching import IndexDataCacheFile

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(IndexDataCacheFile, "_save_data", full)
    assert _results(fresh()) == ([[2, 2]] * 2, 0)


def test_the_wait_for_the_compiler_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from numba.core.caching import NullCache

    from ffn_train.nn.compiled import blocks

    build_experiment(config(engine="compiled"))
    monkeypatch.setattr(blocks.backward._cache, "_cache_path", str(tmp_path))
    assert str(blocks.delay()).endswith("which takes about 20 seconds once")
    (tmp_path / f"blocks.{blocks.backward.__qualname__}-1.py.nbi").touch()
    assert blocks.delay() is None
    monkeypatch.setattr(blocks.backward, "_cache", NullCache())
    assert "in every process: the result cannot be cached" in str(blocks.delay())


@pytest.mark.parametrize("centred", [True, False])
def test_a_norm_of_entries_whose_squares_overflow(centred: bool) -> None:
    from ffn_train.nn.compiled.norms import norm

    class Scheme(NamedTuple):
        centred: bool
        eps: float

    class Kept(NamedTuple):
        normed: Array
        inverse: Array

    row = np.array([1.0, 2.0, 3.0, -4.0], np.float32)
    x = np.array([row, 1e20 * row, [np.inf, 1, 1, 1]], np.float32)
    y, kept = np.empty_like(x), Kept(np.empty((1, 3, 4), np.float32), np.empty((1, 3), np.float32))
    ones, zeros = np.ones(4, np.float32), np.zeros(4, np.float32)
    norm(Scheme(centred, 1e-5), x, ones, zeros, kept, 0, y)
    np.testing.assert_allclose(y[1], y[0], rtol=1e-5)
    assert np.isnan(y[2]).any()
