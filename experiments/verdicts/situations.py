"""Situations of training whose cause is known, because it was put there.

A situation is a sound configuration and the one thing that is spoiled in it. Its cause holds by
construction: with the spoiled settings left out the same run learns, which ``judge.py --repaired``
shows; no verdict was consulted. What varies is drawn from one of two ranges that share no value:
``setting`` is for choosing the thresholds of rules, ``testing`` for judging them.
"""

from __future__ import annotations

import csv
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

RANGES = ("setting", "testing")
SEEDS = 3


@dataclass(frozen=True)
class Between:
    """Numbers between two bounds, evenly in their logarithm; whole ones between whole bounds."""

    setting: tuple[float, float]
    testing: tuple[float, float]

    def draw(self, ranges: str, rng: np.random.Generator) -> str:
        low, high = getattr(self, ranges)
        value = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        return str(round(value)) if isinstance(low, int) else f"{value:.3g}"


@dataclass(frozen=True)
class OneOf:
    """Choices, some for each range."""

    setting: tuple[str, ...]
    testing: tuple[str, ...]

    def draw(self, ranges: str, rng: np.random.Generator) -> str:
        return str(rng.choice(getattr(self, ranges)))


Settings = Mapping[str, str | float | Between | OneOf]


@dataclass(frozen=True)
class Case:
    """A drawn run as overrides, and the same run with nothing spoiled."""

    overrides: tuple[str, ...]
    repaired: tuple[str, ...]


@dataclass(frozen=True)
class Situation:
    """A sound configuration, what is spoiled in it, and the right answers.

    ``held_back`` are the kinds that name the cause; ``learned`` and ``flow`` the right kinds of the
    other two questions, empty where the cause implies none. Settings that begin with ``table.`` are
    those of a CSV file (see ``write_table``).
    """

    name: str
    cause: str
    sound: Settings
    spoiled: Settings = field(default_factory=dict)
    held_back: frozenset[str] = frozenset()
    learned: frozenset[str] = frozenset()
    flow: frozenset[str] = frozenset()

    @property
    def right(self) -> frozenset[str]:
        """The right kinds for what held the run back."""
        return self.held_back or frozenset({self.cause})

    def draw(self, ranges: str, seed: int, folder: Path) -> Case:
        """The run of a seed; the table that it reads is written into ``folder``."""
        number = RANGES.index(ranges)
        rng = np.random.default_rng([zlib.crc32(self.name.encode()), number, seed])
        sound = {
            "seed": str(10**6 * number + rng.integers(10**6)),
            **drawn({**BASE, **self.sound}, ranges, rng),
        }
        spoiled = {**sound, **drawn(self.spoiled, ranges, rng)}
        stem = f"{re.sub('[^a-z0-9]+', '-', self.name.lower())}-{ranges}-{seed}"
        return Case(
            overrides=tuple(overrides(spoiled, folder / f"{stem}.csv")),
            repaired=tuple(overrides(sound, folder / f"{stem}-repaired.csv")),
        )


def drawn(settings: Settings, ranges: str, rng: np.random.Generator) -> dict[str, str]:
    return {
        key: value.draw(ranges, rng) if isinstance(value, Between | OneOf) else str(value)
        for key, value in settings.items()
    }


def overrides(settings: Mapping[str, str], path: Path) -> Iterator[str]:
    """The settings as a command line has them; those of a table become a file at ``path``."""
    table = {
        key.removeprefix("table."): float(value)
        for key, value in settings.items()
        if key.startswith("table.")
    }
    if table:
        write_table(path, **table, rng=np.random.default_rng(int(settings["seed"])))
        yield from ("task=csv", f"task.path={path}", "task.target=y")
    for key, value in settings.items():
        if not key.startswith("table."):
            yield f"{key}={value}"


