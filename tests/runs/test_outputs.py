"""predictions.npz: what the model predicts for the validation rows."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ffn_train.runs import Run, RunError, files
from ffn_train.runs.outputs import MOST, Outputs, read_outputs
from ffn_train.tasks.table import Data, Parts, Table, standardised
from tests.support.small_runs import config, run_in


def made_up(rows: int, targets: int, inputs: int = 3) -> Data:
    rng = np.random.default_rng(0)
    table = Table(
        7 + 2 * rng.normal(size=(rows, inputs)),
        50 + 9 * rng.normal(size=(rows, targets)),
        tuple("abc"[:inputs]),
        tuple("uvw"[:targets]),
    )
    order = rng.permutation(rows)
    return standardised(table, Parts(train=order[:10], validation=order[10:]))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    table = tmp_path_factory.mktemp("data") / "table.csv"
    rows = [f"{x / 7},{x * x - 30}" for x in range(40)]
    table.write_text("\n".join(["x,y", "1,", *rows]))  # the first row has no target
    task = {"name": "table", "path": str(table), "target": "y"}
    return run_in(table.parent / "run", config(task=task))


def test_a_run_keeps_rows_truth_and_predictions_in_their_units(run: Run) -> None:
    outputs = run.outputs()
    x = outputs.row - 1.0  # the places count the row without a target
    np.testing.assert_allclose(outputs.true[:, 0], x * x - 30)
    assert outputs.input is not None
    np.testing.assert_allclose(outputs.input, x / 7)
    assert run.summary is not None
    assert run.summary.scores is not None
    error = outputs.predicted - outputs.true
    assert np.sqrt((error**2).mean()) == pytest.approx(run.summary.scores["RMSE"]["y"], rel=1e-6)
    with np.load(run.path / files.PREDICTIONS, allow_pickle=False) as arrays:
        assert arrays["predicted"].tolist() == outputs.predicted.tolist()


def test_many_rows_are_thinned_evenly_and_the_bytes_are_the_same(tmp_path: Path) -> None:
    data = made_up(3 * MOST, 2)
    outputs = Outputs.of(data, "regression", data.y_validation)
    assert outputs.row.shape == (MOST,)
    assert outputs.row[-1] == data.validation_rows[-1]
    np.testing.assert_allclose(outputs.true, outputs.predicted)
    assert 40 < outputs.true.mean() < 60
    assert outputs.input is None
    outputs.write(tmp_path)
    content = (tmp_path / files.PREDICTIONS).read_bytes()
    replace(read_outputs(tmp_path, content)).write(tmp_path)
    assert (tmp_path / files.PREDICTIONS).read_bytes() == content


def test_classes_are_a_place_and_probabilities() -> None:
    data = made_up(30, 3)
    logits = np.full((20, 3), np.log(1 / 4))
    logits[:, 1] = np.log(1 / 2)
    one_hot = replace(data, y_validation=np.eye(3)[np.arange(20) % 3])
    outputs = Outputs.of(one_hot, "classes", logits)
    assert outputs.true.tolist() == [row % 3 for row in range(20)]
    np.testing.assert_allclose(outputs.predicted, [[0.25, 0.5, 0.25]] * 20)


def test_one_that_was_altered_or_is_not_there_is_refused(run: Run, tmp_path: Path) -> None:
    kept = (run.path / files.PREDICTIONS).read_bytes()
    broken = tmp_path / files.PREDICTIONS
    packed, objects = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("row.npy", zipfile.ZipFile(io.BytesIO(kept)).read("row.npy"))
    np.savez(objects, row=np.array([{}]), true=np.zeros(1), predicted=np.zeros((1, 1)))
    short = io.BytesIO()
    np.savez(short, row=np.arange(3), true=np.zeros((2, 1)), predicted=np.zeros((3, 1)))
    cases = {
        b"": "not a zip file",
        packed.getvalue(): "compressed",
        objects.getvalue(): "Object arrays cannot be loaded",
        short.getvalue(): "differ in length",
        kept.replace(b"true", b"free"): "true",
    }
    for content, words in cases.items():
        with pytest.raises(RunError, match=words) as caught:
            read_outputs(tmp_path, content)
        assert str(broken) in str(caught.value)
    unended = replace(run, summary=None)
    with pytest.raises(RunError, match=r"has no predictions\.npz: it has not ended"):
        unended.outputs()
    with pytest.raises(RunError, match="made by a version that kept none"):
        replace(run, path=tmp_path / "none").outputs()
