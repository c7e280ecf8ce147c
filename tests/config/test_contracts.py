"""What a part of one's own returns is checked once, before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ffn_train.config.composition import compose
from ffn_train.config.registry import choices
from ffn_train.config.settings import SettingError
from ffn_train.running.execution import execute
from ffn_train.running.experiment import Experiment, build_experiment
from ffn_train.runs import Run
from ffn_train.train.quantities.quantity import RESERVED
from tests.support.small_runs import NOTES, SMALL

Build = Callable[..., Experiment]


@pytest.fixture
def build(parts_folder: Path) -> Build:
    """Builds an experiment with a file of parts of this content."""

    def built(content: str, *overrides: str) -> Experiment:
        text = f"import numpy as np\nfrom ffn_train.parts import *\n\n\n{content}"
        (parts_folder / "mine.py").write_text(text, encoding="utf-8")
        return build_experiment(compose([*SMALL, "parts=[mine.py]", *overrides, "run.dir=run"]))

    return built


def trained(experiment: Experiment) -> Run:
    return execute(experiment, NOTES.append)


SCHEDULE = """
@choice("schedule", "mine")
class Mine(Schedule):
    \"\"\"Mine.\"\"\"

    def factor(self, step, progress):
        return {factor}
"""


@pytest.mark.parametrize(
    "factor",
    [
        "(1 + np.cos(np.pi * progress)) / 2",
        "np.float32(0.5)",
        "np.where(progress < 0.5, 1.0, 0.5)",
        "np.int64(1) if progress < 0.5 else False",
    ],
)
def test_a_schedule_may_return_any_kind_of_number(build: Build, factor: str) -> None:
    experiment = build(SCHEDULE.format(factor=factor), "schedule=mine")
    run = trained(experiment)
    assert run.state == "finished"
    given = [float(eval(factor, {"np": np, "progress": n / 8})) for n in range(8)]
    lr = experiment.trainer.optimizer.lr
    np.testing.assert_allclose(run.scalars["lr"][:-1], np.multiply(given, lr))


@pytest.mark.parametrize(
    ("factor", "got"),
    [
        ("None", r"None at step 0"),
        ("'0.5'", r"'0\.5' at step 0"),
        ("np.array([0.5])", r"array\(\[0\.5\]\) at step 0"),
        ("1 + 1j", r"\(1\+1j\) at step 0"),
        ("np.log(0.125 - progress)", r"np\.float64\(-inf\) at step 1"),
        ("float('inf') if progress == 0.375 else 1", "inf at step 3"),
    ],
)
def test_a_schedule_without_a_number_is_refused_before_the_run(
    build: Build, factor: str, got: str
) -> None:
    message = f"^schedule=mine: factor must return a finite number, got {got}$"
    with pytest.raises(SettingError, match=message):
        build(SCHEDULE.format(factor=factor), "schedule=mine")
    assert not Path("run").exists()


def test_a_schedule_that_fails_at_an_untried_step_is_named_as_the_cause(build: Build) -> None:
    factor = "float('nan') if step == 3 else 1.0"
    experiment = build(SCHEDULE.format(factor=factor), "schedule=mine", "trainer.steps=4000")
    with pytest.raises(SettingError, match=r"^schedule=mine: factor .*, got nan at step 3$"):
        trained(experiment)


LOSS = """
@choice("loss", "mine")
class Mine(Loss):
    \"\"\"Mine.\"\"\"

    def value_and_gradient(self, y, targets):
        error = y - targets
        value, dy = (error * error).mean(), (2 / error.size) * error
        {before}
        return {returned}

    def value(self, y, targets):
        {alone}
