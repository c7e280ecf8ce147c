"""All figures of many kinds of runs, in colour and in grey, to be looked at.

    python experiments/figures/sheet.py --out outputs/figures
    python experiments/figures/sheet.py --out outputs/figures --only runs/default,sweeps/zipped

Each kind of run and of sweep is trained at a tiny size, once: OUT/runs/KIND and OUT/sweeps/KIND
hold the runs and their figures or those of the comparison, a folder ``grey`` beside them the same
as a printer without colour shows them.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from ffn_train.compare import Options, collect, write_figures
from ffn_train.config.composition import compose
from ffn_train.plots import draw
from ffn_train.running.execution import execute
from ffn_train.running.experiment import build_experiment
from ffn_train.sweep.run import check, run_sweep

DATA = Path(__file__).resolve().parents[1] / "diabetes" / "diabetes.csv"
TINY = (
    *(
        "model.width=16",
        "model.depth=4",
        "task.rows=400",
        "trainer.steps=60",
        "trainer.batch_size=32",
    ),
    *(
        "evaluate.every=3",
        "measure.every=6",
        "checkpoint.every=null",
        "plot.when=never",
        "threads=1",
    ),
)
NAMES = "OUT/foreign_names.csv"  # the diabetes table with two columns renamed
FOREIGN = ("ligne de régression $x_{1}$", "目标 (kg)")
DIABETES = ("experiment=diabetes", "trainer.steps=60", "trainer.patience=100")

# the overrides of each kind, one list or several of which each is a sweep or a run of its own
SWEEPS: Mapping[str, Sequence[Sequence[str]]] = {
    "depth_residual_seed": [["model.depth=2,8,32", "residual=none,identity,scaled", "seed=0,1,2"]],
    "lr_depth": [
        [
            *("optimizer.lr=0.01,0.03,0.1,0.3,1,3,10,1e5", "model.depth=2,8,32"),
            *("residual=identity", "seed=0,1"),
        ]
    ],
    "width": [["model.width=4,8,16,32,64", "init=lecun,normal", "seed=0,1,2"]],
    "one_run": [["model.depth=4"]],
    "two_equal_runs": [["model.depth=4"], ["model.depth=4"]],
    "diverged_only": [
        ["model.depth=4,16", "seed=0,1", "optimizer.lr=1e6", "trainer.clip=null", "init=he"]
    ],
    "activation_norm_init": [
        [
            "activation=relu,gelu,tanh,silu,identity",
            "norm=none,pre_layer,post_rms",
            "init=lecun,he,xavier,orthogonal",
        ]
    ],
    "tasks": [["task=sinusoid,linear,teacher,friedman", "loss=mse,huber", "seed=0,1"]],
    "zipped": [
        [
            *("model.depth=2,4,8,16", "optimizer.lr=0.2,0.1,0.05,0.025", "residual=none,scaled"),
            *("seed=0,1", "sweep.zip=[model.depth,optimizer.lr]"),
        ]
    ],
    "search": [
        [
            *("model.depth=2,8", "residual=none,scaled", "sweep.search.trials=12"),
            "optimizer.lr=tag(log,interval(0.003,3))",
        ]
    ],
    "sixty_groups": [
        [
            *("model.depth=1,2,4,8,16", "optimizer.lr=0.01,0.02,0.05,0.1,0.2,0.5"),
            *("residual=identity,scaled", "trainer.steps=20"),
        ]
    ],
    "csv": [[*DIABETES, "model.depth=1,2,4", "activation=relu,tanh", "seed=0,1,2"]],
    "theory_off": [["plot.theory=false", "model.depth=2,16", "residual=none,scaled", "seed=0,1"]],
    "theory_flagged": [
        [
            *("model.width=8", "model.depth=8,32", "block=swiglu", "norm=pre_layer", "init=he"),
            "residual=scaled,identity",
        ]
    ],
    "long": [
        [
            *("trainer.steps=20000", "evaluate.every=20", "measure.every=200", "model.width=4"),
            *("model.depth=1,2", "optimizer.lr=0.1,0.3", "seed=0,1,2", "schedule=constant"),
            *("task.rows=60", "trainer.batch_size=4"),
        ]
    ],
    "foreign_names": [
        [*DIABETES, f"task.path={NAMES}", "seed=0,1", f"task.target='{target}'"]
        for target in FOREIGN
    ],
}


# the overrides of each kind of single run; the "extended" one is trained to twice its length then
RUNS: Mapping[str, Sequence[str]] = {
    "default": [],
    "depth_1": [*TINY, "model.depth=1"],
    "depth_2": [*TINY, "model.depth=2"],
    **{
        f"depth_64_{residual}": [*TINY, "model.depth=64", f"residual={residual}"]
        for residual in ("none", "identity", "scaled")
    },
    "depth_256": [*TINY, "model.depth=256", "model.width=8"],
    "depth_500": [*TINY, "model.depth=500", "model.width=4"],
    "diverged": [*TINY, "optimizer.lr=30", "trainer.clip=null", "trainer.patience=20"],
    "not_finite": [*TINY, "optimizer.lr=1e6", "trainer.clip=null", "init=he", "residual=identity"],
    "two_steps": [*TINY, "trainer.steps=2"],
    "long": [
        *(*TINY, "trainer.steps=100000", "model.width=4", "model.depth=2", "task.rows=60"),
        *("trainer.batch_size=4", "evaluate.every=20", "measure.every=50", "schedule=constant"),
    ],
    "two_targets": [*TINY, "task=linear", "task.outputs=2"],
    "one_input": [*DIABETES, f"task.path={DATA}", "task.inputs=[bmi]"],
    "post_norm": [*TINY, "norm=post_rms", "residual=identity"],
    "rezero": [*TINY, "residual=rezero"],
    "swiglu": [*TINY, "block=swiglu"],
    "extended": TINY,
    "foreign_names": [*DIABETES, f"task.path={NAMES}", f"task.target='{FOREIGN[1]}'"],
}


def write_foreign_names(out: Path) -> None:
    table = DATA.read_text(encoding="utf-8")
    header, rows = table.split("\n", 1)
    for column, name in zip(("progression", "bp"), FOREIGN, strict=True):
        header = header.replace(column, name)
    Path(NAMES.replace("OUT", str(out))).write_text(f"{header}\n{rows}", encoding="utf-8")


def sweep_figures(out: Path, kind: str) -> list[Path]:
    """Train what is not trained yet, compare it, and draw; the figures' paths."""
    for index, settings in enumerate(SWEEPS[kind]):
        root = out / "runs" / str(index)
        given = [*(() if settings[0] in DIABETES else TINY), *settings]
        given = [word.replace("OUT", str(out.parents[1])) for word in given]
        if any("," in word for word in settings):
            given += [f"sweep.dir={root}", "hydra/launcher=serial", "resume=force"]
            run_sweep(check(given), lambda line: None)
        else:
            execute(build_experiment(compose([*given, f"run.dir={root}"])), print, progress=False)
    comparison = collect([out / "runs"], Options(), print)
    holds = [case.traces.theory_holds for case in comparison.cases if case.traces]
    if kind == "theory_flagged" and all(holds):
        raise SystemExit(f"theory holds for all runs of {out}: none shows where it does not")
    return write_figures(comparison, out, ["png"])


