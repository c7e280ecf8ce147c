"""Parts written from the documentation alone, checked as a careful contributor would check them."""

# mypy: ignore-errors

import csv
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import ffn_train
from ffn_train.gradcheck import check_layer
from ffn_train.running.execution import execute
from ffn_train.train.trainer import Trainer
from tests.support import command as support

PARTS = Path(__file__).parent / "parts"
TINY = (
    "model.depth=2",
    "model.width=8",
    "trainer.steps=6",
    "trainer.batch_size=16",
    "measure.every=2",
)
ROWS = "task.rows=80"
BLOBS = ("task=blobs", "loss=log_loss", ROWS)


def parts(*names):
    return f"parts=[{','.join(str(PARTS / f'{name}.py') for name in names)}]"


@cache
def composed(*overrides):
    return ffn_train.compose(["plot.when=never", *TINY, *overrides])


def train(path, *overrides):
    config = {**composed(*overrides), "run": {"dir": str(path)}}
    execute(ffn_train.build_experiment(config), notify=lambda *_: None)
    return ffn_train.load_run(path)


def values(run, quantity):
    return np.asarray(run.measures[quantity].values)


def command(*arguments, module="ffn_train"):
    return support.command(*map(str, arguments), cwd=Path.cwd(), module=module)


@pytest.fixture(scope="module")
def loaded():
    """Load all parts, so that their classes can be looked up."""
    names = [path.stem for path in sorted(PARTS.glob("*.py"))]
    ffn_train.compose([parts(*names)])
    return names


def the_class(group, name):
    from ffn_train.config.registry import choices

    return choices(group)[name]


# --- each trains, and --help shows it


@pytest.mark.parametrize(
    ("part", "overrides"),
    [
        ("softplus", ("activation=softplus", "activation.beta=2", ROWS)),
        ("gradient_cosine", ("measure.quantities={default: 2, gradient_cosine: 1}", ROWS)),
        ("block_update", ("measure.quantities=[block_update]", ROWS)),
        ("hidden_norm", ("measure.quantities=[hidden_norm]", ROWS)),
        ("classification", BLOBS),
        ("csv_logger", ("logger=csv", ROWS)),
        ("scaled_norm", ("norm=scaled", ROWS)),
    ],
)
def test_a_part_trains(tmp_path, part, overrides):
    run = train(tmp_path, parts(part), *overrides)
    assert run.summary.state == "finished"
    assert np.isfinite(run.scalars["loss"]).all()
    assert run.scalars["loss"][-1] < run.scalars["loss"][0]


def test_help_shows_all_parts(loaded):
    shown = command("--help", parts(*loaded)).stdout
    for name in (
        "softplus",
        "blobs",
        "log_loss",
        "csv",
        "scaled",
    ):
        assert name in shown, name
    # quantities and figures are not in the list of --help, and shown when they are named
    named = ("gradient_cosine", "block_update", "hidden_norm")
    asked = (*(f"quantity={name}" for name in named), "figure=cosine_and_loss")
    printed = command("--help", parts(*loaded), *asked, "activation=softplus").stdout
    assert all(f"[{name}]: " in printed for name in (*named, "cosine_and_loss"))
    assert "activation.beta=1.0" in printed
    assert "closer to ReLU" in printed


def test_a_wrong_name_is_one_line_with_a_hint(loaded):
    for wrong, right in (
        ("activation=sofplus", "softplus"),
        ("norm=scald", "scaled"),
        ("task=blob", "blobs"),
        ("loss=log_los", "log_loss"),
        ("measure.quantities=[hidden_nrm]", "hidden_norm"),
        ("plot.figures=[cosine_and_los]", "cosine_and_loss"),
    ):
        with pytest.raises(Exception, match=f"did you mean {right}") as caught:
            ffn_train.build_experiment(ffn_train.compose([parts(*loaded), wrong]))
        assert "\n" not in str(caught.value)
    asked = command(parts("softplus"), "activation=sofplus")
    assert asked.returncode == 2
    assert len(asked.stderr.splitlines()) == 1
    assert "did you mean softplus" in asked.stderr


# --- derivatives