"""
RIGHT = {"before": "", "returned": "value, dy", "alone": "return ((y - targets) ** 2).mean()"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"before": "targets -= y"}, "value_and_gradient must not change the targets"),
        ({"before": "y += 1"}, "value_and_gradient must not change the outputs"),
        ({"alone": "targets *= 2; return 1"}, "value must not change the targets"),
        ({"alone": "return (y - targets).mean(keepdims=True)"}, "value must return a number, got"),
        (
            {"alone": "return ((y - targets) ** 2).sum()"},
            "value and value_and_gradient must agree$",
        ),
        ({"returned": "None"}, "value_and_gradient must return the loss and its gradient, got N"),
        ({"returned": "(complex(value), dy)"}, r"value_and_gradient must return .*, got \("),
        ({"returned": "(value, dy[:, 0])"}, r".*shape and dtype, \(16, 1\) float32, got .*\(16,\)"),
        ({"returned": "(value, dy.astype(float))"}, r".*got ndarray \(16, 1\) float64$"),
        ({"returned": "(value, [0.0])"}, r".* \(16, 1\) float32, got list$"),
    ],
)
def test_a_loss_that_breaks_its_contract_is_refused_before_the_run(
    build: Build, wrong: dict[str, str], message: str
) -> None:
    with pytest.raises(SettingError, match=f"^loss=mine: {message}"):
        build(LOSS.format(**{**RIGHT, **wrong}), "loss=mine")
    assert not Path("run").exists()


def test_no_loss_changes_targets_on_occasion(build: Build) -> None:
    rare = f"targets *= 2 if len(targets) != 16 else 1; {RIGHT['alone']}"
    for dtype in ("float32", "float64"):
        experiment = build(LOSS.format(**{**RIGHT, "alone": rare}), "loss=mine", f"dtype={dtype}")
        targets = [array.copy() for array in (experiment.data.y_train, experiment.exact.y_train)]
        with pytest.raises(ValueError, match="read-only"):
            trained(experiment)
        assert np.array_equal(experiment.data.y_train, targets[0])
        assert np.array_equal(experiment.exact.y_train, targets[1])


def test_a_loss_is_tried_on_a_whole_batch(build: Build) -> None:
    ranked = {"before": "np.argpartition(error[:, 0], 7)", "alone": RIGHT["alone"]}
    assert trained(build(LOSS.format(**{**RIGHT, **ranked}), "loss=mine")).state == "finished"


def test_a_right_loss_trains_as_the_packages_own(build: Build) -> None:
    mine = trained(build(LOSS.format(**RIGHT), "loss=mine"))
    own = trained(build_experiment(compose([*SMALL, "run.dir=own"])))
    np.testing.assert_allclose(mine.scalars["loss"], own.scalars["loss"], rtol=1e-5)
    np.testing.assert_allclose(
        mine.scalars["validation_loss"], own.scalars["validation_loss"], rtol=1e-5
    )


TASK = """
from ffn_train.tasks.scores import Accuracy


@choice("task", "mine")
class Mine(Task):
    \"\"\"Mine.\"\"\"

    {declared}
    rows: int = setting("rows", 80)

    def table(self, rng):
        x = rng.standard_normal((self.rows, 2))
        y = (x[:, :1] > 0) * 1.0
        return Table({inputs}, {targets}, {names})
