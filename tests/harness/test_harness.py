"""The harnesses in their small form; their own commands try more, see ``tests/README.md``."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.harness import commands, crash, damage, tables
from tests.harness.campaign import Prepare, campaign
from tests.harness.operations import Disk, Operation

SMALL: dict[str, tuple[Prepare, int]] = {
    "crash": (partial(crash.prepare, cadences=[(2, 7)]), 30),
    "damage": (
        partial(damage.prepare, subjects=["a finished run", "an interrupted run"], browse=False),
        40,
    ),
    "commands": (commands.prepare, 40),
    "tables": (tables.prepare, 80),
}


@pytest.mark.parametrize("name", SMALL)
def test_a_few_cases(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for variable in ("HOME", "MPLCONFIGDIR"):
        monkeypatch.setenv(variable, str(tmp_path))  # restored, if the harness changes it
    prepare, cases = SMALL[name]
    arguments = ["--minutes", "30", "--cases", str(cases)]
    assert campaign(f"tests.harness.{name}", prepare, arguments) == [], capsys.readouterr().out


def test_a_power_loss_undoes_what_is_not_synced_in_any_order() -> None:
    disk = Disk({"run": None, "run/log": b"old"})
    for operation in (
        Operation("open", "run/log", 3),
        Operation("write", "run/log", 3, 3, b" new"),
        Operation("create", "run/a", 4),
        Operation("write", "run/a", 4, 0, b"A"),
        Operation("sync", "run/a", 4),
        Operation("rename", "run/a", target="run/b"),
    ):
        disk.apply(operation)
    assert disk.content() == {"run": None, "run/log": b"old new", "run/b": b"A"}
    left = {words: make() for words, make in disk.losses()}
    assert left["new names lost, unsynced bytes kept"] == {"run": None, "run/log": b"old new"}
    assert left["only new name 1 kept, unsynced bytes zeros"] == {
        "run": None,
        "run/log": b"old" + bytes(4),
        "run/b": b"A",
    }
    assert left["new name 1 lost, unsynced bytes lost"] == {
        "run": None,
        "run/log": b"old",
        "run/a": b"A",
    }
    for operation in (Operation("open", "run", 5), Operation("sync", "run", 5)):
        disk.apply(operation)
    assert {"run/b": b"A"}.items() <= dict(disk.losses())[
        "new names lost, unsynced bytes lost"
    ]().items()
