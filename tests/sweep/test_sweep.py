"""Sweeps: their space, their identity, their resuming, and one failure that does not spoil them."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ffn_train.config.composition import composed
from ffn_train.config.settings import SettingError
from ffn_train.nn.stack import Stack
from ffn_train.running import expectation
from ffn_train.running.experiment import Experiment, build_experiment
from ffn_train.runs import files, load_run
from ffn_train.runs.lock import in_use
from ffn_train.runs.status import Status
from ffn_train.sweep.estimate import _clock, estimate
from ffn_train.sweep.manifest import merge, read, write
from ffn_train.sweep.run import check, run_sweep
from ffn_train.sweep.space import jobs
from ffn_train.tasks.tabular.file import read as read_table
from ffn_train.train.trainer import Trainer
from tests.support.command import command, process, start
from tests.support.small_runs import NOTES, SMALL

TINY = (*SMALL[:3], "trainer.steps=3", *SMALL[4:])
RESULTS = (files.SCALARS, files.MEASURES, files.WEIGHTS, files.SUMMARY, files.THEORY)


def points(*overrides: str) -> list[tuple[str, ...]]:
    return [tuple(job.settings.values()) for job in jobs([*TINY, *overrides])]


def test_every_combination_in_reading_order() -> None:
    assert points("model.depth=1,2", "residual=none,scaled", "seed=range(0,2)") == [
        (depth, residual, seed)
        for depth in ("1", "2")
        for residual in ("none", "scaled")
        for seed in ("0", "1")
    ]


def test_values_reach_the_configuration() -> None:
    planned = jobs([*TINY, "residual=none,scaled", "optimizer.lr=0.1,0.2", "activation=relu"])
    assert [job.config["residual"]["name"] for job in planned] == ["none"] * 2 + ["scaled"] * 2
    assert [job.config["optimizer"]["lr"] for job in planned] == [0.1, 0.2, 0.1, 0.2]
    assert planned[2].config["residual"] == {"name": "scaled", "scale": 1.0, "power": 0.5}
    assert {job.config["activation"]["name"] for job in planned} == {"relu"}


def test_keys_that_vary_together() -> None:
    zipped = "sweep.zip=[model.depth,optimizer.lr]"
    assert points("model.depth=1,2", "optimizer.lr=0.1,0.2", "seed=0,1", zipped) == [
        ("1", "0.1", "0"),
        ("1", "0.1", "1"),
        ("2", "0.2", "0"),
        ("2", "0.2", "1"),
    ]


REFERENCE = "trainer.steps=${model.depth}"


@pytest.mark.parametrize(
    ("overrides", "steps"),
    [
        (("model.depth=4,16", REFERENCE), [4, 16]),
        (("model.depth=4,16", "residual=none,scaled", REFERENCE), [4, 4, 16, 16]),
        (("model.depth=4,16", "trainer.steps=9,${model.depth}"), [9, 4, 9, 16]),
        (("sweep.grid={model.depth:[4,16],trainer.steps:['${model.depth}',9]}",), [4, 9, 16, 9]),
        (("model.depth=int(interval(4,16))", REFERENCE), [4, 16]),
    ],
)
def test_a_reference_is_resolved_in_each_job(overrides: tuple[str, ...], steps: list[int]) -> None:
    rest = [text for text in TINY if not text.startswith(("trainer.steps", "model.depth"))]
    planned = jobs([*rest, *overrides])
    assert [job.config["trainer"]["steps"] for job in planned] == steps


def test_a_reference_of_ones_own_preset_is_resolved_in_each_job(tmp_path: Path) -> None:
    folder = tmp_path / "experiment"
    folder.mkdir()
    preset = "# @package _global_\ntrainer: {steps: '${model.depth}'}\n"
    (folder / "mine.yaml").write_text(preset, encoding="utf-8")
    own = (f"--config-dir={tmp_path}", "experiment=mine")
    planned = jobs([*own, "model.depth=4,16"])
    assert [job.config["trainer"]["steps"] for job in planned] == [4, 16]


@pytest.mark.parametrize(("reference", "times"), [((), 1), ((REFERENCE,), 4)])
def test_jobs_without_a_reference_share_a_composition(
    reference: tuple[str, ...], times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 0

    def counted(overrides: list[str]) -> Any:
        nonlocal count
        count += 1
        return composed(overrides)

    monkeypatch.setattr("ffn_train.sweep.space.composed", counted)
    jobs([*TINY, "seed=0,1,2", *reference])
    assert count == times


def test_epochs_on_the_command_line_replace_the_steps_of_a_preset() -> None:
    def lengths(*overrides: str) -> list[tuple[int | None, int | None]]:
        planned = jobs(["experiment=table", "task.path=experiments/digits/digits.csv", *overrides])
        trainers = [job.config["trainer"] for job in planned]
        return [(trainer["steps"], trainer["epochs"]) for trainer in trainers]

    assert lengths() == [(10000, None)]
    assert lengths("trainer.epochs=null") == [(10000, None)]
    assert lengths("trainer.epochs=3", "seed=0,1") == [(None, 3), (None, 3)]
    assert lengths("trainer.epochs=3,4") == [(None, 3), (None, 4)]
    assert lengths("trainer.epochs=3", "trainer.steps=20") == [(20, 3)]


@pytest.mark.parametrize("written", ["++seed=7", "seed=7"])
def test_the_command_line_outranks_a_grid(written: str) -> None:
    (job,) = jobs([*TINY, "sweep.grid={seed:[0,1]}", written])
    assert job.config["seed"] == 7


def test_a_preset_may_hold_the_space() -> None:
    assert points("+sweep.grid={seed: [3, 4]}".replace(" ", "")) == [("3",), ("4",)]


@pytest.mark.parametrize(
    ("written", "names"),
    [
        ("task.target=net price,1e5,w", ["net price", "1e5", "w"]),
        ("task.target=C6H6(GT),net price,'a, b'", ["C6H6(GT)", "net price", "a, b"]),
        ("task.path=my data.csv,1e5", ["my data.csv", "1e5"]),
        ("sweep.grid={task.path: [my data.csv, b.csv]}", ["my data.csv", "b.csv"]),
        ("task.inputs=[a b,c],[a b]", [["a b", "c"], ["a b"]]),
        ("task.inputs=[C6H6(GT),c],[a b]", [["C6H6(GT)", "c"], ["a b"]]),
        ("task.inputs=[C6H6(GT),t [C]]", [["C6H6(GT)", "t [C]"]]),
    ],
)
def test_the_values_of_a_literal_setting_are_taken_as_written(
    written: str, names: list[Any]
) -> None:
    key = re.search(r"task\.(\w+)", written)
    assert key is not None
    planned = jobs(["task=table", written])
    assert [job.config["task"][key[1]] for job in planned] == names


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("model.depth=1,abc",), "model.depth must be an integer >= 1, got 'abc'"),
        (("model.dpeth=1,2",), "model.dpeth is not a setting; did you mean model.depth?"),
        (("residual=none,scald",), "did you mean scaled?"),
        (("seed=0,1", "experiment=plain64,scaled64"), "cannot be swept"),
        (("seed=0,1", "run.dir=x"), "a sweep's is sweep.dir"),
        (("seed=0,1", "sweep.zip=[seed,model.depth]"), "model.depth, which does not vary"),
        (("seed=0,1", "model.depth=1,2,3", "sweep.zip=[seed,model.depth]"), "as many values"),
        (("seed=0,1", "resume=yes"), "resume must be one of check, force"),
        (("residual=deepnorm,none",), "residual=deepnorm needs norm=post_layer"),
        (("task.rows=40,9", "seed=0"), "trainer.batch_size must be at most"),
        (("seed=range(0,inf)",), "seed=range(0,inf): endlessly many values"),
        (("seed=range(0,9,0)",), "endlessly many values"),
        (("seed=range(0,1000000000)",), "1,000,000,000 values; a sweep has at most 10,000 jobs"),
        (
            ("seed=range(0,3000)", "model.depth=range(1,3001)", "task.rows=range(200,3200)"),
            "seed, model.depth, task.rows together: 27,000,000,000 jobs",
        ),
        (("optimizer.lr=interval(0.1,1)", "sweep.search.trials=100000"), "100,000 jobs"),
        (("seed=range(3,1)",), "seed=range(3,1) has no values"),
        (("seed=glob(*)",), "seed=glob(*): glob(...) is for choices"),
        (("optimizer.lr=.1,sort(.1,.2)",), "sort() ... stand alone, not in a list"),
        (("loss=mse,glob(*)",), "stand alone, not in a list"),
        (("activation=relu,[sort(1,2)]",), "stand alone, not in a list"),
        (("seed=choice({a:[range(0,3)]},3)",), "stand alone, not in a list"),
        (("activation=[choice(relu,gelu)]",), "stand alone, not in a list"),
        (("task.target=a,b",), "task.target is a setting of task=table"),
        (("seed=0,1", "seed=5"), "seed=0,1: seed is given again after it"),
        (("seed=0,-1",), "seed must be an integer >= 0, got -1"),
        (("seed=0,1", "model.depth=1,0"), "model.depth must be an integer >= 1, got 0"),
        (("residual=glob(x*)",), "residual=glob(x*) has no values"),
        (("residual=[none,scaled]",), "is a list where one choice is meant"),
        (("optimizer.lr=interval(0.1,inf)",), "both finite"),
        (("parts=[a.py],[b.py]",), "parts names all files of a sweep; what varies is a choice"),
        (("threads=1,2",), "threads changes no result, so it cannot be varied"),
        (("sweep=1,2",), "sweep holds sweep.dir, sweep.grid, sweep.zip, sweep.search, got 1"),
        (("sweep.dir=a,b",), "sweep.dir changes no result"),
        (("seed=0,1", "sweep.dir=s-${seed}"), "sweep.dir is s-0 for a job and s-1 for another"),
        (("logger=none,tensorboard",), "logger changes no result, so it cannot be varied"),
        (("seed=0,1", "sweep.zip=[[seed,3]]"), "sweep.zip must be a list of keys"),
        (("sweep.grid={seed:[]}",), "sweep.grid.seed must be a list of values, got []"),
        (("sweep.grid={seed:{a:1}}",), "sweep.grid.seed must be a list of values"),
        (
            ("seed=0,1", "hydra/launcher=serial", "+hydra.launcher.x=[{_target_:os.system}]"),
            "its settings are plain values, without _target_",
        ),
        (("seed=0,1", "sweep.zip=[seed,seed]"), "sweep.zip names seed twice"),
        (("seed=0,1", "sweep.search={trials: 3}"), "trials: 3} is for a search"),
        (("seed=0,1", "sweep.search.trials=3"), "trials=3 is for a search: no setting has inter"),
        (("sweep.grid={seed:[0]}", "run.dir=x,caf\udce9"), r"caf\udce9': it is not UTF-8"),
        (("run=1",), "run holds run.dir, got 1"),
        (("run=1,2",), "run holds run.dir, got 1"),
        (("sweep.search=true",), "sweep.search holds sweep.search.trials"),
        (("seed=0,1", "hydra.sweep.dir=x"), "sweep.dir=PATH a sweep's"),
        (("seed=0,1", "hydra/launcher=nope"), "hydra/launcher must be one of"),
        (("seed=0,1", "hydra/launcher=serial,local"), "a sweep has one launcher"),
        (("seed=0,1", "hydra.launcher._target_=os.system"), "of Hydra's own settings only"),
        (
            ("seed=0,1", "hydra/launcher=serial", "+hydra.launcher.x={_target_:os.system}"),
            "its settings are plain values, without _target_",
        ),
    ],
)
def test_a_mistake_is_found_before_any_job_starts(overrides: tuple[str, ...], message: str) -> None:
    with pytest.raises(SettingError) as caught:
        check([*TINY, *overrides])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_launchers_setting_of_another_type_is_told_with_its_type() -> None:
    pytest.importorskip("joblib", reason="joblib is not installed (extra 'parallel')")
    with pytest.raises(SettingError) as caught:
        check([*SMALL, "seed=0,1", "hydra.launcher.n_jobs=two"])
    said = "hydra.launcher.n_jobs: Value 'two' of type 'str' could not be converted to Integer"
    assert str(caught.value) == said


def test_jobs_that_differ_in_the_seed_alone_are_checked_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    built: list[int] = []

    def counted(config: Any) -> Experiment:
        built.append(config["model"]["depth"])
        return build_experiment(config)

    monkeypatch.setattr("ffn_train.sweep.run.build_experiment", counted)
    plan = check([*TINY, "model.depth=1,2", "seed=range(0,50)"])
    assert built == [1, 2]
    assert len({job.digest for job in plan.entries}) == len(plan.sizes) == 100
    assert len({size.parameters for size in plan.sizes.values()}) == 2


def test_a_glob_varies_a_choice() -> None:
    assert points("residual=glob(*,exclude=deep*)") == [
        (name,) for name in ("identity", "none", "rezero", "scaled")
    ]


def test_a_value_of_a_grid_may_be_a_mapping() -> None:
    grid = "sweep.grid={measure.quantities: [{signal_rms: 5, default: 50}, default]}"
    found = [job.config["measure"]["quantities"] for job in jobs([*TINY, grid])]
    assert found == [{"signal_rms": 5, "default": 50}, "default"]


def test_a_value_of_a_grid_may_hold_a_comma() -> None:
    (job,) = jobs(["task=csv", "task.target=y", "sweep.grid={task.path:['a,b.csv']}"])
    assert job.config["task"]["path"] == "a,b.csv"


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.04, "0.0 s"), (59.9, "59.9 s"), (90, "2 min"), (9000, "2.5 h")]
)
def test_times_are_said_in_their_unit(seconds: float, words: str) -> None:
    assert _clock(seconds) == words


def test_a_dry_run_tells_the_size_of_every_model() -> None:
    text = estimate(check([*TINY, "task.inputs=3,20", "model.depth=1,2"]).entries)
    sizes = [line.split()[1] for line in text.splitlines()[1:-1]]
    assert len(set(sizes)) == 4


def test_jobs_are_built_once_to_list_them(monkeypatch: pytest.MonkeyPatch) -> None:
    plan, built = check([*TINY, "seed=0,1,2", "model.depth=1,2"]), []

    def counted(config: Any) -> Experiment:
        built.append(config["seed"])
        return build_experiment(config)

    monkeypatch.setattr("ffn_train.sweep.estimate.build_experiment", counted)
    monkeypatch.setattr("ffn_train.sweep.estimate._time", lambda experiment: 0.01)
    known = estimate(plan.entries, plan.trials, plan.sizes)
    assert len(built) == 2  # one of each depth, to time its steps
    assert known == estimate(plan.entries, plan.trials)


def test_no_weights_are_drawn_to_check_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    def drawn(*_: object) -> None:
        raise AssertionError("the weights of every job in turn: minutes for deep stacks")

    monkeypatch.setattr(Stack, "initial", drawn)
    assert len(check([*TINY, "seed=0,1"]).entries) == 2


def test_names_are_safe_and_stay_inside() -> None:
    names = [entry.directory for entry in check([*TINY, "seed=0", "optimizer.lr=0.1,0.2"]).entries]
    assert len(set(names)) == 2
    paths = "task.path='../../../x',/etc/passwd,'a b','.'"
    hostile = jobs(["task=csv", "task.target=y", paths])
    for job in hostile:
        assert "/" not in job.name
        assert not job.name.startswith(".")
        assert len(job.name) <= 80


def results(sweep: Path) -> dict[str, bytes]:
    return {
        f"{path.parent.name}/{path.name}": path.read_bytes()
        for path in sorted(sweep.glob("jobs/*/*"))
        if path.name in RESULTS
    }


def tables(sweep: Path) -> dict[str, bytes]:
    """The comparison's tables, less the wall times."""
    folder = sweep / "comparison"
    return {name: (folder / name).read_bytes() for name in ("groups.csv", "runs.csv")}