def write_table(
    path: Path,
    *,
    rows: float,
    inputs: float,
    noise: float = 0.05,
    outlier: float = 0.0,
    classes: float = 0,
    rng: np.random.Generator,
) -> None:
    """A CSV file whose target is a smooth function of its inputs x ~ N(0, I), and noise.

    y = sqrt(1 - noise²) f(x) + noise · e, both of unit variance: noise=1 leaves nothing to learn.
    ``outlier`` is added to one row, in standard deviations of the target. With ``classes`` the
    target is a letter: the quantile that y lies in, each with equally many rows.
    """
    x = rng.normal(size=(int(rows), int(inputs)))
    f = np.sin(1.5 * x[:, 0]) + x[:, 1] * x[:, 2] + np.abs(x[:, 3])
    y = np.sqrt(1 - noise**2) * (f - f.mean()) / f.std() + noise * rng.normal(size=len(x))
    y[rng.integers(len(y))] += outlier
    target = y.tolist()
    if classes:
        rank = np.argsort(np.argsort(y))
        target = ["abcdefgh"[int(place)] for place in rank * classes // len(y)]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*(f"x{i}" for i in range(x.shape[1])), "y"])
        writer.writerows([*row, value] for row, value in zip(x.tolist(), target, strict=True))


BASE: Settings = {
    "threads": 1,
    "plot.when": "never",
    "model.depth": 4,
    "model.width": 32,
    "trainer.steps": 400,
    "trainer.batch_size": 64,
}
SINES: Settings = {"task": "sinusoid", "task.inputs": 4, "task.frequency": 1, "task.rows": 3000}
FRIEDMAN: Settings = {"task": "friedman", "task.rows": 2000}
TEACHER: Settings = {"task": "teacher", "task.inputs": 6, "task.rows": 2000}
LINE: Settings = {"task": "linear", "task.rows": 2000}
ADAM: Settings = {"optimizer": "adam", "optimizer.lr": Between((2e-3, 3e-3), (3.5e-3, 5e-3))}
FASTER_ADAM: Settings = {**ADAM, "optimizer.lr": Between((4e-3, 5e-3), (6e-3, 8e-3))}
PRE_NORM: Settings = {"residual": "identity", "norm": "pre_layer"}
TABLE: Settings = {"table.rows": 2000, "table.inputs": 6}
CLASSES: Settings = {
    "table.rows": 2000,
    "table.inputs": 4,
    "table.classes": OneOf(("2", "4"), ("3", "5")),
    "loss": "cross_entropy",
}
DIGITS: Settings = {
    "task": "table",
    "task.path": "experiments/digits/digits.csv.gz",
    "task.target": -1,
    "task.classes": "true",
    "loss": "cross_entropy",
}
STOPPING: Settings = {
    "trainer.keep": "best",
    "trainer.early_stopping": Between((12, 15), (18, 25)),
    "trainer.steps": 2000,
    "evaluate.every": 10,
}

HEALTHY = frozenset({"healthy"})
EXPLODING = frozenset({"exploding"})
VANISHING = frozenset({"vanishing"})
DEAD = frozenset({"dead units"})
YES = frozenset({"yes"})
NO = frozenset({"no"})


def good(name: str, sound: Settings, *, learned: frozenset[str] = YES) -> Situation:
    return Situation(name, "nothing", sound, learned=learned, flow=HEALTHY)


GOOD = (
    good(
        "SGD, scaled sum",
        {
            **SINES,
            "model.depth": Between((3, 5), (6, 9)),
            "model.width": Between((24, 32), (36, 48)),
            "optimizer.lr": Between((0.1, 0.15), (0.17, 0.22)),
        },
    ),
    good(
        "Adam, norm before", {**SINES, **PRE_NORM, **ADAM, "model.depth": Between((3, 4), (5, 7))}
    ),
    good(
        "ReLU, norm after the sum",
        {
            **SINES,
            **FASTER_ADAM,
            "residual": "identity",
            "norm": "post_layer",
            "activation": "relu",
            "init": "he",
            "model.depth": Between((3, 4), (5, 6)),
        },
    ),
    good(
        "tanh",
        {
            **SINES,
            "activation": "tanh",
            "init": "xavier",
            "optimizer.lr": Between((0.08, 0.11), (0.12, 0.16)),
        },
    ),
    good(
        "DeepNorm",
        {
            **SINES,
            **FASTER_ADAM,
            "residual": "deepnorm",
            "norm": "post_layer",
            "init": "deepnorm",
            "model.depth": Between((8, 11), (14, 18)),
            "model.width": 24,
        },
    ),
    good(
        "Fixup",
        {
            **SINES,
            **ADAM,
            "residual": "identity",
            "init": "fixup",
            "activation": "relu",
            "model.depth": Between((8, 11), (14, 18)),
        },
    ),
    good(
        "ReZero",
        {**SINES, **FASTER_ADAM, "residual": "rezero", "model.depth": Between((6, 8), (10, 14))},
    ),
    good(
        "Friedman",
        {**FRIEDMAN, "optimizer.lr": Between((0.07, 0.1), (0.12, 0.18))},
    ),
    good(
        "steps of the rate",
        {
            **TEACHER,
            "activation": "silu",
            "init": "orthogonal",
            "schedule": "step",
            "schedule.every": Between((100, 140), (150, 200)),
        },
    ),
    good(
        "linear target",
        {**LINE, "task.noise": Between((0.04, 0.08), (0.1, 0.2))},
        learned=frozenset({"as linear regression"}),
    ),
    good(
        "gated",
        {
            **SINES,
            **ADAM,
            "block": OneOf(("swiglu",), ("geglu",)),
            "residual": "identity",
            "norm": "pre_rms",
            "schedule": "linear",
            "model.expansion": 2,
        },
    ),
    good(
        "deep, scaled sum",
        {
            **FRIEDMAN,
            "model.depth": Between((36, 44), (50, 64)),
            "model.width": 12,
            "trainer.steps": 250,
        },
    ),
    good(
        "GPT-2, Nesterov",
        {
            **SINES,
            **PRE_NORM,
            "init": "gpt2",
            "optimizer.nesterov": "true",
            "optimizer.lr": Between((0.06, 0.1), (0.11, 0.15)),
            "schedule.warmup": 20,
        },
    ),
    good(
        "Huber",
        {**SINES, "loss": "huber", "loss.delta": Between((0.8, 1.2), (1.4, 2.0))},
    ),
    good(
        "plain and shallow",
        {
            **SINES,
            "residual": "none",
            "init": "he",
            "model.depth": 2,
            "model.width": Between((24, 36), (40, 64)),
        },
    ),
    good(
        "Adam, all steps clipped",
        {**SINES, **ADAM, "trainer.clip": Between((1e-2, 5e-2), (1e-3, 5e-3))},
    ),
    good(
        "much noise, many rows",
        {
            "table.rows": 4000,
            "table.inputs": 6,
            "table.noise": Between((0.4, 0.5), (0.55, 0.65)),
            "optimizer.lr": 0.05,
            "model.width": 16,
            "trainer.batch_size": 128,
            "trainer.steps": 300,
        },
    ),
    good(
        "several targets",
        {**TEACHER, "task.outputs": Between((2, 3), (4, 6)), "task.inputs": 6},
    ),
    good(
        "leaky ReLU, RMS after the sum",
        {
            **SINES,
            **FASTER_ADAM,
            "residual": "scaled",
            "norm": "post_rms",
            "activation": "leaky_relu",
            "init": "he",
        },
    ),
    good(
        "constant rate, large batch",
        {
            **SINES,
            "schedule": "constant",
            "trainer.batch_size": Between((128, 160), (200, 256)),
            "optimizer.lr": 0.08,
            "trainer.steps": 300,
        },
    ),
    good("classes, SGD", {**CLASSES, "optimizer.lr": Between((0.08, 0.12), (0.14, 0.2))}),
    good("classes, Adam", {**CLASSES, **ADAM}),
    good(
        "classes, norm before, smoothed labels",
        {**CLASSES, **PRE_NORM, **ADAM, "loss.smoothing": Between((0.04, 0.06), (0.08, 0.12))},
    ),
    good(
        "digits",
        {**DIGITS, **ADAM, "model.width": Between((32, 40), (48, 64)), "trainer.steps": 300},
        learned=frozenset({"yes", "as logistic regression"}),
    ),
    good(
        "digits, SGD",
        {**DIGITS, "optimizer.lr": Between((0.1, 0.15), (0.18, 0.25)), "trainer.steps": 800},
        learned=frozenset({"yes", "as logistic regression"}),
    ),
    good("early stopping, Adam", {**SINES, **STOPPING, **ADAM}),
    good("early stopping, SGD, Friedman", {**FRIEDMAN, **STOPPING, "optimizer.lr": 0.1}),
    good("early stopping, classes", {**CLASSES, **STOPPING, **ADAM, "table.rows": 4000}),
    good(
        "early stopping, preset for tables",
        {
            "experiment": "table",
            "model.depth": 2,
            "model.width": 128,
            "trainer.steps": 10000,
            "trainer.batch_size": 32,
            "table.rows": Between((3000, 4000), (5000, 6000)),
            "table.inputs": 4,
        },
    ),
)

RATE_TOO_LARGE = (
    Situation(
        "SGD without clipping",
        "rate too large",
        {**SINES, "trainer.clip": "null", "optimizer.lr": 0.01},
        {"optimizer.lr": Between((3.0, 10.0), (20.0, 100.0))},
        learned=NO,
    ),
    Situation(
        "SGD held up by clipping",
        "rate too large",
        {**SINES, "optimizer.lr": 0.1},
        {"optimizer.lr": Between((1.5, 3.0), (4.0, 10.0))},
    ),
    Situation(
        "Adam too fast",
        "rate too large",
        {**SINES, **ADAM},
        {"optimizer.lr": Between((0.1, 0.2), (0.3, 1.0))},
    ),
    Situation(
        "Adam too fast, norm before",
        "rate too large",
        {**SINES, **PRE_NORM, **ADAM},
        {"optimizer.lr": Between((0.3, 0.6), (0.8, 2.0))},
    ),
    Situation(
        "constant rate too large",
        "rate too large",
        {
            **FRIEDMAN,
            "schedule": "constant",
            "optimizer.lr": 0.05,
        },
        {"optimizer.lr": Between((0.8, 1.5), (2.0, 4.0))},
    ),
    Situation(
        "tanh too fast",
        "rate too large",
        {
            **FRIEDMAN,
            "activation": "tanh",
            "optimizer.lr": 0.1,
        },
        {"optimizer.lr": Between((1.0, 3.0), (5.0, 20.0))},
    ),
    Situation(
        "deep and too fast",
        "rate too large",
        {
            **SINES,
            "model.depth": Between((16, 19), (21, 26)),
            "model.width": 16,
            "optimizer.lr": 0.1,
        },
        {"optimizer.lr": Between((3.0, 6.0), (1.5, 2.5))},
    ),
    Situation(
        "small table, too fast",
        "rate too large",
        {**TABLE, "table.rows": 600, "optimizer.lr": 0.05, "activation": "silu"},
        {"optimizer.lr": Between((2.0, 4.0), (6.0, 12.0))},
    ),
    Situation(
        "classes, SGD too fast",
        "rate too large",
        {**CLASSES, "trainer.clip": "null", "optimizer.lr": 0.05},
        {"optimizer.lr": Between((4.0, 10.0), (15.0, 60.0))},
    ),
    Situation(
        "classes, Adam too fast",
        "rate too large",
        {**CLASSES, **ADAM},
        {"optimizer.lr": Between((0.2, 0.4), (0.5, 1.5))},
    ),
    Situation(
        "early stopping, too fast",
        "rate too large",
        {**SINES, **STOPPING, **ADAM},
        {"optimizer.lr": Between((0.2, 0.3), (0.4, 1.0))},
    ),
)

CLIPPING = (
    Situation(
        "clipped to nothing",
        "clipping",
        {**SINES, "optimizer.lr": 0.1},
        {"trainer.clip": Between((1e-3, 3e-3), (1e-4, 5e-4))},
    ),
    Situation(
        "clipped to nothing, Friedman",
        "clipping",
        {**FRIEDMAN, "optimizer.nesterov": "true", "activation": "silu"},
        {"trainer.clip": Between((3e-4, 1e-3), (2e-3, 4e-3))},
    ),
    Situation(
        "clipped to nothing, constant rate",
        "clipping",
        {**TEACHER, **PRE_NORM, "schedule": "constant", "optimizer.lr": 0.03},
        {"trainer.clip": Between((1e-3, 4e-3), (1e-4, 6e-4))},
    ),
    Situation(
        "clipped to nothing, table",
        "clipping",
        {**TABLE, "activation": "relu", "init": "he", "optimizer.lr": 0.05},
        {"trainer.clip": Between((1e-4, 5e-4), (1e-3, 4e-3))},
    ),
)

RATE_TOO_SMALL = (
    Situation(
        "SGD that stands still",
        "rate too small",
        {**SINES},
        {"optimizer.lr": Between((1e-5, 1e-4), (1e-9, 1e-6))},
        flow=HEALTHY,
    ),
    Situation(
        "SGD too slow",
        "rate too small",
        {**FRIEDMAN},
        {"optimizer.lr": Between((5e-4, 1e-3), (1.5e-4, 4e-4))},
        flow=HEALTHY,
    ),
    Situation(
        "Adam that stands still",
        "rate too small",
        {**SINES, **ADAM},
        {"optimizer.lr": Between((1e-6, 3e-6), (5e-6, 2e-5))},
        flow=HEALTHY,
    ),
    Situation(
        "Adam too slow, norm before",
        "rate too small",
        {
            **TEACHER,
            **PRE_NORM,
            **ADAM,
        },
        {"optimizer.lr": Between((1e-5, 3e-5), (1e-7, 5e-6))},
        flow=HEALTHY,
    ),
    Situation(
        "warm-up longer than the run",
        "rate too small",
        {**SINES, "optimizer.lr": 0.1},
        {"schedule.warmup": Between((20_000, 50_000), (100_000, 400_000))},
        flow=HEALTHY,
    ),
    Situation(
        "linear target, too slow",
        "rate too small",
        {**LINE},
        {"optimizer.lr": Between((1e-4, 3e-4), (1e-6, 5e-5))},
        flow=HEALTHY,
    ),
    Situation(
        "deep and too slow",
        "rate too small",
        {
            **SINES,
            "model.depth": Between((12, 16), (20, 28)),
            "model.width": 16,
            "activation": "tanh",
        },
        {"optimizer.lr": Between((1e-5, 1e-4), (2e-4, 5e-4))},
        flow=HEALTHY,
    ),
    Situation(
        "classes, SGD too slow",
        "rate too small",
        {**CLASSES, "optimizer.lr": 0.1},
        {"optimizer.lr": Between((1e-5, 1e-4), (2e-7, 5e-6))},
        flow=HEALTHY,
    ),
    Situation(
        "early stopping, too slow",
        "rate too small",
        {**FRIEDMAN, **STOPPING, **ADAM, "trainer.steps": 600},
        {"optimizer.lr": Between((3e-6, 1e-5), (5e-7, 2e-6))},
        flow=HEALTHY,
    ),
)

TOO_FEW_STEPS = (
    Situation(
        "a few steps of SGD",
        "too few steps",
        {**SINES},
        {"trainer.steps": Between((3, 5), (6, 8))},
        flow=HEALTHY,
    ),
    Situation(
        "a few steps of Adam",
        "too few steps",
        {**SINES, **ADAM},
        {"trainer.steps": Between((3, 6), (8, 12))},
        flow=HEALTHY,
    ),
    Situation(
        "a few steps, Friedman",
        "too few steps",
        {**FRIEDMAN, "activation": "tanh"},
        {"trainer.steps": Between((5, 7), (2, 4))},
        flow=HEALTHY,
    ),
    Situation(
        "a few steps, norm before",
        "too few steps",
        {
            **TEACHER,
            **PRE_NORM,
            **ADAM,
        },
        {"trainer.steps": Between((4, 7), (9, 14))},
        flow=HEALTHY,
    ),
    Situation(
        "one step",
        "too few steps",
        {**TABLE, "optimizer.lr": 0.05},
        {"trainer.steps": OneOf(("1",), ("2",))},
        flow=HEALTHY,
    ),
    Situation(
        "a few steps, classes",
        "too few steps",
        {**CLASSES, **ADAM},
        {"trainer.steps": Between((3, 5), (6, 9))},
        flow=HEALTHY,
    ),
    Situation(
        "no patience",
        "too few steps",
        {**SINES, **STOPPING, **ADAM, "trainer.batch_size": 8},
        {"trainer.early_stopping": 1, "evaluate.every": OneOf(("1",), ("2",))},
        flow=HEALTHY,
    ),
)

MODEL_TOO_SMALL = (
    Situation(
        "width 2, depth 1",
        "model too small",
        {**SINES, "optimizer.lr": 0.1},
        {"model.width": 2, "model.depth": OneOf(("1",), ("2",))},
    ),
    Situation(
        "narrow, Adam",
        "model too small",
        {**SINES, **ADAM},
        {"model.width": OneOf(("2",), ("1", "3")), "model.expansion": 2},
    ),
    Situation(
        "narrow, Friedman",
        "model too small",
        {**FRIEDMAN, **ADAM},
        {"model.width": OneOf(("1",), ("2",)), "model.expansion": OneOf(("1",), ("2",))},
    ),
    Situation(
        "narrow, table",
        "model too small",
        {"table.rows": 1500, "table.inputs": 8, **ADAM},
        {"model.width": OneOf(("2",), ("1",)), "model.depth": Between((1, 2), (3, 5))},
    ),
    Situation(
        "narrow, teacher of many inputs",
        "model too small",
        {**TEACHER, "task.inputs": 16, "task.gain": 1, **ADAM},
        {"model.width": OneOf(("2",), ("1",)), "model.expansion": 1},
    ),
    Situation(
        "narrow, classes",
        "model too small",
        {**CLASSES, **ADAM},
        {"model.width": 1, "model.depth": OneOf(("1",), ("2",))},
    ),
)

NOISE = (
    Situation(
        "noise as target",
        "noise",
        {"table.rows": Between((300, 400), (450, 600)), "table.inputs": 6, "optimizer.lr": 0.05},
        {"table.noise": 1},
        learned=NO,
    ),
    Situation(
        "noise as target, Adam",
        "noise",
        {"table.rows": Between((300, 380), (400, 500)), "table.inputs": 8, **ADAM},
        {"table.noise": 1},
        learned=NO,
    ),
    Situation(
        "sines in noise",
        "noise",
        {**SINES, "task.rows": Between((300, 400), (450, 600)), "task.inputs": 3},
        {"task.noise": Between((8.0, 15.0), (20.0, 50.0))},
        learned=NO,
    ),
    Situation(
        "Friedman in noise",
        "noise",
        {**FRIEDMAN, "task.rows": Between((500, 600), (300, 400)), **ADAM},
        {"task.noise": Between((100.0, 200.0), (50.0, 80.0))},
        learned=NO,
    ),
    Situation(
        "line in noise",
        "noise",
        {**LINE, "task.rows": 400, **PRE_NORM, **ADAM},
        {"task.noise": Between((10.0, 20.0), (30.0, 100.0))},
        learned=NO,
    ),
    Situation(
        "noise as target, many rows",
        "noise",
        {"table.rows": Between((1200, 1500), (1800, 2400)), "table.inputs": 10, **ADAM},
        {"table.noise": 1},
        learned=NO,
    ),
    Situation(
        "labels at random",
        "noise",
        {**CLASSES, "table.rows": Between((300, 400), (450, 600)), **ADAM},
        {"table.noise": 1},
        learned=NO,
    ),
    Situation(
        "early stopping, noise as target",
        "noise",
        {**TABLE, **STOPPING, **ADAM, "table.rows": Between((400, 600), (700, 900))},
        {"table.noise": 1},
        learned=NO,
    ),
    Situation(
        "early stopping, labels at random",
        "noise",
        {**CLASSES, **STOPPING, **ADAM, "table.rows": Between((500, 700), (800, 1000))},
        {"table.noise": 1},
        learned=NO,
    ),
)

# three of seven rows train, two are for validation, and two for the test, which judges the remedy:
# weights chosen by their validation score would look better on those rows than they are
OVERFITTING = tuple(
    Situation(
        name,
        "overfitting",
        {**sound, "task.validation": 2 / 7, "task.test": 2 / 7, "trainer.batch_size": 32},
        {key: rows},
    )
    for name, key, rows, sound in (
        ("few rows", "task.rows", Between((112, 154), (168, 224)), {**SINES, "task.inputs": 6}),
        ("few rows, Friedman", "task.rows", Between((84, 112), (126, 168)), {**FRIEDMAN, **ADAM}),
        (
            "few rows, noisy table",
            "table.rows",
            Between((112, 168), (196, 280)),
            {**TABLE, "table.noise": 0.4, **ADAM},
        ),
        (
            "few rows, line",
            "task.rows",
            Between((98, 126), (77, 91)),
            {**LINE, "task.noise": 0.5, "optimizer.lr": 0.05},
        ),
        (
            "few rows, teacher",
            "task.rows",
            Between((84, 112), (126, 168)),
            {**TEACHER, "task.noise": 0.3, **PRE_NORM, **ADAM},
        ),
        (
            "few rows, wide network",
            "table.rows",
            Between((168, 210), (112, 154)),
            {**TABLE, "table.noise": 0.3, "model.width": 64, **ADAM},
        ),
        (
            "few rows, classes",
            "table.rows",
            Between((112, 154), (168, 224)),
            {**CLASSES, "table.noise": 0.3, **ADAM},
        ),
        # overfitting that is not undone by keeping the best weights, only kept within limits
        (
            "few rows, best weights kept",
            "task.rows",
            Between((84, 112), (126, 168)),
            {**FRIEDMAN, **ADAM, "trainer.keep": "best"},
        ),
        (
            "few rows, early stopping",
            "table.rows",
            Between((112, 168), (196, 280)),
            {**TABLE, **STOPPING, **ADAM, "table.noise": 0.4},
        ),
        (
            "few rows, classes, early stopping",
            "table.rows",
            Between((112, 154), (168, 224)),
            {**CLASSES, **STOPPING, **ADAM, "table.noise": 0.3},
        ),
    )
)

OUTLIER = tuple(
    Situation(
        name,
        "outlier",
        {**TABLE, "table.rows": rows, **sound},
        {"table.outlier": sizes},
    )
    for name, rows, sizes, sound in (
        ("outlier", 500, Between((1e5, 1e7), (1e3, 5e4)), {"optimizer.lr": 0.05}),
        ("outlier, Adam", 600, Between((300.0, 800.0), (1e3, 1e4)), ADAM),
        ("outlier, norm before", 1000, Between((1e3, 1e4), (3e4, 1e6)), {**PRE_NORM, **ADAM}),
        ("outlier, Huber", 400, Between((200.0, 500.0), (1e3, 1e5)), {"loss": "huber", **ADAM}),
    )
)

INITIALISATION = (
    Situation(
        "initial weights too large",
        "initialisation",
        {**SINES},
        {"init": "normal", "init.inner": Between((50.0, 100.0), (150.0, 400.0)), "init.outer": 100},
    ),
    Situation(
        "initial weights too large, identity",
        "initialisation",
        {**SINES, "residual": "identity", "model.depth": 3, "optimizer.lr": 0.05},
        {
            "init": "normal",
            "init.inner": 100,
            "init.outer": Between((100.0, 200.0), (300.0, 900.0)),
        },
    ),
    Situation(
        "orthogonal, gain too large",
        "initialisation",
        {
            **FRIEDMAN,
            "init": "orthogonal",
        },
        {"init.gain": Between((8.0, 10.0), (11.0, 16.0))},
    ),
    Situation(
        "initial weights too large, Adam",
        "initialisation",
        {**SINES, **ADAM, "activation": "relu", "init": "he"},
        {
            "init": "normal",
            "init.inner": Between((100.0, 200.0), (300.0, 900.0)),
            "init.outer": 100,
        },
    ),
    Situation(
        "initial weights too small, plain",
        "initialisation",
        {**SINES, "residual": "none", "activation": "tanh", "model.depth": Between((3, 3), (4, 5))},
        {"init": "normal", "init.inner": Between((1e-4, 1e-3), (2e-3, 1e-2)), "init.outer": 1e-3},
        flow=VANISHING,
    ),
    Situation(
        "initial weights too small, scaled",
        "initialisation",
        {**FRIEDMAN},
        {"init": "normal", "init.inner": Between((1e-5, 1e-4), (1e-7, 5e-6)), "init.outer": 1e-4},
    ),
    Situation(
        "initial weights too large, tanh",
        "initialisation",
        {
            **FRIEDMAN,
            "activation": "tanh",
        },
        {"init": "normal", "init.inner": Between((200.0, 400.0), (80.0, 150.0)), "init.outer": 300},
    ),
)

DEEP: Settings = {"model.width": 16, "trainer.steps": 250}
DEPTH = (
    Situation(
        "plain ReLU, too deep",
        "depth",
        {**SINES, **DEEP, "activation": "relu", "model.depth": Between((30, 38), (42, 54))},
        {"residual": "none"},
        flow=VANISHING,
    ),
    Situation(
        "plain tanh, too deep",
        "depth",
        {**SINES, **DEEP, "activation": "tanh", "model.depth": Between((40, 50), (30, 36))},
        {"residual": "none"},
    ),
    Situation(
        "plain GELU, too deep",
        "depth",
        {**FRIEDMAN, **DEEP, **ADAM, "model.depth": Between((28, 34), (38, 48))},
        {"residual": "none"},
        flow=VANISHING,
    ),
    Situation(
        "plain, norm before, too deep",
        "depth",
        {
            **SINES,
            **DEEP,
            "activation": "relu",
            "init": "he",
            **PRE_NORM,
            "model.depth": Between((24, 30), (34, 42)),
        },
        {"residual": "none"},
    ),
    Situation(
        "identity, too deep",
        "depth",
        {**SINES, **DEEP, "init": "he", "model.depth": Between((32, 38), (42, 50))},
        {"residual": "identity"},
        flow=EXPLODING,
    ),
    Situation(
        "identity, ReLU, too deep",
        "depth",
        {
            **SINES,
            **DEEP,
            "activation": "relu",
            "init": "he",
            "model.depth": Between((40, 48), (32, 37)),
        },
        {"residual": "identity"},
        flow=EXPLODING,
    ),
    Situation(
        "identity, Adam, too deep",
        "depth",
        {
            **FRIEDMAN,
            **DEEP,
            **ADAM,
            "activation": "silu",
            "init": "he",
            "model.depth": Between((30, 36), (40, 48)),
        },
        {"residual": "identity"},
        flow=EXPLODING,
    ),
    Situation(
        "power too small, too deep",
        "depth",
        {
            **SINES,
            **DEEP,
            "activation": "leaky_relu",
            "init": "he",
            "model.depth": Between((44, 52), (36, 42)),
        },
        {"residual.power": OneOf(("0",), ("0.05",))},
        flow=EXPLODING,
    ),
    Situation(
        "gated without a norm, too deep",
        "depth",
        {
            **SINES,
            **DEEP,
            **ADAM,
            "block": OneOf(("swiglu",), ("geglu",)),
            "residual": "identity",
            "norm": "pre_rms",
            "model.depth": Between((12, 16), (20, 26)),
        },
        {"norm": "none"},
    ),
)

DEAD_AT_INITIALISATION = tuple(
    Situation(
        name,
        "dead units at initialisation",
        {**sound, "activation": "relu"},
        {"init.bias_std": sizes},
        flow=flow,
    )
    for name, sizes, sound, flow in (
        ("large biases", Between((20.0, 40.0), (60.0, 150.0)), {**SINES, "init": "he"}, DEAD),
        ("large biases, Friedman", Between((30.0, 60.0), (80.0, 200.0)), FRIEDMAN, DEAD),
        (
            "large biases, norm before",
            Between((100.0, 200.0), (30.0, 80.0)),
            {**SINES, **PRE_NORM, **ADAM},
            frozenset(),
        ),
        (
            "large biases, orthogonal",
            Between((60.0, 100.0), (20.0, 50.0)),
            {**SINES, "residual": "identity", "norm": "pre_rms", "init": "orthogonal", **ADAM},
            frozenset(),
        ),
    )
)

DEAD_UNITS = tuple(
    Situation(
        name,
        "dead units",
        {**sound, "activation": "relu", "init": "he"},
        {"optimizer.lr": rates},
        held_back=frozenset({"dead units", "rate too large"}),  # the rate killed them
        flow=DEAD | flow,
    )
    for name, rates, sound, flow in (
        (
            "units killed, plain",
            Between((1.5, 3.0), (4.0, 8.0)),
            {**SINES, "residual": "none", "model.depth": 3, "optimizer.lr": 0.05},
            VANISHING,
        ),
        (
            "units killed, plain, Adam",
            Between((0.1, 0.2), (0.3, 0.6)),
            {**SINES, **ADAM, "residual": "none", "model.depth": 3},
            VANISHING,
        ),
        (
            "units killed, scaled sum",
            Between((0.15, 0.3), (0.35, 0.6)),
            {**FRIEDMAN, **ADAM},
            frozenset(),
        ),
    )
)

SITUATIONS = (
    *GOOD,
    *RATE_TOO_LARGE,
    *CLIPPING,
    *RATE_TOO_SMALL,
    *TOO_FEW_STEPS,
    *MODEL_TOO_SMALL,
    *NOISE,
    *OVERFITTING,
    *OUTLIER,
    *INITIALISATION,
    *DEPTH,
    *DEAD_AT_INITIALISATION,
    *DEAD_UNITS,
)
