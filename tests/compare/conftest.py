"""A sweep of real runs that the tests of this folder share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.small_runs import config, run_in


@pytest.fixture(scope="session")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of two depths and two seeds, none of which is to be changed."""
    root = tmp_path_factory.mktemp("sweep")
    for depth in (1, 3):
        for seed in (0, 1):
            run_in(root / f"d{depth}s{seed}", config(model={"depth": depth}, seed=seed))
    return root