"""
NUMBERS = {"declared": "", "inputs": "x", "targets": "x @ x.T[:, :1]", "names": "'ab', 'y'"}
ONE_HOT = {
    "declared": "kind, score, standardise_targets = 'classes', Accuracy(), False",
    "inputs": "x",
    "targets": "np.hstack([y, 1 - y])",
    "names": "'ab', ('yes', 'no')",
}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {**NUMBERS, "inputs": "np.where(x > 1, np.nan, x)"},
            r"^task=mine: column 'a' has NaN in \d+ of 80 rows$",
        ),
        (
            {**NUMBERS, "targets": "np.where(np.arange(80)[:, None] < 2, np.inf, x[:, :1])"},
            "^task=mine: column 'y' has infinity in 2 of 80 rows$",
        ),
        (
            {**NUMBERS, "inputs": "[['1', 'many']] * 80"},
            "^task=mine: the columns a, b are not all numbers: could not convert string to float: ",
        ),
        ({**NUMBERS, "names": "'ab', (1,)"}, r"^target_names must be text, got \(1,\)"),
        ({**ONE_HOT, "targets": "y", "names": "'ab', 'y'"}, "^task=mine: .* are one-hot: a column"),
        ({**ONE_HOT, "targets": "np.hstack([y, y])"}, "are one-hot"),
        ({**ONE_HOT, "targets": "np.hstack([2 * y, 1 - 2 * y])"}, "are one-hot"),
        (
            {**ONE_HOT, "declared": "kind, standardise_targets = 'classes', False"},
            r"task=mine, the class Mine: kind is classes, so score must be .*\.Accuracy\(\)$",
        ),
        (
            {**ONE_HOT, "declared": "kind, score = 'classes', Accuracy()"},
            "kind is classes, so standardise_targets must be False$",
        ),
    ],
)
def test_a_table_that_cannot_be_learned_is_refused_with_its_reason(
    build: Build, given: dict[str, str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):  # as a SettingError is
        build(TASK.format(**given), "task=mine")
    assert not Path("run").exists()


def test_a_table_may_have_lists_and_classes_are_one_hot(build: Build) -> None:
    listed = {**NUMBERS, "inputs": "x.tolist()", "targets": "(x @ x.T[:, :1]).tolist()"}
    tables = [build(TASK.format(**each), "task=mine") for each in (NUMBERS, listed)]
    array, same = (each.data for each in tables)
    np.testing.assert_array_equal(array.x_train, same.x_train)
    np.testing.assert_array_equal(array.y_train, same.y_train)
    run = trained(build(TASK.format(**ONE_HOT), "task=mine"))
    assert run.summary is not None
    assert run.summary.score is not None
    assert run.summary.score.name == "accuracy"
    assert run.provenance.inputs == ("a", "b")


INIT = """
@choice("init", "mine")
class Mine(Initialiser):
    \"\"\"Mine.\"\"\"

    def variance(self, *, fan_in, fan_out, role, depth):
        return {variance}

    def weight(self, rng, *, fan_in, fan_out, role, depth):
        return rng.standard_normal({shape}) / fan_in**0.5

    def bias(self, rng, size):
        return {bias}
"""
DRAWN = {"variance": "1 / fan_in", "shape": "(fan_out, fan_in)", "bias": "np.zeros(size)"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"variance": "-1"}, "variance must be a finite number >= 0, got -1 "),
        ({"variance": "np.inf"}, "variance must be a finite number >= 0, got inf "),
        ({"variance": "None"}, "variance must be a finite number >= 0, got None "),
        ({"variance": "[1.0]"}, r"variance must be a finite number >= 0, got \[1\.0\] "),
        ({"shape": "fan_in"}, r"weight must have the shape \(12, 6\), got \(6,\) "),
        ({"shape": "(fan_in, fan_out)"}, r"weight must have the shape \(12, 6\), got \(6, 12\) "),
        ({"bias": "0.0"}, r"bias must have the shape \(12,\), got \(\) "),
        ({"bias": "np.full(size, np.nan)"}, "bias must hold finite real numbers, got nan "),
        ({"bias": "np.full(size, 2 + 1j)"}, r"bias must hold finite real numbers, got \(2\+1j\) "),
    ],
)
def test_an_initialiser_that_draws_no_weights_is_refused_before_the_run(
    build: Build, wrong: dict[str, str], message: str
) -> None:
    with pytest.raises(SettingError, match=f"^init=mine: {message}") as caught:
        build(INIT.format(**{**DRAWN, **wrong}), "init=mine")
    assert str(caught.value).endswith("(fan_in=6, fan_out=12, role=inner, depth=3)")
    assert not Path("run").exists()


def test_only_weights_of_their_own_may_have_no_variance(build: Build) -> None:
    content = INIT.format(**{**DRAWN, "variance": "np.nan"})
    experiment = build(content, "init=mine")
    run = trained(experiment)
    assert run.state == "finished"
    assert run.theory is not None
    assert run.theory.reason == "init=mine knows no variance of its weights"
    start = content.index("    def weight")
    without = content[:start] + content[content.index("    def bias") :]
    message = "^init=mine: variance must be a finite number >= 0, got nan "
    with pytest.raises(SettingError, match=message):
        build(without, "init=mine")


def test_only_the_matrix_that_an_initialiser_gets_wrong_is_named(build: Build) -> None:
    outer = {**DRAWN, "variance": "1 if role == 'inner' else -fan_in"}
    with pytest.raises(SettingError, match=r"got -12 \(fan_in=12, fan_out=6, role=outer, depth=3"):
        build(INIT.format(**outer), "init=mine")
    assert trained(build(INIT.format(**DRAWN), "init=mine")).state == "finished"


@pytest.mark.parametrize("infinite", [False, True])
def test_an_optimizer_needs_no_usual_rate_and_may_assign_to_its_memory(
    build: Build, infinite: bool
) -> None:
    """Without a default learning rate; its memory is a sum, in place or not."""
    content = """
