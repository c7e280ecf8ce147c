"""Settings that belong to no choice, and configurations from before some of them existed."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from ffn_train.config.composition import compose
from ffn_train.config.keys import DECLARED, lasting, read_settings
from ffn_train.config.places import CONF
from ffn_train.config.registry import FOLDERS, choices
from ffn_train.config.settings import ALWAYS_THERE, SettingError, declared
from ffn_train.running.experiment import build_experiment
from tests.support.small_runs import SMALL, config, run_in

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
    whole = config(engine="numpy")
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
    grid = {"model": {"depth": [4, 8]}, "seed": [0, 1]}
    assert lasting(config(sweep={"grid": grid}), "rounding", "source") == lasting(
        whole, "rounding", "source"
    )
    assert lasting(config(seed=7)) != lasting(whole)
    assert lasting(config(engine="compiled"), "rounding") != lasting(whole, "rounding")


@pytest.mark.parametrize(
    ("group", "changes", "message"),
    [
        (
            "optimizer",
            {"name": "adam", "eps": 1e-50},
            "optimizer.eps=1e-50 is 0 in float32",
        ),
        (
            "optimizer",
            {"lr": 1e-40},
            "optimizer.lr=1e-40 loses digits in float32: at least",
        ),
        ("optimizer", {"lr": 1e39}, "optimizer.lr=1e+39 is infinite in float32: at most 3.4e+38"),
        ("optimizer", {"momentum": 1 - 1e-9}, "is 1 in float32: optimizer.momentum must be"),
        ("optimizer", {"name": "adam", "beta2": 1 - 1e-9}, "is 1 in float32"),
        ("norm", {"name": "pre_rms", "eps": 1e-46}, "norm.eps=1e-46 is 0 in float32"),
        ("loss", {"name": "huber", "delta": 1e-46}, "loss.delta=1e-46 is 0"),
        ("residual", {"scale": 10**39}, "is infinite in float32"),
        ("residual", {"power": 400}, "residual.power=400 and model.depth=3: the factor"),
        ("residual", {"power": 1e9}, "the factor 0 is too small for any precision"),
        ("init", {"name": "lecun", "bias_std": 1e-46}, "init.bias_std=1e-46 is 0"),
        ("init", {"name": "normal", "inner": 1e-80}, "a square root that loses digits in float32"),
        ("init", {"name": "normal", "outer": 1e80}, "a square root that is infinite in float32"),
        ("trainer", {"clip": 1e-50}, "trainer.clip=1e-50 is 0 in float32"),
    ],
)
def test_bounds_hold_in_the_dtype_that_computes(
    group: str, changes: dict[str, Any], message: str
) -> None:
    overrides = [f"{group}={changes['name']}"] if "name" in changes else []
    overrides += [f"{group}.{key}={value!r}" for key, value in changes.items() if key != "name"]
    whole = compose([*SMALL, *overrides])
    with pytest.raises(SettingError) as caught:
        build_experiment(whole)
    assert message in str(caught.value)
    if "power" not in changes:
        assert str(caught.value).endswith(", or dtype=float64")
        build_experiment({**whole, "dtype": "float64"})


@pytest.mark.parametrize("variance", [1e-70, 1e-40, 1e40])
def test_of_a_variance_the_square_root_is_what_has_to_fit(variance: float) -> None:
    init = {"name": "normal", "bias_std": 0.0, "inner": variance, "outer": 1.0}
    experiment = build_experiment(config(init=init))
    tensors = {tensor.name: tensor for tensor in experiment.model.layout.tensors}
    weight = experiment.params.vector[tensors["blocks.0.up.weight"].span]
    assert np.std(weight.astype(np.float64)) == pytest.approx(math.sqrt(variance / 6), rel=0.3)


@pytest.mark.parametrize(
    ("norm", "width", "returns"),
    [
        ("pre_layer", 1, "a LayerNorm over one feature returns its shift"),
        ("post_layer", 1, "a LayerNorm over one feature returns its shift"),
        ("pre_layer", 2, "a LayerNorm over two features returns a sign"),
        ("post_layer", 2, "a LayerNorm over two features returns a sign"),
        ("pre_rms", 1, "an RMSNorm over one feature returns a sign"),
        ("post_rms", 1, "an RMSNorm over one feature returns a sign"),
        ("pre_layer", 3, None),
        ("pre_rms", 2, None),
        ("none", 1, None),
    ],
)
def test_a_norm_over_too_few_features_is_warned_of(
    norm: str, width: int, returns: str | None
) -> None:
    whole = compose([*SMALL, f"norm={norm}", f"model.width={width}"])
    said = [line for line in build_experiment(whole).warnings if f"model.width={width}" in line]
    assert len(said) == (returns is not None)
    if returns is not None:
        assert returns in said[0]
        assert said[0].endswith("; try model.width=32")  # no other norm would do


def test_threads_and_programs_that_hydra_started_compose() -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"), ThreadPoolExecutor(4) as threads:
        theirs = GlobalHydra.instance().hydra
        composed = threads.map(compose, [[f"model.depth={depth}"] for depth in range(1, 9)])
        assert [config["model"]["depth"] for config in composed] == [*range(1, 9)]
        assert GlobalHydra.instance().hydra is theirs