def run(sweep: Path, *overrides: str, launcher: str = "serial") -> list[str]:
    notes: list[str] = []
    arguments = [*TINY, *overrides, f"sweep.dir={sweep}", f"hydra/launcher={launcher}"]
    swept = run_sweep(check(arguments), notes.append)
    assert swept.path == sweep
    return [entry.status(sweep).state for entry in swept.entries]


def test_only_what_is_missing_is_run(two_jobs: Path, tmp_path: Path) -> None:
    sweep = Path(shutil.copytree(two_jobs, tmp_path / "sweep"))
    before = {path: path.stat().st_mtime_ns for path in sweep.glob("jobs/*/*")}
    assert run(sweep, "seed=0,1,2") == ["finished"] * 3
    assert all(path.stat().st_mtime_ns == then for path, then in before.items())
    # a further axis takes over what is there already
    assert run(sweep, "seed=0,1", "model.depth=3,4") == ["finished"] * 4
    assert all(path.stat().st_mtime_ns == then for path, then in before.items())
    assert len(read(sweep)) == len(list((sweep / "jobs").iterdir())) == 5


def test_a_job_whose_summary_was_lost_gets_it_again(two_jobs: Path, tmp_path: Path) -> None:
    sweep = Path(shutil.copytree(two_jobs, tmp_path / "sweep"))
    lost = sorted(sweep.glob("jobs/*/summary.json"))[0]
    content = lost.read_bytes()
    lost.unlink()
    (job,) = (job for job in read(sweep) if job.directory == f"jobs/{lost.parent.name}")
    assert job.status(sweep) == Status("interrupted", "summary.json is missing")
    assert run(sweep, "seed=0,1") == ["finished"] * 2
    assert lost.read_bytes() == content


