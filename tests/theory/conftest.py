"""What the tests of the theory share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.theory import predictions


@pytest.fixture(scope="module", autouse=True)
def _numbers_of_this_module_alone() -> Iterator[None]:
    """The normal numbers of all seeds take a few hundred megabytes."""
    yield
    predictions.DRAWN.clear()
