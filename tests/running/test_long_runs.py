"""Ten thousand blocks, and a million steps: nothing recurses and nothing grows without bound."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from itertools import pairwise
from pathlib import Path

import pytest

from ffn_train.running.execution import execute
from ffn_train.running.experiment import Experiment, build_experiment
from ffn_train.train import threads
from ffn_train.train.cadence import Cadence
from tests.support.small_runs import NOTES, config, run_in

DEEP = """
from pathlib import Path
from ffn_train.config.composition import compose
from ffn_train.running.experiment import build_experiment
from ffn_train.train.threads import BlasThreads

def peak():  # of this program: getrusage counts what stood here before it
    status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return status["VmHWM"].split()[0]

experiment = build_experiment(compose([
    "model.depth=10000", "model.width=8", "trainer.steps=3", "trainer.batch_size=16",
    "measure.every=2", "task.rows=64",
]))
with BlasThreads(1):
    for record in experiment.trainer.fit(experiment.trainer.start(experiment.params)):
        print(record.step, record.loss, peak())
"""


@pytest.mark.slow
def test_ten_thousand_blocks_train_in_bounded_memory() -> None:
    done = subprocess.run([sys.executable, "-c", DEEP], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == ["0", "1", "2", "3"]
    peaks = [int(row[2]) * 1024 for row in rows]
    # 5 million parameters three times over and activations of 16 x 32 x 3 floats a block
    assert peaks[-1] < 2**29
    assert peaks[-1] < 1.2 * peaks[0]  # later steps take no more than the first


def test_the_interval_doubles_with_the_run() -> None:
    cadence = Cadence(every=10, limit=100)
    due = [step for step in range(20_000) if cadence.due(step)]
    assert due[:101] == list(range(0, 1001, 10))[:101]
    gaps = {
        start: {b - a for a, b in pairwise(due) if start <= a < 2 * start}
        for start in (1000, 2000, 4000, 8000)
    }
    assert gaps == {1000: {20}, 2000: {40}, 4000: {80}, 8000: {160}}


def test_a_million_steps_stay_a_few_thousand_rows() -> None:
    assert sum(map(Cadence(every=1, limit=10_000).due, range(1_000_000))) < 45_000
    assert sum(map(Cadence(every=10, limit=1000).due, range(1_000_000))) < 4_500


def test_rows_do_not_depend_on_the_runs_length() -> None:
    cadence = Cadence(every=3, limit=7)
    assert cadence.due(0)
    assert [s for s in range(200) if cadence.due(s)] == [
        s for s in range(400) if cadence.due(s) and s < 200
    ]


def most_memory(experiment: Experiment, folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """The bytes that a run has allocated at its peak."""
    run_in(folder / "small", config())  # imports what a run needs
    # which asks for memory that it never touches
    monkeypatch.setattr("ffn_train.train.trainer.keep_freed_memory", lambda: None)
    tracemalloc.start()
    execute(experiment, NOTES.append, progress=False)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize(("optimizer", "copies"), [("sgd", 5), ("adam", 6)])
def test_a_large_model_is_in_memory_few_times(
    optimizer: str, copies: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parameters, gradient, the optimizer's memory, and the parameters before a measured update."""
    chosen = {
        "model": {"depth": 1, "width": 512, "expansion": 4},
        "run": {"dir": str(tmp_path / "run")},
    }
    name = {"name": optimizer, "weight_decay": 0.1}
    experiment = build_experiment(config(**chosen, optimizer=name))
    once = 4 * experiment.model.layout.size
    assert most_memory(experiment, tmp_path, monkeypatch) < copies * once


def test_a_large_batch_is_passed_in_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a step nor the theory keeps the activations of all its rows at a time."""
    monkeypatch.setattr(threads, "KEPT", 2**20)
    rows, model = 2**14, {"depth": 16, "width": 16, "expansion": 4}
    experiment = build_experiment(
        config(
            task={"rows": 2 * rows},
            trainer={"batch_size": rows, "steps": 2},
            model=model,
            run={"dir": str(tmp_path / "run")},
            threads=1,
        )
    )
    assert experiment.trainer.turns == 36
    whole = 4 * rows * 16 * (16 + 2 * 64)
    assert most_memory(experiment, tmp_path, monkeypatch) < whole / 2
