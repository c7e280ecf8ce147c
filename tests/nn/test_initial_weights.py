"""``init=weights``: initial parameters from a file, and that it belongs to what a run is."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from ffn_train import build_experiment
from ffn_train.commands import gradcheck
from ffn_train.config.settings import SettingError
from ffn_train.running.experiment import Experiment
from ffn_train.sweep.estimate import estimate
from ffn_train.sweep.manifest import entry
from ffn_train.sweep.space import Job
from ffn_train.using.run import load_run
from tests.support.small_runs import SMALL, config, run_in

Tensors = dict[str, Any]
BLOCK = ("up.weight", "up.bias", "down.weight", "down.bias")


def start(file: Path, **changes: Any) -> dict[str, Any]:
    return config(init={"name": "weights", "path": str(file), "digest": None}, **changes)


def initial(experiment: Experiment) -> Tensors:
    return experiment.model.layout.named(experiment.params.vector)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of a small run."""
    run = tmp_path_factory.mktemp("first") / "run"
    run_in(run, config())
    return run / "weights.safetensors"


@pytest.fixture
def copy(weights: Path, tmp_path: Path) -> Path:
    """A copy of them, which a test may change."""
    (tmp_path / "copy.safetensors").write_bytes(weights.read_bytes())
    return tmp_path / "copy.safetensors"


def test_a_run_starts_from_the_weights_of_another_and_needs_them_no_more(
    copy: Path, tmp_path: Path
) -> None:
    for name, array in initial(build_experiment(start(copy))).items():
        np.testing.assert_array_equal(array, load_file(copy)[name])
    run_in(tmp_path / "run", start(copy))
    copy.unlink()
    run = load_run(tmp_path / "run")
    assert run.theory is not None
    assert run.theory.reason == "initial weights from a file"
    assert run.predict(np.zeros((2, 8))).shape == (2, 1)


@pytest.mark.parametrize(
    ("word", "convert", "error"),
    [
        ("F64", lambda array: array.astype("<f8"), 0),
        ("F16", lambda array: array.astype("<f2"), 1e-3),
        ("BF16", lambda array: (array.view("<u4") >> 16).astype("<u2"), 1e-2),
    ],
)
def test_numbers_of_other_precision_are_converted(
    copy: Path, word: str, convert: Callable[[Any], Any], error: float
) -> None:
    tensors = load_file(copy)
    header, data = {}, b""
    for name, array in tensors.items():
        content = convert(array).tobytes()
        offsets = [len(data), len(data) + len(content)]
        header[name] = {"dtype": word, "shape": array.shape, "data_offsets": offsets}
        data += content
    text = json.dumps(header).encode()
    copy.write_bytes(len(text).to_bytes(8, "little") + text + data)
    for name, array in initial(build_experiment(start(copy))).items():
        np.testing.assert_allclose(array, tensors[name], rtol=error, atol=1e-6 * (error > 0))


def test_all_that_does_not_fit_stands_in_one_line(copy: Path) -> None:
    tensors = load_file(copy)
    tensors["blocks.0.up.weight"] = np.ascontiguousarray(tensors["blocks.0.up.weight"].T)
    tensors["output.bias"] = np.zeros(3, np.float32)
    tensors["head\n"] = tensors.pop("input.bias")
    save_file(tensors, copy)
    with pytest.raises(SettingError) as caught:
        build_experiment(start(copy))
    assert str(caught.value) == (
        f"init.path={copy} does not fit this model: it lacks input.bias; the model has no "
        "'head\\n'; blocks.0.up.weight is (6, 12), transposed: (12, 6) is needed, "
        "output.bias is (3,), (1,) is needed"
    )


@pytest.mark.parametrize("depth", [2, 4])
def test_weights_of_another_depth_name_the_blocks(weights: Path, depth: int) -> None:
    names = [f"blocks.{min(depth, 3)}.{name}" for name in BLOCK]
    with pytest.raises(
        SettingError, match="it lacks" if depth > 3 else "the model has no"
    ) as error:
        build_experiment(start(weights, model={"depth": depth}))
    assert all(name in str(error.value) for name in names)


def instead_a_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def instead_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def with_bias(path: Path, value: Any) -> None:
    save_file({**load_file(path), "input.bias": value}, path)


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (lambda path: path.unlink(), "there is no such file"),
        (instead_a_folder, "it is not a regular file"),
        (instead_a_fifo, "it is not a regular file"),
        (lambda path: path.write_bytes(b"\x80\x04."), "is not a safetensors file: "),
        (
            lambda path: with_bias(path, np.zeros(6, int)),
            "'input.bias' is I64; F64, F32, F16, BF16 are read",
        ),
        (
            lambda path: with_bias(path, np.full(6, 1e40)),
            "input.bias has a value that",
        ),
        (lambda path: os.truncate(path, 2**33), "it is larger than 4 GiB"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(
    copy: Path, damage: Callable[[Path], Any], line: str
) -> None:
    damage(copy)
    with pytest.raises(SettingError, match=f"^init.path={copy}:? ") as caught:
        _ = build_experiment(start(copy)).params
    assert line in str(caught.value)


def test_a_file_and_its_digest_are_named() -> None:
    settings = start(Path("unused"))
    with pytest.raises(SettingError, match=r"init\.path is missing"):
        build_experiment({**settings, "init": {**settings["init"], "path": None}})


def test_a_resume_takes_a_moved_file_and_refuses_another(copy: Path, tmp_path: Path) -> None:
    run_in(tmp_path / "run", start(copy))
    moved = copy.rename(tmp_path / "moved.safetensors")
    longer = run_in(tmp_path / "run", start(moved, trainer={"steps": 10}))
    assert longer.summary is not None
    assert longer.summary.steps == 10
    digest = longer.config["init"]["digest"]
    save_file({name: 2 * array for name, array in load_file(moved).items()}, moved)
    other = build_experiment(start(moved)).config["init"]["digest"]
    with pytest.raises(SettingError, match=f'init.digest="{digest}" there, "{other}" here'):
        run_in(tmp_path / "run", start(moved, trainer={"steps": 10}))
    with pytest.raises(SettingError, match=f"its digest is {other}, not init.digest={digest}"):
        build_experiment(config(init={"name": "weights", "path": str(moved), "digest": digest}))


def test_gradcheck_dry_run_and_the_jobs_of_a_sweep(copy: Path) -> None:
    overrides = [*SMALL, "init=weights", f"init.path={copy}"]
    checks = gradcheck.check(overrides)
    assert not any(check.failed for part in checks.values() for check in part)
    job = entry(Job({}, start(copy)))
    assert "1 job" in estimate([job])
    save_file({name: 2 * array for name, array in load_file(copy).items()}, copy)
    assert (changed := entry(Job({}, start(copy)))).data != job.data
    assert changed.digest == job.digest
