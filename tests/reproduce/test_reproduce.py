"""Published claims: verdicts, the exit status, the studies' folders, and a study end to end."""

from __future__ import annotations

import csv
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ffn_train.commands.reproduce import main
from ffn_train.config.composition import compose
from ffn_train.config.places import CONF, EXPERIMENTS
from ffn_train.config.settings import SettingError
from ffn_train.reproduce import (
    Check,
    Claim,
    at_least,
    at_most,
    ensemble,
    near,
    points,
    trained,
    within,
)
from ffn_train.reproduce.study import discover, load
from ffn_train.sweep.space import jobs
from tests.support.small_runs import config, run_in

STUDIES = discover()
HELD, MISSED = near("a", 1.0, 1.05, 0.1), near("b", 1.0, 2.0, 0.1)


@pytest.mark.parametrize(
    ("check", "holds"),
    [
        (near("", 1.0, 1.1, 0.11), True),
        (near("", 1.0, 1.1, 0.09), False),
        (near("", -1.0, 1.0, 0.5), False),
        (near("", float("nan"), 1.0, 10.0), False),
        (near("", float("inf"), 1.0, 10.0), False),
        (within("", -1.04, -1.0, 0.05), True),
        (within("", -1.06, -1.0, 0.05), False),
        (at_least("", 2.0, 2.0), True),
        (at_least("", 1.9, 2.0), False),
        (at_least("", float("nan"), 2.0), False),
        (at_most("", 2.0, 2.0), True),
        (at_most("", 2.1, 2.0), False),
        (Check("", 2.1, 2.0, 0.2, "at most"), True),
        (Check("", 1.9, 2.0, 0.2, "at least"), True),
    ],
)
def test_a_check_holds_within_its_tolerance(check: Check, holds: bool) -> None:
    assert check.holds is holds


@pytest.mark.parametrize(
    ("checks", "verdict"),
    [
        ((HELD, HELD), "reproduced"),
        ((HELD, MISSED), "1 of 2 checks"),
        ((MISSED,), "refuted"),
        ((replace(HELD, trivial=True), MISSED), "refuted"),
        ((replace(HELD, trivial=True), HELD, MISSED, MISSED), "1 of 3 checks"),
    ],
)
def test_the_verdict_follows_from_the_checks(checks: tuple[Check, ...], verdict: str) -> None:
    claim = Claim("a statement", "a source", checks, recorded="1 of 2 checks")
    assert claim.verdict == verdict
    assert claim.as_recorded is (verdict == "1 of 2 checks")
    assert replace(claim, absent="batch norm").verdict == "premise absent"


def test_a_claim_needs_a_check_and_a_check_a_tolerance() -> None:
    with pytest.raises(ValueError, match="without a check"):
        Claim("a statement", "a source", (), recorded="refuted")
    with pytest.raises(ValueError, match="without a check"):
        Claim("a statement", "a source", (replace(HELD, trivial=True),), recorded="refuted")
    for tolerance in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="tolerance"):
            near("a", 1, 1, tolerance)


def test_a_member_of_an_ensemble_is_step_0_of_the_run_with_its_seed(tmp_path: Path) -> None:
    settings = config(residual=compose(["residual=identity"])["residual"])
    members = ensemble(settings, (3, 4))
    run = run_in(tmp_path / "run", {**settings, "seed": 4})
    row = run.measures
    np.testing.assert_array_equal(members.signal[1], row["signal_rms"].values[0])
    np.testing.assert_array_equal(members.signal_gradient[1], row["signal_gradient_rms"].values[0])
    np.testing.assert_array_equal(members.gradient_norm[1], row["gradient_norm"].values[0])
    names = [tensor.name for tensor in members.tensors]
    down = members.of_blocks("down.weight")
    assert down.shape == (2, 3)
    assert down[0, 2] == members.gradient_norm[0, names.index("blocks.2.down.weight")]
    assert not np.array_equal(members.signal[0], members.signal[1])