@pytest.fixture(scope="module")
def two_jobs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished sweep over seed=0,1; what alters it works on a copy."""
    sweep = tmp_path_factory.mktemp("two") / "sweep"
    assert run(sweep, "seed=0,1") == ["finished"] * 2
    return sweep


def test_the_manifest_tells_a_reader_the_states_and_times(two_jobs: Path) -> None:
    manifest = json.loads((two_jobs / "manifest.json").read_text())
    assert manifest["space"] == {"seed": ["0", "1"]}
    assert [job["settings"] for job in manifest["jobs"]] == [{"seed": "0"}, {"seed": "1"}]
    assert {job["state"] for job in manifest["jobs"]} == {"finished"}
    for job in manifest["jobs"]:
        assert job["started"].startswith("20")
        assert job["training_seconds"] > 0


def test_jobs_draw_nothing_unless_asked(two_jobs: Path) -> None:
    assert len(list(two_jobs.glob("jobs/*"))) == 2
    assert not list(two_jobs.glob("jobs/*/plots"))


def test_another_configuration_is_refused_with_the_difference(
    two_jobs: Path, tmp_path: Path
) -> None:
    sweep = Path(shutil.copytree(two_jobs, tmp_path / "sweep"))
    with pytest.raises(SettingError, match=r"optimizer\.lr=0\.15 there, 0\.1 here"):
        run(sweep, "seed=0,1", "optimizer.lr=0.1")
    manifest = json.loads((sweep / "manifest.json").read_text())
    (sweep / "manifest.json").write_text(json.dumps({**manifest, "code": "older"}))
    with pytest.raises(SettingError, match="the package's code"):
        run(sweep, "seed=0,1")
    assert run(sweep, "seed=0,1", "resume=force") == ["finished"] * 2


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("hydra/launcher=slrum", "did you mean slurm?"),
        ("hydra.launcher.n_job=2", "n_job"),
        ("sweep.dir=/proc/sweep", "sweep.dir=/proc/sweep cannot be made"),
        ("sweep.dir=.", "is not empty and holds no sweep"),
    ],
)
def test_a_mistake_in_how_to_launch_writes_nothing(
    tmp_path: Path, override: str, message: str
) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    done = command("-m", *TINY, "seed=0,1", override, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


LINES = ["a,b,y", *(f"{i % 7},{i % 5},{(i * i) % 11}" for i in range(80))]


def on_a_table(folder: Path, *overrides: str) -> list[str]:
    """A sweep over two seeds on a table that is written now."""
    data = folder / "data.csv"
    data.write_text("\n".join(LINES))
    task = ("task=csv", f"task.path={data}", "task.target=y", "seed=0,1", *overrides)
    tiny = [override for override in TINY if not override.startswith("task.")]
    return [*tiny, *task, f"sweep.dir={folder / 's'}", "hydra/launcher=serial"]


def test_data_that_change_while_a_sweep_runs_fail_the_jobs_that_would_read_them(
    tmp_path: Path,
) -> None:
    arguments = on_a_table(tmp_path)
    plan = check(arguments)
    (tmp_path / "data.csv").write_text("\n".join([*LINES, "1,2,3"]))
    swept = run_sweep(plan, print)
    for entry in swept.entries:
        now = entry.status(swept.path)
        assert now.state == "failed"
        assert "was begun with something else: the data of jobs/seed=" in now.reason
        assert not (swept.path / entry.directory / "scalars.csv").exists()
    with pytest.raises(SettingError, match="the data of jobs/"):
        run_sweep(check(arguments), print)
    forced = check([*arguments, "resume=force"])
    swept = run_sweep(forced, print)  # none has ended: now those are meant
    assert {entry.status(swept.path).state for entry in swept.entries} == {"finished"}
    assert run_sweep(check(arguments), print).entries == swept.entries


def test_a_table_is_read_once_for_jobs_in_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = []

    def counted(path: str, *arguments: Any, **options: Any) -> Any:
        reads.append(path)
        return read_table(path, *arguments, **options)

    monkeypatch.setattr("ffn_train.tasks.tabular.task.read", counted)
    monkeypatch.setattr("ffn_train.sweep.launcher.allowed_cores", lambda: 1)
    seeds = on_a_table(tmp_path)
    plan = check([text.replace("seed=0,1", "seed=range(0,6)") for text in seeds])
    assert len(reads) == 1
    swept = run_sweep(plan, print)
    assert len(reads) == 4  # by batches of four jobs, of one, and of one
    for entry in swept.entries:
        assert entry.status(swept.path).state == "finished"
        written = json.loads((swept.path / entry.directory / files.DATA).read_text())
        alone = build_experiment(entry.config).exact.to_json()
        assert written == json.loads(json.dumps(alone))
    assert len(reads) == 10


def test_the_theory_of_the_same_first_batch_is_worked_out_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By jobs in turn, whatever differs in their training, but not in what is before it."""
    modes = []

    def counted(predicted: Any, experiment: Experiment) -> Any:
        modes.append(experiment.settings.seed)
        return mode(predicted, experiment)

    mode = expectation._mode
    monkeypatch.setattr("ffn_train.running.expectation._mode", counted)
    monkeypatch.setattr("ffn_train.sweep.launcher.allowed_cores", lambda: 1)
    monkeypatch.setattr("ffn_train.sweep.launcher.SHARE", 1)  # all jobs are one batch
    sweep = tmp_path / "s"
    assert run(sweep, "optimizer.lr=0.1,0.2,0.3", "seed=0,1") == ["finished"] * 6
    assert modes == [0, 0, 1, 1]
    for entry in read(sweep):
        written = json.loads((sweep / entry.directory / files.THEORY).read_text())
        experiment = build_experiment(entry.config)
        assert written == expectation.expectation(experiment, NOTES.append)
    for number, other in enumerate(
        (
            "init=he,xavier",
            "trainer.batch_size=8,9",
            "residual=none,scaled",
            "dtype=float32,float64",
        )
    ):
        modes.clear()
        assert run(tmp_path / str(number), other) == ["finished"] * 2
        assert len(modes) == 4