def run_figures(out: Path, kind: str) -> list[Path]:
    """Train a single run, unless that was done, and draw it; the figures' paths."""
    given = [word.replace("OUT", str(out.parents[1])) for word in RUNS[kind]]
    if kind == "extended":
        given.append("trainer.steps=120" if out.exists() else "trainer.steps=60")
    run = execute(
        build_experiment(compose([*given, f"run.dir={out}", "plot.when=never"])),
        print,
        progress=False,
    )
    if kind == "extended" and run.config["trainer"]["steps"] == 60:
        return run_figures(out, kind)
    return draw(run, notify=print)


def in_grey(figure: Path) -> None:
    """A copy as a printer without colour shows it."""
    (figure.parent / "grey").mkdir(exist_ok=True)
    Image.open(figure).convert("L").save(figure.parent / "grey" / figure.name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("outputs") / "figures")
    parser.add_argument(
        "--only",
        metavar="KIND,...",
        help=f"of runs/KIND, {', '.join(RUNS)}; sweeps/KIND, {', '.join(SWEEPS)}",
    )
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    write_foreign_names(options.out)
    kinds = [*(f"runs/{kind}" for kind in RUNS), *(f"sweeps/{kind}" for kind in SWEEPS)]
    for path in options.only.split(",") if options.only else kinds:
        folder, _, kind = path.rpartition("/")
        out = options.out / path
        draws = {"runs": run_figures, "sweeps": sweep_figures}
        figures = draws[folder](out, kind)
        for figure in figures:
            in_grey(figure)
            print(figure)


if __name__ == "__main__":
    main()
