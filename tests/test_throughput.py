"""The throughput study: everyone computes the same, and its tables say what was measured."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from ffn_train.places import EXPERIMENTS

FOLDER = EXPERIMENTS / "throughput"


@pytest.fixture(scope="module", autouse=True)
def study() -> Iterator[None]:
    """The study's modules, importable as they are for its command."""
    before = set(sys.modules)
    sys.path.insert(0, str(FOLDER))
    with threadpool_limits():  # a contestant sets its own
        yield
    sys.path.remove(str(FOLDER))
    for name in set(sys.modules) - before:
        if str(FOLDER) in str(getattr(sys.modules[name], "__file__", None)):
            del sys.modules[name]


def contestant(name: str) -> Any:
    known = importlib.import_module("contestants").CONTESTANTS[name]
    if not known.installed:
        pytest.skip(f"{known.needs} is not installed (extra 'peers')")
    return getattr(importlib.import_module(known.module), known.kind)(1)


@pytest.mark.parametrize("norm", ["none", "pre_layer"])
@pytest.mark.parametrize("activation", ["relu", "gelu_tanh"])
@pytest.mark.parametrize("name", ["torch eager", "jax"])
def test_contestants_agree(name: str, activation: str, norm: str) -> None:
    peer = contestant(name)
    cells, measure = importlib.import_module("cells"), importlib.import_module("measure")
    ours = importlib.import_module("ours").Ours(0)
    cell = cells.Cell(3, 4, 8, 16, activation, norm)
    ours.load(cell, None)
    peer.load(cell, cells.arrays(cell))
    for batch in (0, 3):
        error = measure.largest_error(peer.gradients(batch), ours.gradients(batch))
        assert error < measure.TOLERANCE
    np.testing.assert_allclose(peer.steps(8), ours.steps(8), rtol=measure.TOLERANCE)


def test_another_gradient_is_told() -> None:
    measure = importlib.import_module("measure")
    right = {"a": np.array([1.0, -2.0]), "b": np.array([1e-9])}
    assert measure.largest_error(right, right) == 0
    assert measure.largest_error({**right, "b": np.array([2e-9])}, right) == pytest.approx(1)
    with pytest.raises(measure.Disagreement, match="'b'"):
        measure.largest_error({"a": right["a"]}, right)


def test_each_contestant_counts_at_its_better_number_of_threads() -> None:
    results, measure = importlib.import_module("results"), importlib.import_module("measure")
    cells, crew = importlib.import_module("cells"), importlib.import_module("crew")

    def timed(name: str, threads: int, *ms: float) -> Any:
        return measure.Timed(crew.Seat(name, threads), threads, ms, None, 1e-7)

    table = results.rows(
        cells.Cell(4, 16, 64, 32),
        [timed("ours", 1, 1, 2, 3), timed("jax", 1, 9, 9, 9), timed("jax", 2, 2, 8, 3)],
        {"torch.compile": "not beyond depth 64"},
    )
    rows = {row["contestant"]: row for row in table}
    assert (rows["jax"]["threads"], rows["jax"]["ms"]) == (2, 3)
    assert rows["jax"]["ours_over"] == 0.5  # the median of 1/2, 2/8, 3/3
    lines = results.csv_text(table).splitlines()
    assert lines[0].split(",") == list(results.COLUMNS)
    assert lines[1].startswith("4,16,64,32,relu,none,ours,1,2,")
    assert lines[-1].endswith("torch.compile,,,,,,,,,,not beyond depth 64")


def test_the_findings_replace_those_before(tmp_path: Path) -> None:
    summary = importlib.import_module("summary")
    readme = tmp_path / "README.md"
    readme.write_text(f"before {summary.BEGIN} old {summary.END} after", encoding="utf-8")
    for words in ("new", "newer"):
        summary.put_into(readme, words)
    text = readme.read_text(encoding="utf-8")
    assert text == f"before {summary.BEGIN}\nnewer\n{summary.END} after"
