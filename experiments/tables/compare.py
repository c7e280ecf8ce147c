"""The preset for tables beside scikit-learn's network and linear models, over random splits.

    python experiments/tables/compare.py                            the shipped tables
    python experiments/tables/compare.py data.csv:price cars.csv:-1:task.header=false

A table is FILE:TARGET, with further settings after more colons; several targets are [Y1,Y2]. In
each split a fifth of the rows is the test part. The network trains on the rest, of which a tenth is
for validation; the peers are fitted to all of the rest, coded and standardised in the same way:
MLPRegressor or MLPClassifier with early_stopping=True, and RidgeCV or LogisticRegression. Needs
scikit-learn (extra `peers`). The scores are those of the test rows: R², of classes the accuracy.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from ffn_train.config.composition import compose
from ffn_train.report.table import aligned
from ffn_train.running.execution import execute
from ffn_train.running.experiment import Experiment, build_experiment

SHIPPED = (
    "experiments/diabetes/diabetes.csv:progression",
    "experiments/digits/digits.csv.gz:-1:task.classes=true",
)
SPLITS = 5
AS_GOOD = 0.02  # below the better peer
QUIET = ("plot.when=never", "checkpoint.every=null", "task.test=0.2")


def experiment(table: str, seed: int, folder: Path) -> Experiment:
    """A table's run with one of the splits."""
    path, target, *more = table.split(":")
    overrides = [f"task.path={path}", f"task.target={target}", *more, f"seed={seed}"]
    return build_experiment(
        compose(
            [
                "experiment=table",
                "engine=numpy",
                *QUIET,
                *overrides,
                f"run.dir={folder / str(seed)}",
            ]
        )
    )


def scores(split: Experiment) -> tuple[float, float, float]:
    """The test scores of the preset, of scikit-learn's network and of its linear model."""
    summary = execute(split, lambda _: None, progress=False).summary
    assert summary is not None
    assert summary.test_score is not None
    assert summary.test_score.value is not None
    return summary.test_score.value, *_peers(split)


def _peers(split: Experiment) -> tuple[float, float]:
    from sklearn.linear_model import LogisticRegression, RidgeCV
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    data, seed = split.exact, split.settings.seed
    x = np.concatenate([data.x_train, data.x_validation])
    y = np.concatenate([data.y_train, data.y_validation])
    network: dict[str, Any] = {"early_stopping": True, "max_iter": 2000, "random_state": seed}
    if split.kind == "classes":
        peers = MLPClassifier(**network), LogisticRegression(max_iter=5000)
        y, known = y.argmax(axis=1), data.y_test.argmax(axis=1)
    else:
        peers = MLPRegressor(**network), RidgeCV(np.logspace(-3, 4, 15))
        y, known = (values[:, 0] if values.shape[1] == 1 else values for values in (y, data.y_test))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a fit that has not converged
        first, second = (float(peer.fit(x, y).score(data.x_test, known)) for peer in peers)
    return first, second


def main(arguments: list[str] | None = None) -> int:
    """Print a row for each table; the exit status is 1 if the preset is behind in one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "tables", nargs="*", metavar="FILE:TARGET", help="default: the shipped ones"
    )
    parser.add_argument("--splits", type=int, default=SPLITS)
    options = parser.parse_args(arguments)
    rows, behind = [], False
    for table in options.tables or SHIPPED:
        with tempfile.TemporaryDirectory() as folder:
            splits = [experiment(table, seed, Path(folder)) for seed in range(options.splits)]
            results = np.array([scores(split) for split in splits])
        mean = results.mean(axis=0)
        gap = mean[0] - mean[1:].max()
        behind |= bool(gap < -AS_GOOD)
        row_count = sum(
            len(getattr(splits[0].data, f"y_{p}")) for p in ("train", "validation", "test")
        )
        rows.append(
            (Path(table.split(":")[0]).name, str(row_count), *(f"{m:.3f}" for m in (*mean, gap)))
        )
        print(f"{rows[-1][0]}: {', '.join(f'{r[0]:.3f}' for r in results)}", file=sys.stderr)
    head = ("table", "rows", "preset", "network", "linear", "difference")
    print("\n".join(aligned([head, *rows], left=(0,))))
    return int(behind)


if __name__ == "__main__":
    sys.exit(main())
