"""The estimators among scikit-learn's own tools, and what they take from a run."""

from __future__ import annotations

import os
import pickle
import re
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra 'sklearn')")

from joblib import parallel_config
from sklearn.base import clone
from sklearn.datasets import load_iris, make_regression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import ffn_train
from ffn_train import load_run
from ffn_train.interop.sklearn import FEW, FFNClassifier, FFNRegressor

TINY: dict[str, Any] = {"depth": 1, "width": 8, "steps": 40, "lr": 0.02, "random_state": 0}
X, Y = make_regression(60, 4, noise=5, random_state=0)


def regressor(**changes: Any) -> FFNRegressor:
    return FFNRegressor(**{**TINY, **changes})


@pytest.fixture(scope="module")
def fitted() -> FFNRegressor:
    return regressor().fit(X, Y)


@pytest.mark.parametrize("estimator", [FFNRegressor(**TINY), FFNClassifier(**TINY)])
def test_every_check_of_scikit_learn_passes(estimator: Any) -> None:
    results = check_estimator(estimator, on_skip=None)  # raises at a failure
    assert {result["status"] for result in results} <= {"passed", "skipped"}
    skipped = [result["check_name"] for result in results if result["status"] == "skipped"]
    assert skipped in ([], ["check_array_api_input"])  # needs SCIPY_ARRAY_API=1
    tags = estimator.__sklearn_tags__()
    kind = tags.regressor_tags or tags.classifier_tags
    assert not any([tags.non_deterministic, tags.no_validation, kind.poor_score])


def test_the_example_searches_over_three_parameters_in_two_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (Path(ffn_train.__file__).parent / "interop" / "README.md").read_text("utf-8")
    (code,) = re.findall(r"# my_search\.py\n.*?(?=```)", text, re.S)
    (tmp_path / "my_search.py").write_text(code, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    names = runpy.run_path("my_search.py")
    search, pipeline = names["search"], names["pipeline"]
    assert len(search.best_params_) == 3
    assert search.best_score_ > 0.4
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert pipeline.score(names["X"], names["y"]) > 0.4


def test_a_pipeline_is_cloned_and_scored_in_threads() -> None:
    pipeline = clone(make_pipeline(StandardScaler(), regressor()))
    with parallel_config("threading"):
        scores = cross_val_score(pipeline, X, Y, n_jobs=2, cv=2)
    assert (scores > 0.5).all()


@pytest.mark.parametrize("override", ["task.inputs=[x4,x3,x2,x1]", "task.drop=[x2]"])
def test_the_columns_of_x_are_those_of_the_fit_whichever_are_used(override: str) -> None:
    estimator = regressor(overrides=[override], keep="last", early_stopping=None)
    assert estimator.fit(X, Y).score(X, Y) > 0.5


def test_the_same_seed_predicts_the_same_and_none_another_each_time(fitted: FFNRegressor) -> None:
    np.testing.assert_array_equal(regressor().fit(X, Y).predict(X), fitted.predict(X))
    states = [np.random.RandomState(0), None]
    first, second = (regressor(random_state=state, steps=2).fit(X, Y) for state in states)
    assert not np.array_equal(first.predict(X), second.predict(X))


def test_it_is_unpickled_in_another_process_and_left_nothing_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    classifier = FFNClassifier(**TINY).fit(X, np.where(Y > 0, "yes", "no"))
    assert [path.name for path in tmp_path.rglob("*")] == ["temporary"]
    assert capfd.readouterr() == ("", "")
    content = pickle.dumps((classifier, X))
    assert len(content) < 4 * classifier.model_.params.vector.nbytes + X.nbytes
    (tmp_path / "pickled").write_bytes(content)
    code = (
        "import pickle; classifier, x = pickle.load(open('pickled', 'rb'));"
        "print(*classifier.predict(x))"
    )
    command = [sys.executable, "-c", code]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert out.split() == classifier.predict(X).tolist()


def test_probabilities_of_two_and_three_classes() -> None:
    iris = load_iris()
    three = FFNClassifier(**TINY).fit(iris.data, iris.target_names[iris.target])
    two = FFNClassifier(**TINY).fit(X, Y > 0)
    assert three.classes_.tolist() == sorted(iris.target_names)
    assert two.classes_.tolist() == [False, True]
    for classifier, x in ((three, iris.data), (two, X)):
        shares = classifier.predict_proba(x)
        assert shares.shape == (len(x), len(classifier.classes_))
        np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-12)
        likely = classifier.classes_[shares.argmax(axis=1)]
        assert (classifier.predict(x) == likely).all()
    assert three.score(iris.data, iris.target_names[iris.target]) > 0.85
    with pytest.raises(ValueError, match="all of y is one class, 1"):
        FFNClassifier(**TINY).fit(X, np.ones(len(X)))


