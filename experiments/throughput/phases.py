"""Where the default run's time goes: one run in this process, phase by phase, as JSON.

python phases.py DIRECTORY [OVERRIDE ...]
"""

from __future__ import annotations

import json
import sys
import time

PHASES = (
    "configuration: import NumPy and Hydra, compose",
    "experiment: import, data",
    "execution: import, initial weights, directory, provenance",
    "training",
    "plots: import matplotlib",
    "plots: draw and write six figures",
    "summary",
)


def main(directory: str, *overrides: str) -> None:
    started = last = time.perf_counter()
    seconds: dict[str, float] = {}

    def lap(name: str) -> None:
        nonlocal last
        now = time.perf_counter()
        seconds[name] = now - last
        last = now

    from ffn_train.config.composition import compose

    config = compose([f"run.dir={directory}", *overrides])
    lap(PHASES[0])
    from ffn_train.running.experiment import build_experiment

    experiment = build_experiment(config)
    lap(PHASES[1])
    from ffn_train.running import execution

    record_training = execution.record_training

    def timed(*arguments: object) -> object:
        lap(PHASES[2])
        result = record_training(*arguments)
        lap(PHASES[3])
        import ffn_train.plots

        lap(PHASES[4])
        draw = ffn_train.plots.draw

        def drawn(*arguments: object, **options: object) -> object:
            paths = draw(*arguments, **options)
            lap(PHASES[5])
            return paths

        ffn_train.plots.draw = drawn
        return result

    execution.record_training = timed
    execution.execute(experiment, print)
    lap(PHASES[6])
    print(json.dumps({**seconds, "in all, less the interpreter's start": last - started}))


if __name__ == "__main__":
    main(*sys.argv[1:])
