"""The command line as a newcomer uses it, rightly and wrongly."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from subprocess import PIPE

import pytest

from ffn_train.commands.help import help_text
from ffn_train.config.composition import compose
from ffn_train.config.keys import DECLARED, GROUPS
from ffn_train.config.places import CONF, EXPERIMENTS
from ffn_train.config.registry import choices
from ffn_train.config.settings import SettingError
from ffn_train.running import execution
from ffn_train.runs import load_run
from ffn_train.sweep import launcher
from tests.support.command import command, process, start
from tests.support.small_runs import SMALL

PATIENT = EXPERIMENTS / "diabetes" / "diabetes.csv"


def test_a_run_from_another_directory(tmp_path: Path) -> None:
    done = process(*SMALL, "plot.when=always", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    (path,) = (tmp_path / "outputs" / "runs").iterdir()
    report = done.stdout.splitlines()
    if report[0].startswith("training "):  # it took long
        report = report[1:]
    assert report[0].startswith("loss ")
    assert f"saved in               {path.relative_to(tmp_path)}" in report
    assert "linear regression" in done.stdout
    assert "|dL/dx_0| / |dL/dx_L|" in done.stdout
    assert (path / "plots" / "gradient_flow.png").stat().st_size > 10_000
    assert {p.name for p in tmp_path.iterdir()} == {"outputs"}  # nothing of Hydra's


def test_a_training_that_takes_a_while_is_announced(tmp_path: Path) -> None:
    words = [*SMALL, "trainer.steps=200000", "run.dir=long"]
    with subprocess.Popen(
        [sys.executable, "-m", "ffn_train", *words], cwd=tmp_path, stdout=PIPE, text=True
    ) as run:
        assert run.stdout is not None
        first = run.stdout.readline()
        run.kill()
    assert first.startswith("training 3 blocks of width 6 (")
    assert first.endswith(" rows; files in long\n")
    assert " on sinusoid: y1 from 8 inputs, " in first


def test_a_result_that_comes_at_once_is_the_first_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "PROMPT", 1e6)
    assert command(*SMALL, cwd=tmp_path).stdout.startswith("loss ")


def test_run_dir_names_the_directory_of_one_run(tmp_path: Path) -> None:
    assert command(*SMALL, "run.dir=mine", cwd=tmp_path).returncode == 0
    assert load_run(tmp_path / "mine").summary is not None
    again = command(*SMALL, "run.dir=mine", cwd=tmp_path)
    assert again.returncode == 0
    assert again.stderr == "mine has ended already; a larger trainer.steps extends it\n"
    other = command(*SMALL, "run.dir=mine", "seed=7", cwd=tmp_path)
    assert other.returncode == 2
    assert other.stderr == "ffn_train: run.dir=mine holds another run: seed=0 there, 7 here\n"


def test_a_preset_that_is_a_sweep_says_so_without_the_flag(tmp_path: Path) -> None:
    small = ("model.depth=2", "model.width=8", "dry_run=true")
    done = command("experiment=order_to_chaos", *small, cwd=tmp_path)
    assert done.returncode == 0
    varied = "the sweep over init.outer, seed"
    assert done.stderr == f"without -m this is one run of the base settings, not {varied}\n"


def test_a_dry_run_says_how_a_table_was_read(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("a,y\n7,2\n2,3\n3,5\n4,4\n5,6\n")
    done = command(
        "task=table", "task.path=data.csv", "task.target=y", "dry_run=true", cwd=tmp_path
    )
    assert "5 rows\ninputs: numbers a; target y\n" in done.stderr


def test_what_a_preset_says_about_sweeps_is_no_mistake_in_one_run(presets: Path) -> None:
    done = command("--config-dir=mine", "experiment=told", "dry_run=true", cwd=presets)
    assert (done.returncode, done.stderr) == (0, "")
    typed = command("--config-dir=mine", "experiment=told", "sweep.zip=[seed]", cwd=presets)
    assert typed.returncode == 2
    assert typed.stderr == "ffn_train: sweep.zip=[seed] is for a sweep, with -m\n"


def test_launches_of_the_same_second_get_directories_of_their_own(tmp_path: Path) -> None:
    runs = [start(*SMALL, cwd=tmp_path) for _ in range(4)]
    assert [run.wait().returncode for run in runs] == [0] * 4
    assert len(list((tmp_path / "outputs" / "runs").iterdir())) == 4


MISTAKES = {
    "model.dpeth=3": "model.dpeth is not a setting; did you mean model.depth?",
    "residaul=none": "residaul is not a setting; did you mean residual?",
    "residual.scael=2": "residual.scael is not a setting; did you mean residual.scale?",
    "+model.dpeth=3": "model.dpeth is not a setting; did you mean model.depth?",
    "+foo=1": "foo is not a setting",
    "residual.start=1": "residual.start is a setting of residual=rezero, not of the residual that",
    "lr=0.1": "lr is not a setting; did you mean optimizer.lr?",
    "every=3": "did you mean evaluate.every, measure.every, log.every or checkpoint.every?",
    "residual=scald": "got 'scald'; did you mean scaled?",
    "experiment=plain46": "did you mean plain64?",
    "model.depth=abc": "model.depth must be an integer >= 1, got 'abc'",
    "model.depth=-3": "model.depth must be an integer >= 1, got -3",
    "model.depth=1000000000": "more than this machine's",
    "model.depth=10000000000000000": "more than this machine's",
    "optimizer.lr=fast": "optimizer.lr must be a number >= 0, got 'fast'",
    "optimizer.lr=nan": "optimizer.lr must be a finite number >= 0, got nan",
    "optimizer.lr=1e308": "optimizer.lr must be at most 1e+300 in size, got 1e+308",
    "init.bias_std=1e999": "init.bias_std must be a finite number >= 0, got inf",
    f"optimizer.lr={'9' * 400}": "9999... (400 characters)",
    "model.depth=[1": "cannot read 'model.depth=[1'",
    "model.depth": "model.depth: =VALUE is missing, as in model.depth=VALUE",
    "~seed": "seed is missing",
    "task=3": "task=3",
    "residual=deepnorm": "residual=deepnorm needs norm=post_layer",
    "init=fixup": "init=fixup needs residual=identity",
    "dtype=float16": "dtype must be one of float32, float64",
    "threads=0": "threads must be auto or an integer >= 1, got 0",
    "plot.figures=[loss,gradient_flwo]": "did you mean gradient_flow?",
    "plot.formats=[bmp]": "plot.formats must be one of png, svg, pdf",
    "model.depth=4,8": "model.depth=4,8 gives several values: a sweep, with -m",
    "residual=none,scaled": "residual=none,scaled gives several values: a sweep, with -m",
    "residual=[none,scaled]": "is a list where one choice is meant; residual=none,scaled with -m",
    "logger=[tensorboard,wandb]": "is a list where one choice is meant\n",
    "logger=tensorboard,wandb": "gives several values: one is meant\n",
    "experiment=table,a": "gives several values: one is meant\n",
    "plot.figures=loss,layers": "gives several values: as a list: 'plot.figures=[loss,layers]'\n",
    "measure.quantities=dead_share,signal_rms": "as a list: 'measure.quantities=[dead_share,",
    "residual=null": "residual=null: a choice is a word; --help lists those of residual",
    "experiment=null": "experiment=null: a choice is a word; --help lists those of experiment",
    "experiment=": "experiment=: a choice is a word; --help lists those of experiment",
    "activation=": "activation=: a choice is a word; --help lists those of activation",
    "experiment=[table]": "experiment=[table] is a list where one choice is meant\n",
    "norm=' '": "norm=' ': a choice is a word; --help lists those of norm",
    "task=../config": "task=../config: a choice is a word; --help lists those of task",
    "+task=teacher": "+task=teacher: a choice is written without +, task=teacher",
    "++experiment=table": "++experiment=table: a choice is written without +, experiment=table",
    "run=1": "run holds run.dir, got 1",
    "~run": "run.dir is missing",
    "sweep.grid=1": "sweep.grid must map settings to lists of values, got 1",
    "sweep.search=true": "sweep.search holds sweep.search.trials",
    "sweep.dir=zz": "sweep.dir=zz is for a sweep, with -m; run.dir=PATH names a run's directory",
    "+sweep.zip=[seed]": "sweep.zip=[seed] is for a sweep, with -m",
    "sweep.search.trials=3": "sweep.search.trials=3 is for a sweep, with -m",
    "resume=force": "resume=force is for a sweep, with -m",
    "fail_fast=true": "fail_fast=true is for a sweep, with -m",
    "sweep.grid=[]": "sweep.grid must be a mapping, got a list",
    "plot.formats={}": "plot.formats must be a list, got a mapping",
    "measure.quantities={}": "measure.quantities must be a list of words, got {}",
    "measure.quantities=[]": "measure.quantities must be a list of words, got []",
    "measure.quantities={1: 5}": "measure.quantities must be a list of words, got [1]",
    "parts=1e5": "parts must be a list of words, got 100000.0",
    "hydra=1": "of Hydra's own settings only hydra/launcher=NAME and hydra.launcher.KEY=VALUE",
    "hydra.launcher=null": "of Hydra's own settings only",
    "hydra.launcher._target_=os.system": "of Hydra's own settings only",
    "+hydra.callbacks={x:{_target_:numpy.load}}": "of Hydra's own settings only",
    "hydra.searchpath=[pkg://os]": "of Hydra's own settings only",
    "hydra/job_logging=default": "of Hydra's own settings only",
    "hydra/launcher=serial": "hydra/launcher=serial starts a sweep's jobs, with -m",
    "--experimental-rerun=x.pickle": "--experimental-rerun is not an option",
    "--config-dir=nowhere": "--config-dir nowhere: there is no such directory",
    "--resolve": "--resolve goes with --cfg",
    "run.dir='~nobodyx/zz'": "run.dir=~nobodyx/zz: there is no such user",
    f"run.dir={'a' * 300}": "aaaa... (300 characters): File name too long",
    "run.dir=caf\udce9": r"cannot read 'run.dir=caf\udce9': it is not UTF-8",
    "task.path=caf\udce9.csv": r"cannot read 'task.path=caf\udce9.csv': it is not UTF-8",
    "--config-dir=caf\udce9": r"--config-dir must be a path, got 'caf\udce9'",
    f"seed={'9' * 5000}": "9999... (5,005 characters)': a number has too many digits",
    f"seed={'[' * 900}1{']' * 900}": "it is nested too deeply",
    f"seed={'9' * 60}": "seed must be an integer of at most 50 digits",
    "seed='\x1b[31mred'": r"\x1b[31mred",
    "optimizer.lr=1e-46": "optimizer.lr=1e-46 is 0 in float32: at least 1.18e-38, or dtype=float64",
    "hydra.run.dir=x": "run.dir=PATH names a run's directory",
    "run.dir=/proc/nowhere": "run.dir=/proc/nowhere cannot be made",
    "trainer.batch_size=5000": "trainer.batch_size must be at most the 3277 training rows",
    "task=csv": "task.path is missing",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_gives_one_clear_line(mistake: str, tmp_path: Path) -> None:
    done = command(mistake, cwd=tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("ffn_train: ")
    assert MISTAKES[mistake] in done.stderr
    assert done.stdout == ""
    assert not list(tmp_path.iterdir()), "a refused run leaves nothing behind"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("task.path=no.csv",), "no.csv"),
        (("task.target=progresion",), "did you mean 'progression'|progression"),
        (("task.target=[progression,progression]",), "twice"),
    ],
)
def test_a_mistaken_table_gives_one_clear_line(
    change: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    base = ("task=csv", f"task.path={PATIENT}", "task.target=progression")
    done = command(*base, *change, cwd=tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert any(word in line for word in message.split("|"))
    assert not list(tmp_path.iterdir())


def test_a_value_that_is_no_number_is_named_with_row_and_column(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("a,y\n1,2\n3,four\n4,5\n6,7\n8,9\n")
    done = command("task=csv", "task.path=data.csv", "task.target=y", cwd=tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "row 2" in line
    assert "'y'" in line
    assert "four" in line


def test_a_diverged_run_is_no_crash(tmp_path: Path) -> None:
    done = command(
        *SMALL,
        "model.depth=20",
        "residual=identity",
        "init=he",
        "init.bias_std=1e3",
        "optimizer.lr=0",
        "plot.when=always",
        "plot.figures=[gradient_flow,loss]",
        "run.dir=mine",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("warning: residual=identity and norm=none at depth 20")
    assert "warning: stopped at step 7: the loss, now " in done.stdout
    run = load_run(tmp_path / "mine")
    assert run.summary is not None
    assert run.summary.state == "stopped"
    assert (tmp_path / "mine" / "plots" / "gradient_flow.png").exists()


def test_help_names_groups_settings_and_examples(tmp_path: Path) -> None:
    done = command("--help", cwd=tmp_path)
    assert done.returncode == 0
    for group in GROUPS:
        for name in choices(group):
            assert f"\n  {group}={name} " in done.stdout
    for key in DECLARED:
        assert f"\n  {key}=" in done.stdout
    for preset in (CONF / "experiment").glob("*.yaml"):
        assert f"\n  {preset.stem} " in done.stdout
    assert "model.depth=64 residual=none" in done.stdout
    assert "model.width=64 " in done.stdout
    assert not list(tmp_path.iterdir())


def test_help_on_one_choice_has_its_settings_alone(tmp_path: Path) -> None:
    done = command("--help", "optimizer=adam", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("optimizer=adam: m <- β₁ m")
    assert "optimizer.beta1=0.9 " in done.stdout
    assert "model.width" not in done.stdout
    wrong = command("--help", "optimizer=adm", cwd=tmp_path)
    assert wrong.returncode == 2
    assert wrong.stderr == (
        "ffn_train: optimizer must be one of adam, sgd, got 'adm'; did you mean adam?\n"
    )


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (("model.depth",), "  model.depth=8  L, the number of blocks"),
        (("+model.depth=3",), "  model.depth=8  L, the number of blocks"),
        (("seed=1", "model.depth"), "\n\n  model.depth=8  "),
        (("optimizer.beta1",), "optimizer=adam: "),
        (("experiment=diabetes",), "  diabetes "),
        (("loss",), "  mse "),
    ],
)
def test_help_on_words_has_what_they_name_alone(words: tuple[str, ...], shown: str) -> None:
    said = help_text(words)
    assert shown in f"\n{said}"
    assert "Settings and their defaults" not in said
    assert help_text(("model",)).count("  model.") == sum(k.startswith("model.") for k in DECLARED)
    assert help_text(("parts=[]", "hydra/launcher=local")) == help_text(())


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("optimizr=adam", "optimizr is not a choice or a setting; did you mean optimizer?"),
        ("model.dpeth=3", "model.dpeth is not a choice or a setting; did you mean model.depth?"),
        ("optimizer.bta1", "optimizer.bta1 is not a choice or a setting; did you mean optimizer.b"),
    ],
)
def test_help_on_what_there_is_not_names_the_nearest(word: str, said: str) -> None:
    with pytest.raises(SettingError, match=f"^{re.escape(said)}"):
        help_text(("optimizer=adam", word))


@pytest.mark.parametrize(
    "order", [("--cfg", "job", "model.depth=3"), ("model.depth=3", "--cfg", "job")]
)
def test_show_configuration_runs_nothing(order: tuple[str, ...], tmp_path: Path) -> None:
    done = command(*order, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "depth: 3" in done.stdout
    assert not list(tmp_path.iterdir())


def test_mistakes_beside_a_flag_are_one_line_too(tmp_path: Path) -> None:
    done = command("--multirun", "model.dpeth=3,4", cwd=tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line == "ffn_train: model.dpeth is not a setting; did you mean model.depth?"


def test_the_diabetes_preset_runs_anywhere(tmp_path: Path) -> None:
    done = command("experiment=diabetes", "plot.when=never", "run.dir=mine", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    summary = load_run(tmp_path / "mine").summary
    assert summary is not None
    assert summary.score is not None
    assert (summary.score.value or 0) > 0.2


CLUSTERS = {"slurm": "slurm", "submitit_slurm": "slurm", "ray_cluster": "ray_cluster"}  # -> ours
PRESETS = {
    "swept": "model: {depth: 1}\nsweep: {grid: {seed: [0, 1]}}",
    "launched": "defaults: [override /hydra/launcher: serial]\nsweep: {grid: {seed: [0, 1]}}",
    "listed": "defaults: [override /residual: [none, scaled]]",
    "told": "sweep: {dir: zz, zip: [seed], search: {trials: 3}}",
    "unlike": "plot: {formats: {png: 1}}",
    "broken": "model: [1,\nseed: {",
    "bomb": "a: &a [1,1,1,1,1,1,1,1,1,1]\n"
    + "".join(f"{b}: &{b} [{','.join([f'*{a}'] * 10)}]\n" for a, b in pairwise("abcdefghij")),
    "endless": "a: &a [*a]",
    "caller": "hydra: {callbacks: {x: {_target_: numpy.load, file: evil.npy}}}",
    "target": "defaults: [override /hydra/launcher: serial]\n"
    "hydra: {launcher: {_target_: os.system}}",
    **{name: f"defaults: [override /hydra/launcher: {name}]" for name in ("typo", *CLUSTERS)},
}


@pytest.fixture
def presets(tmp_path: Path) -> Path:
    """A directory that has presets of one's own in ``mine``, for ``--config-dir``."""
    folder = tmp_path / "mine" / "experiment"
    folder.mkdir(parents=True)
    for name, text in PRESETS.items():
        (folder / f"{name}.yaml").write_text(f"# @package _global_\n{text}\n")
    return tmp_path