@choice("optimizer", "mine")
class Mine(Optimizer):
    slots = ("sum", "same")

    def descend(self, params, grads, memory, *, lr, count):
        memory["sum"] = memory["sum"] + grads
        memory["same"] += grads
        assert (memory["sum"] == memory["same"]).all()
        params -= lr * memory["sum"]
"""
    lr = "1e30" if infinite else "0.01"
    clipped = ("trainer.clip=1e-3", "trainer.steps=60", f"+optimizer.lr={lr}")
    experiment = build(content, "optimizer=mine", *clipped)
    run = trained(experiment)
    assert run.state == ("diverged" if infinite else "finished")
    assert run.summary is not None
    assert run.summary.verdict
    if not infinite:
        state = experiment.trainer.start(experiment.params)
        for _ in experiment.trainer.fit(state):
            pass
        assert state.memory["sum"].any()
        assert np.array_equal(state.memory["sum"], state.memory["same"])


REPLACED = {
    "in place": """old = memory["m"].copy()
        memory["m"][...] = 0.9 * old + grads
        now = memory["m"]""",
    "assigned": """old = memory["m"]
        memory["m"] = now = 0.9 * old + grads""",
    "updated": """old = memory["m"]
        memory.update(m=0.9 * old + grads)
        now = memory["m"]""",
    "merged": """old = memory["m"]
        memory |= {"m": 0.9 * old + grads}
        now = memory["m"]""",
    "taken out": """old = memory.pop("m")
        now = memory.setdefault("m", 0.9 * old + grads)""",
    "swapped": """memory["m"], memory["other"] = memory["other"], memory["m"]
        old = memory["other"]
        memory["m"] = now = 0.9 * old + grads""",
}


def test_what_a_part_puts_into_its_memory_is_kept_and_changes_nothing_else(build: Build) -> None:
    """By an optimizer with the old and the new mean, and by a quantity, also when it goes on."""
    runs: list[Run] = []
    for name, rule in REPLACED.items():
        experiment = build(
            f"""
@choice("optimizer", "mine")
class Mine(Optimizer):
    slots = ("m", "other")

    def descend(self, params, grads, memory, *, lr, count):
        {rule}
        params -= lr * (0.5 * old + 0.5 * now)


@choice("quantity", "moved")
class Moved(StepQuantity):
    per, symbol, equation, needs = "run", "m", "m", ("parameters", "memory")

    def memory(self, model, dtype):
        return {{"before": np.zeros(model.layout.size, dtype), "turns": np.zeros(1, np.complex64)}}

    def value(self, step, memory, out):
        old = memory["before"]
        memory.update(before=step.params, turns=memory["turns"] + 1j)
        out[...] = np.linalg.norm(step.params - old) * memory["turns"].imag[0]