def test_a_sweep_is_extended_in_steps(tmp_path: Path) -> None:
    def swept(steps: int, seeds: str = "0,1") -> list[Path]:
        arguments = [*TINY, f"seed={seeds}", f"trainer.steps={steps}", f"sweep.dir={tmp_path}"]
        plan = check(arguments)
        notes: list[str] = []
        entries = run_sweep(plan, notes.append).entries
        assert {job.status(tmp_path).state for job in entries} == {"finished"}
        assert not [note for note in notes if "warning" in note]
        return [tmp_path / job.directory for job in entries]

    short = swept(3)
    before = [(path / files.WEIGHTS).read_bytes() for path in short]
    assert swept(5) == short
    assert len(list((tmp_path / "jobs").iterdir())) == 2
    assert [load_run(path).scalars["step"].tolist() for path in short] == [[0, 1, 2, 3, 4, 5]] * 2
    assert [(path / files.WEIGHTS).read_bytes() for path in short] != before
    with pytest.raises(SettingError, match=r"trainer\.steps=5 there, 4 here"):
        swept(4, "2,3")
    assert swept(7, "1,2")[0] == short[1]  # of one job only
    assert [load_run(path).summary.steps for path in short] == [5, 7]  # type: ignore[union-attr]


def test_a_job_that_has_gone_on_is_not_the_shorter_one_too(tmp_path: Path) -> None:
    def swept(steps: int, seeds: str, *more: str) -> None:
        fixed = (f"trainer.steps={steps}", f"seed={seeds}", f"sweep.dir={tmp_path}")
        run_sweep(check([*TINY, *fixed, *more]), print)

    swept(3, "0,1")
    swept(6, "0")
    for more in ((), ("resume=force",)):
        with pytest.raises(SettingError, match="has gone on to 6 steps, so that it is not"):
            swept(3, "0,1", *more)