@pytest.mark.parametrize("flags", [(), ("-m",)])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("listed", "residual is a list in a preset, where one choice is meant"),
        ("broken", "broken.yaml, line 4: expected the node content|not find expected node content"),
        ("bomb", "bomb.yaml: with its anchors it has 1.23e+10 values, at most 100,000"),
        ("endless", "endless.yaml: with its anchors it has inf values"),
        ("caller", "hydra.callbacks in a preset: of Hydra's own settings only the launcher's"),
        ("target", "plain values, without _target_|starts a sweep's jobs, with -m"),
        ("unlike", "experiment/unlike has a list where a mapping is meant, or the other way round"),
        ("nowhere", "experiment must be one of"),
        ("typo", "hydra/launcher must be one of local, ray_cluster, serial, slurm, got 'typo'"),
    ],
)
def test_a_preset_that_cannot_be_used_costs_one_line(
    name: str, message: str, flags: tuple[str, ...], presets: Path
) -> None:
    done = command(*flags, "--config-dir", "mine", f"experiment={name}", cwd=presets)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert any(words in line for words in message.split("|"))
    assert [path.name for path in presets.iterdir()] == ["mine"]


@pytest.mark.parametrize("name", CLUSTERS)
def test_a_presets_launcher_that_is_not_installed_is_refused(name: str, presets: Path) -> None:
    """Nothing is run on this machine instead."""
    ours = CLUSTERS[name]
    if launcher.available(ours):
        pytest.skip(f"the extra {launcher.EXTRA[ours]} is installed")
    done = command("-m", "--config-dir", "mine", f"experiment={name}", "seed=0", cwd=presets)
    assert done.returncode == 2
    needs = f"needs pip install 'ffn_train[{launcher.EXTRA[ours]}]'"
    assert done.stderr == f"ffn_train: hydra/launcher={ours} {needs}\n"
    assert [path.name for path in presets.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: {depth: 1}\nmodel: {width: 8}", "mine.yaml, line 3: found duplicate key model"),
        ("? [a, b]\n: 1", "mine.yaml, line 2: found unhashable key"),
        ("seed: !!python/object/apply:os.system [ls]", "mine.yaml, line 2: could not determine"),
        ("seed: 1\ntask: {rows: !!binary aGk=}", "mine.yaml, line 3: could not determine"),
        ("seed: !!int one", "mine.yaml: invalid literal for int"),
        ("[seed, 1]", "mine.yaml: KEY: VALUE is expected"),
        ("null: 1", "Incompatible key type 'NoneType'"),
        ("seed: ${", "seed: ${ begins a reference to another setting, as in ${seed}; "),
    ],
)
def test_what_is_no_plain_value_is_named_with_its_line(
    text: str, message: str, presets: Path
) -> None:
    mine = presets / "mine" / "experiment" / "mine.yaml"
    mine.write_text(f"# @package _global_\n{text}\n")
    with pytest.raises(SettingError) as caught:
        compose([f"--config-dir={presets / 'mine'}", "experiment=mine"])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "# Mine\n# @package _global_\n"])
