"""The cluster launchers, against stand-ins on this machine: ``pytest -m cluster``."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from runs_for_tests import SMALL
from test_sweep import results, run

pytestmark = pytest.mark.cluster
OVERRIDES = ("seed=0,1", "model.depth=1,3")


def start(sweep: Path) -> list[str]:
    command = [sys.executable, "-m", "ffn_train", "-m", f"sweep.dir={sweep}"]
    return [*command, *SMALL[:3], "trainer.steps=3", *SMALL[4:], *OVERRIDES]


def test_slurm_gives_the_results_of_a_serial_sweep(tmp_path: Path) -> None:
    run(tmp_path / "serial", *OVERRIDES)
    sweep = tmp_path / "slurm"
    stand_in = Path(__file__).parent / "slurm_stand_in"
    environment = {**os.environ, "PATH": f"{stand_in}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [*start(sweep), "hydra/launcher=slurm"],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert results(sweep) == results(tmp_path / "serial")
    assert list((sweep / "logs" / "slurm").rglob("*_submission.sh"))


@pytest.fixture
def ray_cluster(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A head and a second node on this machine, with a token; yields the environment to join it.

    Ended by process group, whatever else runs Ray.
    """
    address = "127.0.0.1:6399"
    token = tmp_path / "token"
    token.write_text(secrets.token_hex(32))
    environment = {
        **os.environ,
        "RAY_ADDRESS": address,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
    }
    common = ["--num-cpus=1", "--block", "--disable-usage-stats", "--object-store-memory=80000000"]
    ray = [str(Path(sys.executable).parent / "ray"), "start"]
    head = ["--head", "--port=6399", "--node-ip-address=127.0.0.1", "--include-dashboard=false"]
    nodes = []
    try:
        for arguments in (head, [f"--address={address}"]):
            nodes.append(
                subprocess.Popen(
                    [*ray, *arguments, *common],
                    env=environment,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            )
            time.sleep(8)
            assert nodes[-1].poll() is None
        yield environment
    finally:
        for node in reversed(nodes):
            os.killpg(node.pid, signal.SIGTERM)
            try:
                node.wait(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(node.pid, signal.SIGKILL)
                node.wait()


def test_ray_gives_the_results_of_a_serial_sweep(
    tmp_path: Path, ray_cluster: dict[str, str]
) -> None:
    run(tmp_path / "serial", *OVERRIDES)
    sweep = tmp_path / "ray"
    done = subprocess.run(
        [*start(sweep), "hydra/launcher=ray_cluster"],
        capture_output=True,
        text=True,
        env=ray_cluster,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert results(sweep) == results(tmp_path / "serial")