def test_an_extension_that_fails_says_why(tmp_path: Path) -> None:
    arguments = ["-m", *TINY, "seed=0,1", "plot.when=never", "sweep.dir=s"]
    assert command(*arguments, cwd=tmp_path).returncode == 0
    (job,) = (tmp_path / "s" / "jobs").glob("seed=0-*")
    rows = (job / files.SCALARS).read_bytes()
    (job / files.SCALARS).write_bytes(rows.replace(b"\n0,", b"\n00,"))
    done = command(*arguments, "trainer.steps=6", cwd=tmp_path)
    assert done.returncode == 1
    assert f"failed: s/jobs/{job.name}: run.dir=" in done.stderr
    assert "has ended, and no checkpoint can be used to extend it" in done.stderr
    assert (tmp_path / "s" / "logs" / f"{job.name}.log").read_text().count("has ended") == 1


def test_a_summary_with_other_steps_is_no_traceback(tmp_path: Path) -> None:
    arguments = [*TINY, "seed=0,1", f"sweep.dir={tmp_path}"]
    path = tmp_path / run_sweep(check(arguments), print).entries[0].directory / files.SUMMARY
    path.write_text(path.read_text().replace('"steps": 3', '"steps": "3"'))
    states = [job.status(tmp_path).state for job in run_sweep(check(arguments), print).entries]
    assert states == ["failed", "finished"]


def test_a_grid_grows_and_its_jobs_are_those_of_the_command_line(tmp_path: Path) -> None:
    def swept(values: str) -> list[str]:
        return [
            job.directory
            for job in run_sweep(check([*TINY, values, f"sweep.dir={tmp_path}"]), print).entries
        ]

    two = swept("sweep.grid={seed: [0, 1]}")
    assert swept("sweep.grid={seed: [0, 1, 2]}")[:2] == two
    assert swept("seed=0,1") == two


def test_a_number_that_is_typed_in_another_way_is_the_same_job(tmp_path: Path) -> None:
    directories = []
    for values in ("0.5,1", "0.5,1.0"):
        plan = check([*TINY, f"optimizer.lr={values}", f"sweep.dir={tmp_path}"])
        swept = run_sweep(plan, print)
        directories.append([job.directory for job in swept.entries])
    assert directories[0] == directories[1]
    assert len(check([*TINY, "optimizer.lr=1,1.0"]).entries) == 1


