"""What all tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

# The tests' matrices are small, and two BLAS threads that wait for each other take several times
# the processor time of one. It is read when NumPy is imported, by the tests' children too.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--all-combinations",
        action="store_true",
        help="what holds for every combination of choices is tested for all of them, "
        "not for a few that hold every pair of choices",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """``combination``: the names of activation, block, residual, norm and init."""
    if "combination" in metafunc.fixturenames:
        from tests.support import choices

        everything = metafunc.config.getoption("all_combinations")
        chosen = choices.allowed() if everything else choices.covering()
        metafunc.parametrize("combination", chosen, ids=["-".join(c.values()) for c in chosen])


@pytest.fixture(scope="session", autouse=True)
def _each_file_of_the_configuration_is_read_once() -> Iterator[None]:
    """Hydra parses the twenty files of a composition anew each time, which is a third of it."""
    from hydra._internal.config_repository import ConfigRepository

    load = ConfigRepository.load_config
    read: dict[tuple[str, ...], Any] = {}

    def remembered(self: ConfigRepository, config_path: str) -> Any:
        key = config_path, *(source.path for source in self.sources)
        if key not in read:
            read[key] = load(self, config_path)
        return deepcopy(read[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ConfigRepository, "load_config", remembered)
        yield
