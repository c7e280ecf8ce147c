"""The throughput study: everyone computes the same, and its tables say what was measured."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from ffn_train.config.places import EXPERIMENTS

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
    if known.missing:
        pytest.skip(f"{known.missing} not installed (extra {known.extra!r})")
    return getattr(importlib.import_module(known.module), known.kind)(1)


@pytest.mark.parametrize("norm", ["none", "pre_layer"])
@pytest.mark.parametrize("activation", ["relu", "gelu_tanh"])
@pytest.mark.parametrize("name", ["compiled", "torch eager", "jax"])
def test_contestants_agree(name: str, activation: str, norm: str) -> None:
    peer = contestant(name)
    cells, measure = importlib.import_module("cells"), importlib.import_module("measure")
    ours = contestant("numpy")
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
        [
            timed("numpy", 1, 1, 2, 3),
            timed("compiled", 1, 1, 1, 1),
            timed("jax", 1, 9, 9, 9),
            timed("jax", 2, 2, 8, 3),
        ],
        {"torch.compile": "not beyond depth 64"},
    )
    rows = {row["contestant"]: row for row in table}
    assert (rows["jax"]["threads"], rows["jax"]["ms"]) == (2, 3)
    assert rows["jax"]["numpy_over"] == 0.5  # the median of 1/2, 2/8, 3/3
    assert rows["compiled"]["numpy_over"] == 2
    assert rows["jax"]["compiled_over"] == pytest.approx(1 / 3)
    assert "openblas_over" not in rows["jax"]  # it did not take part
    lines = results.csv_text(table).splitlines()
    assert lines[0].split(",") == list(results.COLUMNS)
    assert lines[1].startswith("4,16,64,32,relu,none,numpy,1,2,")
    assert lines[-1].endswith("torch.compile,,,,,,,,,,,,,,,,not beyond depth 64")


def test_the_findings_tell_both_engines_against_the_fastest_peer() -> None:
    findings = importlib.import_module("grid_findings")
    size = {"depth": 4, "width": 16, "hidden": 64, "batch": 32, "norm": "none", "threads": 1}

    def row(name: str, activation: str, ms: float, numpy: float, compiled: float) -> Any:
        over = {"numpy_over": numpy / ms, "compiled_over": compiled / ms}
        quartiles = {f"{key}_{q}": value for key, value in over.items() for q in ("q1", "q3")}
        return {**size, "activation": activation, "contestant": name, "ms": ms, **over, **quartiles}

    def cell(activation: str, numpy: float, compiled: float, **others: float) -> list[Any]:
        times = {"numpy": numpy, "compiled": compiled, **others}
        return [row(name, activation, ms, numpy, compiled) for name, ms in times.items()]

    text = "\n".join(
        findings.grid_findings(
            [
                *cell("relu", 4.0, 1.0, products=1.5, jax=2.0, **{"torch eager": 8.0}),
                *cell("gelu_tanh", 4.0, 4.0, products=1.0, jax=8.0, **{"torch eager": 4.0}),
            ]
        )
    )
    assert "| numpy | 0.71 | 1.41 | in 1 of 2 cells | 2.00 |" in text
    assert "| compiled | 1.41 | 2.83 | in 0 of 2 cells | 1.00 |" in text
    assert "numpy's time over that of compiled: geometric mean 2.00, from 1.00 to 4.00" in text
    assert "| 1.5 (1) | 38 % | 150 % |" in text


def test_the_figure_needs_neither_every_part_nor_every_contestant() -> None:
    figure = importlib.import_module("figure")
    figure.draw({})
    cell = {"depth": 4, "width": 16, "hidden": 64, "batch": 32, "activation": "relu"}
    row = {**cell, "norm": "none", "ms": 2.0, "numpy_over": 0.5}
    alone = [{**row, "contestant": "numpy"}, {**row, "contestant": "products"}]
    panel = figure.draw({"results": alone}).axes[1]
    assert [bar.get_height() for bar in panel.patches] == [200]
    assert panel.get_ylim()[1] > 200


def test_without_mkl_the_compiled_engine_has_another_blas() -> None:
    asked = (
        "import ours, sys; ours.CompiledWithoutMKL(0); from ffn_train.nn.compiled import blas; "
        "sys.exit(blas._mkl() is not None)"
    )
    contestant("compiled")
    subprocess.run([sys.executable, "-c", asked], cwd=FOLDER, check=True)


def test_a_contestant_that_is_not_installed_says_what_it_needs() -> None:
    contestants = importlib.import_module("contestants")
    known = contestants.Contestant("ours", "Compiled", needs=("numpy", "no-such-package"))
    assert known.missing == ["no-such-package"]


def test_the_findings_replace_those_before(tmp_path: Path) -> None:
    summary = importlib.import_module("summary")
    readme = tmp_path / "README.md"
    readme.write_text(f"before {summary.BEGIN} old {summary.END} after", encoding="utf-8")
    for words in ("new", "newer"):
        summary.put_into(readme, words)
    text = readme.read_text(encoding="utf-8")
    assert text == f"before {summary.BEGIN}\nnewer\n{summary.END} after"


def test_a_profile_gives_each_kind_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    step_profile = importlib.import_module("step_profile")
    now = 0.0
    monkeypatch.setattr(step_profile.time, "perf_counter", lambda: now)
    clock = step_profile.Clock()

    def wait(seconds: float) -> None:
        nonlocal now
        now += seconds

    product = clock.around("linear maps", wait)

    def forward() -> tuple[None, Any]:
        wait(1)
        product(20)
        return None, lambda: (wait(300), product(4000))

    _, pullback = clock.both_passes("norms", forward)()
    pullback()
    assert clock.seconds["norms"] == 301
    assert clock.seconds["linear maps"] == 4020


@pytest.mark.parametrize("engine", ["numpy", "compiled"])
def test_every_kind_of_operation_is_profiled(engine: str) -> None:
    contestant(engine)
    step_profile = importlib.import_module("step_profile")
    done = subprocess.run(
        [sys.executable, "-c", "import step_profile as p, json; p.SECONDS = 0.01; "
         f"print(json.dumps(p.profile({engine!r}, (2, 4, 8, 8))))"],
        cwd=FOLDER, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert list(found) == [*step_profile.KINDS, step_profile.REST]
    for kind, ms in found.items():
        inside = kind in ("linear maps", "activations", "norms")  # of one operation, if compiled
        assert (ms > 0) == (engine == "numpy" or not inside), kind