def test_a_damaged_job_fails_the_sweep(tmp_path: Path) -> None:
    arguments = ["-m", *TINY, "seed=0,1", "plot.when=never", "sweep.dir=s"]
    assert command(*arguments, cwd=tmp_path).returncode == 0
    (job,) = (tmp_path / "s" / "jobs").glob("seed=0-*")
    (job / files.SCALARS).write_bytes(b"")
    done = command(*arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert "remove its directory and repeat the command" in done.stderr
    assert "2 finished of 2 jobs in s; 1 run there damaged" in done.stdout
    for path in (tmp_path / "s" / "jobs").iterdir():
        (path / files.SCALARS).write_bytes(b"")
    done = command(*arguments, cwd=tmp_path)
    assert (done.returncode, "2 runs there damaged" in done.stdout) == (1, True)
    shutil.rmtree(tmp_path / "s" / "jobs")
    assert command(*arguments, cwd=tmp_path).returncode == 0


def test_what_may_be_done_about_a_damaged_manifest_is_told(two_jobs: Path, tmp_path: Path) -> None:
    sweep = Path(shutil.copytree(two_jobs, tmp_path / "sweep"))
    (sweep / "manifest.json").write_text("{")
    remedy = r"manifest\.json: .* \(name another sweep\.dir; `compare` still reads its runs\)$"
    with pytest.raises(SettingError, match=remedy):
        run(sweep, "seed=0,1")
    compared = command("compare", "sweep", cwd=tmp_path)
    assert compared.returncode == 0
    assert "2 runs: 2 finished" in compared.stdout


def test_changed_data_are_refused(tmp_path: Path) -> None:
    data, arguments = tmp_path / "data.csv", on_a_table(tmp_path)
    run_sweep(check(arguments), print)
    data.write_text("\n".join([*LINES, "1,2,3"]))
    with pytest.raises(SettingError, match="the data of jobs/"):
        run_sweep(check(arguments), print)
    notes: list[str] = []
    swept = run_sweep(check([*arguments, "resume=force"]), notes.append)
    assert {entry.status(swept.path).state for entry in swept.entries} == {"finished"}
    assert sum("are kept, although made with the data of jobs/" in note for note in notes) == 2


def without(sweep: Path, *keys: str) -> None:
    """Let the jobs of a manifest lack keys, as those of older versions do."""
    manifest = json.loads((sweep / "manifest.json").read_text())
    for job in manifest["jobs"]:
        for key in (*keys, "sha256"):
            job.pop(key, None)
    (sweep / "manifest.json").write_text(json.dumps(manifest))


def test_changed_rows_for_validation_or_the_test_are_refused(tmp_path: Path) -> None:
    second = tmp_path / "second.csv"
    for key in ("task.validation_path", "task.test_path"):
        second.write_text("\n".join(LINES[:40]))
        folder = tmp_path / key
        folder.mkdir()
        arguments = on_a_table(folder, f"{key}={second}")
        run_sweep(check(arguments), print)
        second.write_text("\n".join(LINES[:30]))
        with pytest.raises(SettingError, match=f"the content of {key} .* there, .* here"):
            run_sweep(check(arguments), print)
        further = [text.replace("seed=0,1", "seed=2,3") for text in arguments]
        with pytest.raises(SettingError, match=f"the content of {key} "):
            run_sweep(check(further), print)
        without(folder / "s", "others")
        swept = run_sweep(check(arguments), print)  # what is not known is not compared
        assert [entry.status(swept.path).state for entry in swept.entries] == ["finished"] * 2


def test_a_table_that_is_read_in_another_way_is_refused(tmp_path: Path) -> None:
    arguments = on_a_table(tmp_path)
    run_sweep(check(arguments), print)
    further = [text.replace("seed=0,1", "seed=2,3") for text in arguments]
    for key, value in (("task.encoding", "cp1252"), ("task.validation_path", "data.csv")):
        value = str(tmp_path / value) if key.endswith("path") else value
        for asked in (arguments, further):
            with pytest.raises(SettingError, match=f'{key}=null there, ".*{value}" here'):
                run_sweep(check([*asked, f"{key}={value}"]), print)
    (tmp_path / "data.csv").write_text("\n".join([*LINES, "1,2,3"]))
    with pytest.raises(SettingError, match="the data of jobs/"):
        run_sweep(check(further), print)


def test_how_a_table_is_read_may_vary_and_then_no_more(tmp_path: Path) -> None:
    arguments = [text.replace("seed=0,1", "seed=0") for text in on_a_table(tmp_path)]
    run_sweep(check(arguments), print)
    run_sweep(check([*arguments, "task.encoding=ascii,cp1252"]), print)
    assert len(read(tmp_path / "s")) == 3
    run_sweep(check(arguments), print)
    with pytest.raises(SettingError, match=r'task\.encoding=null there, "ascii" here'):
        run_sweep(check([*arguments, "task.encoding=ascii"]), print)


def test_what_differs_by_a_reference_is_not_shared(tmp_path: Path) -> None:
    reference = "trainer.batch_size=${model.depth}"
    assert run(tmp_path / "s", "model.depth=1,2", reference) == ["finished"] * 2
    assert run(tmp_path / "s", "model.depth=2,3", reference) == ["finished"] * 2


@pytest.mark.parametrize("key", ["task.path", "++task.path"])
def test_tables_that_vary_are_different_jobs(key: str, tmp_path: Path) -> None:
    arguments = on_a_table(tmp_path)
    path = next(text for text in arguments if text.startswith("task.path="))
    other = tmp_path / "other.csv"
    other.write_text("\n".join(LINES[:50]))
    varied = f"{key}{path.removeprefix('task.path')},{other}"
    entries = check([text if text != path else varied for text in arguments]).entries
    assert len({entry.digest for entry in entries}) == len({e.directory for e in entries}) == 4
    assert len({entry.data for entry in entries}) == 2


def test_one_failure_does_not_spoil_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = Trainer.fit

    def failing(self: Trainer, state: Any, **options: Any) -> Any:
        if self.model.depth == 2:
            raise SystemExit("on\x1b[31m purpose")
        return fit(self, state, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "fit", failing)
        states = run(tmp_path / "sweep", "model.depth=1,2,3")
        assert states == ["finished", "failed", "finished"]
        (failed,) = [entry for entry in read(tmp_path / "sweep") if "depth=2" in entry.directory]
        reason = "RuntimeError: SystemExit: on\x1b[31m purpose"
        assert failed.status(tmp_path / "sweep").reason == reason
        (log,) = (tmp_path / "sweep" / "logs").glob("depth=2*")
        assert "Traceback" in log.read_text()
        assert r"SystemExit: on\x1b[31m purpose" in log.read_text()
        states = run(tmp_path / "fast", "model.depth=1,2,3", "fail_fast=true")
        assert states == ["finished", "failed", "pending"]
    assert run(tmp_path / "sweep", "model.depth=1,2,3") == ["finished"] * 3


def sweep_command(sweep: Path, *overrides: str) -> list[str]:
    return ["-m", f"sweep.dir={sweep}", *TINY, *overrides]


def test_a_job_that_has_not_ended_takes_the_settings_that_it_is_asked_for_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep, fit = tmp_path / "sweep", Trainer.fit

    def failing(self: Trainer, state: Any, **options: Any) -> Any:
        if self.model.depth > 1:
            raise ValueError("on purpose")
        return fit(self, state, **options)

    depths = "model.depth=1,2,3"
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "fit", failing)
        assert run(sweep, depths, "fail_fast=true") == ["finished", "failed", "pending"]
        assert run(sweep, depths) == ["finished", "failed", "failed"]
    before = read(sweep)
    other = ("plot.when=always", "plot.formats=[svg]", "plot.figures=[loss]", "checkpoint.every=1")
    assert run(sweep, depths, *other) == ["finished"] * 3
    for job in before[1:]:
        config = load_run(sweep / job.directory).config
        assert config["checkpoint"]["every"] == 1
        assert [p.name for p in (sweep / job.directory / files.PLOTS).iterdir()] == ["loss.svg"]
    assert read(sweep)[0] == before[0]  # it has ended


