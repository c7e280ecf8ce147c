"""The throughput study: everyone computes the same, and its tables say what was measured."""

from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ffn_train.config.places import EXPERIMENTS

FOLDER = EXPERIMENTS / "throughput"
pytestmark = pytest.mark.usefixtures("study")


def need(name: str) -> None:
    if absent := importlib.import_module("grid").missing(name):
        pytest.skip(f"{', '.join(absent)} not installed")


def contestant(name: str) -> Any:
    need(name)
    grid = importlib.import_module("grid")
    return pkgutil.resolve_name(grid.CONTESTANTS[name][0])(1)


@pytest.mark.parametrize(("activation", "norm"), [("relu", "none"), ("gelu_tanh", "pre_layer")])
@pytest.mark.parametrize(
    "name", ["compiled", "torch eager", "jax", "jax, 32 steps", "jax, 500 steps"]
)
def test_contestants_agree(name: str, activation: str, norm: str) -> None:
    peer = contestant(name)
    cells, grid = importlib.import_module("cells"), importlib.import_module("grid")
    ours = contestant("numpy")
    cell = cells.Cell(3, 4, 8, 16, activation, norm)
    ours.load(cell)
    peer.load(cell, cells.arrays(cell))
    for batch in (0, 3):
        error = grid.largest_error(peer.gradients(batch), ours.gradients(batch))
        assert error < grid.TOLERANCE
    epoch = cells.BATCHES
    theirs = peer.steps(epoch)[:epoch]
    np.testing.assert_allclose(theirs, ours.steps(epoch)[:epoch], rtol=grid.TOLERANCE)


def test_another_gradient_is_told() -> None:
    grid = importlib.import_module("grid")
    right = {"a": np.array([1.0, -2.0]), "b": np.array([1e-9])}
    assert grid.largest_error(right, right) == 0
    assert grid.largest_error({**right, "b": np.array([2e-9])}, right) == pytest.approx(1)
    with pytest.raises(grid.Disagreement, match="'b'"):
        grid.largest_error({"a": right["a"]}, right)


def test_a_contestant_is_asked_in_a_process_of_its_own() -> None:
    cells, grid = importlib.import_module("cells"), importlib.import_module("grid")
    cell = cells.Cell(2, 4, 8, 8)
    with grid.Worker("numpy", 0) as worker:
        (row,) = grid.measure([worker], cell, rounds=3, turn=0.001)
    assert (row["depth"], row["contestant"], row["threads"]) == (2, "numpy", 1)
    assert 0 < row["ms_q1"] <= row["ms"] <= row["ms_q3"]
    assert (row["numpy_over"], row["gradient_error"]) == (1, 0)


def test_each_contestant_counts_at_its_better_number_of_threads(tmp_path: Path) -> None:
    grid, parts = importlib.import_module("grid"), importlib.import_module("parts")
    cells = importlib.import_module("cells")

    def timed(name: str, threads: int, *ms: float) -> dict[str, Any]:
        facts = {"contestant": name, "threads": threads, "gradient_error": 1e-7}
        return {**facts, "ms": ms, "compile_seconds": 2.0}

    table = grid.rows(
        cells.Cell(4, 16, 64, 32),
        [
            timed("numpy", 1, 1, 2, 3),
            timed("compiled", 1, 1, 1, 1),
            timed("jax", 1, 9, 9, 9),
            timed("jax", 2, 2, 8, 3),
            {"contestant": "torch.compile", "note": "not beyond depth 64"},
        ],
    )
    rows = {row["contestant"]: row for row in table}
    assert (rows["jax"]["threads"], rows["jax"]["ms"]) == (2, 3)
    assert rows["jax"]["numpy_over"] == 0.5  # the median of 1/2, 2/8, 3/3
    assert rows["compiled"]["numpy_over"] == 2
    assert rows["jax"]["compiled_over"] == pytest.approx(1 / 3)
    parts.write(tmp_path / "results.csv", table)
    lines = (tmp_path / "results.csv").read_text(encoding="utf-8").splitlines()
    recorded = (FOLDER / "results.csv").read_text(encoding="utf-8").splitlines()[0].split(",")
    assert set(lines[0].split(",")) == set(recorded)
    assert lines[1].startswith("4,16,64,32,relu,none,numpy,1,1e-07,2,")
    assert lines[-1] == "4,16,64,32,relu,none,torch.compile" + "," * 13 + "not beyond depth 64"
    read = {row["contestant"]: row for row in parts.read(tmp_path / "results.csv")}
    assert read["jax"]["compiled_over"] == 0.3333
    assert read["torch.compile"].keys() == {*vars(cells.PLAIN[0]), "contestant", "note"}