def test_several_targets_and_the_shape_of_one(fitted: FFNRegressor) -> None:
    column = regressor().fit(X, Y[:, None]).predict(X)
    np.testing.assert_array_equal(column[:, 0], fitted.predict(X))
    both = regressor().fit(X, np.column_stack([Y, X[:, 0]]))
    assert both.predict(X[:3]).shape == (3, 2)
    assert both.score(X, np.column_stack([Y, X[:, 0]])) > 0.5


def test_few_rows_all_train_and_the_last_weights_are_kept(tmp_path: Path) -> None:
    few = regressor(steps=None, run_dir=tmp_path / "run").fit(X[:5], Y[:5])
    assert few.score(X[:5], Y[:5]) > 0.9
    run = load_run(tmp_path / "run")
    assert run.provenance.training_rows == 5
    assert run.config["trainer"]["keep"] == "last"
    enough = regressor(run_dir=tmp_path / "enough", steps=2).fit(X[:FEW], Y[:FEW])
    assert (enough.n_iter_, load_run(tmp_path / "enough").provenance.validation_rows) == (2, 2)


def test_the_run_is_kept_where_a_directory_is_named(tmp_path: Path, fitted: FFNRegressor) -> None:
    kept = regressor(run_dir=str(tmp_path / "run")).fit(X, Y)
    np.testing.assert_array_equal(kept.predict(X), fitted.predict(X))
    run = load_run(tmp_path / "run")
    predicted = run.predict(X)["y1"]
    np.testing.assert_allclose(predicted, kept.predict(X), rtol=0, atol=1e-5 * np.abs(Y).max())
    with pytest.raises(ValueError, match=r"another run: model\.depth=1 there, 2 here"):
        kept.set_params(depth=2).fit(X, Y)


def test_overrides_set_all_that_no_parameter_does() -> None:
    overrides = ["block=swiglu", "loss=huber", "dtype=float64"]
    assert regressor(overrides=overrides).fit(X, Y).score(X, Y) > 0.5
    assert regressor(steps=None, epochs=np.int64(3)).fit(X, Y).n_iter_ == 3  # of 54 rows


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"depth": 0}, "model.depth must be an integer >= 1, got 0"),
        ({"lr": -1.0}, r"optimizer.lr must be a number >= 0, got -1.0"),
        ({"activation": "rleu"}, "activation must be one of .*, got 'rleu'; did you mean relu"),
        ({"keep": "first"}, "trainer.keep must be one of last, best, got 'first'"),
        ({"validation": 1}, "task.validation must be a number > 0 and < 1, got 1"),
        ({"random_state": -1}, "seed must be an integer >= 0, got -1"),
        ({"epochs": 3}, "trainer.epochs=3 and trainer.steps=40: give only one"),
        ({"overrides": ["optimizer=adam"]}, "the parameter optimizer sets optimizer"),
        ({"overrides": ["+seed=3"]}, "the parameter random_state sets seed"),
        ({"overrides": ["model={depth: 7}"]}, "model={depth: 7}: the parameter depth sets model"),
        ({"overrides": ["task.path=a.csv"]}, r"fit\(X, y\) sets task.path"),
        ({"overrides": ["sweep.dir=many"]}, "sweep.dir=many: this trains one network, at once"),
        ({"overrides": "dtype=float64"}, "overrides must be a list of texts, got 'dtype=float64'"),
        ({"overrides": ["shcedule=cosine"]}, "shcedule is not a setting; did you mean schedule"),
    ],
)
def test_a_bad_parameter_is_a_value_error_in_one_line(changes: dict[str, Any], line: str) -> None:
    for rows in (len(X), 5):  # of which the few do without some of the settings
        with pytest.raises(ValueError, match=line) as caught:
            regressor(**changes).fit(X[:rows], Y[:rows])
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("loss", ["mse", "huber"])
def test_a_loss_that_is_not_for_classes_is_refused(loss: str) -> None:
    line = f"^loss={loss} is not for classes: cross_entropy is$"
    with pytest.raises(ValueError, match=line):
        FFNClassifier(**TINY, overrides=[f"loss={loss}"]).fit(X, Y > 0)


def test_a_diverged_run_is_a_value_error() -> None:
    wild = regressor(lr=1e30, optimizer="sgd", weight_decay=0.0, overrides=["trainer.clip=null"])
    why = "diverged at step 1, .*; rate too large: .* try optimizer.lr=.* trainer.clip=1"
    with pytest.raises(ValueError, match=why):
        wild.fit(X, Y)


def test_ctrl_c_is_not_taken_for_a_fit_that_failed() -> None:
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        regressor(steps=10**7, early_stopping=None).fit(X, Y)
    timer.join()
