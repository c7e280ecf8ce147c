"""The command, and the comparison at the end of a sweep."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ffn_train.commands.compare import main
from tests.support.command import command
from tests.support.small_runs import SMALL


def test_the_command(
    sweep: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ffn_train.commands.compare.columns", lambda stream: 60)
    main([str(sweep), "--out", str(tmp_path / "out"), "--formats", "svg"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:2] == ["depth", "n"]
    assert any(line.startswith("left out to fit the terminal: ") for line in lines)
    assert "losses in squared standard deviations of the target" in lines
    assert lines[-2].startswith("tables and figures (")
    assert lines[-2].endswith(f") in {tmp_path / 'out'}")
    assert lines[-1] == f"to look at: {tmp_path / 'out' / 'index.html'}"
    assert {"groups.csv", "runs.csv", "times.csv", "final.svg", "index.html"} <= {
        path.name for path in (tmp_path / "out").iterdir()
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere is not a directory"),
        (["."], "no run to compare in ."),
        (["SWEEP", "--formats", "png,bmp"], "--formats must be one of png, svg, pdf, got 'bmp'"),
        (["SWEEP", "--formats", "gif"], "--formats must be one of png, svg, pdf, got 'gif'"),
        (["SWEEP", "--formats", ","], "--formats must name some of png, svg, pdf, got none"),
        (["SWEEP", "--figures", "lost"], "--figures must be one of coordinate_check, final"),
        (["SWEEP", "--width", "3"], "--width must be one of single, double, got '3'"),
        (["SWEEP", "--ylim", "3,1"], "--ylim must be LOW,HIGH, two ascending numbers, got '3,1'"),
        (["SWEEP", "--x", "dept"], "--x must name one of model.depth, got 'dept'"),
        (["SWEEP", "--ylim", "0,1"], "--ylim must be above 0 on an axis of logarithms, got 0"),
        (["SWEEP", "--ylim=-1,1", "--formats", "svg"], "--ylim must be above 0 on an axis of"),
        (["SWEEP", "--only-panel", "9"], "final: --only-panel must be 1 to 1, got 9; --figures"),
        (["SWEEP", "--where", "depth"], "--where must be KEY SIGN VALUE"),
        (["SWEEP", "--out", "FILE/x"], "--out DIR writes elsewhere"),
        (["SWEEP", "--colour", "depth"], "--colour is not an option; did you mean --color?"),
        ([], "the following arguments are required: DIR"),
    ],
)
def test_mistakes_cost_a_line(
    sweep: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    (tmp_path / "file").touch()
    names = {"SWEEP": str(sweep), "FILE/x": str(tmp_path / "file" / "x")}
    with pytest.raises(SystemExit) as left:
        main([names.get(word, word) for word in arguments])
    assert left.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""  # all is checked before the table is printed
    assert err.startswith("ffn_train.compare: ")
    assert message in err
    assert err.count("\n") == 1
    assert not list((tmp_path / "empty").iterdir())
    assert not (sweep / "comparison").exists()


def test_a_sweep_ends_with_its_comparison(tmp_path: Path) -> None:
    settings = [word for word in SMALL if not word.startswith("plot.")]
    root = tmp_path / "sweep"
    swept = ["-m", *settings, "model.depth=1,2", "seed=0,1"]
    swept += [f"sweep.dir={root}", "hydra/launcher=serial"]
    done = command(*swept, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    *lines, figures, last = done.stdout.splitlines()
    assert lines[1].split()[:2] == ["depth", "n"]
    assert figures.endswith(f"in {root / 'comparison'}")
    page = root / "comparison" / "index.html"
    assert last == f"4 finished of 4 jobs in {root}; to look at: {page}"
    assert page.is_file()
    names = {path.name for path in (root / "comparison").iterdir()}
    assert {"groups.csv", "runs.csv", "times.csv", "loss_curves.png", "final.png"} <= names
    tables_before = (root / "comparison" / "groups.csv").read_bytes()
    # a comparison that cannot be written leaves the sweep what it is, but is no success
    shutil.rmtree(root / "comparison")
    (root / "comparison").touch()
    again = command(*swept, cwd=tmp_path)
    assert again.returncode == 1, again.stderr
    assert again.stderr.count("no comparison: ") == 1
    assert "Traceback" not in again.stderr
    (root / "comparison").unlink()
    main([str(root)])
    assert (root / "comparison" / "groups.csv").read_bytes() == tables_before
