"""Modules of a study's folder, importable as they are for its command."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(scope="module")
def study(request: pytest.FixtureRequest) -> Iterator[None]:
    """The modules in the folder that the test's file calls ``FOLDER``."""
    folder, before = str(request.module.FOLDER), set(sys.modules)
    sys.path.insert(0, folder)
    with threadpool_limits():  # a study may set its own
        yield
    sys.path.remove(folder)
    for name in set(sys.modules) - before:
        if folder in str(getattr(sys.modules[name], "__file__", None)):
            del sys.modules[name]
