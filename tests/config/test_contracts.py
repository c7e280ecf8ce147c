"""What a part of one's own returns is checked once, before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ffn_train.config.composition import compose
from ffn_train.config.settings import SettingError
from ffn_train.running.execution import execute
from ffn_train.running.experiment import Experiment, build_experiment
from ffn_train.runs import Run
from tests.support.small_runs import NOTES, SMALL

Build = Callable[..., Experiment]


@pytest.fixture
def build(parts_folder: Path) -> Build:
    """Builds an experiment with a file of parts of this content."""

    def built(content: str, *overrides: str) -> Experiment:
        text = f"import numpy as np\nfrom ffn_train.parts import *\n\n\n{content}"
        (parts_folder / "mine.py").write_text(text, encoding="utf-8")
        return build_experiment(compose([*SMALL, "parts=[mine.py]", *overrides, "run.dir=run"]))

    return built


def trained(experiment: Experiment) -> Run:
    return execute(experiment, NOTES.append)


SCHEDULE = """
@choice("schedule", "mine")
class Mine(Schedule):
    \"\"\"Mine.\"\"\"

    def factor(self, step, progress):
        return {factor}
"""


@pytest.mark.parametrize(
    "factor",
    [
        "(1 + np.cos(np.pi * progress)) / 2",
        "np.float32(0.5)",
        "np.where(progress < 0.5, 1.0, 0.5)",
        "np.int64(1) if progress < 0.5 else False",
    ],
)
def test_a_schedule_may_return_any_kind_of_number(build: Build, factor: str) -> None:
    experiment = build(SCHEDULE.format(factor=factor), "schedule=mine")
    run = trained(experiment)
    assert run.state == "finished"
    given = [float(eval(factor, {"np": np, "progress": n / 8})) for n in range(8)]
    lr = experiment.trainer.optimizer.lr
    np.testing.assert_allclose(run.scalars["lr"][:-1], np.multiply(given, lr))


@pytest.mark.parametrize(
    ("factor", "got"),
    [
        ("None", r"None at step 0"),
        ("'0.5'", r"'0\.5' at step 0"),
        ("np.array([0.5])", r"array\(\[0\.5\]\) at step 0"),
        ("1 + 1j", r"\(1\+1j\) at step 0"),
        ("np.log(0.125 - progress)", r"np\.float64\(-inf\) at step 1"),
        ("float('inf') if progress == 0.375 else 1", "inf at step 3"),
    ],
)
def test_a_schedule_without_a_number_is_refused_before_the_run(
    build: Build, factor: str, got: str
) -> None:
    message = f"^schedule=mine: factor must return a finite number, got {got}$"
    with pytest.raises(SettingError, match=message):
        build(SCHEDULE.format(factor=factor), "schedule=mine")
    assert not Path("run").exists()


def test_a_schedule_that_fails_at_an_untried_step_is_named_as_the_cause(build: Build) -> None:
    factor = "float('nan') if step == 3 else 1.0"
    experiment = build(SCHEDULE.format(factor=factor), "schedule=mine", "trainer.steps=4000")
    with pytest.raises(SettingError, match=r"^schedule=mine: factor .*, got nan at step 3$"):
        trained(experiment)