def test_a_run_taken_up_again_measures_what_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells, parts = importlib.import_module("cells"), importlib.import_module("parts")
    monkeypatch.setattr(parts, "CONTESTANTS", {})
    measured = []

    def measure(workers: list[Any], cell: Any, **pace: Any) -> list[dict[str, Any]]:
        measured.append(cell)
        return [{**vars(cell), "contestant": "numpy", "ms": 1.5}]

    monkeypatch.setattr(parts, "measure", measure)
    first, second = cells.GRID[:2]
    parts.over_the_grid(tmp_path / "results.csv", [first], {})
    rows = parts.over_the_grid(tmp_path / "results.csv", [first, second], {})
    assert measured == [first, second]
    assert parts.read(tmp_path / "results.csv") == rows
    assert len(rows) == 2


def test_the_findings_tell_both_engines_against_the_fastest_peer() -> None:
    findings = importlib.import_module("findings")
    size = {"depth": 4, "width": 16, "hidden": 64, "batch": 32, "norm": "none", "threads": 1}

    def row(name: str, activation: str, ms: float, numpy: float, compiled: float) -> Any:
        over = {"numpy_over": numpy / ms, "compiled_over": compiled / ms}
        quartiles = {f"{key}_{q}": value for key, value in over.items() for q in ("q1", "q3")}
        return {**size, "activation": activation, "contestant": name, "ms": ms, **over, **quartiles}

    def cell(activation: str, numpy: float, compiled: float, **others: float) -> list[Any]:
        times = {"numpy": numpy, "compiled": compiled, **others}
        return [row(name, activation, ms, numpy, compiled) for name, ms in times.items()]

    relu = cell("relu", 4.0, 1.0, products=1.5, jax=2.0, **{"torch eager": 8.0})
    gelu = cell("gelu_tanh", 4.0, 4.0, products=1.0, jax=8.0, **{"torch eager": 4.0})
    text = findings.text({"results": [*relu, *gelu]}, "a machine")
    ratio = "1.00 (1.00 to 1.00)"
    numpy = f"| numpy | 1.41 (1.00 to 2.00) | 0.71 (0.50 to 1.00) | {ratio} | in 1 of 2 cells |"
    half = "0.71 (0.50 to 1.00)"
    compiled = (
        f"| compiled | {half} | 0.35 (0.12 to 1.00) | 0.50 (0.25 to 1.00) | in 0 of 2 cells |"
    )
    assert numpy in text
    assert compiled in text
    assert "| 4 (1) | 1 (1) | 8 (1) | 2 (1) | 2.00 (2.00 to 2.00) | 0.50 (0.50 to 0.50) |" in text
    assert "| 1.5 (1) | 38 % | 150 % |" in text


def test_the_findings_tell_the_share_of_the_peak_and_the_gain_of_a_thread() -> None:
    cells, findings = importlib.import_module("cells"), importlib.import_module("findings")
    size = cells.Cell(2, 10, 100, 50)  # 1.2e6 floating-point operations
    cell = {
        "compiled": {"threads": 2, "ms": 0.1},
        "compiled, one thread": {"threads": 1, "ms": 0.16, "compiled_over": 0.625},
    }
    assert findings.of_peak(size, cell, {1: 20.0, 2: 48.0}) == {
        "compiled / peak": "25 %",
        "one thread / two": "1.60",
    }
    assert findings.of_peak(size, {"numpy": {}}, {}) == {}


def test_the_recorded_tables_are_those_that_the_findings_are_made_of() -> None:
    findings, parts = importlib.import_module("findings"), importlib.import_module("parts")
    tables = {path.stem: parts.read(path) for path in FOLDER.glob("*.csv")}
    assert tables.keys() | {"peak"} == {"results", *findings.TITLES}
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    written = readme.partition(findings.BEGIN)[2].partition(findings.END)[0].strip()
    assert written == findings.text(tables, written.splitlines()[0])
    assert len(findings.by_cell(tables["results"])) == 28


