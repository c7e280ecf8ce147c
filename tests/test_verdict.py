"""The verdict on real, tiny runs, one for each thing that it can say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from choices import settings
from runs_for_tests import config, run_in

from ffn_train import expectation, report
from ffn_train.runs import Run


def verdict(
    path: Path, *, depth: int, width: int = 24, section: dict[str, Any] | None = None, **names: str
) -> Run:
    chosen = {group: settings(group, name) for group, name in names.items()}
    sizes = {"depth": depth, "width": width, "expansion": 4}
    return run_in(path / "run", config(**{**chosen, "model": sizes, **(section or {})}))


def lines(run: Run) -> list[str]:
    assert run.summary is not None
    found: list[str] = run.summary["verdict"]
    assert all(line in report.report(run) for line in found)
    return found


def test_exploding_with_its_cause(tmp_path: Path) -> None:
    names = {"residual": "identity", "init": "he", "activation": "relu"}
    first, second = lines(verdict(tmp_path, depth=24, width=96, **names))
    assert first.startswith("exploding: dL/dx_l changes x1.")
    assert "theory says x1.7" in first  # the root of 3
    assert "multiplies the variance by 2 in each branch" in second
    assert "3x per block" in second
    assert "residual=scaled" in second


def test_vanishing(tmp_path: Path) -> None:
    first, second = lines(verdict(tmp_path, depth=24, residual="none", init="lecun"))
    assert first.startswith("vanishing")
    assert "init=lecun with gelu multiplies the variance by 0.2" in second


def test_the_advice_holds(tmp_path: Path) -> None:
    """What each of the two verdicts recommends makes the next run healthy."""
    run = verdict(tmp_path, depth=24, residual="scaled", init="he", activation="relu")
    assert lines(run)[0].startswith("healthy")


def test_lost_in_the_range_of_the_numbers(tmp_path: Path) -> None:
    run = verdict(tmp_path, depth=300, residual="identity", init="he", activation="relu")
    assert run.state == "diverged"
    first, second = lines(run)
    assert first.startswith("exploding")
    assert "nothing finite was measured" in first
    assert "3x per block" in second


def test_dead_units(tmp_path: Path) -> None:
    steep = {"optimizer": {"lr": 3.0}, "trainer": {"steps": 30, "clip": 1.0}}
    names = {"activation": "relu", "residual": "none", "schedule": "constant"}
    (line,) = lines(verdict(tmp_path, depth=4, section=steep, **names))
    assert line.startswith("dead units")
    assert "activation=leaky_relu" in line


@pytest.mark.parametrize(
    ("names", "advice"),
    [
        ({"residual": "rezero"}, "residual.start"),
        ({"residual": "identity", "init": "fixup"}, "init=he"),
    ],
)
def test_dominated_by_the_skip_path(names: dict[str, str], advice: str, tmp_path: Path) -> None:
    slow = {"optimizer": {"lr": 0.05}}  # few updates of this size leave the branches where they are
    (line,) = lines(verdict(tmp_path, depth=8, section=slow, **names))
    assert line.startswith("dominated by the skip path")
    assert advice in line


def test_healthy(tmp_path: Path) -> None:
    (line,) = lines(verdict(tmp_path, depth=4))
    assert line.startswith("healthy")


def test_of_a_run_that_its_rate_drove_apart_nothing_is_said(tmp_path: Path) -> None:
    """The divergence is told elsewhere, and the flow of its last row is no finding."""
    steep = {"optimizer": {"lr": 50.0}, "trainer": {"steps": 30, "clip": None}}
    run = verdict(tmp_path, depth=4, section=steep)
    assert run.state == "diverged"
    assert lines(run) == []


def test_uneven(tmp_path: Path) -> None:
    """A growth between tenfold and a hundredfold is neither healthy nor exploding."""
    names = {"residual": "identity", "init": "he", "activation": "relu"}
    (line,) = lines(verdict(tmp_path, depth=6, **names))
    assert line.startswith("uneven: |dL/dx_0| / |dL/dx_L| is ")
    assert 10 < float(line.split(" is ")[1].split(" and ")[0]) < 100


def test_without_theory_the_measures_speak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    none = {"reason": "not today"}
    monkeypatch.setattr(expectation, "_mode", lambda prediction: none)
    names = {"residual": "identity", "init": "he", "activation": "relu"}
    first, second = lines(verdict(tmp_path, depth=24, **names))
    assert first.startswith("exploding")
    assert "theory" not in first
    assert second == "residual=scaled, norm=pre_layer or init=gpt2 tames it"
