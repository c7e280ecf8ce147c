"""A table that is kept is what reading it again would give."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ffn_train.config.kept import kept_in_turn
from ffn_train.tasks.table import Data
from ffn_train.tasks.tabular.file import read
from ffn_train.tasks.tabular.task import TableTask

LINES = ["a,b,y", *(f"{i % 7},{'uvw'[i % 3] if i % 11 else ''},{(i * i) % 13}" for i in range(90))]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were read, in their order."""
    seen: list[str] = []

    def counted(path: str, *arguments: Any, **options: Any) -> Any:
        seen.append(Path(path).name)
        return read(path, *arguments, **options)

    monkeypatch.setattr("ffn_train.tasks.tabular.task.read", counted)
    return seen


def data(path: Path, seed: int = 0, **settings: Any) -> Data:
    task = TableTask(path=str(path), target="y", **settings)
    return task.data(*map(np.random.default_rng, (seed, seed)))


def same(one: Data, other: Data) -> bool:
    """Whether everything agrees but the objects."""
    values, others = ({**vars(data), "rows": data.to_json()["rows"]} for data in (one, other))
    return all(
        a.tobytes() == b.tobytes() if isinstance(a, np.ndarray) else a == b
        for a, b in zip(values.values(), others.values(), strict=True)
    )


def test_a_table_is_read_once_and_changed_by_nobody(tmp_path: Path, reads: list[str]) -> None:
    path, second = tmp_path / "t.csv", tmp_path / "second.csv"
    for file in (path, second):
        file.write_text("\n".join(LINES))
    cases: list[dict[str, Any]] = [
        {},
        {"fill": "drop"},
        {"groups": "a"},
        {"classes": True},
        {"validation_path": str(second)},
        {"test_path": str(second), "missing": ["3"]},
    ]
    for settings in cases:
        alone = [data(path, seed, **settings) for seed in (0, 1)]
        reads.clear()
        with kept_in_turn():
            kept = [data(path, seed, **settings) for seed in (0, 1, 0)]
        assert reads == [path.name, second.name][: 1 + any("path" in key for key in settings)]
        assert same(kept[0], alone[0])
        assert same(kept[1], alone[1])
        assert same(kept[2], alone[0])


def test_another_file_or_another_way_is_read_anew(tmp_path: Path, reads: list[str]) -> None:
    path = tmp_path / "t.csv"
    path.write_text("\n".join(LINES))
    with kept_in_turn():
        data(path)
        data(path, fill="drop")
        data(path)
        assert len(reads) == 3  # only the last one is kept
        then = path.stat()
        path.write_text("\n".join([*LINES[:-1], LINES[1]]))
        os.utime(path, ns=(then.st_atime_ns, then.st_mtime_ns + 1))
        changed = data(path)
        assert len(reads) == 4
    assert same(changed, data(path))
    assert len(reads) == 5  # nothing is kept afterwards
