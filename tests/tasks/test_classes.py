"""Targets that are classes: read from tables, scored, and trained with a cross-entropy."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ffn_train.config.composition import compose
from ffn_train.config.places import EXPERIMENTS
from ffn_train.config.registry import build
from ffn_train.config.settings import SettingError
from ffn_train.nn.core import Array
from ffn_train.report.text import report
from ffn_train.running.execution import execute
from ffn_train.running.experiment import build_experiment
from ffn_train.runs import Run, load_run
from ffn_train.runs.finding import LEARNED
from ffn_train.tasks import Data, Table, split
from ffn_train.tasks.logistic_regression import fit_logistic_regression, log_softmax
from ffn_train.tasks.scores import ALL, R2, Accuracy
from ffn_train.tasks.tabular import Columns, TableTask
from tests.support.small_runs import NOTES, SMALL

KINDS = ("setosa", "versicolor", "virginica")
DIGITS = EXPERIMENTS / "digits" / "digits.csv.gz"


def flowers(words: tuple[str, ...] = KINDS, rows: int = 60) -> str:
    """Rows whose class is told by the first input but for one row in ten."""
    rng = np.random.default_rng(3)
    kinds = np.arange(rows) % len(words)
    inputs = np.column_stack((kinds + 0.3 * rng.normal(size=rows), rng.normal(size=rows)))
    kinds[::10] = (kinds[::10] + 1) % len(words)
    lines = [f"{x:.3f},{z:.3f},{words[k]}" for (x, z), k in zip(inputs, kinds, strict=True)]
    return "\n".join(["x,z,kind", *lines]) + "\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def task(content: str, **chosen: Any) -> TableTask:
    Path("data.csv").write_text(content)
    return TableTask(**{"path": "data.csv", "target": "kind", **chosen})


def data(content: str, **chosen: Any) -> Data:
    return task(content, **chosen).data(np.random.default_rng(0), np.random.default_rng(1))


def refusal(content: str, **chosen: Any) -> str:
    with pytest.raises(SettingError) as caught:
        data(content, **chosen)
    return str(caught.value)


# Read from tables


def test_a_target_of_text_is_classes(folder: Path) -> None:
    read = task(flowers())
    assert (read.kind, read.score.name) == ("classes", "accuracy")
    made = data(flowers())
    assert made.target_names == KINDS
    assert (made.target_mean.tolist(), made.target_std.tolist()) == ([0, 0, 0], [1, 1, 1])
    words = [line.rpartition(",")[2] for line in flowers().split()[1:]]
    rows = made.to_json()["rows"]["train"]
    expected = np.eye(3)[[KINDS.index(words[row]) for row in rows]]
    np.testing.assert_array_equal(made.y_train, expected)
    assert "target kind, 3 classes: setosa, versicolor, virginica" in made.notes[1]
    assert task(flowers(), target="x").kind == "regression"


def test_numbers_are_classes_where_a_setting_says_so(folder: Path) -> None:
    codes = flowers(("10", "9", "-1"), rows=120)
    plain, asked = data(codes), data(codes, classes=True)
    assert plain.target_names == ("kind",)
    assert "kind: 3 different numbers (task.classes=true makes classes of them)" in plain.notes[1]
    assert asked.target_names == ("-1", "9", "10")  # in the order of the numbers
    assert "different numbers" not in data(codes, classes=False).notes[1]
    words = flowers(("1.5 kg", "2 kg", "3 kg"))
    assert data(words).target_names == ("1.5 kg", "2 kg", "3 kg")
    assert "is a target of text, such as" in refusal(words, classes=False)


@pytest.mark.parametrize(("yes", "no"), [("yes", "no"), ("True", "False")])
def test_yes_and_no_are_two_classes(folder: Path, yes: str, no: str) -> None:
    assert data(flowers((yes, no))).target_names == (no, yes)


def test_rows_without_a_class_are_left_out(folder: Path) -> None:
    content = flowers().replace("setosa", "?", 2).replace("virginica", "", 1)
    made = data(content, missing=["versicolor"])
    assert made.target_names == ("setosa", "virginica")
    assert "rows without a target left out" in made.notes[0]
    assert (made.y_train.sum(axis=1) == 1).all()


def test_a_class_of_the_second_file_alone_is_one_too(folder: Path) -> None:
    Path("second.csv").write_text("kind,x,z\nsetosa,0,0\nother,1,1\n,2,2\n")
    made = data(flowers(), validation_path="second.csv")
    assert made.target_names == ("other", *KINDS)
    assert made.y_validation.tolist() == [[0, 1, 0, 0], [1, 0, 0, 0]]
    assert np.isfinite(build("loss", {"name": "cross_entropy"}).trivial_outputs(made.y_train)).all()
    assert np.isfinite(fit_logistic_regression(made)).all()


def test_columns_come_back_from_their_json_with_the_classes(folder: Path) -> None:
    import pandas as pd

    made = data(flowers()).to_json()["columns"]
    columns = Columns.from_json(json.loads(json.dumps(made)))
    frame = pd.DataFrame({"kind": ["virginica", None, "new"], "x": [1, 2, 3], "z": [1, 2, 3]})
    columns.check(frame, "new.csv")
    np.testing.assert_array_equal(columns.values(frame), [[0, 0, 1], [np.nan] * 3, [np.nan] * 3])
    del made["classes"]  # as a file of before has it
    assert Columns.from_json(made).classes is None


@pytest.mark.parametrize(
    ("content", "chosen", "message"),
    [
        (
            flowers(tuple(f"n{i}" for i in range(65)), rows=200),
            {},
            "column 'kind' is a target of text, such as 'n1', and has 65 different words, many for "
            "classes; what helps: task.classes=true",
        ),
        (flowers(('"1,5"', '"2,5"')), {}, "such as '2,5'; what helps: task.classes=true"),
        (flowers(), {"target": ["kind", "x"]}, "is a target of text, such as 'versicolor'"),
        (flowers(("", "")), {}, "column 'kind' is a target without a value"),
        (flowers(("one", "one")), {}, "task.target 'kind' is 'one' in all 48 training rows"),
        (
            flowers(("b", "b")) + "0,0,a\n",
            {"split": "last", "validation": 1 / 61},
            "task.target 'kind' is 'b' in all 60 training rows: there is nothing to learn",
        ),
        (
            flowers(("1", "2", "A")),
            {},
            "column 'kind' has 20 cells that are no finite number, such as 'A' in row 3; what "
            "helps: task.classes=true or 'task.missing=[A]'",
        ),
        (flowers(("1", "2", "A")), {"classes": False}, "in row 3; what helps: 'task.missing=[A]'"),
    ],
)
def test_what_is_no_target_of_classes(
    folder: Path, content: str, chosen: dict[str, Any], message: str
) -> None:
    assert message in refusal(content, **chosen)


def test_classes_are_those_of_one_column(folder: Path) -> None:
    with pytest.raises(SettingError, match=r"task.classes=true takes one target, got 2"):
        task(flowers(), target=["kind", "x"], classes=True)


# Scores and the baseline


def made_up(rows: int = 200, classes: int = 4) -> Data:
    rng = np.random.default_rng(0)
    x, maps = rng.normal(size=(rows, 5)), rng.normal(size=(5, classes))
    x[:, 4] = x[:, 0] + x[:, 1]  # as a column of a sum, which the penalty decides
    kinds = (x @ maps + rng.gumbel(size=(rows, classes))).argmax(axis=1)
    table = Table(x, np.eye(classes)[kinds], tuple("abcde"), tuple(map(str, range(classes))))
    return split(table, validation=0.3, rng=rng, standardise_targets=False)


def test_logistic_regression_is_scikit_learns() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model", reason="needs the extra `peers`")
    for made in (made_up(), digits()):
        peer = linear_model.LogisticRegression(tol=1e-9, max_iter=10_000)
        peer.fit(made.x_train, made.y_train.argmax(axis=1))
        ours = np.exp(log_softmax(fit_logistic_regression(made)))
        np.testing.assert_allclose(ours, peer.predict_proba(made.x_validation), atol=1e-4)


def test_logistic_regression_of_classes_far_apart() -> None:
    x: Array = np.repeat([-1e3, 1e3], 20)[:, None] + np.arange(40.0)[:, None]
    table = Table(x, np.repeat(np.eye(2), 20, axis=0), ("x",), ("a", "b"))
    made = split(table, validation=0.2, rng=np.random.default_rng(0), standardise_targets=False)
    logits = fit_logistic_regression(made.astype("float32"))
    assert Accuracy().value(made.y_validation, logits) == 1
    assert logits.dtype == np.float64


def test_the_scores_of_classes() -> None:
    made = made_up()
    score, y = Accuracy(), made.y_validation
    assert score.value(y, y) == 1
    assert score.value(y, -y) == pytest.approx(0)
    assert np.isnan(score.value(y, np.full_like(y, np.nan)))
    p = np.full(y.shape, 0.1) + 0.6 * y
    assert score.details(made, np.log(p) + 7)["log loss"][ALL] == pytest.approx(-np.log(0.7))
    assert score.no_skill(made) == y[:, made.y_train.sum(axis=0).argmax()].mean()
    assert score.value(y, score.baseline(made)) > score.no_skill(made)


def test_the_scores_of_numbers_are_in_the_units_of_each_target() -> None:
    rng = np.random.default_rng(0)
    targets = rng.normal(size=(100, 2)) * [1000, 1e-3] + [5, 6]
    table = Table(rng.normal(size=(100, 1)), targets, ("x",), ("large", "small"))
    made = split(table, validation=0.5, rng=rng)
    error = np.where(np.arange(50) % 2, 0.3, -0.1)[:, None]
    scores = R2().details(made, made.y_validation + error)
    assert scores["MAE"] == pytest.approx(
        {"large": 0.2 * made.target_std[0], "small": 0.2 * made.target_std[1]}
    )
    assert scores["RMSE"]["large"] == pytest.approx(np.sqrt(0.05) * made.target_std[0])
    mean = np.mean(list(scores["R²"].values()))
    assert mean == pytest.approx(R2().value(made.y_validation, made.y_validation + error))


# Trained


def digits() -> Data:
    read = TableTask(path=str(DIGITS), target=-1, classes=True)
    return read.data(np.random.default_rng(0), np.random.default_rng(1))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run of each engine that there is, on one table."""
    root = tmp_path_factory.mktemp("classes")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        Path("data.csv").write_text(flowers())
        yield root


