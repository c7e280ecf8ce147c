"""A figure of one's own: drawn by the run and again later, never without its file being named."""

from __future__ import annotations

from pathlib import Path

import pytest

from ffn_train.config.composition import compose
from ffn_train.config.registry import choices
from ffn_train.config.settings import SettingError
from ffn_train.plots import draw, figure
from ffn_train.running.execution import execute
from ffn_train.running.experiment import build_experiment
from ffn_train.runs import RunError, load_run
from tests.plots.made_up import ALL, DECLARED, make_run
from tests.support.command import command
from tests.support.small_runs import NOTES, SMALL

PHASE = '''
from matplotlib.figure import Figure

from ffn_train.parts import RunFigure, choice


@choice("figure", "phase")
class Phase(RunFigure):
    """The loss against the gradient norm, a dot a step."""

    needs = ("loss", "gradient_norm")

    def draw(self, run):
        figure = Figure()
        figure.add_subplot().plot(run.scalars["gradient_norm"], run.scalars["loss"], "o")
        return figure
'''
PARTS = "parts=[my_figures.py]"


@pytest.fixture
def part(parts_folder: Path) -> Path:
    """A file with a figure, in the working directory."""
    path = parts_folder / "my_figures.py"
    path.write_text(PHASE, encoding="utf-8")
    return path


def test_a_run_draws_it_by_name_and_among_all(part: Path) -> None:
    for figures, drawn in (("phase", {"phase"}), ("all", {"phase", *ALL})):
        chosen = [PARTS, f"plot.figures={figures}", "plot.when=always", f"run.dir={figures}"]
        run = execute(build_experiment(compose([*SMALL, *chosen])), NOTES.append)
        assert {path.stem for path in (run.path / "plots").iterdir()} == drawn
        assert run.provenance.observers.keys() == {"my_figures.py"}
    (axes,) = figure(load_run("all"), "phase").axes
    assert list(axes.get_lines()[0].get_ydata()) == list(run.scalars["loss"])


def test_it_is_drawn_again_from_its_file_and_refused_without(part: Path) -> None:
    chosen = (PARTS, "plot.figures=[phase,loss]", "plot.when=always", "run.dir=run")
    done = command(*SMALL, *chosen, cwd=part.parent)
    assert done.returncode == 0, done.stderr
    part.write_text(PHASE.replace('"o"', '"x"'), encoding="utf-8")
    plots = {"cwd": part.parent, "module": "ffn_train.plots"}
    again = command("run", "--figures", "phase", "--parts", "my_figures.py", **plots)
    assert (again.returncode, again.stdout) == (0, "run/plots/phase.png\n"), again.stderr
    several = command("run", "parts=a.py,b.py", **plots)
    assert (several.returncode, several.stderr) == (
        2,
        "ffn_train.plots: parts=a.py,b.py gives several values: as a list: 'parts=[a.py,b.py]'\n",
    )
    refused = command("run", "--figures", "phase", **plots)
    assert refused.returncode == 2
    assert refused.stderr == (
        f"ffn_train.plots: figures must be one of {', '.join(DECLARED)}, got 'phase'; "
        "run was made with parts: --parts my_figures.py\n"
    )
    rest = command("run", **plots)
    assert rest.stdout.splitlines() == [f"run/plots/{name}.png" for name in ALL]
    assert rest.stderr == (
        "ffn_train.plots: left out: phase is not declared; "
        "run was made with parts: --parts my_figures.py\n"
    )
    lost = command("run", "--parts", "my_figure.py", **plots)
    assert lost.returncode == 2
    assert "there is no such file; did you mean my_figures.py?" in lost.stderr


def test_readers_do_not_run_its_file(part: Path) -> None:
    chosen = (PARTS, "plot.figures=[phase]", "run.dir=run")
    assert command(*SMALL, *chosen, cwd=part.parent).returncode == 0
    part.write_text("raise SystemExit('run')", encoding="utf-8")
    for module in ("ffn_train.plots", "ffn_train.compare"):
        done = command("run", "--formats", "svg", cwd=part.parent, module=module)
        assert done.returncode == 0, done.stderr


