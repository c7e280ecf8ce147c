"""Made-up runs and what is asked of their comparisons, for the tests of this folder."""

from __future__ import annotations

import csv
import io
import math
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ffn_train.compare import Comparison, Options, collect
from ffn_train.compare.case import Case, Traces
from ffn_train.compare.comparison import compare
from ffn_train.compare.figures import FIGURES, figure
from ffn_train.compare.metrics import STANDARD

SETTINGS = {
    "seed": 0,
    "model.depth": 4,
    "model.width": 8,
    "residual": "scaled",
    "optimizer.lr": 0.1,
}


def case(
    loss: float = 1.0,
    *,
    state: str = "finished",
    ratio: float = 1.0,
    theory: bool = False,
    **changes: Any,
) -> Case:
    """A run that is made up; settings may be given by the end of their names.

    With ``theory`` its gradient is predicted 10 % too large in the logarithm at every place.
    """
    settings: dict[str, Any] = dict(SETTINGS)
    for name, value in changes.items():
        key = next((key for key in SETTINGS if key.rpartition(".")[2] == name), name)
        settings[key] = value
    label = ",".join(map(str, settings.values()))
    numbers = dict.fromkeys(STANDARD, loss)
    numbers |= {"gradient_ratio_start": ratio, "gradient_ratio_end": ratio}
    if state in ("pending", "failed"):
        return Case(Path(label), label, state, settings)
    steps = np.array([0.0, 5.0, 10.0])
    depth = settings["model.depth"]
    losses = loss * np.array([4.0, 2.0, 1.0])
    if state == "diverged":
        losses[-1] = np.inf
        numbers |= {"validation_loss": math.nan, "validation_score": math.nan}
    flow = 3 * np.geomspace(ratio, 1, depth + 1)
    expected = (np.log(flow / flow[-1]) + 0.1, np.linspace(0.2, 0, depth + 1))
    traces = Traces(
        {"validation_loss": (steps, losses), "train_loss": (steps, losses)},
        steps[[0, -1]],
        np.array([flow, flow]),
        expected if theory else None,
        np.array([0.0, 5.0]),
        np.ones((2, depth + 1)),
    )
    declared, times = list(STANDARD.values()), {"training_seconds": 1.0}
    return Case(Path(label), label, state, settings, numbers, declared, times, traces)


def having(run: Case, settings: Mapping[str, Any]) -> Case:
    """The run with further settings, by their full names."""
    return replace(run, settings={**run.settings, **settings})


def vanished(run: Case) -> Case:
    """The run with a gradient of 0 but for the last two places."""
    assert run.traces is not None
    flow = run.traces.flow.copy()
    flow[:, :-2] = 0
    ratios = {"gradient_ratio_start": 0.0, "gradient_ratio_end": 0.0}
    traces = replace(run.traces, flow=flow)
    return replace(run, metrics={**run.metrics, **ratios}, traces=traces)


def compared(*cases: Case, **options: Any) -> Comparison:
    return compare(cases, Options(**options), "here")


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def small_sweep(*, skip: tuple[int, ...] = ()) -> list[Case]:
    return [
        case(
            0.1 * (depth + seed),
            ratio=1 + 0.1 * (seed + (residual == "none")),
            depth=depth,
            residual=residual,
            seed=seed,
        )
        for residual in ("scaled", "none")
        for depth in (16, 4)
        for seed in (0, 1, 2)
        if seed not in skip
    ]


def told(*roots: Path, **options: Any) -> tuple[Comparison, list[str]]:
    notes: list[str] = []
    return collect(roots, Options(**options), notes.append), notes


def copied(sweep: Path, to: Path) -> Path:
    shutil.copytree(sweep, to)
    return to


def sweep_of(root: Path, *overrides: str) -> None:
    from ffn_train.sweep.run import check, run_sweep
    from tests.support.small_runs import SMALL

    plan = check([*SMALL, *overrides, f"sweep.dir={root}", "hydra/launcher=serial"])
    run_sweep(plan, lambda line: None)


def drawn(comparison: Comparison, name: str) -> Figure:
    figures = figure(comparison, name)
    assert figures is not None
    return figures


def figures(comparison: Comparison) -> dict[str, Figure]:
    figures = {name: figure(comparison, name) for name in FIGURES}
    return {name: sheet for name, sheet in figures.items() if sheet is not None}


def words_of(sheet: Figure) -> str:
    """What stands above its panels."""
    return " ".join(text.get_text() for text in sheet.texts).replace("\n", " ")


def lines_of(sheet: Figure, points: int) -> list[Any]:
    """The curves of so many points; points that no line joins are none."""
    lines = [line for axes in sheet.axes for line in axes.lines if line.get_linestyle() != "None"]
    return [line for line in lines if len(line.get_xdata()) == points]


def titles(sheet: Figure) -> list[str]:
    return [axes.get_title("left") for axes in sheet.axes if axes.get_title("left")]