""",
            *("optimizer=mine", "+optimizer.lr=0.1", "measure.quantities={moved: 1}"),
            *("checkpoint.every=1", "schedule=constant"),
        )
        experiment = replace(experiment, directory=Path(name))
        if runs:
            config = {**experiment.config, "trainer": {**experiment.config["trainer"], "steps": 4}}
            half = replace(experiment.trainer, steps=4)
            trained(replace(experiment, config=config, trainer=half))
        runs.append(trained(experiment))
        assert not runs[1:] or NOTES[-1] == f"{name} was finished at step 4, now goes on to 8"
        assert (runs[-1].measures["moved"].values[1:] > 0).all()
        for run in runs[1:]:
            np.testing.assert_equal(run.weights(), runs[0].weights())
            moved, expected = (each.measures["moved"].values for each in (run, runs[0]))
            np.testing.assert_array_equal(moved, expected)


SCORE = """
class Mine(Score):
    name = "mine"

    def value(self, t, o):
        {value}
        return -((t - o) ** 2).mean()

    def baseline(self, data):
        return {baseline}

    def details(self, data, outputs):
        {before}
        return {details}


@choice("task", "mine")
class OfMine(Task):
    score = Mine()
    rows: int = setting("rows", 80)

    def table(self, rng):
        x = rng.standard_normal((80, 2))
        return Table(x, x[:, :1], "ab", "y")
"""
SCORED = {"value": "", "baseline": "None", "before": "", "details": "{}"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"value": "t -= t.mean(0) + 1.0"}, "value must not change the targets$"),
        ({"value": "o *= 0"}, "value must not change the outputs$"),
        ({"before": "outputs += 1"}, "details must not change the outputs$"),
        ({"details": "[1.0]"}, r"details must return symbol -> target -> value, got \[1\.0\]$"),
        ({"details": "{'MAE': 1.0}"}, r"details must return symbol -> target -> value, got {"),
        ({"details": "{'MAE': {'y': '1'}}"}, "details must return a number, got '1' as MAE of y$"),
        ({"baseline": "[0.0]"}, r"baseline must return the outputs, \(16, 1\), got list$"),
        (
            {"baseline": "data.y_validation[:, 0]"},
            r"baseline must return the outputs, \(16, 1\), got ndarray \(16,\) float64$",
        ),
    ],
)
def test_a_score_that_breaks_its_contract_is_refused_before_the_run(
    build: Build, wrong: dict[str, str], message: str
) -> None:
    with pytest.raises(SettingError, match=f"^score mine: {message}"):
        trained(build(SCORE.format(**{**SCORED, **wrong}), "task=mine"))
    assert not Path("run").exists()


def test_the_baseline_of_a_score_is_fitted_once(build: Build) -> None:
    fitted = "self.fits.append(1) or data.y_validation"
    content = SCORE.format(**{**SCORED, "baseline": fitted})
    named = 'name = "mine"\n'
    experiment = build(content.replace(named, f"{named}    fits = []\n", 1), "task=mine")
    trained(experiment)
    assert vars(type(experiment.trainer.score))["fits"] == [1]


def test_a_score_changes_no_data_on_occasion_and_loses_no_run(build: Build) -> None:
    rarely = {"value": "t *= 1 if (t == o).all() else 2"}
    for wrong in ({"baseline": "data.x_train.fill(0)"}, rarely):
        with pytest.raises(ValueError, match="read-only"):
            trained(build(SCORE.format(**{**SCORED, **wrong}), "task=mine"))
    numbers = {"details": "{'MAE': {'y': np.float32(2)}}", "baseline": "data.y_validation * 0"}
    run = trained(build(SCORE.format(**{**SCORED, **numbers}), "task=mine"))
    assert run.summary is not None
    assert run.summary.scores == {"MAE": {"y": 2.0}}


LAYER = """
class Scale(Layer):
    shapes = {{"gain": (1,)}}

    def initial_value(self, name):
        return {initial}

    def forward(self, params, x):
        {before}
        return {y}, lambda dy, grads: {dx}

    def predict(self, params, x):
        return {alone}


@choice("norm", "mine")
class Mine(Norm):
    placement = "{placement}"

    def layer(self, width):
        return Scale()