def test_its_content_is_not_a_part_of_what_a_run_is(part: Path) -> None:
    part.write_text(PHASE.replace('"loss"]', '"los"]'), encoding="utf-8")
    chosen = [*SMALL, PARTS, "plot.figures=[phase]", "plot.when=always", "run.dir=run"]
    run = execute(build_experiment(compose(chosen)), NOTES.append)
    assert run.state == "finished"
    assert NOTES[-1] == (
        "warning: figure phase left out: parts=my_figures.py, line 15, in draw: KeyError: 'los'; "
        "once that is fixed, to draw it: "
        "python -m ffn_train.plots --parts my_figures.py --figures phase run"
    )
    part.write_text(PHASE, encoding="utf-8")
    run = execute(build_experiment(compose(chosen)), NOTES.append)
    assert "has ended already" in NOTES[-1]
    draw(run, figures=["phase"])
    assert (run.path / "plots" / "phase.png").is_file()


BROKEN = f"""{PHASE}

@choice("figure", "ends")
class Ends(RunFigure):
    def draw(self, run):
        raise SystemExit(0)


@choice("figure", "asks")
class Asks(RunFigure):
    def draw(self, run):
        return run.measures["nothing"]


@choice("figure", "none")
class Nothing(RunFigure):
    def draw(self, run):
        pass


@choice("figure", "text")
class Text(RunFigure):
    def draw(self, run):
        figure = Figure()
        figure.suptitle(r"$\\broken$")
        return figure
"""
REASONS = {
    "ends": "parts=my_figures.py, line 22, in draw: SystemExit: 0",
    "asks": "parts=my_figures.py, line 28, in draw: ",
    "none": "TypeError: draw must return a matplotlib Figure, got None",
    "text": "ValueError: ",
}


def test_figures_that_fail_leave_the_others_to_be_drawn(part: Path) -> None:
    part.write_text(BROKEN, encoding="utf-8")
    chosen = [PARTS, "plot.when=always", "run.dir=run"]
    named = "plot.figures=[ends,asks,none,text,phase,loss]"
    run = execute(build_experiment(compose([*SMALL, *chosen, named])), NOTES.append)
    assert {path.stem for path in (run.path / "plots").iterdir()} == {"phase", "loss"}
    for note, (name, reason) in zip(NOTES[-4:], REASONS.items(), strict=True):
        assert note.startswith(f"warning: figure {name} left out: {reason}")
        assert f"--parts my_figures.py --figures {name} run" in note
    done = command("run", "--parts", "my_figures.py", cwd=part.parent, module="ffn_train.plots")
    assert done.returncode == 2
    assert set(done.stdout.split()) == {f"run/plots/{name}.png" for name in ("phase", *ALL)}
    lines = sorted(done.stderr.splitlines())
    for line, (name, reason) in zip(lines, sorted(REASONS.items()), strict=True):
        assert line.startswith(f"ffn_train.plots: figure {name} of run left out: {reason}")


def test_a_name_of_the_packages_own_is_not_taken(part: Path) -> None:
    part.write_text(PHASE.replace('"phase"', '"loss"'), encoding="utf-8")
    with pytest.raises(SettingError, match=r"figure=loss is declared twice, in ffn_train\."):
        compose([*SMALL, PARTS])
    assert tuple(choices("figure")) == DECLARED


def test_what_the_run_lacks_is_refused_by_name_and_left_out_of_all(
    part: Path, tmp_path: Path
) -> None:
    part.write_text(PHASE.replace('"gradient_norm")', '"gradient_cosine")'), encoding="utf-8")
    compose([*SMALL, PARTS])
    run, notes = make_run(tmp_path / "run"), list[str]()
    lack = f"phase needs gradient_cosine, which {run.path} lacks: not measured"
    for drawn in (lambda: figure(run, "phase"), lambda: draw(run, figures=["loss", "phase"])):
        with pytest.raises(RunError, match=lack):
            drawn()
    assert not (run.path / "plots").exists()
    assert [path.stem for path in draw(run, notify=notes.append)] == [*ALL]
    assert notes == [f"left out: {lack}"]
    refused = command(
        "run", "--figures=phase", "--parts=my_figures.py", cwd=tmp_path, module="ffn_train.plots"
    )
    assert refused.returncode == 2
    assert refused.stderr == f"ffn_train.plots: {lack.replace(f'{tmp_path}/', '')}\n"


def test_help_and_mistakes_know_it(part: Path) -> None:
    done = command("--help", PARTS, "figure=phase", cwd=part.parent)
    assert done.stdout.startswith("plot.figures=[phase]: The loss against the gradient norm")
    for wrong in (("--help", PARTS, "figure=phse"), (*SMALL, PARTS, "plot.figures=phse")):
        done = command(*wrong, cwd=part.parent)
        assert done.returncode == 2
        assert done.stderr.endswith("got 'phse'; did you mean phase?\n")
