"""Altered files of a finished run are noticed, and not read as other numbers."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from ffn_train.config.keys import lasting
from ffn_train.runs import RunError, files, load_run
from tests.support.small_runs import config, run_in

SEALED = (
    *(files.CONFIG, files.LAYOUT, files.THEORY, files.SCALARS),
    *(files.MEASURES, files.WEIGHTS, files.PREDICTIONS, files.SUMMARY),
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_in(tmp_path_factory.mktemp("run") / "run", config()).path


@pytest.mark.parametrize("name", SEALED)
def test_a_flipped_bit_is_noticed_or_changes_nothing(
    finished: Path, tmp_path: Path, name: str
) -> None:
    whole, rng = load_run(finished), random.Random(name)
    noticed = 0
    for trial in range(20):
        copy = Path(shutil.copytree(finished, tmp_path / str(trial)))
        content = bytearray((copy / name).read_bytes())
        place = rng.randrange(8 * len(content))
        content[place // 8] ^= 1 << place % 8
        (copy / name).write_bytes(content)
        try:
            run = load_run(copy)
            run.weights()
            run.outputs()
        except RunError as error:
            assert name in str(error)
            assert "\n" not in str(error)
            noticed += 1
        else:  # the digits of an indentation, or of what changes no number
            assert run.summary == whole.summary
            assert lasting(run.config, "rounding") == lasting(whole.config, "rounding")
    assert noticed >= (5 if name == files.CONFIG else 15)


def test_a_run_may_be_moved_and_its_provenance_is_free(finished: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(finished, tmp_path / "moved"))
    (copy / files.PROVENANCE).unlink()
    assert load_run(copy).summary == load_run(finished).summary
