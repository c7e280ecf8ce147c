"""Where theory holds: configurations drawn by a seed, against simulations over seeds in float64.

    python experiments/theory_limits/table.py                    40 configurations, drawn by seed 0
    python experiments/theory_limits/table.py --seed 7 --configurations 20 --jobs 2

Each row is one configuration. A simulation draws its weights and its batch anew for each of several
seeds and compares every |dL/dx_l| and every norm of a parameter's gradient with the prediction that
the run of that seed would hold, as the run itself does at step 0. Written to
outputs/theory_limits/SEED.csv.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from ffn_train.config.combinations import REFUSED
from ffn_train.config.composition import compose
from ffn_train.config.keys import MODEL_GROUPS
from ffn_train.config.registry import build, choices
from ffn_train.nn.reductions import rms
from ffn_train.reproduce.ensemble import passes
from ffn_train.runs.layout import layout_of
from ffn_train.runs.theory import LIMIT_ERROR, LIMIT_Z, Theory, worst
from ffn_train.theory import Anchor, Prediction, predict, predict_anchored

FOLDER = Path("outputs") / "theory_limits"
SEEDS = 8
LARGEST = 6_000_000  # parameters of a configuration; a larger one is drawn again
COLUMNS = (
    *("configuration", "sound", "answer", "flagged", "worst_z", "where", "ratio", "error"),
    *("error_sd", "error_where", "scatter", "silent", "a_priori", "reason"),
)


def draw(seed: int, count: int, largest: int) -> Iterator[list[str]]:
    """The overrides of ``count`` configurations: all choices alike, sizes uniform in their log."""
    rng = np.random.default_rng(seed)
    drawn = {
        group: [name for name in choices(group) if name != "weights"] for group in MODEL_GROUPS
    }
    while count:
        names = {group: str(rng.choice(known)) for group, known in drawn.items()}
        depth, width = (round(np.exp(rng.uniform(np.log(a), np.log(256)))) for a in (4, 16))
        expansion, outputs = int(rng.choice([1, 2, 4])), int(rng.choice([1, 1, 4, 16]))
        batch, loss = int(rng.choice([8, 32, 128, 200])), str(rng.choice(["mse", "mse", "huber"]))
        start = f"{rng.choice([0, 0.1, 1]):g}"
        bias, sigma = f"{rng.choice([0, 0, 0.3]):g}", f"{rng.choice([1, 1.5, 2]):g}"
        if any(rule.broken_by(names) for rule in REFUSED):
            continue
        matrices = 2 if names["block"] == "feedforward" else 3
        if depth * matrices * width * width * expansion > largest:
            continue
        count -= 1
        sizes = f"model.depth={depth} model.width={width} model.expansion={expansion}"
        more = [f"residual.start={start}"] * (names["residual"] == "rezero")
        more += [f"init.inner={sigma}", f"init.outer={sigma}"] * (names["init"] == "normal")
        more += [f"init.bias_std={bias}"] * (bias != "0")
        yield [
            *(
                f"{group}={name}"
                for group, name in names.items()
                if group != "activation" or names["block"] == "feedforward"
            ),
            *more,
            *sizes.split(),
            f"trainer.batch_size={batch}",
            *("task=linear", f"task.outputs={outputs}", f"loss={loss}"),
        ]


def sound(config: Mapping[str, Any]) -> bool:
    """Whether theory has to hold: a scaled residual, or a norm and a skip path."""
    residual, norm = config["residual"]["name"], config["norm"]["name"]
    return residual == "scaled" or (norm != "none" and residual != "none")


@np.errstate(all="ignore")  # a stack may explode
def simulate(overrides: list[str], seeds: int) -> dict[str, Any]:
    """A row of the table."""
    config = compose([*overrides, "engine=numpy", "threads=1", "dtype=float64", "task.rows=1024"])
    init, loss = build("init", config["init"]), build("loss", config["loss"])
    flagged, reasons, ratios, logs, deviations, names = 0, set(), [], [], [], []
    priors, has_to_hold = [], sound(config)
    for run_pass in passes(config, range(seeds)):
        # where the forward pass overflows there is no gradient to predict
        has_to_hold = has_to_hold and bool(np.isfinite(run_pass.signals[-1]).all())
        model = run_pass.experiment.model
        tensors = layout_of(model).tensors
        anchor = Anchor(run_pass.signals[0], run_pass.signals[-1], run_pass.signal_gradients[-1])
        prediction = predict_anchored(model, init, run_pass.inputs, anchor)
        prior = predict(model, init, loss, run_pass.inputs, run_pass.targets)
        if not isinstance(prediction, Prediction):
            reasons.add(prediction.reason)
            continue
        flow = np.array([rms(dx) for dx in run_pass.signal_gradients])
        norms = np.empty(len(tensors))
        with np.errstate(over="ignore", invalid="ignore"):
            model.engine.reductions.tensor_norms(model.layout, run_pass.gradient.vector, norms)
        smallest = float(np.finfo(np.float64).tiny)
        if isinstance(prior, Prediction):
            ratio = worst(Theory({"a priori": prior}, {}), tensors, flow, norms, smallest)
            priors.append(ratio is None or ratio.holds)
        ratio = worst(Theory({"anchored": prediction}, {}), tensors, flow, norms, smallest)
        if ratio is None:
            continue
        ratios.append(ratio)
        flagged += not ratio.holds
        mask = np.array([t.block is not None and math.prod(t.shape) > 1 for t in tensors])
        names = [f"dL/dx_{place}" for place in range(len(flow))]
        names += [t.name for t, ours in zip(tensors, mask, strict=True) if ours]
        with np.errstate(all="ignore"):
            measured = np.log(np.concatenate([flow, norms[mask]]))
        gradient = prediction.log_signal_gradient_rms, prediction.log_gradient_norm[mask]
        with np.errstate(invalid="ignore"):
            logs.append(measured - np.concatenate(gradient))
        deviations.append(
            np.concatenate([prediction.signal_gradient_sd, prediction.gradient_sd[mask]])
        )
    row: dict[str, Any] = {"configuration": " ".join(overrides), "sound": has_to_hold}
    if reasons or not ratios:
        return {**row, "answer": "no prediction", "reason": "; ".join(sorted(reasons))}
    ratio = max(ratios, key=lambda ratio: (not ratio.holds, abs(ratio.z or 0)))
    error, error_sd, where, scatter = _error(np.array(logs), np.array(deviations), names)
    answer = "does not hold" if 2 * flagged > len(ratios) else "holds"
    off = abs(np.expm1(error)) > LIMIT_ERROR and abs(error_sd) > LIMIT_Z
    numbers = {"worst_z": ratio.z, "ratio": ratio.ratio, "error": np.exp(error)}
    numbers |= {"error_sd": error_sd, "scatter": scatter}
    return {
        **row,
        **{name: f"{value:.3g}" for name, value in numbers.items()},
        "answer": answer,
        "flagged": f"{flagged}/{len(ratios)}",
        "where": ratio.where,
        "error_where": where,
        "silent": off and answer == "holds",
        "a_priori": f"{priors.count(False)}/{len(priors)}" if priors else "none",
    }


def _error(logs: Any, deviations: Any, names: list[str]) -> tuple[float, float, str, float]:
    """Where the median over seeds is furthest off: its log, in sd of one seed, and where that is.

    The sd is the larger of the predicted one and the simulation's, which is of few seeds; and, of
    all tensors, the median of the simulation's over the predicted one.
    """
    with np.errstate(all="ignore"):
        off = np.median(logs + deviations**2, axis=0)
        measured, predicted = np.std(logs, axis=0, ddof=1), deviations.mean(axis=0)
        spread = np.maximum(np.maximum(measured, predicted), 0.01)
        scatters = (measured / predicted)[np.isfinite(measured) & (predicted > 0.01)]
        scatter = float(np.median(scatters)) if len(scatters) else math.nan
        size = np.where(np.isfinite(off), abs(off / spread), -1)
        size += (abs(np.expm1(off)) > LIMIT_ERROR) * 1e6 * (size >= 0)
    place = int(np.argmax(size))
    return float(off[place]), float(off[place] / spread[place]), names[place], scatter


def _row(case: tuple[list[str], int]) -> dict[str, Any]:
    return simulate(*case)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0, help="of the draw of configurations")
    parser.add_argument("--configurations", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="of each simulation")
    parser.add_argument("--largest", type=int, default=LARGEST, help="number of parameters")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("overrides", nargs="*", help="simulate this configuration alone")
    options = parser.parse_args()
    cases = [options.overrides] if options.overrides else None
    cases = cases or list(draw(options.seed, options.configurations, options.largest))
    FOLDER.mkdir(parents=True, exist_ok=True)
    rows = []
    with ProcessPoolExecutor(options.jobs) as pool:
        for row in pool.map(_row, [(case, options.seeds) for case in cases]):
            rows.append(row)
            shown = [f"{name}={row[name]}" for name in COLUMNS[1:] if row.get(name, "") != ""]
            print(row["configuration"], "\n   ", " ".join(shown), flush=True)
    with (FOLDER / f"{options.seed}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    silent = sum(bool(row.get("silent")) for row in rows)
    lost = sum(row["answer"] != "holds" for row in rows)
    lost_sound = sum(row["answer"] != "holds" for row in rows if row["sound"])
    whole = sum(row["sound"] for row in rows)
    print(f"{silent} silent; no prediction or does not hold: {lost} of {len(rows)}, ", end="")
    print(f"of those with a scaled residual, or a norm and a skip path: {lost_sound} of {whole}")
    sys.exit(1 if silent or lost_sound else 0)


if __name__ == "__main__":
    main()