def test_the_figure_needs_neither_every_part_nor_every_contestant() -> None:
    findings = importlib.import_module("findings")
    findings.draw({})
    cell = {"depth": 4, "width": 16, "hidden": 64, "batch": 32, "activation": "relu"}
    row = {**cell, "norm": "none", "ms": 2.0, "numpy_over": 0.5}
    alone = [{**row, "contestant": "numpy"}, {**row, "contestant": "products"}]
    panel = findings.draw({"results": alone}).axes[1]
    heights = [bar.get_height() for bar in panel.patches if np.isfinite(bar.get_height())]
    assert heights == [200]
    assert panel.get_ylim()[1] > 200


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", ["CompiledProducts", "MKLProducts"])
def test_compiled_products_are_numpys(name: str, threads: int) -> None:
    need("products, MKL" if name == "MKLProducts" else "products, compiled")
    asked = (
        "import cells, compiled_products, numpy as np\n"
        "def close(a, b): np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)\n"
        f"p = compiled_products.{name}({threads}); p.load(cells.Cell(2, 3, 5, 8)); p.steps(1)\n"
        "for up, down, d_up, d_down, x, hidden, wide, narrow, dy in p.arrays:\n"
        "    for i in range(2):\n"
        "        close(d_down[i], dy.T @ hidden[i])\n"
        "        close(d_up[i], (dy @ down[i]).T @ x[i])\n"
        "    close(wide, dy @ down[0])\n"
        "    close(narrow, wide @ up[0])\n"
    )
    subprocess.run([sys.executable, "-c", asked], cwd=FOLDER, check=True)


def test_a_contestant_that_is_not_installed_says_what_it_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    grid = importlib.import_module("grid")
    needs = ("numpy", "no-such-package")
    monkeypatch.setitem(grid.CONTESTANTS, "other", ("ours:Compiled", needs, (0,)))
    assert grid.missing("other") == ["no-such-package"]


def test_the_findings_replace_those_before(tmp_path: Path) -> None:
    findings = importlib.import_module("findings")
    readme = tmp_path / "README.md"
    readme.write_text(f"before {findings.BEGIN} old {findings.END} after", encoding="utf-8")
    for words in ("new", "newer"):
        findings.put_into(readme, words)
    text = readme.read_text(encoding="utf-8")
    assert text == f"before {findings.BEGIN}\nnewer\n{findings.END} after"


def test_a_profile_gives_each_kind_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    costs = importlib.import_module("costs")
    now = 0.0
    monkeypatch.setattr(costs.time, "perf_counter", lambda: now)
    clock = costs.Clock()

    def wait(seconds: float) -> None:
        nonlocal now
        now += seconds

    product = clock.around("linear maps", wait)

    def forward() -> tuple[None, Any]:
        wait(1)
        product(20)
        return None, backward

    def backward() -> None:
        wait(300)
        product(4000)

    _, pullback = clock.both_passes("norms", forward)()
    pullback()
    assert clock.seconds["norms"] == 301
    assert clock.seconds["linear maps"] == 4020


@pytest.mark.parametrize("engine", ["numpy", "compiled"])
def test_every_kind_of_operation_is_profiled(engine: str) -> None:
    contestant(engine)
    costs = importlib.import_module("costs")
    done = subprocess.run(
        [sys.executable, "-c", "import costs, cells, json; costs.SECONDS = 0.01; "
         "cell = cells.Cell(2, 4, 8, 8, 'gelu_tanh', 'pre_layer'); "
         f"print(json.dumps(costs.profile({engine!r}, cell)))"],
        cwd=FOLDER, capture_output=True, text=True, check=True,
    )  # fmt: skip
    (line,) = json.loads(done.stdout)
    assert list(line) == list(costs.KINDS)
    for kind, ms in line.items():
        inside = kind in costs.INSIDE  # of one operation, if compiled
        assert (ms > 0) == (engine == "numpy" or not inside), kind