def test_a_preset_whose_settings_would_not_count_is_refused(text: str, presets: Path) -> None:
    """Hydra puts them below ``experiment``, and reads the package in the first lines alone."""
    mine = presets / "mine" / "experiment" / "mine.yaml"
    mine.write_text(f"{text}model: {{width: 8}}\n")
    with pytest.raises(SettingError) as caught:
        compose([f"--config-dir={presets / 'mine'}", "experiment=mine"])
    assert str(caught.value) == (
        "experiment.model.width is not a setting; a preset begins with the line # @package _global_"
    )


@pytest.mark.parametrize("name", ["swept", "launched"])
def test_a_sweep_is_one_also_with_presets_of_ones_own(name: str, presets: Path) -> None:
    chosen = () if name == "launched" else ("hydra/launcher=serial",)
    preset = ("--config-dir", "mine", f"experiment={name}")
    done = command("-m", *preset, "sweep.dir=1e5", *SMALL, *chosen, cwd=presets)
    assert done.returncode == 0, done.stderr
    last = "2 finished of 2 jobs in 1e5; to look at: 1e5/comparison/index.html"
    assert done.stdout.splitlines()[-1] == last
    assert (presets / "1e5" / "comparison" / "groups.csv").exists()
    if name == "launched":
        single = command(*preset, *SMALL, cwd=presets)
        assert single.returncode == 2
        assert "hydra/launcher=serial starts a sweep's jobs, with -m" in single.stderr


def test_presets_may_lie_in_several_directories(tmp_path: Path) -> None:
    for folder, presets in (("one", "ab"), ("two", "bc")):
        (tmp_path / folder / "experiment").mkdir(parents=True)
        for name in presets:
            file = tmp_path / folder / "experiment" / f"{name}.yaml"
            file.write_text(f"# @package _global_\nrun: {{dir: {folder}}}\n")
    both = [f"--config-dir={tmp_path / folder}" for folder in ("one", "two")]
    found = {name: compose([*both, f"experiment={name}"])["run"]["dir"] for name in "abc"}
    assert found == {"a": "one", "b": "two", "c": "two"}
    with pytest.raises(SettingError, match="nowhere: there is no such directory"):
        compose(["--config-dir=nowhere", *both, "experiment=b"])


@pytest.mark.parametrize("name", ["1e5", "12.50", "1_0", "true", "2024"])
def test_a_directory_is_named_as_it_was_typed(name: str) -> None:
    assert compose([f"run.dir={name}"])["run"]["dir"] == name


def test_a_shell_s_question_needs_a_shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("COMP_LINE", raising=False)
    done = command("--shell-completion", "query=bash", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "ffn_train: --shell-completion query=bash is for the shell, which sets COMP_LINE\n"
    )