@pytest.mark.parametrize(
    ("part", "overrides"),
    [("softplus", ["activation=softplus", "activation.beta=2"]), ("scaled_norm", ["norm=scaled"])],
)
def test_gradcheck_agrees(part, overrides):
    done = command(
        parts(part), *overrides, "model.depth=2", "model.width=8", module="ffn_train.gradcheck"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "derivatives and outputs agree" in done.stdout


def test_the_norm_agrees_alone_and_starts_at_a_half(loaded):
    layer = the_class("norm", "scaled")().layer(5)
    checks = check_layer(layer, inputs=5, rng=np.random.default_rng(0))
    assert {check.tensor for check in checks} == {"x", "gain"}
    assert all(check.error < 1e-7 for check in checks), checks
    config = ffn_train.compose([parts("scaled_norm"), *TINY, ROWS, "norm=scaled"])
    experiment = ffn_train.build_experiment(config)
    tensors = experiment.model.layout.named(experiment.params.vector)
    gains = {name: gain for name, gain in tensors.items() if name.endswith("gain")}
    assert sorted(gains) == ["blocks.0.norm.gain", "blocks.1.norm.gain", "final_norm.gain"]
    assert all((gain == 0.5).all() for gain in gains.values())


def test_the_loss_against_differences(loaded):
    """gradcheck starts from a random gradient at the output and does not look at the loss."""
    loss = the_class("loss", "log_loss")()
    rng = np.random.default_rng(0)
    y, targets = 3 * rng.normal(size=(7, 3)), np.eye(3)[rng.integers(3, size=7)]
    value, gradient = loss.value_and_gradient(y, targets)
    assert loss.value(y, targets) == value
    for index in np.ndindex(y.shape):
        step = np.zeros_like(y)
        step[index] = 1e-5
        numeric = (loss.value(y + step, targets) - loss.value(y - step, targets)) / 2e-5
        assert gradient[index] == pytest.approx(numeric, abs=1e-9)
    assert loss.value_and_gradient(y * 1e4, targets)[1] == pytest.approx(
        loss.value_and_gradient(y * 1e4 - 5e4, targets)[1]
    ), "a shift of all outputs changes nothing, also where exp would overflow"
    best = loss.trivial_outputs(targets)
    share = targets.mean(0)
    assert loss.value(best, targets) == pytest.approx(-(share * np.log(share)).sum())


def test_softplus_against_differences(loaded):
    softplus = the_class("activation", "softplus")(beta=2.0)
    z = np.linspace(-400, 400, 801)
    with np.errstate(all="raise", under="ignore"):
        value, slope = softplus.value(z), softplus.derivative(z)
    numeric = (softplus.value(z + 1e-5) - softplus.value(z - 1e-5)) / 2e-5
    assert slope == pytest.approx(numeric, abs=1e-6)
    assert value[-1] == 400
    assert value[400] == pytest.approx(np.log(2) / 2)


# --- the numbers themselves

PLAIN = (  # θ_{t+1} = θ_t - lr g_t, so that two runs' weights give the gradient
    "optimizer=sgd",
    "optimizer.momentum=0",
    "optimizer.lr=0.05",
    "schedule=constant",
    "trainer.clip=null",
    "dtype=float64",
    ROWS,
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """The weights by name after 1, 2, 3 and 4 updates, each from a run of that many steps."""
    collected = {}
    for steps in (1, 2, 3, 4):
        run = train(tmp_path_factory.mktemp("plain"), *PLAIN, f"trainer.steps={steps}")
        collected[steps] = run.weights()
    return collected


def vector(weights, start=""):
    return np.concatenate([np.ravel(weights[k]) for k in sorted(weights) if k.startswith(start)])


def test_the_cosine_is_that_of_the_gradients_of_the_updates(tmp_path, weights):
    run = train(
        tmp_path, parts("gradient_cosine"), *PLAIN, "measure.quantities={gradient_cosine: 1}"
    )
    # the first step has no gradient before it, and what is NaN is no row
    assert list(run.measures["gradient_cosine"].step) == [1, 2, 3, 4, 5, 6]
    cosine = np.load(tmp_path / "measures-1.npy")["gradient_cosine"]
    assert np.isnan(cosine[0])
    assert np.isfinite(cosine[1:]).all()
    flat = {steps: vector(w) for steps, w in weights.items()}
    for step in (2, 3):
        now, before = flat[step] - flat[step + 1], flat[step - 1] - flat[step]
        expected = now @ before / np.linalg.norm(now) / np.linalg.norm(before)
        assert cosine[step] == pytest.approx(expected, rel=1e-9)


def test_the_block_update_is_relative_to_the_weights_before_it(tmp_path, weights):
    run = train(tmp_path, parts("block_update"), *PLAIN, "measure.quantities={block_update: 1}")
    assert list(run.measures["block_update"].step) == [0, 1, 2, 3, 4, 5]
    measured = values(run, "block_update")  # the last row has no update of its own
    assert measured.shape == (6, 2)
    for step in (1, 2, 3):
        for block in (0, 1):
            before = vector(weights[step], f"blocks.{block}.")
            after = vector(weights[step + 1], f"blocks.{block}.")
            expected = np.linalg.norm(after - before) / np.linalg.norm(before)
            assert measured[step, block] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("engine", ["numpy", "compiled"])
def test_the_hidden_norm_is_the_same_with_two_shards(tmp_path, engine):
    if engine == "compiled":
        pytest.importorskip("numba")
    big = (
        parts("hidden_norm"),
        "measure.quantities={hidden_norm: 1}",
        "task.rows=1300",
        "trainer.batch_size=1024",
        "model.width=64",
        "trainer.steps=2",
        f"engine={engine}",
    )
    runs = [train(tmp_path / str(n), *big, f"threads={n}") for n in (1, 2)]
    assert runs[0].provenance.shards == 1
    assert runs[1].provenance.shards == 2
    first, two = (values(run, "hidden_norm") for run in runs)
    assert (first > 0.5).all()
    assert first == pytest.approx(two, rel=1e-5)


def test_the_hidden_norm_is_that_of_the_first_block(tmp_path):
    """One block, relu and no norm: computed again from the rows and the weights before training."""
    overrides = (
        parts("hidden_norm"),
        *TINY,
        "task.rows=20",
        "trainer.batch_size=16",  # all of the training rows
        "model.depth=1",
        "activation=relu",
        "dtype=float64",
        "measure.quantities={hidden_norm: 1}",
    )
    experiment = ffn_train.build_experiment(ffn_train.compose(overrides))
    tensors = experiment.model.layout.named(experiment.params.vector)
    x = experiment.data.x_train
    assert len(x) == 16
    stream = x @ tensors["input.weight"].T + tensors["input.bias"]
    hidden = stream @ tensors["blocks.0.up.weight"].T + tensors["blocks.0.up.bias"]
    run = train(tmp_path, *overrides)
    assert values(run, "hidden_norm")[0] == pytest.approx(np.maximum(hidden, 0).max(), rel=1e-12)


def test_the_compiled_twin_of_softplus(tmp_path):
    pytest.importorskip("numba")
    common = (parts("softplus"), "activation=softplus", "activation.beta=2", ROWS)
    numpy = train(tmp_path / "numpy", *common)
    compiled = train(tmp_path / "compiled", *common, "engine=compiled")
    assert numpy.scalars["loss"] == pytest.approx(compiled.scalars["loss"], rel=1e-4)
    assert values(numpy, "signal_gradient_rms") == pytest.approx(
        values(compiled, "signal_gradient_rms"), rel=1e-3
    )


# --- classification


def test_the_error_rate_and_its_baseline(tmp_path):
    run = train(tmp_path, parts("classification"), *BLOBS, "evaluate.every=1")
    score, validation = run.summary.score, run.scalars["validation_score"]
    assert (score.name, score.better) == ("error_rate", "lower")
    assert score.value == validation[-1]
    assert score.best == np.nanmin(validation) < np.nanmax(validation)
    experiment = ffn_train.build_experiment(
        ffn_train.compose([parts("classification"), *TINY, *BLOBS])
    )
    data = experiment.data
    most = data.y_train.sum(0).argmax()
    assert score.baseline == pytest.approx(1 - data.y_validation[:, most].mean())
    assert set(np.unique(data.y_train)) == {0, 1}


def test_a_loss_of_another_kind_is_refused(loaded):
    for wrong in (["task=blobs", "loss=mse"], ["task=linear", "loss=log_loss"]):
        with pytest.raises(Exception, match="needs a task of the kind") as caught:
            ffn_train.build_experiment(ffn_train.compose([parts("classification"), *wrong]))
        assert "\n" not in str(caught.value)


# --- killed at every step


class Killed(Exception):
    pass


def killed(monkeypatch, path, rows, *overrides):
    """Train, and be killed after each ``rows`` records until the run ends; how often it was."""
    original, times = Trainer.fit, 0
    while True:

        def fit(self, *args, **kwargs):
            for count, record in enumerate(original(self, *args, **kwargs)):
                if count == rows:
                    raise Killed
                yield record

        with monkeypatch.context() as patch:
            patch.setattr(Trainer, "fit", fit)
            try:
                train(path, *overrides)
            except Killed:
                times += 1
                assert times < 20
                continue
        return times


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize(
    "overrides",
    [
        (
            parts("gradient_cosine", "block_update", "hidden_norm", "csv_logger"),
            "measure.quantities={default: 2, gradient_cosine: 1, block_update: 3, hidden_norm: 2}",
            "logger=csv",
            ROWS,
        ),
        (
            parts("softplus", "scaled_norm", "classification", "gradient_cosine"),
            "activation=softplus",
            "norm=scaled",
            *BLOBS,
            "measure.quantities={gradient_cosine: 2}",
        ),
    ],
    ids=["quantities", "model"],
)
def test_a_run_killed_at_every_step_writes_the_same_bytes(tmp_path, monkeypatch, rows, overrides):
    overrides = (*overrides, "checkpoint.every=1")
    train(tmp_path / "whole", *overrides)
    assert killed(monkeypatch, tmp_path / "cut", rows, *overrides) == 6 // rows
    files = {
        path.name
        for pattern in ("measures*.npy", "scalars.csv", "weights.safetensors", "loss.csv")
        for path in (tmp_path / "whole").glob(pattern)
    }
    assert len(files) >= 3
    for name in files:
        whole, cut = (tmp_path / run / name for run in ("whole", "cut"))
        assert whole.read_bytes() == cut.read_bytes(), name


def test_the_logger_has_each_step_once(tmp_path, monkeypatch):
    overrides = (parts("csv_logger"), "logger=csv", ROWS, "checkpoint.every=4")
    times = killed(monkeypatch, tmp_path, 5, *overrides)
    assert times == 1, "after a kill at step 5 it goes on from the checkpoint of step 4"
    with (tmp_path / "loss.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(7))
    assert [float(row["loss"]) for row in rows] == list(
        ffn_train.load_run(tmp_path).scalars["loss"]
    )


# --- figures, comparisons, sweeps


def test_the_figure_is_drawn_by_the_run_and_again(tmp_path):
    drawn = tmp_path / "plots" / "cosine_and_loss.png"
    train(
        tmp_path,
        parts("gradient_cosine"),
        ROWS,
        "measure.quantities={default: 2, gradient_cosine: 1}",
        "plot.when=always",
        "plot.figures=[cosine_and_loss]",
    )
    first = drawn.read_bytes()
    drawn.unlink()
    file = PARTS / "gradient_cosine.py"
    again = command(
        tmp_path, "--parts", file, "--figures", "cosine_and_loss", module="ffn_train.plots"
    )
    assert again.returncode == 0, again.stderr
    assert drawn.read_bytes() == first


def test_a_comparison_shows_the_metrics_with_the_right_best(tmp_path):
    for lr in (0.02, 0.3):
        train(
            tmp_path / "runs" / f"lr{lr}",
            parts("classification", "gradient_cosine"),
            *BLOBS,
            "evaluate.every=1",
            f"optimizer.lr={lr}",
            "measure.quantities={default: 2, gradient_cosine: 1}",
        )
    done = command(
        *(tmp_path / "runs", "--metric", "gradient_cosine_end", "--out", tmp_path / "out"),
        module="ffn_train.compare",
    )
    assert done.returncode == 0, done.stderr
    assert "gradient_cosine" in done.stdout
    assert "error rate" in done.stdout
    with (tmp_path / "out" / "runs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    for row in rows:
        run = ffn_train.load_run(tmp_path / "runs" / Path(row["directory"]).name)
        assert float(row["gradient_cosine_end"]) == values(run, "gradient_cosine")[-1]
        assert float(row["best_score"]) == np.nanmin(run.scalars["validation_score"])
        assert float(row["validation_score"]) == run.scalars["validation_score"][-1]


def test_a_sweep_with_parts(tmp_path):
    done = command(
        *("-m", parts("softplus"), "activation=softplus,relu", *TINY, ROWS),
        *("trainer.steps=3", f"sweep.dir={tmp_path}"),
    )
    assert done.returncode == 0, done.stderr
    assert "2 finished of 2 jobs" in done.stdout + done.stderr
    table = (tmp_path / "comparison" / "groups.csv").read_text()
    assert "softplus" in table
    assert "relu" in table
