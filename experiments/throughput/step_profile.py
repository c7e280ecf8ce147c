"""Where a step goes, by kind of operation, from clocks around the program's own calls.

python step_profile.py ENGINE DEPTH WIDTH HIDDEN BATCH     one profile in this process, as JSON
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from statistics import median
from typing import Any

from cells import Cell, overrides
from contestants import COMPILED, CONTESTANTS, NUMPY

SHAPES = ((4, 16, 64, 32), (16, 64, 256, 128), (8, 256, 1024, 256))
KINDS = (
    "linear maps",
    "activations",
    "norms",
    "rest of the passes",
    "gradient's sum and norm",
    "update",
)
REST = "all else"
COLUMNS = ("depth", "width", "hidden", "batch", "activation", "norm", "engine", "kind", "ms")
SECONDS = 0.5  # of steps in each of the rounds
ROUNDS = 5


def profiles(shapes: Sequence[tuple[int, int, int, int]] = SHAPES) -> Iterator[dict[str, Any]]:
    """Milliseconds a step of each kind, medians over rounds, on one thread.

    A kind's time is its own: what it calls is the other kind's. To the compiled engine each pass is
    one operation. The clocks themselves take about 0.2 µs a call, all else has them.
    """
    for shape in shapes:
        for engine in (NUMPY, COMPILED):
            if CONTESTANTS[engine].missing:
                continue
            command = [sys.executable, __file__, engine, *map(str, shape)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            cell = vars(Cell(*shape, "gelu_tanh", "pre_layer"))
            for kind, ms in json.loads(done.stdout).items():
                yield {**cell, "engine": engine, "kind": kind, "ms": ms}


class Clock:
    """Time by kind; what runs within another kind is taken off that one's."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys((*KINDS, REST), 0.0)
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


def clocked(clock: Clock, experiment: Any) -> None:
    """Put the clock around what a step of this experiment calls."""
    from ffn_train.train import gradient

    model, trainer = experiment.model, experiment.trainer

    def put(owner: Any, name: str, kind: str, wrap: Any = clock.around) -> None:
        timed = wrap(kind, getattr(owner, name))
        if isinstance(owner, type):
            setattr(owner, name, timed)
        else:
            object.__setattr__(owner, name, timed)  # the choices are frozen

    branch, norm = model.branch, model.block.pre
    for linear in (model.input, model.output, branch.up, branch.down):
        put(linear, "forward", "linear maps", clock.both_passes)
    for layer in (norm, model.final_norm):
        put(layer, "forward", "norms", clock.both_passes)
    put(branch.activation, "both", "activations")
    for name in ("forward", "backward"):
        put(model.engine.segment, name, "rest of the passes")
    put(trainer.optimizer, "step", "update")
    put(gradient.BatchGradient, "_add", "gradient's sum and norm")


def profile(engine: str, shape: Sequence[int]) -> dict[str, float]:
    from ffn_train.config.composition import compose
    from ffn_train.running.experiment import build_experiment
    from ffn_train.train.threads import BlasThreads

    cell = Cell(*shape, "gelu_tanh", "pre_layer")
    experiment = build_experiment(compose([*overrides(cell, engine=engine), "threads=1"]))
    trainer, clock = experiment.trainer, Clock()
    clocked(clock, experiment)
    found: dict[str, list[float]] = {kind: [] for kind in clock.seconds}
    with BlasThreads(1):
        records = trainer.fit(trainer.start(experiment.params))
        take = clock.around(REST, lambda count: list(islice(records, count)))
        take(10)
        for _ in range(ROUNDS):
            started, steps = time.perf_counter(), 0
            clock.seconds = dict.fromkeys(clock.seconds, 0.0)
            while time.perf_counter() - started < SECONDS:
                take(10)
                steps += 10
            for kind, seconds in clock.seconds.items():
                found[kind].append(1e3 * seconds / steps)
    return {kind: median(ms) for kind, ms in found.items()}


if __name__ == "__main__":
    print(json.dumps(profile(sys.argv[1], [int(size) for size in sys.argv[2:]])))