def test_the_comparison_is_drawn_as_it_is_asked_for_now(two_jobs: Path, tmp_path: Path) -> None:
    sweep = Path(shutil.copytree(two_jobs, tmp_path / "sweep"))
    asked = ("seed=0,1", "hydra/launcher=serial", "plot.when=auto", "plot.formats=[svg]")
    done = command(*sweep_command(sweep, *asked), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {path.suffix for path in (sweep / "comparison").glob("*")} >= {".svg"}


def test_a_job_reads_the_table_where_it_is_now(tmp_path: Path) -> None:
    arguments = on_a_table(tmp_path)
    plan = check(arguments)
    sweep = tmp_path / "s"
    sweep.mkdir()
    write(sweep, [], merge(sweep, plan.entries, force=False)[0])  # as one that was killed at once
    moved = (tmp_path / "data.csv").rename(tmp_path / "moved.csv")
    swept = run_sweep(check([*arguments, f"task.path={moved}"]), print)
    assert [entry.status(sweep).state for entry in swept.entries] == ["finished"] * 2


def test_the_command_ends_with_counts_and_its_status(tmp_path: Path) -> None:
    overrides = sweep_command(tmp_path / "sweep", "seed=0,1", "hydra/launcher=serial")
    done = process(*overrides, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    page = tmp_path / "sweep" / "comparison" / "index.html"
    last = f"2 finished of 2 jobs in {tmp_path / 'sweep'}; to look at: {page}"
    assert done.stdout.splitlines()[-1] == last
    assert {p.name for p in tmp_path.iterdir()} == {"sweep"}


def test_a_disk_that_is_full_at_the_end_hides_no_finished_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Path] = []

    def full(sweep: Path, *content: Any) -> None:
        if written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(sweep / "manifest.json"))
        write(sweep, *content)
        written.append(sweep)

    monkeypatch.setattr("ffn_train.sweep.run.write", full)
    done = command("-m", *TINY, "seed=0,1", "plot.when=never", "sweep.dir=s", cwd=tmp_path)
    assert done.returncode == 1
    assert "states are those of the start: [Errno 28] No space left on device" in done.stderr
    assert "2 finished of 2 jobs in s" in done.stdout


def test_a_dry_run_lists_the_jobs_and_writes_nothing(tmp_path: Path) -> None:
    overrides = sweep_command(tmp_path / "sweep", "seed=0,1", "model.depth=1,2", "dry_run=true")
    done = command(*overrides, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 6
    assert "parameters" in lines[0]
    assert lines[-1].startswith("4 jobs: about")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("written", ["dry_run=True", "++dry_run=true"])
def test_a_dry_run_may_be_written_in_any_way(tmp_path: Path, written: str) -> None:
    done = command(*sweep_command(tmp_path / "sweep", "seed=0,1", written), cwd=tmp_path)
    assert done.stdout.splitlines()[-1].startswith("2 jobs: about"), done.stderr
    done = command(*TINY, written, f"run.dir={tmp_path / 'run'}", cwd=tmp_path)
    assert done.stdout.splitlines()[-1].startswith("1 job: about"), done.stderr
    assert not list(tmp_path.iterdir())


def test_a_dry_run_of_a_search_counts_its_trials() -> None:
    plan = check(
        [*TINY, "optimizer.lr=interval(0.001,1)", "model.depth=1,2", "sweep.search.trials=5"]
    )
    text = estimate(plan.entries, plan.trials)
    assert "the rows are the ends of the interval of its 5 trials" in text
    assert text.splitlines()[-1].startswith("10 jobs: about")


@pytest.mark.parametrize(("cores", "words"), [(1, "on the one core"), (2, "on the 2 cores")])
def test_a_dry_run_counts_the_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int, words: str
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(cores)))
    assert f" {words} of this machine" in estimate(check([*TINY, "seed=0,1"]).entries)