def trained(name: str, *overrides: str) -> Run:
    small = [text for text in SMALL if not text.startswith("task.rows")]
    table = ("task=table", "task.path=data.csv", "task.target=kind", "trainer.steps=60")
    config = compose([*small, *table, "optimizer.lr=0.1", f"run.dir={name}", *overrides])
    return execute(build_experiment(config), NOTES.append)


def test_a_run_finds_its_loss_and_says_so(runs: Path) -> None:
    run = trained("plain")
    assert "loss=cross_entropy: the target is classes" in NOTES
    assert run.config["loss"] == {"name": "cross_entropy", "smoothing": 0.0}
    assert run.provenance.kind == "classes"
    assert run.summary is not None
    assert run.summary.score is not None
    assert run.summary.score.value == run.scalars["validation_score"][-1] > 0.6
    assert run.summary.scores is not None
    # the loss of the whole validation part is the log loss, but for the precision
    log_loss = run.summary.scores["log loss"][ALL]
    assert log_loss == pytest.approx(run.summary.validation_loss, rel=1e-5)
    again = load_run("plain").summary
    assert again is not None
    assert again.scores == run.summary.scores
    printed = report(run)
    assert f"other scores           log loss {log_loss:.3g}" in printed
    assert "(in nats)" in printed
    (learned,) = (f for f in run.summary.verdict if f.question == LEARNED)
    assert learned.kind == "as logistic regression"
    assert run.theory is not None
    assert "derived for mse, not cross_entropy" in run.theory.reasons["a priori"]
    assert run.worst_ratio is not None
    assert run.worst_ratio.holds
    trained("plain")  # the same command goes on with the same run
    assert "has ended already" in NOTES[-1]