def test_a_presets_points_leave_out_its_seeds_and_the_command_line_outranks_it() -> None:
    computed = list(points("residual_growth"))
    assert all("seed" not in point.settings for point in computed)
    assert len(computed) == 27
    of_sweep = jobs(["experiment=residual_growth"])
    assert len(of_sweep) == 2 * 27
    fewer = jobs(["experiment=residual_growth", "model.depth=4", "seed=5,6,7"])
    assert {job.config["model"]["depth"] for job in fewer} == {4}
    assert {job.config["seed"] for job in fewer} == {5, 6, 7}
    assert len(fewer) == 3 * 9
    pairs = {(p.config["init"]["inner"], p.config["init"]["outer"]) for p in computed}
    assert pairs == {(0.4, 1.6), (1, 2), (2, 2)}


BRIEF = ("model.width=4", "trainer.steps=3", "measure.every=1", "schedule.warmup=0", "seed=5")


def test_a_presets_sweep_is_trained_and_read_back() -> None:
    asked = ("model.depth=2,3", "optimizer.lr=0.01", "hydra/launcher=serial")
    runs = trained("warm_up", *asked, *BRIEF)
    varied = [(run.config["model"]["depth"], run.config["norm"]["name"]) for run in runs]
    assert sorted(varied) == sorted(
        [(2, "pre_layer"), (3, "pre_layer"), (2, "post_layer"), (3, "post_layer")]
    )
    for run in runs:
        assert run.state == "finished"
        assert run.config["seed"] == 5
        assert list(run.measures.step) == [0, 1, 2, 3]
        assert not run.path.exists()


def test_a_run_that_fails_ends_the_study_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("ffn_train.sweep.job.execute", broken)
    point = ("norm=pre_layer", "optimizer.lr=0.01", "hydra/launcher=serial")
    with pytest.raises(SettingError, match=r"^warm_up, .*: no space left$"):
        trained("warm_up", *point, *BRIEF)


TINY = '''"""Is the mean of the seeds their mean?"""

import numpy as np
from matplotlib.figure import Figure

from ffn_train.config.composition import compose
from ffn_train.reproduce import Claim, at_most, ensemble, near

def measure():
    small = ["model.depth=2", "model.width=4", "task.rows=200", "trainer.batch_size=4"]
    return ensemble(compose([*small, "residual=none"]), range(3)).signal

def claims(results):
    mean = np.mean(results, axis=0)
    return [
        Claim("It is", "arithmetic", [near("mean", mean[0], results[:, 0].mean(), 1e-12)],
              recorded="reproduced"),
        Claim("The signal is zero", "nowhere", [at_most("x_0", mean[0], 0.0)],
              recorded="RECORDED"),
    ]

def figure(results):
    sheet = Figure()
    sheet.add_subplot().plot(results.T)
    return sheet
'''


def tiny(folder: Path, recorded: str) -> Path:
    (folder / "tiny").mkdir(parents=True)
    (folder / "tiny" / "study.py").write_text(TINY.replace("RECORDED", recorded), encoding="utf-8")
    return folder


