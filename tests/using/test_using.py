"""A trained model on new rows: from the shell, from Python, and what is said where that fails."""

from __future__ import annotations

import json
import re
import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tqdm import TqdmWarning, tqdm

import ffn_train
from ffn_train.commands import diff, predict, view
from ffn_train.config import outside
from ffn_train.config.composition import compose
from ffn_train.config.settings import SettingError
from ffn_train.plots import figure
from ffn_train.running import recording
from ffn_train.running.execution import execute
from ffn_train.running.experiment import build_experiment
from ffn_train.runs import RunError, files
from ffn_train.using.model import Model
from ffn_train.using.run import Run, load_run
from tests.support.parts import forget
from tests.support.small_runs import NOTES
from tests.support.unsealed import unseal
from tests.tasks.written import parquet

OLD_RUN = Path(__file__).parent.parent / "old_runs" / "runs" / "default"
SMALL = (
    *("model.depth=2", "model.width=8", "trainer.steps=20", "evaluate.every=4"),
    *("trainer.keep=best", "plot.when=never", "threads=1", "task.test=0.25"),
)


TINY = (
    *("model.depth=1", "model.width=4", "trainer.steps=1", "theory.predict=false"),
    *("plot.when=never", "threads=1"),
)


def table() -> pd.DataFrame:
    """Columns of every kind, with missing cells, for 60 rows."""
    rng = np.random.default_rng(0)
    a, words = rng.normal(size=60), np.array(["red", "blue", "green"])[rng.integers(0, 3, 60)]
    frame = pd.DataFrame(
        {
            "a": a,
            "when": pd.date_range("2020-01-01", periods=60, freq="9D").strftime("%Y-%m-%d"),
            "color": words,
            "flag": np.where(rng.random(60) < 0.5, "yes", "no"),
            "b": rng.normal(size=60).round(3),
            "y": 100 + 20 * a + 9 * (words == "red") + rng.normal(size=60),
        }
    )
    frame.loc[3::7, "b"] = np.nan
    frame.loc[5::9, "color"] = np.nan
    frame["kind"] = np.where(frame["y"] > 105, "high", np.where(frame["y"] > 90, "mid", "low"))
    return frame


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two runs whose training file is gone, and the rows of it that are the test."""
    path = tmp_path_factory.mktemp("using")
    frame = table()
    frame.to_csv(path / "data.csv", index=False)
    chosen = {"run": ("y", ["kind"]), "classes": ("kind", ["y"])}
    for name, (target, drop) in chosen.items():
        overrides = [f"task.path={path}/data.csv", f"task.target={target}", f"task.drop={drop}"]
        config = compose([*SMALL, "task=table", *overrides, f"run.dir={path / name}"])
        execute(build_experiment(config), lambda _: None)
    rows = json.loads((path / "run" / files.DATA).read_text())["rows"]
    frame.iloc[rows["test"]].to_csv(path / "test.csv", index=False)
    (path / "data.csv").unlink()
    return path


def score_of_test(run: Run) -> float:
    assert run.summary is not None
    assert run.summary.test_score is not None
    assert run.summary.test_score.value is not None
    return run.summary.test_score.value


@pytest.mark.parametrize("name", ["run", "classes"])
def test_the_score_of_the_test_rows_is_the_summarys(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = load_run(folder / name), folder / "out.csv"
    predict.main([str(run.path), str(folder / "test.csv"), "--out", str(out)])
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"predictions for 15 rows in {out}"
    symbol, value, *rest = second.split()
    assert symbol == ("R²" if name == "run" else "accuracy")
    assert float(value) == pytest.approx(score_of_test(run), abs=1e-6)
    assert rest == ["on", "15", "rows"]
    predict.main([str(run.path), str(folder / "test.csv")])
    streams = capsys.readouterr()
    assert streams.out == out.read_text()
    assert streams.err == second + "\n"


def test_predictions_are_in_the_targets_units_and_columns_in_any_order(folder: Path) -> None:
    run, rows = load_run(folder / "run"), pd.read_csv(folder / "test.csv")
    predicted = run.predict(rows)
    assert list(predicted) == ["y"]
    error = np.sqrt(((predicted["y"] - rows["y"]) ** 2).mean())
    assert run.summary is not None
    assert run.summary.scores is not None
    assert error == pytest.approx(run.summary.scores["RMSE"]["y"], rel=1e-5)
    other = rows[rows.columns[::-1]].drop(columns="y")[::-1]
    pd.testing.assert_frame_equal(run.predict(other)[::-1], predicted, rtol=1e-4)
    last = run.predict(rows, "last")
    kept = run.summary.kept_step
    assert (kept == run.summary.steps) == np.allclose(last, predicted)
    array = rows[["a", "when", "color", "flag", "b"]].to_numpy(dtype=object)
    pd.testing.assert_frame_equal(run.predict(array), predicted, rtol=1e-4)


def test_rows_that_cannot_be_scored(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = pd.read_csv(folder / "test.csv").head(3)
    known, unseen = rows["kind"].iloc[0], "not scored: 1 row of classes not in the training file"
    for words, scored, said in (
        ([known, "unheard of", None], True, f"; {unseen}\n"),
        (["unheard of", None, None], False, f"{unseen}\n"),
        ([None] * 3, False, ""),
    ):
        rows.assign(kind=words).to_csv(folder / "unscored.csv", index=False)
        predict.main([str(folder / "classes"), str(folder / "unscored.csv")])
        err = capsys.readouterr().err
        assert err.endswith(said)
        assert ("on 1 row" in err) is scored
    predict.main([str(folder / "run"), str(folder / "test.csv"), "--weights", "last"])
    assert "R²" in capsys.readouterr().err
    rows.head(1).to_csv(folder / "unscored.csv", index=False)
    predict.main([str(folder / "run"), str(folder / "unscored.csv")])  # of one row there is no R²
    assert capsys.readouterr().err == ""


def test_classes_have_probabilities(folder: Path) -> None:
    rows = pd.read_csv(folder / "test.csv").drop(columns="kind")
    predicted = load_run(folder / "classes").predict(rows)
    assert list(predicted) == ["kind", "kind=high", "kind=low", "kind=mid"]
    shares = predicted.iloc[:, 1:]
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert ("kind=" + predicted["kind"] == shares.idxmax(axis=1)).all()


def test_unknown_levels_and_missing_cells_are_as_in_training(folder: Path) -> None:
    model = load_run(folder / "run").model()
    rows = pd.read_csv(folder / "test.csv").head(2)
    unknown = rows.assign(color=["violet", "NA "], b=[None, "? "])
    coded = pd.DataFrame(model.columns.encode(unknown), columns=model.columns.names)
    assert not coded[["color=blue", "color=green", "color=red"]].to_numpy().any()
    assert coded["color=(missing)"].tolist() == [0, 1]
    assert coded["b=(missing)"].tolist() == [1, 1]
    assert np.isfinite(model.predict(unknown).frame.to_numpy()).all()
    partly = model.predict(rows.assign(y=[None, 100.0]))
    assert partly.scored == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.drop(columns=["when", "b"]), "it has no column 'when', 'b'"),
        (lambda rows: rows.assign(b="x"), "column 'b' has 'x' in row 1, where a number is needed"),
        (
            lambda rows: rows.assign(when="2021"),
            "column 'when' has '2021' in row 1, where a date such as 2020-01-31 is needed",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line(
    change: Any, message: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = tmp_path / "new.csv"
    change(pd.read_csv(folder / "test.csv")).to_csv(new, index=False)
    with pytest.raises(SystemExit) as caught:
        predict.main([str(folder / "run"), str(new)])
    assert caught.value.code == 2
    assert capsys.readouterr().err == f"ffn_train.predict: {new}: {message}\n"


def test_a_file_written_in_another_way_is_read(folder: Path, tmp_path: Path) -> None:
    model, rows = load_run(folder / "run").model(), pd.read_csv(folder / "test.csv")
    rows.to_csv(tmp_path / "new.csv", sep=";", decimal=",", index=False)
    frame = model.read(str(tmp_path / "new.csv"))
    again = model.predict(frame)
    assert again.score == pytest.approx(model.predict(rows).score, abs=1e-9)


def test_a_run_that_does_not_tell_enough_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"wrote no data\.json: train it again"):
        load_run(OLD_RUN).model()
    copy = tmp_path / "copy"
    shutil.copytree(folder / "run", copy)
    unseal(copy)
    content = json.loads((copy / files.DATA).read_text())
    (copy / files.DATA).write_text(json.dumps({**content, "input_mean": [0.0]}))
    with pytest.raises(RunError, match="do not fit together"):
        load_run(copy).model()
    (copy / files.DATA).write_text(json.dumps(content))
    config = json.loads((copy / files.CONFIG).read_text())
    config["model"]["width"] = 9
    (copy / files.CONFIG).write_text(json.dumps(config))
    with pytest.raises(RunError, match="the weights are not those of this model"):
        load_run(copy).model()
    moved = load_run(copy)
    copy.rename(tmp_path / "elsewhere")
    with pytest.raises(RunError, match="copy is not there: it was moved, or the working directory"):
        moved.model()


def test_traces_are_the_passes(folder: Path) -> None:
    run, rows = load_run(folder / "run"), pd.read_csv(folder / "test.csv")
    model, trace = run.model(), run.trace(rows)
    assert [x.shape for x in trace.signals] == [(15, 8)] * 3
    assert [h.shape for h in trace.hidden] == [(15, 32)] * 2
    scaled = trace.outputs * model.scale.target_std + model.scale.target_mean
    np.testing.assert_allclose(scaled, run.predict(rows), rtol=1e-5)
    assert trace.gradients is not None
    assert trace.signal_gradients is not None
    assert [dx.shape for dx in trace.signal_gradients] == [(15, 8)] * 3
    # a step along the gradient changes the loss by as much as the gradient says
    step, name = 1e-2, "blocks.1.down.bias"
    view = model.stack.layout.named(model.params.vector)[name]
    view -= step * trace.gradients[name]
    after = model.trace(rows).loss
    assert trace.loss is not None
    expected = trace.loss - step * float((trace.gradients[name] ** 2).sum())
    assert after == pytest.approx(expected, rel=1e-3)
    assert run.trace(rows.drop(columns="y")).gradients is None
    with pytest.raises(SettingError, match="some rows have none"):
        run.trace(rows.assign(y=np.nan))
    with pytest.raises(SettingError, match="a gradient needs a row"):
        run.trace(rows[:0])


def test_a_run_as_frames_and_in_a_notebook(folder: Path) -> None:
    run = load_run(folder / "run")
    assert run.frame().loc[20, "validation_score"] == run.scalars["validation_score"][-1]
    measured = run.frame("gradient_norm")
    assert measured.index.name == "step"
    assert "blocks.0.up.weight" in measured
    assert list(run.frame("signal_rms")) == [0, 1, 2]
    assert "\n" not in repr(run)
    assert "R² " in repr(run)
    assert len(run._repr_html_()) < 5000
    shown: Any = figure(run, "loss")
    assert shown._repr_png_().startswith(b"\x89PNG")
    assert repr(load_run(OLD_RUN)).startswith("Run(")
    assert run in [load_run(OLD_RUN), run]  # which compares them


def test_a_table_in_memory_is_fitted(tmp_path: Path) -> None:
    frame = table().drop(columns="kind")
    run = ffn_train.fit(frame, "y", [*SMALL, f"run.dir={tmp_path / 'frame'}"], notify=NOTES.append)
    assert score_of_test(run) == pytest.approx(
        run.model().predict(frame.iloc[_rows(run, "test")]).score, abs=1e-6
    )
    x, y = frame[["a"]].to_numpy(), frame["y"].to_numpy()
    other = ffn_train.fit(x, y, [*SMALL, f"run.dir={tmp_path / 'arrays'}"], notify=NOTES.append)
    assert other.predict(x).columns.tolist() == ["y1"]
    listed = ffn_train.fit(x, frame["color"].tolist(), [*TINY, f"run.dir={tmp_path / 'words'}"])
    assert listed.model().columns.classes == ("blue", "green", "red")
    with pytest.raises(SettingError, match="the table has 60 rows and the target 59"):
        ffn_train.fit(x, y[1:], [*SMALL])
    with pytest.raises(SettingError, match="'z' is not a column of the table"):
        ffn_train.fit(frame, "z", [*SMALL])


X = np.random.default_rng(0).normal(size=(80, 3))
Y = X @ [3.0, 0.5, 0.1]
FITTED = (*TINY, "trainer.steps=60", "optimizer=adam", "optimizer.lr=0.02", "model.width=16")


@pytest.mark.parametrize(
    ("overrides", "used"),
    [
        ((), (0, 1, 2)),
        (("task.inputs=[x3,x2,x1]",), (2, 1, 0)),
        (("task.inputs=[x3,x1]",), (2, 0)),
        (("task.drop=[x2]",), (0, 2)),
    ],
)
def test_an_array_has_the_columns_in_the_order_of_training(
    overrides: tuple[str, ...], used: tuple[int, ...], tmp_path: Path
) -> None:
    chosen = [*FITTED, *overrides, f"run.dir={tmp_path / 'run'}"]
    run = ffn_train.fit(X, Y, chosen, notify=NOTES.append)
    frame = pd.DataFrame(X, columns=["x1", "x2", "x3"])
    expected = run.predict(frame)
    assert np.corrcoef(expected["y1"], Y)[0, 1] > 0.9
    for table in (X, X.tolist(), Fake(X), frame.to_dict("list"), frame.to_dict("records")):
        pd.testing.assert_frame_equal(run.predict(table), expected)
    if len(used) < 3:
        pd.testing.assert_frame_equal(run.predict(X[:, used]), expected)
    sizes = f"(N, {len(used)})" + " or (N, 3)" * (len(used) < 3)
    inputs = ", ".join(f"x{place + 1}" for place in used)
    message = f"an array of shape (80, 4) is not {sizes}; the inputs are {inputs}"
    with pytest.raises(SettingError, match=re.escape(message)):
        run.predict(np.zeros((80, 4)))
    content = json.loads((run.path / files.DATA).read_text())
    del content["columns"]["table"]  # as older versions wrote it
    unseal(run.path)
    (run.path / files.DATA).write_text(json.dumps(content))
    pd.testing.assert_frame_equal(load_run(run.path).predict(X[:, used]), expected)


@pytest.mark.parametrize("kind", ["csv", "npy"])
def test_a_file_without_names_may_lack_the_targets(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The columns behind a target that is not there have other places."""
    monkeypatch.chdir(tmp_path)
    for name, array in {"whole": np.column_stack([Y, X]), "inputs": X, "few": X[:, :1]}.items():
        if kind == "csv":
            np.savetxt(f"{name}.csv", array, delimiter=",")
        else:
            np.save(f"{name}.npy", array)
    task = ("task=table", f"task.path=whole.{kind}", "task.target=0", "task.drop=[-1]")
    run = execute(build_experiment(compose([*TINY, *task, "run.dir=run"])), NOTES.append)
    model = load_run(run.path).model()
    whole, inputs = (model.predict(model.read(f"{name}.{kind}")) for name in ("whole", "inputs"))
    pd.testing.assert_frame_equal(whole.frame, inputs.frame)
    message = (
        "it has 1 column without names, and the training table has 4: give it these, or the 3 that "
        r"are no targets, or the inputs alone \(2\), in that order"
    )
    with pytest.raises(SettingError, match=message):
        model.read(f"few.{kind}")


