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

from tests.support.small_runs import SMALL
from tests.sweep.test_sweep import results, tables

pytestmark = pytest.mark.cluster
OVERRIDES = ("seed=0,1", "model.depth=1,3")


def sweep(path: Path, launcher: str, environment: dict[str, str]) -> Path:
    """A small sweep by this launcher, finished."""
    where = (f"sweep.dir={path / launcher}", f"hydra/launcher={launcher}")
    settings = (*SMALL[:3], "trainer.steps=3", *SMALL[4:], *OVERRIDES)
    done = subprocess.run(
        [sys.executable, "-m", "ffn_train", "-m", *where, *settings],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return path / launcher


def same(left: Path, other: Path) -> bool:
    """Whether two sweeps gave the same bytes, run by run and in the comparison's tables."""
    return results(left) == results(other) and tables(left) == tables(other)


def test_slurm_gives_the_results_of_a_serial_sweep(tmp_path: Path) -> None:
    stand_in = Path(__file__).parent / "slurm_stand_in"
    environment = {**os.environ, "PATH": f"{stand_in}{os.pathsep}{os.environ['PATH']}"}
    by_slurm = sweep(tmp_path, "slurm", environment)
    assert same(by_slurm, sweep(tmp_path, "serial", dict(os.environ)))
    assert list((by_slurm / "logs" / "slurm").rglob("*_submission.sh"))


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
    by_ray = sweep(tmp_path, "ray_cluster", ray_cluster)
    assert same(by_ray, sweep(tmp_path, "serial", dict(os.environ)))
