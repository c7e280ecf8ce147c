"""Other costs: where a step's time and memory go, measuring, depth, whole commands."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path
from statistics import median
from typing import Any

from cells import ENDLESS, Cell, arrays, build
from grid import (
    COMPILED,
    EAGER,
    ITS_LIMIT,
    LIMIT,
    NUMPY,
    PEERS,
    STEPS,
    Row,
    Worker,
    missing,
    spread,
    take_turns,
)

from ffn_train.train.threads import BlasThreads

INSIDE = LINEAR, ACTIVATIONS, NORMS = "linear maps", "activations", "norms"  # of a pass
PASSES, SUMS, UPDATE, REST = "rest of the passes", "gradient's sum and norm", "update", "all else"
KINDS = (*INSIDE, PASSES, SUMS, UPDATE, REST)
SQUARE = 1024  # rows and columns of the matrices that the processor's peak is measured with
SECONDS, ROUNDS = 0.5, 5  # of steps in each of the profile's rounds
DEFAULT_EVERY = 50  # conf/config.yaml's measure.every
THIN = Cell(1, 32, 128, 64)  # the stack that grows deep
RECOMPUTE = "recompute"
DEPTHS = (8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
HERE = Path(__file__).parent
COMMANDS = (  # the contestant whose packages it needs, and the command; DIRECTORY: a new one
    (NUMPY, "python -c pass"),
    (NUMPY, "python -m ffn_train plot.when=never trainer.steps=1"),
    (NUMPY, "python -m ffn_train plot.when=never"),
    (NUMPY, "python -m ffn_train"),
    (COMPILED, "python -m ffn_train engine=compiled"),
    (COMPILED, "env NUMBA_CACHE_DIR=DIRECTORY python -m ffn_train engine=compiled"),
    (EAGER, "python pytorch_script.py"),
    (EAGER, "env OMP_NUM_THREADS=1 python pytorch_script.py"),
)
SERIAL = "hydra/launcher=serial"


def in_processes(function: Any, cells: Iterable[Cell], **options: Any) -> Iterator[Row]:
    """The rows that a function returns for each engine and cell, in a new process for each."""
    for engine in (NUMPY, COMPILED):
        for cell in () if missing(engine) else cells:
            with Worker(engine, 0) as worker:
                for row in worker.submit(function, engine, cell, **options).result():
                    yield {**vars(cell), "engine": engine, **row}


class Clock:
    """Time by kind; a kind's time excludes that of kinds called within it."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(KINDS, 0.0)
        self._inner = [0.0]

    def around(self, kind: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **options: Any) -> Any:
            self._inner.append(0.0)
            started = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                taken = time.perf_counter() - started
                self.seconds[kind] += taken - self._inner.pop()
                self._inner[-1] += taken

        return timed

    def both_passes(self, kind: str, forward: Callable[..., Any]) -> Callable[..., Any]:
        """Around a layer's forward pass and the pullback that it returns."""
        timed = self.around(kind, forward)

        def forward_and_back(*arguments: Any) -> Any:
            y, pullback = timed(*arguments)
            return y, self.around(kind, pullback)

        return forward_and_back


def profile(engine: str, cell: Cell) -> list[Row]:
    """Milliseconds per step by kind of operation, medians over rounds, on one thread.

    The clocks themselves take about 0.2 µs per call, which counts as "all else".
    """
    from ffn_train.train.gradient import BatchGradient

    experiment, clock = build(cell, engine=engine, threads=1), Clock()
    model, trainer = experiment.model, experiment.trainer
    linear, norm, activation = type(model.input), type(model.final_norm), model.branch.activation
    linear.forward = clock.both_passes(LINEAR, linear.forward)
    norm.forward = clock.both_passes(NORMS, norm.forward)
    for owner, name, kind in (
        (type(activation), "pair_in_place", ACTIVATIONS),
        (model.engine.segment, "forward", PASSES),
        (model.engine.segment, "backward", PASSES),
        (BatchGradient, "_add", SUMS),
        (type(trainer.optimizer), "step", UPDATE),
    ):
        setattr(owner, name, clock.around(kind, getattr(owner, name)))
    rounds = []
    with BlasThreads(1):
        records = trainer.fit(trainer.start(experiment.params))
        take = clock.around(REST, lambda count: list(islice(records, count)))
        take(10)
        steps = math.ceil(10 * SECONDS / sum(clock.seconds.values()))
        for _ in range(ROUNDS):
            clock.seconds = dict.fromkeys(KINDS, 0.0)
            take(steps)
            rounds.append(clock.seconds)
    return [{kind: 1e3 * median(round_[kind] for round_ in rounds) / steps for kind in KINDS}]