def test_columns_that_were_left_out_are_in_an_array_too(tmp_path: Path) -> None:
    """One without a cell, one of a single word, and that of the groups."""
    words = np.full(80, "same")
    frame = pd.DataFrame({"a": X[:, 0], "none": np.nan, "word": words, "group": np.arange(80) % 8})
    chosen = [*FITTED, "task.groups=group", f"run.dir={tmp_path / 'run'}"]
    run = ffn_train.fit(frame, Y, chosen, notify=NOTES.append)
    model = run.model()
    assert [column.name for column in model.columns.inputs] == ["a"]
    assert dict(model.columns.left_out)["group"] == "it groups the rows"
    array = frame.to_numpy(dtype=object)
    pd.testing.assert_frame_equal(run.predict(array), run.predict(frame))
    pd.testing.assert_frame_equal(run.predict(X[:, :1]), run.predict(frame))


class Fake:
    """Something that NumPy can make an array of, such as a tensor."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        if self.array is None:
            raise RuntimeError("it is elsewhere")
        return np.asarray(self.array, dtype)


@pytest.mark.parametrize(
    "target",
    [
        Y.tolist(),
        (Y > 0).astype(int).tolist(),
        np.column_stack([Y, -Y]).tolist(),
        pd.Index(Y),
        pd.array(Y),
        pd.Categorical(np.where(Y > 0, "up", "down")),
        pd.Series(Y, index=range(5, 85)),
        pd.DataFrame(np.column_stack([Y, -Y])),
        Fake(Y),
    ],
    ids=lambda target: type(target).__name__,
)
def test_a_target_is_anything_that_numpy_makes_an_array_of(target: Any, tmp_path: Path) -> None:
    runs = [
        ffn_train.fit(X, values, [*TINY, f"run.dir={tmp_path / name}"], notify=NOTES.append)
        for name, values in (("given", target), ("array", np.asarray(target)))
    ]
    digests = {run.provenance.data for run in runs}
    assert len(digests) == 1
    assert runs[0].provenance.targets == (
        ("down", "up")
        if isinstance(target, pd.Categorical)
        else tuple(f"y{place + 1}" for place in range(np.asarray(target).reshape(80, -1).shape[1]))
    )


@pytest.mark.parametrize(
    ("table", "target", "message"),
    [
        (np.zeros((0, 3)), np.zeros(0), "the table has 0 rows that can be used; at least 4"),
        ("table.csv", Y, "the table is 'table.csv': a frame, a mapping of columns or an array"),
        (Path("table.csv"), Y, "the table is 'table.csv'"),
        ({"x1": 1.0, "x2": 2.0}, Y, "a mapping's columns must be arrays or lists of one length"),
        ({"x1": [1.0], "x2": [2.0, 3.0]}, Y, "the table cannot be used: a mapping's columns must"),
        (None, Y, "the table is one value, of the type NoneType: an array is needed"),
        (X[None], Y, "the table has shape (1, 80, 3): (N, columns) is needed"),
        (X[0], Y, "the table has shape (3,): (N, columns) is needed"),
        (Fake(None), Y, "the table cannot be used: it is elsewhere"),
        (X, Y[:, None, None], "the target has shape (80, 1, 1)"),
        (X, Fake(3.0), "the target is one value, of the type Fake: an array is needed"),
        (X, Y[1:].tolist(), "the table has 80 rows and the target 79"),
        (X, ["x1", "nix"], "task.target 'nix' is not a column of the table"),
        (X, None, "task.target is missing"),
        (X, pd.date_range("2020", periods=80), "column 'y1' is a target of dates, such as '2020"),
        (X, np.float64(3.0), "task.target '3.0' is not a column of the table"),
        (X, np.True_, "task.target must be a column's name or a list of names, got True"),
    ],
)
def test_what_is_no_table_or_target_is_refused_in_a_line(
    table: Any, target: Any, message: str, folder: Path, tmp_path: Path
) -> None:
    chosen = [*TINY, f"run.dir={tmp_path / 'run'}"]
    with pytest.raises(SettingError, match=re.escape(message)) as caught:
        ffn_train.fit(table, target, chosen, notify=NOTES.append)
    assert "\n" not in str(caught.value)
    if message.startswith("the table ") and "rows" not in message:
        with pytest.raises(SettingError, match=re.escape(message)):
            load_run(folder / "run").predict(table)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("trainer.steps=2", "overrides must be a list of texts, got 'trainer.steps=2'"),
        (None, "overrides must be a list of texts, got None"),
        ([1], "overrides must be a list of texts, got [1]"),
        (["task=sinusoid"], "overrides must not have task=sinusoid: the task is the given table"),
        (["task={name: table, path: a.csv}"], "the task is the given table"),
    ],
)
def test_overrides_that_cannot_be_used_are_named(overrides: Any, message: str) -> None:
    with pytest.raises(SettingError, match=re.escape(message)):
        ffn_train.fit(X, Y, overrides)


@pytest.mark.parametrize("which", ["Best", "first"])
def test_only_the_last_and_the_best_weights_are_kept(which: Any, folder: Path) -> None:
    run = load_run(folder / "run")
    for ask in (run.weights, run.model):
        with pytest.raises(SettingError, match=f"which must be one of last, best, got {which!r}"):
            ask(which)


@pytest.mark.parametrize("override", ["task.path=data.csv", "+task.target=y"])
def test_a_table_in_memory_is_not_named_by_an_override_too(override: str) -> None:
    message = f"overrides must not have {override}: table and target are arguments"
    with pytest.raises(SettingError, match=re.escape(message)):
        ffn_train.fit(X, Y, [*TINY, override])


@pytest.mark.parametrize(
    "override", ["dry_run=true", "sweep.dir=many", "++sweep.search.trials=3", "+sweep={dir: many}"]
)
def test_what_has_no_effect_on_one_training_is_refused(override: str, tmp_path: Path) -> None:
    message = f"overrides must not have {override}: this trains one network, at once"
    with pytest.raises(SettingError, match=f"^{re.escape(message)}$"):
        ffn_train.fit(X, Y, [*TINY, f"run.dir={tmp_path / 'run'}", override])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["run", "classes"])
@pytest.mark.filterwarnings("error")
def test_a_row_too_far_from_those_of_training_has_no_prediction(
    name: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = pd.read_csv(folder / "test.csv")
    run, far = load_run(folder / name), rows.copy()
    far.loc[[1, 4], "a"] = 1e300, -1.7e308
    prediction = run.model().predict(far)
    assert prediction.beyond == 2
    assert prediction.scored == 13
    lost = prediction.frame.isna().all(axis=1)
    assert list(np.flatnonzero(lost)) == [1, 4]
    kept = rows.drop(index=[1, 4])
    expected = run.model().predict(kept)
    assert prediction.score == pytest.approx(expected.score)
    pd.testing.assert_frame_equal(prediction.frame[~lost], expected.frame, rtol=1e-4)
    predict.main([str(run.path), write(tmp_path / "far.csv", far.to_csv(index=False))])
    streams = capsys.readouterr()
    assert streams.out.splitlines()[2].strip('"') == "," * (prediction.frame.shape[1] - 1)
    assert streams.err.endswith("on 13 rows; not predicted: 2 rows whose outputs are not finite\n")


def test_a_target_beyond_the_precision_is_not_scored(folder: Path) -> None:
    rows = pd.read_csv(folder / "test.csv")
    model = load_run(folder / "run").model()
    prediction = model.predict(rows.assign(y=rows["y"].where(rows.index > 0, 1e300)))
    assert (prediction.scored, prediction.beyond) == (14, 0)
    assert prediction.score == pytest.approx(model.predict(rows[1:]).score)


def _rows(run: Run, part: str) -> list[int]:
    rows: list[int] = json.loads((run.path / files.DATA).read_text())["rows"][part]
    return rows


def test_the_settings_in_which_two_runs_differ(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = str(folder / "run"), str(folder / "classes")
    diff.main([first, second])
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert ["task.target", "y", "kind"] in rows
    assert ["loss.name", "mse", "cross_entropy"] in rows
    assert not any(row[0].startswith(("run.", "plot.")) for row in rows)
    diff.main([first, first])
    assert capsys.readouterr().out == "no setting differs\n"


def test_a_notebook_shows_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    assert recording._bar()[1] is sys.stderr.isatty()
    monkeypatch.setitem(sys.modules, "ipykernel", ModuleType("ipykernel"))
    monkeypatch.setattr(recording, "find_spec", lambda name: None)  # ipywidgets is missing
    assert recording._bar() == (tqdm, True)
    monkeypatch.setattr(recording, "find_spec", lambda name: name)
    with warnings.catch_warnings(action="ignore", category=TqdmWarning):
        bar, shown = recording._bar()
    assert shown
    assert bar.__module__ in ("tqdm.asyncio", "tqdm.auto")


def test_the_file_that_is_read_is_not_written_over(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = folder / "test.csv"
    before = table.read_bytes()
    with pytest.raises(SystemExit) as caught:
        predict.main([str(folder / "run"), str(table), "--out", str(folder / "." / "test.csv")])
    assert caught.value.code == 2
    assert "is the file that is read; name another\n" in capsys.readouterr().err
    assert table.read_bytes() == before


@pytest.mark.parametrize("name", ["out.parquet", "out.csv.gz", "out.xlsx", "out.tsv"])
def test_predictions_are_written_to_files_of_their_kind(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        predict.main([str(folder / "run"), str(folder / "test.csv"), "--out", str(folder / name)])
    assert caught.value.code == 2
    assert "--out must end in .csv, as what it writes is, got" in capsys.readouterr().err
    assert not (folder / name).exists()


@pytest.mark.parametrize("name", ["config.json", "scalars.csv", "measures.npy", "status.json"])
@pytest.mark.parametrize("command", ["predict", "view"])
def test_no_result_is_written_over_a_file_of_a_run(
    command: str, name: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = folder / "run" / name
    before = out.read_bytes()
    table = [str(folder / "test.csv")] if command == "predict" else []
    main = {"predict": predict.main, "view": view.main}[command]
    with pytest.raises(SystemExit) as caught:
        main([str(folder / "run"), *table, "--out", str(out)])
    assert caught.value.code == 2
    assert f"--out {out} is a file of a run or a sweep; name another" in capsys.readouterr().err
    assert out.read_bytes() == before


# Files that are written in another way than the training file


def trained_on(content: str | bytes, folder: Path, *overrides: str) -> Model:
    """The model of a run of one step on a file with this content."""
    write(folder / "data.csv", content)
    place = (f"task.path={folder}/data.csv", f"run.dir={folder}/run")
    config = compose([*TINY, "task=table", *place, *overrides])
    execute(build_experiment(config), NOTES.append)
    return load_run(folder / "run").model()


def write(path: Path, content: str | bytes) -> str:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def numbers(rows: int = 8, form: Callable[[float], str] = str, separator: str = ";") -> str:
    """A table of numbers a, b, y with one decimal, from a thousand on."""
    values = [[1000.5 + i, 2000.5 + i * i % 7, 10.5 + i] for i in range(rows)]
    cells = [separator.join(map(form, row)) for row in values]
    return "\n".join([separator.join("aby"), *cells]) + "\n"


def german(number: float) -> str:
    return f"{number:,.1f}".translate({ord(","): ".", ord("."): ","})


def comma(number: float) -> str:
    return str(number).replace(".", ",")


@pytest.mark.parametrize(
    ("training", "new", "values"),
    [
        (german, "a;b\n1.234;2.500\n", [1234, 2500]),  # as they are in the training file
        (german, "a;b\n0.123;2.500\n", [0.123, 2.5]),  # of which one cannot be a thousand
        (german, "a,b\n1.5,2.5\n", [1.5, 2.5]),
        (german, "a,b\n1.5,2.5\n3,4\n5,6\n", [1.5, 2.5]),  # no units above whole numbers
        (german, "a;b\n1234,5;0\n", [1234.5, 0]),
        (comma, "a;b\n1.234,5;2.500,0\n", [1234.5, 2500]),
        (comma, "a;b\n2.5;2.25\n", [2.5, 2.25]),
        ("{:,}".format, 'a,b\n"1,234","2,500"\n', [1234, 2500]),
        (str, "a;b\n1,5;2,25\n", [1.5, 2.25]),
        (str, "a;b\n1.234;2.5\n", [1.234, 2.5]),
    ],
)
def test_numbers_mean_what_they_do_in_the_training_file(
    training: Any, new: str, values: list[float], tmp_path: Path
) -> None:
    model = trained_on(numbers(form=training), tmp_path, "task.target=y")
    frame = model.read(write(tmp_path / "new.csv", new))
    assert frame[["a", "b"]].iloc[0].tolist() == values
    assert np.isfinite(model.predict(frame).frame.to_numpy()).all()
    objects = np.array([[1.234, 5678.5]], dtype=object)  # numbers are what they are
    coded = model.columns.encode(model.framed(objects))
    np.testing.assert_array_equal(coded, [[1.234, 5678.5]])


@pytest.mark.parametrize(
    ("chosen", "new", "message"),
    [
        ([], "a;b\n1,234;2\n", "column 'a' has '1,234' in row 1, where a number is needed"),
        (
            ["task.decimal=comma"],
            "a;b\n1,234;0\n2.5;0\n",
            "column 'a' has '2.5' in row 2, where a number is needed",
        ),
        ([], "a;b\n1,5;5\nx;2\n", "column 'a' has 'x' in row 2, where a number is needed"),
        (["task.skip=1"], "a;b\n1;x\n", "column 'b' has 'x' in row 1, where a number is needed"),
        ([], "a\n1\n2\n", "it has no column 'b'"),
    ],
)
def test_what_a_setting_says_of_numbers_holds_for_other_files(
    chosen: list[str], new: str, message: str, tmp_path: Path
) -> None:
    content = numbers(form=comma if "task.decimal=comma" in chosen else str)
    content = "title\n" + content if "task.skip=1" in chosen else content
    model = trained_on(content, tmp_path, "task.target=y", *chosen)
    path = write(tmp_path / "new.csv", new)
    with pytest.raises(SettingError) as caught:
        model.read(path)
    assert str(caught.value) == f"{path}: {message}"


def test_another_layout_is_read_with_the_numbers_of_the_training_file(tmp_path: Path) -> None:
    content = "of today\n\n" + numbers(form=german)
    chosen = ("task.target=y", "task.skip=2", "task.separator=semicolon")
    model = trained_on(content, tmp_path, *chosen)
    frame = model.read(write(tmp_path / "new.csv", "b\ta\n2.500\t1.234\n"))
    assert frame[["a", "b"]].iloc[0].tolist() == [1234, 2500]


def cities(encoding: str, name: str = "city") -> bytes:
    rows = [f"{('Zürich', 'Köln')[i % 2]},{i},{i * i % 5}" for i in range(8)]
    return "\n".join([f"{name},a,y", *rows]).encode(encoding)


@pytest.mark.parametrize(
    ("name", "encoding"), [("city", "cp1252"), ("city", "utf-8-sig"), ("größe", "utf-8")]
)
def test_a_byte_order_mark_or_the_names_tell_another_encoding(
    name: str, encoding: str, tmp_path: Path
) -> None:
    chosen = ("task.target=y", "task.encoding=cp1252")
    model = trained_on(cities("cp1252", name), tmp_path, *chosen)
    frame = model.read(write(tmp_path / "new.csv", cities(encoding, name)))
    assert frame[name].tolist()[:2] == ["Zürich", "Köln"]


@pytest.mark.parametrize(
    ("words", "new"),
    [
        (["true", "false", "unknown"], ["true", "false"]),
        (["1.0", "2.0", "beta"], ["1.0", "2.0"]),
        (["007", "K12"], ["007"]),
        (["1.0", "2.0", "3.0"], ["1", "2.0"]),  # numbers in the training file, and told as such
        (["1", "2", "3"], ["1.0", "2", "beta"]),
        (["True", "False"], ["true", "FALSE", "?"]),
        (["red", "blue"], ["blue"]),
        (["TRUE", "FALSE", "unknown"], ["True", "unknown"]),
        (["True", "False", "unknown"], ["TRUE", "FALSE", "unknown"]),  # as spreadsheets write them
    ],
)
def test_words_are_known_whatever_else_is_in_the_file(
    words: list[str], new: list[str], tmp_path: Path
) -> None:
    rows = [f"{words[i % len(words)]},{i},{i * i % 5}" for i in range(12)]
    content = "\n".join(["c,a,y", *rows]) + "\n"
    model = trained_on(content, tmp_path, "task.target=y", "task.categories=[c]")
    path = write(tmp_path / "new.csv", "\n".join(["a,c", *(f"1,{word}" for word in new)]))
    coded = model.columns.encode(model.read(path))
    names = model.columns.names
    told = [{names[place] for place in np.flatnonzero(row)} - {"a"} for row in coded]
    meant = {f"c={level}" for level in model.columns.inputs[0].levels}
    inferred = pd.read_csv(path)  # True for true and 7 for 007
    np.testing.assert_array_equal(model.columns.encode(model.framed(inferred)), coded)
    for word, found in zip(new, told, strict=True):
        assert found <= meant
        assert len(found) == (word not in ("beta", "?"))
    second = f"task.validation_path={write(tmp_path / 'second.csv', with_targets(new))}"
    chosen = ("task=table", "task.target=y", "task.categories=[c]", second)
    task = build_experiment(compose([*TINY, f"task.path={tmp_path}/data.csv", *chosen]))
    assert {*task.exact.input_names} - {"c=(missing)"} == {*names}
    known = task.exact.x_validation * task.exact.input_std + task.exact.input_mean
    levels = [place for place, name in enumerate(task.exact.input_names) if name in meant]
    found_there = known[:, levels].round(6).sum(axis=1).tolist()
    assert found_there == [float(word not in ("beta", "?")) for word in new]


def test_values_beside_text_are_the_words_that_they_stand_for(tmp_path: Path) -> None:
    rows = [f"{('01', 'TRUE', 'A1')[i % 3]},{i},{i * i % 5}" for i in range(12)]
    chosen = ("task.target=y", "task.categories=[c]")
    model = trained_on("\n".join(["c,a,y", *rows]), tmp_path, *chosen)
    new = pd.DataFrame({"c": [1, True, "A1", 2], "a": 1}, dtype=object)  # as from a workbook
    columns = model.columns.encode(model.framed(new))
    assert columns[:3, :3].argmax(axis=1).tolist() == [0, 2, 1]
    assert columns[:, :3].sum(axis=1).tolist() == [1, 1, 1, 0]


def with_targets(words: list[str]) -> str:
    return "\n".join(["a,c,y", *(f"1,{word},2" for word in words)])


def test_classes_are_known_whatever_else_is_in_the_file(tmp_path: Path) -> None:
    rows = [f"{i},{('true', 'false', 'unknown')[i % 3]}" for i in range(12)]
    model = trained_on("\n".join(["a,y", *rows]), tmp_path, "task.target=y")
    frame = model.read(write(tmp_path / "new.csv", "a,y\n1,true\n2,false\n"))
    predicted = model.predict(frame)
    assert (predicted.scored, predicted.unknown) == (2, 0)


@pytest.mark.parametrize(
    ("chosen", "content", "new", "values"),
    [
        ([], "x,y\n", "x\n1\n2\n", [1, 2]),
        ([], "x,y\n", "x\n1,5\n2,5\n3,25\n", [1.5, 2.5, 3.25]),
        ([], "x;y\n", '"x"\r\n1\r\n""\r\n', [1, np.nan]),
        (["task.target=-1"], "", "1.5\n2.5\n", [1.5, 2.5]),
        (["task.target=-1"], "", "# made today\n1.5\n2.5\n", [1.5, 2.5]),
    ],
)
def test_a_network_of_one_input_reads_one_column(
    chosen: list[str], content: str, new: str, values: list[float], tmp_path: Path
) -> None:
    separator = ";" if ";" in content else ","
    rows = "".join(f"{i + 0.5}{separator}{i * i % 5}\n" for i in range(8))
    model = trained_on(content + rows, tmp_path, *(chosen or ["task.target=y"]))
    frame = model.read(write(tmp_path / "new.csv", new))
    np.testing.assert_array_equal(frame[model.columns.inputs[0].name], values)


def test_lines_that_are_skipped_above_rows_without_names_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"{i}.5,{i * i % 7}" for i in range(12)]
    chosen = ("task.target=-1", "task.skip=1")
    trained_on("\n".join(["A title", *rows]), tmp_path, *chosen)
    predict.main([str(tmp_path / "run"), write(tmp_path / "new.csv", "\n".join(rows[:4]))])
    streams = capsys.readouterr()
    assert len(streams.out.splitlines()) == 1 + 3
    assert streams.err.startswith("1 line above the rows left out; R² ")


def test_a_word_in_the_first_row_is_no_unit_where_training_had_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"{i},{'uv'[i % 2]},{('no', 'yes')[i % 3 > 0]}" for i in range(12)]
    new = write(tmp_path / "new.csv", "temp,kind\nunknown,u\n1.5,v\n")
    table = "\n".join(["temp,kind,y", *rows])
    model = trained_on(table, tmp_path, "task.target=y")
    with pytest.raises(SettingError, match="column 'temp' has 'unknown' in row 1, where a number"):
        model.read(new)
    (tmp_path / "units").mkdir()
    table = "\n".join(["temp,kind,y", "°C,-,-", *rows])
    model = trained_on(table, tmp_path / "units", "task.target=y", "task.missing=[none]")
    predict.main([str(tmp_path / "units" / "run"), new])
    streams = capsys.readouterr()
    assert len(streams.out.splitlines()) == 2
    assert streams.err == "a row of units is left out\n"
    assert len(model.read(write(tmp_path / "bare.csv", "temp,kind\n1,u\n1.5,v\n"))) == 2
    assert len(model.read(write(tmp_path / "blank.csv", "temp,kind\nnone,u\n1.5,v\n"))) == 2


def test_a_table_in_memory_has_the_names_of_one_that_was_fitted(tmp_path: Path) -> None:
    a = np.arange(12.0)
    frame = pd.DataFrame(np.column_stack([a, a**2 % 7, a % 3, a % 5, a % 4]))
    frame.columns = ["a", "a", "", "Price ", "y"]
    chosen = [*TINY, f"run.dir={tmp_path / 'run'}"]
    run = ffn_train.fit(frame, "y", chosen, notify=NOTES.append)
    names = [column.name for column in run.model().columns.inputs]
    assert names == ["a", "a.1", "column2", "Price"]
    assert np.isfinite(run.predict(frame)["y"]).all()
    content = json.loads((run.path / files.DATA).read_text())
    content["columns"]["inputs"][3]["name"] = "Price "  # as an older version left it
    unseal(run.path)
    (run.path / files.DATA).write_text(json.dumps(content))
    pd.testing.assert_frame_equal(load_run(run.path).predict(frame), run.predict(frame))
    with pytest.raises(SettingError, match="the table has a column 'y1', as the target is called"):
        ffn_train.fit(frame.rename(columns={"y": " y1"}), a, chosen)


def test_targets_of_pandas_keep_their_names_and_the_order_of_the_table(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(40, 3)), columns=["a", "y", "z"])
    inputs = frame[["a"]]
    fitted = [
        ffn_train.fit(inputs, target, [*TINY, f"run.dir={tmp_path / str(place)}"])
        for place, target in enumerate((frame["y"], frame[["z", "y"]], frame["y"].rename(None)))
    ]
    predicted = [run.predict(inputs).columns.tolist() for run in fitted]
    assert predicted == [["y"], ["z", "y"], ["y1"]]
    with pytest.raises(SettingError, match="the table has a column 'y', as the target is called"):
        ffn_train.fit(frame, frame["y"], TINY)
    shuffled = frame["y"].sample(frac=1, random_state=0)
    with pytest.raises(SettingError, match="the table's index in another order"):
        ffn_train.fit(inputs, shuffled, TINY)
    values = ffn_train.fit(inputs, shuffled.to_numpy(), [*TINY, f"run.dir={tmp_path / 'values'}"])
    assert values.predict(inputs).columns.tolist() == ["y1"]
    mixed = frame["y"].set_axis([*range(39), "last"])
    for place, (table, target) in enumerate(
        (
            (inputs[5:], frame["y"][5:]),
            (inputs.loc[shuffled.index].to_numpy(), shuffled),  # which has no index
            (inputs, mixed),
            (inputs, pd.concat([frame["y"][:20]] * 2)),
        )
    ):
        run = ffn_train.fit(table, target, [*TINY, f"run.dir={tmp_path / f'some{place}'}"])
        assert run.predict(table).columns.tolist() == ["y"]
    twice = pd.DataFrame({"u": frame["y"], "u ": frame["z"]})
    run = ffn_train.fit(inputs, twice, [*TINY, f"run.dir={tmp_path / 'twice'}"])
    assert run.predict(inputs).columns.tolist() == ["y1", "y2"]


def test_masks_fields_and_durations_of_tables_in_memory(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 2))
    masked = np.ma.masked_greater(x, 1)
    assert masked[:, 0].mask.any()
    assert masked[:, 1].mask.any()
    run = ffn_train.fit(masked, x[:, 0], [*TINY, f"run.dir={tmp_path / 'masked'}"])
    assert all(column.indicator for column in run.model().columns.inputs)
    notes: list[str] = []
    chosen = [*TINY, f"run.dir={tmp_path / 'target'}"]
    ffn_train.fit(x, masked[:, 1], chosen, notify=notes.append)
    assert f"{masked[:, 1].mask.sum()} rows without a target left out" in "\n".join(notes)
    kinds = np.ma.array(["a", "b", "junk", "b"] * 10, mask=[False, False, True, False] * 10)
    run = ffn_train.fit(x, kinds, [*TINY, f"run.dir={tmp_path / 'words'}"], notify=notes.append)
    assert run.model().columns.classes == ("a", "b")
    whole = np.ma.array(x[:, 0] > 0, mask=False)
    run = ffn_train.fit(x, whole, [*TINY, f"run.dir={tmp_path / 'truths'}"], notify=notes.append)
    assert run.model().columns.classes == ("False", "True")
    fields = np.array([(*row, row[0]) for row in x], dtype=[("a", "f8"), ("b", "f4"), ("y", "f8")])
    run = ffn_train.fit(fields, "y", [*TINY, f"run.dir={tmp_path / 'fields'}"])
    assert run.model().columns.names == ("a", "b")
    hours = pd.DataFrame({"lasted": pd.to_timedelta(np.arange(40), unit="h"), "y": x[:, 0]})
    hours.loc[3, "lasted"] = pd.NaT
    run = ffn_train.fit(hours, "y", [*TINY, f"run.dir={tmp_path / 'hours'}"])
    model = run.model()
    coded = model.columns.encode(model.framed(hours))
    assert coded[6, 0] == 0.25
    assert coded[3, 1] == 1


def test_bytes_are_text_and_numbers_of_another_order_of_bytes_are_numbers(tmp_path: Path) -> None:
    codes = np.arange(40) % 3
    frame = pd.DataFrame({"code": codes, "word": np.array(["u", "v", "w"])[codes], "y": X[:40, 0]})
    chosen = [*TINY, "task.categories=[code]", f"run.dir={tmp_path / 'run'}"]
    model = ffn_train.fit(frame, "y", chosen).model()
    foreign = frame.assign(code=codes.astype(">i4"), word=frame["word"].to_numpy("S1"))
    half = frame.astype({"code": "float16"})
    for other in (foreign, frame.astype("category"), half):
        pd.testing.assert_frame_equal(model.predict(other).frame, model.predict(frame).frame)
    chosen[-1] = f"run.dir={tmp_path / 'foreign'}"
    run = ffn_train.fit(half[["code"]], foreign["word"].to_numpy("S1"), chosen)
    assert run.model().columns.classes == ("u", "v", "w")


def test_bytes_and_lists_of_arrow_are_words(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"y": X[:40, 0]})
    for name, cells, kind in (
        ("word", [b"u", b"v"], pa.binary()),
        ("list", [[1, 2], [3]], pa.list_(pa.int64())),
    ):
        frame[name] = pd.Series(cells * 20, dtype=pd.ArrowDtype(kind))
    run = ffn_train.fit(frame, "y", [*TINY, f"run.dir={tmp_path / 'run'}"])
    levels = [column.levels for column in run.model().columns.inputs]
    assert levels == [("u", "v"), ("[1 2]", "[3]")]


def test_columns_keep_their_names_in_other_frames_and_in_several_levels(tmp_path: Path) -> None:
    frame = pd.DataFrame(X, columns=["a", "b", "c"])

    class Frame:
        def __init__(self, frame: pd.DataFrame) -> None:
            self.frame = frame

        def to_pandas(self) -> pd.DataFrame:
            return self.frame

        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            return self.frame.to_numpy()

    run = ffn_train.fit(Frame(frame), "c", [*TINY, f"run.dir={tmp_path / 'other'}"])
    pd.testing.assert_frame_equal(run.predict(Frame(frame[["b", "a"]])), run.predict(frame))
    levels = frame.set_axis(pd.MultiIndex.from_tuples([("g", "a"), ("g", "b"), ("h", "c")]), axis=1)
    for place, target in enumerate((Y, ("h", "c"))):
        run = ffn_train.fit(levels, target, [*TINY, f"run.dir={tmp_path / str(place)}"])
        assert run.predict(levels).columns.tolist() == ["y1" if place == 0 else "('h', 'c')"]


@parquet
def test_a_parquet_file_has_the_names_of_the_same_table_in_memory(tmp_path: Path) -> None:
    a = np.arange(12.0)
    frame = pd.DataFrame({"Price ": a, "kind": ["u", "v", "?"] * 4, "y ": a**2 % 7})
    frame.to_parquet(tmp_path / "data.csv")
    content = (tmp_path / "data.csv").read_bytes()
    model = trained_on(content, tmp_path, "task.target=y")
    assert model.columns.names == (
        *("Price", "kind=u", "kind=v", "kind=(missing)", "kind=(other)"),
    )
    again = model.read(str(tmp_path / "data.csv"))
    pd.testing.assert_frame_equal(model.predict(again).frame, model.predict(frame).frame)


def test_rows_without_an_input_are_not_predicted_where_training_left_them_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"{i if i else 'NA'},{'uvw'[i % 3]},{('no', 'yes')[i % 2]}" for i in range(12)]
    content = "\n".join(["a,b,y", *rows])
    chosen = ("task.target=y", "task.fill=drop", "task.missing=[w,9]")
    model = trained_on(content, tmp_path, *chosen)
    new = write(tmp_path / "new.csv", "a,b,y\n1,u,yes\n,v,yes\n2,w,no\n9,u,no\n3,v,w\n4,v,maybe\n")
    prediction = model.predict(model.read(new))
    assert prediction.frame.isna().all(axis=1).tolist() == [False, True, True, True, False, False]
    assert (prediction.scored, prediction.unknown, prediction.lacking) == (1, 1, 3)
    predict.main([str(tmp_path / "run"), new])
    streams = capsys.readouterr()
    assert streams.out.splitlines()[2] == ",,"
    assert streams.err.endswith(
        "on 1 row; not scored: 1 row of classes not in the training file; "
        "not predicted: 3 rows without an input (task.fill=drop)\n"
    )
    with pytest.raises(SettingError, match=r"a trace needs all inputs of a run with task.fill=dr"):
        model.trace(model.read(new))


def test_what_is_printed_into_a_pipe_is_what_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("5\xa0kg", "tab\there")
    rows = [f'{i};"{words[i % 2]}"' for i in range(8)]
    trained_on("\n".join(["a;y", *rows]), tmp_path, "task.target=y")
    arguments = [str(tmp_path / "run"), write(tmp_path / "new.csv", "a\n1\n2\n")]
    predict.main(arguments)
    printed = capsys.readouterr().out
    predict.main([*arguments, "--out", str(tmp_path / "out.csv")])
    assert printed == (tmp_path / "out.csv").read_text(encoding="utf-8")
    assert "5\xa0kg" in printed


def test_the_limit_of_a_files_size_is_the_runs(tmp_path: Path) -> None:
    content = numbers()
    limit = 2 * len(content) / 2**30
    model = trained_on(content, tmp_path, "task.target=y", f"task.largest={limit}")
    path = write(tmp_path / "new.csv", content * 2 + "1;2;3\n")
    with pytest.raises(SettingError, match=r"is larger than .*task\.largest is the limit"):
        model.read(path)


def test_a_part_is_the_one_that_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(outside, "_loaded", {})
    part = Path(__file__).parent.parent / "contributed" / "parts" / "softplus.py"
    shutil.copy(part, "own.py")
    chosen = ("task.target=y", "parts=[own.py]", "activation=softplus")
    trained_on(numbers(), tmp_path, *chosen)
    arguments = ["run", write(Path("new.csv"), "a;b\n1;2\n")]
    predict.main([*arguments, "--parts", "own.py"])
    assert capsys.readouterr().out.startswith("y\n")
    before = outside._loaded.copy()
    shutil.copy("own.py", "other.py")
    with Path("other.py").open("a") as opened:
        opened.write("# another\n")
    forget(before)
    outside._loaded.clear()
    assert _refused(arguments, capsys) == (
        "activation=softplus is not declared; run was made with parts: --parts own.py"
    )
    refused = _refused([*arguments, "--parts", "other.py"], capsys)
    assert refused.startswith(
        f"run was trained by parts with the content own.py {before['own.py'][:8]}, and "
        "activation=softplus is of one with the content "
    )
    forget(outside._loaded)


def _refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as caught:
        predict.main(arguments)
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line.removeprefix("ffn_train.predict: ")