def test_both_engines_learn_the_same(runs: Path) -> None:
    pytest.importorskip("numba", reason="engine=compiled needs the extra `compiled`")
    smoothed = ("loss=cross_entropy", "loss.smoothing=0.2", "trainer.steps=8")
    plain, compiled = (trained(f"{e}", *smoothed, f"engine={e}") for e in ("numpy", "compiled"))
    assert plain.provenance.loss_unit == "in nats, with label smoothing 0.2"
    for column in ("loss", "gradient_norm", "validation_loss"):
        np.testing.assert_allclose(compiled.scalars[column], plain.scalars[column], rtol=1e-4)


def test_a_loss_for_numbers_is_refused(runs: Path) -> None:
    with pytest.raises(SettingError, match=r"loss=huber needs a task of the kind regression"):
        trained("refused", "loss=huber")
    with pytest.raises(SettingError, match=r"loss=cross_entropy needs a task of the kind classes"):
        build_experiment(compose(["loss=cross_entropy"]))


def test_the_digits_are_told_apart(tmp_path: Path) -> None:
    """The study's claim: 97 % of the rows that were held out."""
    assert hashlib.sha256(DIGITS.read_bytes()).hexdigest().startswith("09f66e6d")
    config = compose(
        [
            "experiment=digits",
            "plot.when=never",
            "measure.every=300",
            "trainer.steps=150",
            f"run.dir={tmp_path}/run",
        ]
    )
    run = execute(build_experiment(config), NOTES.append)
    assert run.summary is not None
    assert run.summary.score is not None
    assert run.summary.score.value is not None
    assert run.summary.score.value > 0.97
    assert len(run.provenance.targets or ()) == 10
