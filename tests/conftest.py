"""What all tests share."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

# The tests' matrices are small, and two BLAS threads that wait for each other take several times
# the processor time of one. It is read when NumPy is imported, by the tests' children too.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


# Composing makes tens of thousands of objects that refer to each other, and a search for garbage
# after every 700 of them, among those of thousands of tests too, takes a fifth of its time.
gc.set_threshold(50_000)


def pytest_collection_finish() -> None:
    """What collection made stays: the searches leave it alone."""
    gc.collect()
    gc.freeze()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--all-combinations",
        action="store_true",
        help="what holds for every combination of choices is tested for all of them, "
        "not for a few that hold every pair of choices",
    )


@pytest.fixture(autouse=True)
def interrupts() -> Iterator[None]:
    """A command that a test runs in this process lets Ctrl-C end it, as its own process may."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True, scope="module")
def forgotten_parts() -> Iterator[None]:
    """What a file's tests loaded of parts is unknown to the next one's."""
    from ffn_train.config import outside
    from tests.support.parts import forget

    before = dict(outside._loaded)
    yield
    new = dict(outside._loaded.items() - before.items())
    forget(new)
    for name in new:
        outside._roots.pop(name, None)
    outside._loaded.clear()
    outside._loaded.update(before)


@pytest.fixture
def parts_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory, for files with parts; what they declare is forgotten at the end."""
    from ffn_train.config import outside
    from tests.support.parts import forget

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(outside, "_loaded", {})
    yield tmp_path
    forget(outside._loaded)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """``combination``: the names of activation, block, residual, norm and init."""
    if "combination" in metafunc.fixturenames:
        from tests.support import choices

        everything = metafunc.config.getoption("all_combinations")
        chosen = choices.allowed() if everything else choices.covering()
        metafunc.parametrize("combination", chosen, ids=["-".join(c.values()) for c in chosen])


@pytest.fixture
def seen_by_all(tmp_path: Path) -> Path:
    """The test's directory, which any user may look into."""
    for path in (tmp_path, *tmp_path.parents):
        if path.stat().st_uid == os.getuid() and path != Path("/"):
            path.chmod(path.stat().st_mode | 0o755)
    return tmp_path
