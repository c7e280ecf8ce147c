"""What a run's files say of themselves: other versions, other columns, other programs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ffn_train.compare import Options, collect, table
from ffn_train.compare.tables import tables
from ffn_train.plots import draw
from ffn_train.report.verdict import verdict
from ffn_train.runs import RunError, files, load_run
from tests.support.small_runs import config, run_in
from tests.support.unsealed import unseal

FOREIGN = Path(__file__).parent.parent / "old_runs" / "foreign"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_in(tmp_path_factory.mktemp("run") / "run", config()).path


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    return unseal(Path(shutil.copytree(finished, tmp_path / "copy")))


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    shutil.copytree(FOREIGN, tmp_path / "foreign")
    return tmp_path / "foreign"


def change(path: Path, **changes: Any) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**content, **changes}), encoding="utf-8")


@pytest.mark.parametrize(
    "name", [files.LAYOUT, files.PROVENANCE, files.SUMMARY, files.THEORY, files.CONFIG]
)
def test_a_newer_version_is_named_and_not_called_damaged(copy: Path, name: str) -> None:
    change(copy / name, schema=files.SCHEMA + 1)
    newer = rf"{name}: made by a newer version \(schema {files.SCHEMA + 1}; this one reads up to"
    with pytest.raises(RunError, match=newer):
        load_run(copy)


def test_a_quantity_of_no_known_place_is_damage(copy: Path) -> None:
    quantities = json.loads((copy / files.LAYOUT).read_text())["quantities"]
    change(copy / files.LAYOUT, quantities=[{**quantities[0], "per": "x"}, *quantities[1:]])
    with pytest.raises(RunError, match=r"layout\.json: .*per"):
        load_run(copy)


def test_the_layout_says_where_each_tensor_belongs(finished: Path) -> None:
    content = json.loads((finished / files.LAYOUT).read_text(encoding="utf-8"))
    assert content["schema"] == files.SCHEMA
    by_name = {tensor["name"]: tensor for tensor in content["tensors"]}
    up = by_name["blocks.1.up.weight"]
    assert (up["block"], up["role"], up["order"]) == (1, "up.weight", 2)
    assert by_name["output.bias"]["block"] is None
    assert by_name["output.bias"]["order"] == 4


def test_columns_that_nobody_declared_are_left_out(copy: Path) -> None:
    rows = np.load(copy / files.MEASURES)
    wider = np.zeros(len(rows), [*rows.dtype.descr, ("of_tomorrow", "<f8", (2,))])
    for name in rows.dtype.names:
        wider[name] = rows[name]
    np.save(copy / files.MEASURES, wider)
    before = load_run(copy).measures
    assert "of_tomorrow" not in before.series
    np.testing.assert_array_equal(before["signal_rms"].values, rows["signal_rms"])


def test_columns_that_were_not_written_are_not_measured(copy: Path) -> None:
    rows = np.load(copy / files.MEASURES)
    fewer = [name for name in rows.dtype.names if name != "signal_rms"]
    np.save(copy / files.MEASURES, rows[fewer])
    measures = load_run(copy).measures
    assert measures.lacks("signal_rms") == "not measured"
    with pytest.raises(RunError, match=r"signal_rms was not measured \(measure\.quantities\)"):
        measures["signal_rms"]


def test_a_column_of_another_shape_is_damage(copy: Path) -> None:
    content = json.loads((copy / files.LAYOUT).read_text(encoding="utf-8"))
    change(copy / files.LAYOUT, tensors=content["tensors"][1:])
    with pytest.raises(RunError, match=r"measures\.npy: its records do not match layout\.json"):
        load_run(copy)


def test_three_things_that_are_not_a_number(foreign: Path) -> None:
    measures = load_run(foreign).measures
    # not measured at this step: there is no row
    assert measures["attention_entropy"].step.tolist() == [0, 2, 4, 6, 8]
    assert measures["signal_gradient_rms"].step.tolist() == [0, 4, 8]
    assert measures["update_norm"].step.tolist() == [0, 4]
    # does not apply: it says why
    assert measures.lacks("dead_share") == "does not apply: gelu has no dead units"
    # not finite: it is there, and infinite
    assert np.isinf(measures["signal_gradient_rms"].values[-1, 1])
    assert measures.lacks("never_written") == "not measured"


def test_a_foreign_run_is_drawn_compared_and_judged(foreign: Path, finished: Path) -> None:
    run, notes = load_run(foreign), list[str]()
    drawn = {path.stem for path in draw(run, formats=["svg"], notify=notes.append)}
    assert {"gradient_flow", "loss", "attention_entropy", "temperature"} <= drawn
    assert notes == []
    (finding,) = verdict(run)
    assert finding.text.startswith("healthy: the first block gets 2.44 times")
    assert "0.618 times at step 8" in finding.text
    comparison = collect([foreign, finished], Options(), notes.append)
    assert notes == []
    other, ours = sorted(comparison.cases, key=lambda case: "foreign" not in case.label)
    assert {other.state, ours.state} == {"finished"}
    assert other.metrics["temperature_start"] == run.measures["temperature"].values[0]
    assert "validation_loss" not in other.metrics
    assert "validation_loss" in ours.metrics
    text = table(comparison, width=400)
    assert "not finite" in text  # growth at the end; what it does not have is "-"
    assert " - " in text
    assert set(tables(comparison)) == {"groups.csv", "runs.csv", "times.csv"}


def test_a_foreign_runs_tensors_are_found_without_their_names(foreign: Path) -> None:
    run = load_run(foreign)
    measures = run.measures
    assert measures.layers == ("embed", "h.0", "h.1", "h.2", "head")
    assert measures.block_columns == [1, 2, 3]
    mask = [tensor.block == 0 for tensor in measures.tensors]
    np.testing.assert_allclose(
        measures.layer_gradient_norm[:, 1],
        np.linalg.norm(measures["gradient_norm"].values[:, mask], axis=1),
    )
    assert run.theory is None
    assert run.config == {}
