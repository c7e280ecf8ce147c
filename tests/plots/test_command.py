"""Figures as files, and the command that draws them again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib
import pytest

from ffn_train.commands.plots import main
from ffn_train.config.settings import SettingError
from ffn_train.plots import draw
from ffn_train.runs import RunError
from tests.plots.made_up import make_run
from tests.support.command import command


def test_formats_and_the_same_bytes_again(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    starts = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
    names = ["heatmap", "signal"]
    paths = draw(run, figures=names, formats=list(starts))
    once = {path: path.read_bytes() for path in paths}
    assert len(once) == 3 * len(names)
    assert all(content.startswith(starts[path.suffix[1:]]) for path, content in once.items())
    assert draw(run, figures=names, formats=list(starts)) == paths
    assert {path: path.read_bytes() for path in paths} == once
    assert set((tmp_path / "plots").iterdir()) == set(once)


def test_settings_outside_neither_matter_nor_change(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    plain = draw(run, figures=["loss"])[0].read_bytes()
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        assert draw(run, figures=["loss"])[0].read_bytes() == plain
        assert matplotlib.rcParams["font.size"] == 30


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"figures": ["los"]}, ["figures must", "'los'", "did you mean loss"]),
        ({"figures": []}, ["figures must"]),
        ({"formats": ["gif"]}, ["formats must", "'gif'", "png, svg, pdf"]),
        ({"formats": []}, ["formats must"]),
    ],
)
def test_unknown_figures_and_formats(
    tmp_path: Path, options: dict[str, Any], words: list[str]
) -> None:
    run = make_run(tmp_path)
    with pytest.raises(SettingError) as error:
        draw(run, **options)
    assert all(word in str(error.value) for word in words)
    assert "\n" not in str(error.value)
    assert "plot." not in str(error.value)  # which is a setting
    assert not (tmp_path / "plots").exists()


def test_a_run_without_a_measured_step(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no step has been measured"):
        draw(make_run(tmp_path, steps=0))


def test_the_command_prints_what_it_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(tmp_path / "a")
    make_run(tmp_path / "b", depth=1)
    main([str(tmp_path / "a"), str(tmp_path / "b"), "--figures", "loss,layers", "--formats", "svg"])
    written = capsys.readouterr().out.split("\n")[:-1]
    assert written == [
        str(tmp_path / run / "plots" / f"{name}.svg")
        for run in ("a", "b")
        for name in ("loss", "layers")
    ]
    assert all(Path(path).is_file() for path in written)


@pytest.mark.parametrize(
    "arguments",
    [["{}/none"], ["{}", "--figures", "x"], ["{}", "--formats", "x"], ["{}", "--x"], []],
)
def test_the_command_refuses_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    make_run(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main([argument.format(tmp_path) for argument in arguments])
    assert stop.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1


def test_pyplot_is_never_imported(tmp_path: Path) -> None:
    make_run(tmp_path)
    code = (
        "import sys; from ffn_train.plots import draw; from ffn_train.runs import load_run;"
        "run = load_run(sys.argv[1]); draw(run);"
        "draw(run, figures=['heatmap'], formats=['svg', 'pdf']);"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=60)


def test_the_module_runs(tmp_path: Path) -> None:
    result = command(str(tmp_path), cwd=tmp_path, module="ffn_train.plots")
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "is not a run directory" in result.stderr
