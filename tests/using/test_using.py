"""A trained model on new rows: from the shell, from Python, and what is said where that fails."""

from __future__ import annotations

import json
import shutil
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tqdm import TqdmWarning, tqdm

import ffn_train
from ffn_train.commands import diff, predict
from ffn_train.config.composition import compose
from ffn_train.config.settings import SettingError
from ffn_train.plots import figure
from ffn_train.running import recording
from ffn_train.running.execution import execute
from ffn_train.running.experiment import build_experiment
from ffn_train.runs import RunError, files
from ffn_train.using.run import Run, load_run
from tests.support.small_runs import NOTES
from tests.support.unsealed import unseal

OLD_RUN = Path(__file__).parent.parent / "old_runs" / "runs" / "default"
SMALL = (
    *("model.depth=2", "model.width=8", "trainer.steps=20", "evaluate.every=4"),
    *("trainer.keep=best", "plot.when=never", "threads=1", "task.test=0.25"),
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
    unknown = rows.assign(color=["violet", None], b=[None, None])
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
    frame, other = model.read(str(tmp_path / "new.csv"))
    again = other.predict(frame)
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


def test_a_table_in_memory_is_fitted(tmp_path: Path) -> None:
    frame = table().drop(columns="kind")
    run = ffn_train.fit(frame, "y", [*SMALL, f"run.dir={tmp_path / 'frame'}"], notify=NOTES.append)
    assert score_of_test(run) == pytest.approx(
        run.model().predict(frame.iloc[_rows(run, "test")]).score, abs=1e-6
    )
    x, y = frame[["a"]].to_numpy(), frame["y"].to_numpy()
    other = ffn_train.fit(x, y, [*SMALL, f"run.dir={tmp_path / 'arrays'}"], notify=NOTES.append)
    assert other.predict(x).columns.tolist() == ["y1"]
    with pytest.raises(SettingError, match="the table has 60 rows and the target 59"):
        ffn_train.fit(x, y[1:], [*SMALL])
    with pytest.raises(SettingError, match="'z' is not a column of the table"):
        ffn_train.fit(frame, "z", [*SMALL])


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