"""
SCALE = {
    "placement": "post",
    "initial": "1.0",
    "before": "",
    "y": "x * 2",
    "dx": "dy * 2",
    "alone": "x * 2",
}
IN_PLACE = "np.multiply(dy, 2, out=dy)"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"y": "x * np.float64(2)"}, r"forward must .* \(3, 6\) float32, got .* float64$"),
        (
            {"y": "x[:, :1]"},
            r"forward must return an array like x, .*, got ndarray \(3, 1\) float32",
        ),
        (
            {"dx": "dy[:, :1] * 2", "placement": "pre"},
            r"the pullback must return an array like x, .* \(3, 1\) float32$",
        ),
        ({"before": "x *= 2"}, "forward with its pullback must not change x$"),
        ({"dx": IN_PLACE}, "forward with its pullback must not change dL/dy$"),
        ({"alone": "np.multiply(x, 2, out=x)"}, "predict must not change x$"),
        ({"alone": "x"}, "predict and forward must agree$"),
        ({"initial": "np.nan"}, "initial_value must return a finite number, got nan for gain$"),
    ],
)
def test_a_norm_that_breaks_its_contract_is_refused_before_the_run(
    build: Build, wrong: dict[str, str], message: str
) -> None:
    with pytest.raises(SettingError, match=f"^norm=mine: {message}"):
        build(LAYER.format(**{**SCALE, **wrong}), "norm=mine")


def test_a_norm_before_the_branch_may_change_the_gradient_in_place(build: Build) -> None:
    runs = []
    for number, dx in enumerate((SCALE["dx"], IN_PLACE)):
        content = LAYER.format(**{**SCALE, "placement": "pre", "dx": dx})
        experiment = build(content, "norm=mine", "theory.predict=false")
        runs.append(trained(replace(experiment, directory=Path(f"run{number}"))))
    for name in ("loss", "gradient_norm"):
        np.testing.assert_array_equal(runs[0].scalars[name], runs[1].scalars[name])
    flow, expected = (run.measures["signal_gradient_rms"].values for run in runs)
    np.testing.assert_array_equal(flow, expected)


BRANCH = """
from ffn_train.nn.blocks.feedforward import FeedForward


class Mine(FeedForward):
    def forward(self, params, x):
        {before}
        y, pullback = super().forward(params, x)
        return {y}, {pullback}


@choice("block", "mine")
class Of(Block):
    def branch(self, *, width, hidden, activation):
        return Mine(width, hidden, activation)
"""


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"before": "x *= 2"}, "forward with its pullback must not change x$"),
        ({"y": "x"}, "forward must return a new array, which the block adds to$"),
        ({"pullback": "lambda *given: pullback(*given)"}, "forward must .* hidden, got NoneType$"),
        ({}, ""),
    ],
)
def test_a_branch_that_breaks_its_contract_is_refused_before_the_run(
    build: Build, wrong: dict[str, str], message: str
) -> None:
    content = BRANCH.format(**{"before": "", "y": "y", "pullback": "pullback", **wrong})
    if not wrong:
        assert trained(build(content, "block=mine")).state == "finished"
        return
    with pytest.raises(SettingError, match=f"^block=mine: {message}"):
        build(content, "block=mine")


RESIDUAL = """
@choice("residual", "mine")
class Mine(Residual):
    def {method}(self, depth):
        return {value}
"""


@pytest.mark.parametrize(
    ("method", "value"),
    [("multiplier", "None"), ("skip", "np.nan"), ("multiplier", "'1'")],
)
def test_a_residual_whose_factor_is_no_number_is_refused_before_the_run(
    build: Build, method: str, value: str
) -> None:
    message = f"^residual=mine: {method} must return a finite number, got "
    with pytest.raises(SettingError, match=message):
        build(RESIDUAL.format(method=method, value=value), "residual=mine")


@pytest.mark.parametrize("method", ["multiplier", "skip"])
def test_a_residual_may_return_numpys_numbers(build: Build, method: str) -> None:
    content = RESIDUAL.format(method=method, value="1 / np.sqrt(depth)")
    assert trained(build(content, "residual=mine")).state == "finished"


def test_the_names_of_figures_are_reserved() -> None:
    assert {*choices("figure")} <= {*RESERVED}