def status(arguments: list[str], folder: Path) -> int:
    with pytest.raises(SystemExit) as caught:
        main(arguments, folder)
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_a_study_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tiny(tmp_path / "studies", "refuted")
    assert status(["tiny", "tiny"], folder) == 0  # it is run once
    out, err = capsys.readouterr()
    assert "tiny: Is the mean of the seeds their mean?" in out
    assert "refuted         The signal is zero" in out
    assert "expected at most 0   no" in out
    assert out.rstrip().endswith("2 claims: 1 reproduced, 1 refuted; all as recorded")
    assert "1 of 1: tiny, " in err
    with (folder / "tiny" / "claims.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["verdict"] for row in rows] == ["reproduced", "refuted"]
    assert rows[1]["claim"] == "The signal is zero"
    assert rows[1]["bound"] == "at most"
    assert float(rows[1]["measured"]) > 0
    assert (folder / "tiny" / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_study_gives_the_same_bytes_elsewhere(tmp_path: Path) -> None:
    folder = tiny(tmp_path / "studies", "refuted")
    written = {}
    for name in ("a", "b"):
        assert status(["--out", str(tmp_path / name)], folder) == 0
        paths = sorted((tmp_path / name / "tiny").iterdir())
        written[name] = [(path.name, path.read_bytes()) for path in paths]
    assert written["a"] == written["b"]
    assert not (folder / "tiny" / "claims.csv").exists()


def test_an_installed_study_writes_under_outputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny(tmp_path / "studies", "refuted")
    monkeypatch.setattr("ffn_train.commands.reproduce.INSTALLED", True)
    monkeypatch.chdir(tmp_path)
    assert status(["tiny"], folder) == 0
    written = sorted(path.name for path in (tmp_path / "outputs" / "reproduce" / "tiny").iterdir())
    assert written == ["claims.csv", "figure.png"]
    kept = {path.name for path in (folder / "tiny").iterdir()}
    assert kept - {"__pycache__"} == {"study.py"}


def test_an_outcome_that_differs_from_the_record_exits_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tiny(tmp_path / "studies", "reproduced")
    assert status([], folder) == 1
    out = capsys.readouterr().out
    assert "The signal is zero   NOT AS RECORDED: reproduced" in out
    assert "1 not as recorded" in out


def test_an_unknown_study_costs_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tiny(tmp_path / "studies", "refuted")
    assert status(["tiny", "tinny"], folder) == 2
    out, err = capsys.readouterr()
    assert not out  # nothing has run
    assert err == (
        "ffn_train.reproduce: study must be one of tiny, got 'tinny'; did you mean tiny?\n"
    )


def test_a_directory_that_cannot_be_written_costs_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tiny(tmp_path / "studies", "refuted")
    study = folder / "tiny" / "study.py"
    study.write_text(study.read_text().replace("def measure():", "def measure():\n    1 / 0"))
    (tmp_path / "file").write_text("")
    assert status(["--out", str(tmp_path / "file")], folder) == 2
    assert "--out DIR writes elsewhere" in capsys.readouterr().err.splitlines()[-1]
    (tmp_path / "out" / "tiny" / "figure.png").mkdir(parents=True)
    assert status(["--out", str(tmp_path / "out")], folder) == 2
    assert "tiny/figure.png: it is not a regular file" in capsys.readouterr().err.splitlines()[-1]
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path / "full" / "tiny")
    assert status(["--out", str(tmp_path / "full")], folder) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.endswith("full/tiny: Permission denied; --out DIR writes elsewhere")


@pytest.mark.parametrize("residual", ["none", "identity"])
def test_gradients_at_two_inputs_lose_their_resemblance_as_the_recursion_says(
    residual: str,
) -> None:
    study = sys.modules[load("shattered_gradients").measure.__module__]
    overrides = ["experiment=shattered_gradients", f"residual={residual}", "norm=none"]
    settings = compose([*overrides, "model.depth=4", "threads=1"])
    measured = np.mean([study.pair_correlation(settings, seed) for seed in range(8)])
    expected = study.recursion(study.KINDS[residual, "none"], 4)
    assert measured == pytest.approx(expected, rel=0.15)


@pytest.mark.parametrize("name", STUDIES)
def test_a_studys_folder_is_complete_and_its_table_as_recorded(name: str) -> None:
    study = load(name)
    assert study.question.endswith("?")
    readme = (study.folder / "README.md").read_text(encoding="utf-8")
    for part in ("**Question.**", "**Source.**", "**Found**", "**Not found.**", "(figure.png)"):
        assert part in readme, part
    for command in (f"python -m ffn_train.reproduce {name}", f"-m experiment={name}"):
        assert command in readme
    assert (EXPERIMENTS / name / "figure.png").stat().st_size > 10_000
    with (study.folder / "claims.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows
    for row in rows:
        assert row["verdict"] == row["recorded"]
        assert row["source"].strip()
    held: dict[str, set[str]] = {}
    for row in rows:
        held.setdefault(row["claim"], set()).add(row["holds"])
    words = {"reproduced": {"yes"}, "refuted": {"no"}}
    for row in rows:
        if row["verdict"] != "premise absent":
            assert held[row["claim"]] == words.get(row["verdict"], {"yes", "no"})


@pytest.mark.parametrize("name", STUDIES)
def test_a_studys_preset_is_a_sweep_of_valid_jobs(name: str) -> None:
    assert (CONF / "experiment" / f"{name}.yaml").is_file()
    planned = jobs([f"experiment={name}"])
    assert len(planned) > 1
    assert "seed" in planned[0].settings