def measures(engine: str, cell: Cell, *, rounds: int, turn: float) -> list[Row]:
    """``cost``: what measuring adds, as a share of the time without it; median and quartiles.

    The runs, without measuring, at every step and at the default cadence, share a process: two
    processes differ by more, depending on where their arrays lie.
    """
    records = {}
    for every in (ENDLESS, 1, DEFAULT_EVERY):
        experiment = build(cell, **{"engine": engine, "measure.every": every})
        BlasThreads(experiment.threads).__enter__()
        records[every] = experiment.trainer.fit(experiment.trainer.start(experiment.params))

    def clock(every: int, count: int) -> list[float]:
        """The milliseconds of each of ``count`` steps."""
        ends = [time.perf_counter()]
        ends += [time.perf_counter() for _ in islice(records[every], count)]
        return [1e3 * (end - start) for start, end in pairwise(ends)]

    clock(1, 10)
    count = max(1, math.ceil(1e3 * turn / median(clock(ENDLESS, 10))))
    clock(DEFAULT_EVERY, DEFAULT_EVERY // 2)  # the measured step is in the middle of those below
    ms: dict[int, list[float]] = {every: [] for every in records}
    rare = []
    for round_ in range(rounds):
        for every in (ENDLESS, 1) if round_ % 2 else (1, ENDLESS):
            ms[every].append(sum(clock(every, count)) / count)
        for _ in range(max(1, count // DEFAULT_EVERY)):
            steps = clock(DEFAULT_EVERY, DEFAULT_EVERY)
            # a fiftieth of a measurement per step would be lost in noise: so compare the measured
            # step and the next one, which finds the caches changed, with the median of the others
            around = [steps.pop(DEFAULT_EVERY // 2) for _ in range(2)]
            usual = median(steps)
            rare.append((sum(around) - 2 * usual) / (DEFAULT_EVERY * usual))
            ms[DEFAULT_EVERY].append(usual * (1 + rare[-1]))
    always = [b / a - 1 for a, b in zip(ms[ENDLESS], ms[1], strict=True)]
    costs = (("none", ENDLESS, [0.0] * rounds), ("default", DEFAULT_EVERY, rare))
    return [
        {"cadence": cadence, "ms": median(ms[every]), **spread("cost", cost)}
        for cadence, every, cost in (*costs, ("every step", 1, always))
    ]


def peak(rounds: int) -> Iterator[Row]:
    """The most GFLOP/s that products of large matrices reach on one thread and on two."""
    name = LIMIT if missing(ITS_LIMIT) else ITS_LIMIT
    for threads in (1, 2):
        cell, seconds = Cell(1, SQUARE, SQUARE, SQUARE * threads), []
        with Worker(name, threads) as worker:
            worker.ask("load", cell)
            for _ in range(rounds):
                worker.ask("steps", 1)
                seconds.append(worker.seconds)
        yield {"threads": threads, "gflops": 1e-9 * cell.flops / min(seconds)}


def memory(cells: Sequence[Cell], threads: int = 2, **pace: Any) -> Iterator[Row]:
    """Peak resident memory, that of the libraries alone, and the time per step.

    For our engines, with and without activation checkpointing, and for PyTorch eager.
    """
    variants = [(name, way) for name in (NUMPY, COMPILED) for way in ("", RECOMPUTE)]
    variants = [(name, way) for name, way in (*variants, (EAGER, "")) if not missing(name)]
    for cell in cells:
        data, rows = arrays(cell), []
        with ExitStack() as stack:
            workers = [stack.enter_context(Worker(name, threads)) for name, _ in variants]
            for worker, (name, way) in zip(workers, variants, strict=True):
                row = {**vars(cell), "contestant": f"{name} {way}".strip()}
                row["libraries_mib"] = worker.submit(resident, "VmRSS").result()
                settings = {"model.recompute": "auto"} if way else {}
                weights = data if name in PEERS else None
                row["threads"] = worker.ask("load", cell, weights, **settings)["threads"]
                worker.ask("steps", STEPS)
                row["peak_mib"] = worker.submit(resident, "VmHWM").result()
                rows.append(row)
            times = take_turns(workers, **pace)
        yield from ({**row, "ms": median(ms)} for row, ms in zip(rows, times, strict=True))


def resident(field: str) -> float:
    """MiB of this process: VmRSS now, VmHWM at its peak."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition(f"{field}:")[2].split()[0]) / 1024


def over_depth(depths: Sequence[int], **pace: Any) -> Iterator[Row]:
    """Time and memory per block; memory in excess of a stack of one block."""
    base = {row["contestant"]: row["peak_mib"] for row in memory([THIN], 1, **pace)}
    for row in memory([replace(THIN, depth=depth) for depth in depths], 1, **pace):
        beyond = 1024 * (row["peak_mib"] - base[row["contestant"]]) / (row["depth"] - 1)
        yield {**row, "kib_per_block": beyond, "us_per_block": 1e3 * row["ms"] / row["depth"]}


def start(rounds: int) -> Iterator[Row]:
    """All commands in turn: the median, least and most seconds from process start to exit."""
    times: dict[str, list[float]] = {what: [] for needs, what in COMMANDS if not missing(needs)}
    with tempfile.TemporaryDirectory() as folder:
        for round_ in range(rounds + 1):
            for order, (what, seconds) in enumerate(times.items()):
                directory = f"{folder}/{order}-{round_}"
                started = time.perf_counter()
                run(what.replace("DIRECTORY", f"{directory}-compiled") + f" run.dir={directory}")
                if round_:  # the first one reads everything from disk
                    seconds.append(time.perf_counter() - started)
    for what, seconds in times.items():
        ends = {"seconds_least": min(seconds), "seconds_most": max(seconds)}
        yield {"what": what, "seconds": median(seconds), **ends}


def run(command: str) -> None:
    words = [sys.executable if word == "python" else word for word in command.split()]
    subprocess.run(words, check=True, capture_output=True, cwd=HERE)


def many_runs(runs: int, seconds: float) -> Iterator[Row]:
    """A sweep of ``runs`` runs of about ``seconds`` each: numbers with their units.

    Overhead: the time from one serial run's end to the next one's, less its training, without the
    first. Ideal: the rate of serial runs, times the number of cores.
    """
    with tempfile.TemporaryDirectory() as folder:
        small = sweep(f"{folder}/small", 9, 400, SERIAL)
        steps = max(1, round(seconds * median(row["steps_per_second"] for row in small)))
        alone = sweep(f"{folder}/alone", 5, steps, SERIAL)
        started = time.perf_counter()
        sweep(f"{folder}/all", runs, steps)
        wall, cores = time.perf_counter() - started, len(os.sched_getaffinity(0))
    each = median(b["end"] - a["end"] for a, b in pairwise(alone))
    overhead = [b["end"] - a["end"] - b["training_seconds"] for a, b in pairwise(small)]
    figures = {
        "overhead of a run, s": median(overhead),
        "a run, one after the other, s": each,
        f"{runs} runs on {cores} cores, s": wall,
        "share of the ideal rate": runs * each / cores / wall,
    }
    yield from ({"what": what, "value": value} for what, value in figures.items())


def sweep(folder: str, runs: int, steps: int, launcher: str = "") -> list[Row]:
    """Run a sweep; each run's training seconds, rate and end, in the order of their ends."""
    seeds = f"sweep.dir={folder} seed=range(0,{runs}) trainer.steps={steps}"
    run(f"python -m ffn_train -m {seeds} activation=relu checkpoint.every=null {launcher}")
    ended = {path: path.stat().st_mtime for path in Path(folder).glob("jobs/*/summary.json")}
    origins = {path: json.loads(path.with_name("provenance.json").read_text()) for path in ended}
    return [{**origins[path], "end": ended[path]} for path in sorted(ended, key=ended.get)]
