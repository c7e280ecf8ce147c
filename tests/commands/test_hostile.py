"""Hostile input: run directories that nobody should have written."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from ffn_train.config.settings import SettingError
from ffn_train.runs import Run, RunError, load_run
from tests.support.small_runs import config, run_in
from tests.support.unsealed import unseal


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "run"
    run_in(path, config())
    return path


def read_all(path: Path) -> Run:
    run = load_run(path)
    run.weights()
    return run


HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "a pickle": b"\x80\x04\x95\x1b\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94",
    "deep JSON": b"[" * 100_000,
    "a JSON list": b"[1, 2]",
    "JSON of other types": b'{"tensors": 3, "depth": [], "state": {}}',
    "another table": b"step,loss\n1\n2,3,4\n",
    "bytes": bytes(range(256)) * 20,
    "an array of objects' header": b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, "
    b"'shape': (3,), }".ljust(118)
    + b"\n",
    "an array larger than any memory": b"\x93NUMPY\x01\x00v\x00"
    + b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999,), }".ljust(117)
    + b"\n",
    "tensors with a path for a name": save({"../../escape": np.zeros(3)}),
    "a header that promises too much": (2**62).to_bytes(8, "little") + b"{}",
}


@pytest.mark.parametrize("content", HOSTILE)
@pytest.mark.parametrize(
    "name",
    [
        *("config.json", "provenance.json", "layout.json", "summary.json", "status.json"),
        *("scalars.csv", "measures.npy", "weights.safetensors", "theory.json"),
    ],
)
def test_a_hostile_file_is_named_or_harmless(
    name: str, content: str, finished: Path, tmp_path: Path
) -> None:
    path = unseal(Path(shutil.copytree(finished, tmp_path / "copy")))
    (path / name).write_bytes(HOSTILE[content])
    try:
        read_all(path)
    except RunError as error:
        assert name in str(error)
        assert "\n" not in str(error)
    assert {p.name for p in tmp_path.iterdir()} == {"copy"}


@pytest.mark.parametrize("name", ["measures.npy", "weights.safetensors", "scalars.csv"])
def test_every_truncation_is_named_or_read(name: str, finished: Path, tmp_path: Path) -> None:
    path = unseal(Path(shutil.copytree(finished, tmp_path / "copy")))
    content = (path / name).read_bytes()
    for length in range(0, len(content), max(1, len(content) // 40)):
        (path / name).write_bytes(content[:length])
        try:
            read_all(path)
        except RunError as error:
            assert name in str(error)


def test_what_a_directory_names_is_never_imported(finished: Path, tmp_path: Path) -> None:
    path = unseal(Path(shutil.copytree(finished, tmp_path / "copy")))
    (tmp_path / "evil.py").write_text("raise SystemExit('imported')")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        bait = {"_target_": "evil.run", "name": "evil", "__class__": "evil.Run"}
        for name in ("config.json", "provenance.json", "summary.json"):
            content = json.loads((path / name).read_text())
            (path / name).write_text(json.dumps({**content, **bait, "model": bait}))
        run = read_all(path)
        assert run.config["_target_"] == "evil.run"
        with pytest.raises(SettingError, match="holds another run"):
            run_in(path, config())
    assert "evil" not in sys.modules


def test_other_runs_are_still_read(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "good")
    shutil.copytree(finished, tmp_path / "bad")
    (tmp_path / "bad" / "measures.npy").write_bytes(b"")
    read = {}
    for path in tmp_path.iterdir():
        try:
            read[path.name] = load_run(path)
        except RunError as error:
            assert str(path) in str(error)
    assert set(read) == {"good"}
