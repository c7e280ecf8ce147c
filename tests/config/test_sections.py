"""Settings that belong to no choice, and configurations from before some of them existed."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest

from ffn_train.config.keys import DECLARED, lasting, read_settings
from ffn_train.config.registry import FOLDERS, choices
from ffn_train.config.settings import ALWAYS_THERE, SettingError, declared
from tests.support.small_runs import config, run_in

NEWER = [key for key, setting in DECLARED.items() if setting.before is not ALWAYS_THERE]


def without(whole: dict[str, Any], key: str) -> dict[str, Any]:
    whole = deepcopy(whole)
    *path, last = key.split(".")
    section = whole
    for name in path:
        section = section[name]
    del section[last]
    return whole


def test_every_setting_is_a_sentence() -> None:
    for setting in DECLARED.values():
        assert setting.says
    for group in FOLDERS:
        for cls in choices(group).values():
            assert all(setting.says for setting in declared(cls).values())


@pytest.mark.parametrize("key", NEWER)
def test_a_configuration_from_before_a_setting_is_read(key: str) -> None:
    whole = config()
    old = without(whole, key)
    assert lasting(old, "rounding") == lasting(whole, "rounding")
    assert read_settings(old) == read_settings(whole)


@pytest.mark.parametrize("key", NEWER)
def test_a_run_from_before_a_setting_is_gone_on_with(key: str, tmp_path: Any) -> None:
    run_in(tmp_path, config())
    path = tmp_path / "config.json"
    path.write_text(json.dumps(without(json.loads(path.read_text()), key)), encoding="utf-8")
    run = run_in(tmp_path, config(trainer={"steps": 10}))
    assert run.scalars["step"][-1] == 10


@pytest.mark.parametrize("key", sorted({*DECLARED} - {*NEWER}))
def test_any_other_missing_setting_is_named(key: str) -> None:
    with pytest.raises(SettingError, match=f"^{key} is missing$"):
        read_settings(without(config(), key))


def test_what_changes_no_number_does_not_tell_runs_apart() -> None:
    whole = config()
    assert lasting(config(plot={"when": "always"}, threads=2, engine="compiled")) == lasting(whole)
    assert lasting(config(seed=7)) != lasting(whole)
    assert lasting(config(engine="compiled"), "rounding") != lasting(whole, "rounding")
