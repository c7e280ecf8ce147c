"""How long a comparison of many runs takes: ``python -m tests.compare.benchmark_compare [RUNS]``.

Runs of the default length at four depths are made once; the others are theirs with a learning rate,
a seed and losses of their own. Prints the seconds of reading, of the tables and of each figure, and
those of the whole command.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from ffn_train.compare import Options, collect
from ffn_train.compare.figures import FIGURES, figure
from ffn_train.compare.tables import tables
from ffn_train.config.composition import compose
from ffn_train.plots import encoded
from ffn_train.running.execution import execute
from ffn_train.running.experiment import build_experiment
from ffn_train.runs import Run, files
from ffn_train.runs.seal import SEALED, sealed

DEPTHS = (4, 8, 16, 32)
SEEDS = 10


def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        many = root / "many"
        make(root, many, count)
        started = time.perf_counter()
        comparison = collect([many], Options(), print)
        told("read", started)
        started = time.perf_counter()
        tables(comparison)
        told("tables", started)
        for name in FIGURES:
            started = time.perf_counter()
            drawn = figure(comparison, name)
            if drawn is not None:
                encoded(drawn, "png")
                told(name, started)
        started = time.perf_counter()
        command = [sys.executable, "-m", "ffn_train.compare", str(many)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        told(f"the command, {count} runs in {len(comparison.groups)} groups", started)


def told(what: str, started: float) -> None:
    print(f"{time.perf_counter() - started:6.2f} s  {what}")


def make(root: Path, many: Path, count: int) -> None:
    """``count`` runs: each depth with a ladder of learning rates and ten seeds."""
    originals = [original(root / f"depth{depth}", depth) for depth in DEPTHS]
    for index in range(count):
        seed, point = index % SEEDS, index // SEEDS
        run = originals[point % len(DEPTHS)]
        copied(run, many / f"{index:05d}", rung=point // len(DEPTHS), seed=seed)


def original(path: Path, depth: int) -> Run:
    overrides = [f"model.depth={depth}", "model.width=8", "plot.when=never", f"run.dir={path}"]
    return execute(build_experiment(compose(overrides)), notify=print)


def copied(run: Run, path: Path, *, rung: int, seed: int) -> None:
    path.mkdir(parents=True)
    factor = float(np.exp(0.05 * np.random.default_rng([rung, seed]).standard_normal() + rung / 20))
    config: dict[str, Any] = json.loads((run.path / files.CONFIG).read_text())
    config["seed"], config["optimizer"]["lr"] = seed, 0.001 * 1.2**rung
    (path / files.CONFIG).write_text(json.dumps(config))
    summary: dict[str, Any] = json.loads((run.path / files.SUMMARY).read_text())
    for name in ("train_loss", "validation_loss", "best_validation_loss"):
        summary[name] *= factor
    header, *rows = (run.path / files.SCALARS).read_text().splitlines()
    places = [header.split(",").index(name) for name in ("loss", "validation_loss")]
    lines = [header]
    for row in rows:
        cells = row.split(",")
        for place in places:
            cells[place] = repr(float(cells[place]) * factor) if cells[place] else ""
        lines.append(",".join(cells))
    (path / files.SCALARS).write_text("\n".join(lines) + "\n")
    for file in (files.MEASURES, files.LAYOUT, files.THEORY, files.PROVENANCE, files.STATUS):
        os.link(run.path / file, path / file)
    unsealed = {key: value for key, value in summary.items() if key not in ("files", SEALED)}
    (path / files.SUMMARY).write_text(json.dumps(sealed(path, unsealed)))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
