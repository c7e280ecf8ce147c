"""A damaged page in a browser: it shows what the sound one shows, or a line and nothing else."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ffn_train.compare.page import html
from ffn_train.runs import Run
from ffn_train.view import page, run_page
from tests.compare.made_up import compared, small_sweep
from tests.harness import pages

TAB = {"viewport": {"width": 1300, "height": 900}}


@pytest.fixture
def made(small_run: Run, tmp_path: Path) -> dict[str, Path]:
    written = {
        "a run's page": run_page(small_run),
        "a comparison's page": html(compared(*small_sweep(), x="depth"), "a sweep"),
        "a list": page("list", "runs", {"entries": [], "every": 10**6, "live": {}}, []),
    }
    for name, content in written.items():
        (tmp_path / f"{name}.html").write_text(content, encoding="utf-8")
    return {name: tmp_path / f"{name}.html" for name in written}


@pytest.mark.parametrize("damage", pages.DAMAGES)
def test_damage_is_noticed(
    browser: Any, made: dict[str, Path], tmp_path: Path, damage: pages.Damage
) -> None:
    made.pop("a list")  # it has no packed arrays
    tab = browser.new_page(**TAB)
    case = pages.opening(made, tmp_path, tab, [damage])
    findings = [case(random.Random(seed)).finding for seed in range(8)]
    tab.close()
    assert not any(findings), findings


@pytest.mark.parametrize("name", ["a run's page", "a comparison's page", "a list"])
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda text: text.replace('id="header">{', 'id="header">{ '), id="header"),
        pytest.param(lambda text: text.replace('use strict";\n', 'use strict";;\n'), id="script"),
        pytest.param(lambda text: re.sub("adler32=.", "adler32=", text), id="checksum"),
    ],
)
def test_a_damaged_page_shows_a_line(
    browser: Any, made: dict[str, Path], name: str, change: Callable[[str], str]
) -> None:
    sound = made[name].read_text(encoding="utf-8")
    changed = change(sound)
    assert changed != sound
    made[name].write_text(changed, encoding="utf-8")
    tab = browser.new_page(**TAB)
    tab.goto(made[name].as_uri())
    shown = tab.inner_text("body")
    tab.close()
    assert re.fullmatch(r"One moment\..* this file is damaged: make it again\.\s*", shown)