def test_a_dry_run_counts_the_cores_of_a_system_without_affinity(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr("os.sched_getaffinity")
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    assert " on the 3 cores of this machine" in estimate(check([*TINY, "seed=0,1"]).entries)


def test_a_job_draws_no_bar_over_the_sweeps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    run(tmp_path / "sweep", "seed=0")
    assert "job" in (shown := capsys.readouterr().err)
    assert "step/s" not in shown


def test_what_diverged_is_told_with_its_reason(tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    overrides = ("optimizer.lr=0.1,1e30", "trainer.clip=null", "hydra/launcher=serial")
    done = command(*sweep_command(sweep, *overrides), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (lost,) = [entry for entry in read(sweep) if entry.status(sweep).state == "diverged"]
    assert f"diverged: {sweep / lost.directory}: at step " in done.stderr
    (log,) = (sweep / "logs").glob("lr=1e*")
    assert log.read_text().startswith("diverged at step ")
    manifest = json.loads((sweep / "manifest.json").read_text())
    reasons = {job["state"]: job["reason"] for job in manifest["jobs"]}
    assert reasons["finished"] is None
    assert reasons["diverged"].startswith("diverged at step ")


def test_a_damaged_job_is_set_aside_and_run_again(two_jobs: Path, tmp_path: Path) -> None:
    sweep = Path(shutil.copytree(two_jobs, tmp_path / "sweep"))
    whole = results(sweep)
    damaged = next(sweep.glob("jobs/seed=1*")) / files.SUMMARY
    damaged.write_text("{")
    assert run(sweep, "seed=0,1") == ["finished"] * 2
    assert results(sweep) == whole
    (aside,) = (sweep / "damaged").iterdir()
    assert (aside / files.SUMMARY).read_text() == "{"
    assert "summary.json" in next((sweep / "logs").glob("seed=1*")).read_text()


def test_in_parallel_as_in_series(tmp_path: Path) -> None:
    pytest.importorskip("joblib", reason="joblib is not installed (extra 'parallel')")
    overrides = ("model.depth=1,3", "residual=none,scaled")
    for launcher in ("serial", "local"):
        swept = sweep_command(tmp_path / launcher, *overrides, f"hydra/launcher={launcher}")
        done = process(*swept, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert results(tmp_path / "local") == results(tmp_path / "serial")
    assert tables(tmp_path / "local") == tables(tmp_path / "serial")


def test_a_killed_worker_costs_no_job(tmp_path: Path) -> None:
    pytest.importorskip("joblib", reason="joblib is not installed (extra 'parallel')")
    sweep = tmp_path / "sweep"
    overrides = sweep_command(sweep, "seed=range(0,4)", "trainer.steps=3000")
    started = start(*overrides, cwd=tmp_path, session=True)
    victim = None
    while victim is None:  # a worker's lock on its job tells that it is at work
        time.sleep(0.05)
        assert started.running()
        victim = next((p for p in sweep.glob("jobs/*") if in_use(p)), None)
    (worker,) = holders(victim)
    os.kill(worker, signal.SIGKILL)
    done = started.wait()
    assert done.returncode == 0, done.stderr
    assert "the workers were lost" in done.stderr
    assert done.stdout.splitlines()[-1].startswith(f"4 finished of 4 jobs in {sweep};")


@pytest.mark.parametrize("launcher", ["serial", "local"])
@pytest.mark.parametrize("to_all", [True, False])
def test_a_sweep_asked_to_stop_goes_on_later(tmp_path: Path, launcher: str, to_all: bool) -> None:
    """A signal to the whole process group is what Ctrl-C in a terminal does."""
    if launcher == "local":
        pytest.importorskip("joblib", reason="joblib is not installed (extra 'parallel')")
    sweep = tmp_path / "sweep"
    steps = 4000 if launcher == "local" else 1000  # workers of their own take a while to notice
    overrides = sweep_command(
        sweep, "seed=0,1", f"trainer.steps={steps}", f"hydra/launcher={launcher}"
    )
    started = start(*overrides, cwd=tmp_path, session=True)
    while not any(
        path.read_text().count("\n") > 2 for path in sweep.glob(f"jobs/*/{files.SCALARS}")
    ):
        time.sleep(0.02)  # until there is something to checkpoint
    (os.killpg if to_all else os.kill)(started.pid, signal.SIGINT)
    done = started.wait()
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr
    assert "stopping: running jobs write a checkpoint" in done.stderr
    assert "to go on: python -m ffn_train " in done.stderr
    assert f" sweep.dir={sweep}\n" in done.stderr
    assert "interrupted" in done.stdout
    assert any(sweep.glob(f"jobs/*/{files.CHECKPOINTS}/*"))
    done = command(*overrides, cwd=tmp_path)
    assert done.stdout.splitlines()[-1].startswith(f"2 finished of 2 jobs in {sweep};"), done.stderr


def holders(directory: Path) -> list[int]:
    """The processes that have a directory's lock file open."""
    lock = str((directory / files.LOCK).resolve())
    collected = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and entry.name != str(os.getpid()):
            with suppress(OSError):
                if lock in {os.readlink(fd) for fd in (entry / "fd").iterdir()}:
                    collected.append(int(entry.name))
    return collected


@pytest.mark.slow
def test_a_killed_sweep_is_finished_by_the_same_command(tmp_path: Path) -> None:
    pytest.importorskip("joblib", reason="joblib is not installed (extra 'parallel')")
    overrides = ("seed=range(0,6)", "model.depth=1,3", "trainer.steps=400", "checkpoint.every=50")
    calm = sweep_command(tmp_path / "calm", *overrides)
    assert command(*calm, cwd=tmp_path).returncode == 0
    sweep = tmp_path / "sweep"
    for wait in (1.5, 2.1, 1.8):
        started = start(*sweep_command(sweep, *overrides), cwd=tmp_path, session=True)
        time.sleep(wait)
        started.send_signal(signal.SIGKILL)  # the parent alone: its workers are orphans now
        started.wait()
    ended = {p: p.stat().st_mtime_ns for p in sweep.glob("jobs/*/summary.json")}
    # workers of the killed ones may still hold a job: it is waited for
    done = command(*sweep_command(sweep, *overrides), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert results(sweep) == results(tmp_path / "calm")
    assert tables(sweep) == tables(tmp_path / "calm")
    assert all(p.stat().st_mtime_ns == then for p, then in ended.items())
    assert all(load_run(p).state == "finished" for p in sweep.glob("jobs/*"))
    assert os.path.exists(sweep / "manifest.json")
