"""The cluster launchers, against stand-ins on this machine: ``pytest -m cluster``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from runs_for_tests import SMALL
from test_sweep import results, run

pytestmark = pytest.mark.cluster
OVERRIDES = ("seed=0,1", "model.depth=1,3")


def test_slurm_gives_the_results_of_a_serial_sweep(tmp_path: Path) -> None:
    run(tmp_path / "serial", *OVERRIDES)
    sweep = tmp_path / "slurm"
    stand_in = Path(__file__).parent / "slurm_stand_in"
    environment = {**os.environ, "PATH": f"{stand_in}{os.pathsep}{os.environ['PATH']}"}
    start = [sys.executable, "-m", "ffn_train", "-m", f"sweep.dir={sweep}"]
    command = [*start, *SMALL[:3], "trainer.steps=3", *SMALL[4:], *OVERRIDES]
    done = subprocess.run(
        [*command, "hydra/launcher=slurm"],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert results(sweep) == results(tmp_path / "serial")
    assert list((sweep / "logs" / "slurm").rglob("*_submission.sh"))
