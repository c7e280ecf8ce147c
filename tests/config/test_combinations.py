"""Every choice and every combination: it builds, gradchecks and trains, or says why not."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from ffn_train.commands.predicted import Point
from ffn_train.compare.values import differing
from ffn_train.config import combinations as rules
from ffn_train.config import registry
from ffn_train.config.composition import compose
from ffn_train.config.keys import GROUPS, MODEL_GROUPS
from ffn_train.config.places import CONF
from ffn_train.config.settings import SettingError
from ffn_train.gradcheck import check_layer, failures
from ffn_train.plots.settings import flatten
from ffn_train.plots.sheet import describe
from ffn_train.running.experiment import build_experiment
from ffn_train.sweep.space import Job, jobs
from ffn_train.theory import Unpredicted
from tests.plots.made_up import make_run
from tests.support.choices import allowed, covered, covering, files, refusal, settings, tiny
from tests.support.generated import README, generated
from tests.support.small_runs import config


@pytest.mark.parametrize("group", GROUPS)
def test_each_choice_is_built_from_its_declared_defaults(group: str) -> None:
    for name in files(group):
        given = {"path": "data.csv", "target": "y"} if name == "table" else {}
        part = registry.build(group, {**settings(group, name), **given})
        assert (part.group, part.name) == (group, name)
        assert registry.summary(type(part))


def test_the_tree_of_files_has_no_choices() -> None:
    assert {path.name for path in CONF.iterdir() if path.is_dir()} == {"experiment", "hydra"}


def test_a_few_combinations_cover_what_all_do() -> None:
    few, every = (
        {case for names in part for case in covered(names)} for part in (covering(), allowed())
    )
    assert few == every
    assert len(covering()) < len(allowed()) / 20


def test_allowed_combinations_pass_gradcheck(combination: dict[str, str]) -> None:
    rng = np.random.default_rng(0)
    checks = check_layer(tiny(combination, depth=2), inputs=3, rng=rng, samples=3)
    assert not list(failures(checks))
    assert not any(check.unjudged for check in checks)


def test_allowed_combinations_train_two_steps(combination: dict[str, str]) -> None:
    chosen = {group: settings(group, combination[group]) for group in MODEL_GROUPS}
    experiment = build_experiment(config(trainer={"steps": 2}, **chosen))
    state = experiment.trainer.start(experiment.params)
    rows = list(experiment.trainer.fit(state))
    assert [row.step for row in rows] == [0, 1, 2]
    assert all(np.isfinite(row.loss) for row in rows)
    assert not np.array_equal(state.params.vector, experiment.params.vector)


REFUSED = [
    dict(zip(("block", "residual", "norm", "init"), values, strict=True))
    for values in product(files("block"), files("residual"), files("norm"), files("init"))
    if refusal(dict(zip(("block", "residual", "norm", "init"), values, strict=True)))
]


def test_refused_combinations_give_their_reason() -> None:
    seen = set()
    for names in REFUSED:
        chosen = {group: settings(group, name) for group, name in names.items()}
        with pytest.raises(SettingError) as caught:
            build_experiment(config(**chosen))
        reason = refusal({"activation": "gelu", **names})
        assert reason is not None
        assert reason in str(caught.value)
        assert "\n" not in str(caught.value)
        seen.add(reason)
    assert seen == {rule.reason for rule in rules.REFUSED}


@pytest.mark.parametrize(
    ("changes", "allowed"),
    [
        ({"residual": "deepnorm", "norm": "post_layer", "init": "deepnorm"}, True),
        ({"residual": "deepnorm", "norm": "post_rms", "init": "deepnorm"}, False),
        ({"residual": "deepnorm", "norm": "post_layer", "init": "he"}, False),
        ({"init": "deepnorm"}, False),
        ({"residual": "identity", "init": "fixup"}, True),
        ({"residual": "identity", "init": "fixup", "block": "swiglu"}, False),
        ({"residual": "identity", "init": "fixup", "norm": "pre_rms"}, False),
        ({"residual": "rezero", "init": "fixup"}, False),
        ({"residual": "none", "init": "fixup"}, False),
        ({"residual": "rezero", "norm": "pre_layer"}, True),
        ({"residual": "rezero", "norm": "post_rms"}, False),
        ({"residual": "none", "init": "gpt2"}, False),
        ({"residual": "rezero", "init": "gpt2"}, True),
    ],
)
def test_the_table_says_what_the_papers_need(changes: dict[str, str], allowed: bool) -> None:
    names = {"activation": "gelu", "block": "feedforward", "residual": "scaled", "norm": "none"}
    assert (refusal({**names, "init": "lecun", **changes}) is None) is allowed


def test_the_readme_shows_the_table() -> None:
    text = README.read_text(encoding="utf-8")
    assert generated(text) == text  # python -m tests.support.generated makes it anew


def test_deep_stacks_that_cannot_train_are_warned_about() -> None:
    names = {"activation": "gelu", "block": "feedforward", "norm": "none", "init": "lecun"}
    assert rules.warnings({**names, "residual": "identity"}, 64)
    assert rules.warnings({**names, "residual": "none"}, 64)
    assert not rules.warnings({**names, "residual": "scaled"}, 64)
    assert not rules.warnings({**names, "residual": "none"}, 4)
    assert not rules.warnings({**names, "residual": "identity", "norm": "pre_rms"}, 64)


@pytest.mark.parametrize("name", [name for name in files("init") if name != "weights"])
def test_initialisers_set_the_variances_that_they_state(name: str) -> None:
    variances = {"inner": 0.4, "outer": 1.6} if name == "normal" else {}
    init = registry.build("init", {**settings("init", name), **variances, "bias_std": 0.3})
    rng = np.random.default_rng(0)
    for role, (fan_in, fan_out) in {"inner": (300, 1200), "outer": (1200, 300)}.items():
        sizes = {"fan_in": fan_in, "fan_out": fan_out, "role": role, "depth": 7}
        weight = init.weight(rng, **sizes)
        variance = init.variance(**sizes)
        assert weight.shape == (fan_out, fan_in)
        # the relative standard error of a variance of n normal entries is sqrt(2/n) = 0.24 %
        assert np.mean(weight**2) == pytest.approx(variance, rel=0.012)
        expected = {
            "he": 2 / fan_in,
            "lecun": 1 / fan_in,
            "normal": (0.4 if role == "inner" else 1.6) / fan_in,
            "xavier": 2 / 1500,
            "orthogonal": 1 / 1200,
            "gpt2": 1 / fan_in / (7 if role == "outer" else 1),
            "fixup": 2 / (fan_in * 7) if role == "inner" else 0,
            "deepnorm": 2 / 1500 / np.sqrt(4 * 7),
        }[name]
        assert variance == pytest.approx(expected)
    assert np.std(init.bias(rng, 40_000)) == pytest.approx(0.3, rel=0.02)


def test_orthogonal_matrices_are_semi_orthogonal() -> None:
    init = registry.build("init", {**settings("init", "orthogonal"), "gain": 1.5})
    rng = np.random.default_rng(0)
    up = init.weight(rng, fan_in=6, fan_out=24, role="inner", depth=3)
    down = init.weight(rng, fan_in=24, fan_out=6, role="outer", depth=3)
    np.testing.assert_allclose(up.T @ up, 2.25 * np.eye(6), atol=1e-12)
    np.testing.assert_allclose(down @ down.T, 2.25 * np.eye(6), atol=1e-12)


def test_ends_are_lecun_normal_with_zero_bias_whatever_init_says() -> None:
    for name in ("he", "fixup"):
        chosen = {
            "init": {**settings("init", name), "bias_std": 1.0},
            "residual": {"name": "identity"},
        }
        model = {"model": {"width": 400, "depth": 1}}
        experiment = build_experiment(config(**chosen, **model))
        weights = experiment.model.layout.named(experiment.params.vector)
        assert not weights["input.bias"].any()
        assert not weights["output.bias"].any()
        assert np.var(weights["input.weight"]) == pytest.approx(1 / 8, rel=0.1)
        assert np.var(weights["output.weight"]) == pytest.approx(1 / 400, rel=0.3)


@pytest.mark.parametrize(
    "overrides",
    [
        ["block=swiglu", "activation=tanh"],
        ["block=geglu", "+activation.slope=1"],
        ["block=feedforward,swiglu", "activation=relu,tanh"],
        ["block=feedforward,swiglu", "activation=tanh"],
        ["experiment=tanh_resnet_growth", "block=swiglu"],  # which varies the activation
    ],
    ids=" ".join,
)
def test_an_activation_is_refused_where_it_has_no_effect(overrides: list[str]) -> None:
    with pytest.raises(SettingError) as refused:
        jobs(overrides)
    assert " has an activation of its own: " in str(refused.value)
    assert str(refused.value).endswith(" would have no effect")


def test_an_activation_without_effect_is_not_named(tmp_path: Path) -> None:
    composed = compose(["block=swiglu"])
    assert rules.unused(composed) == ("activation",)
    point = Point(Job({}, composed), tiny({**allowed()[0], "block": "swiglu"}), "", Unpredicted(""))
    assert not any(word.startswith("activation") for word in point.about)
    run = make_run(tmp_path)
    assert "gelu" in describe(run)
    run.config["block"] = {"name": "geglu"}
    assert "gelu" not in describe(run).replace("geglu", "")
    plain, gated = flatten(compose(["activation=tanh"])), flatten(composed)
    assert "activation" not in gated
    assert differing([plain, gated]) == ["block"]
    assert differing([plain, gated, {**plain, "activation": "relu"}]) == ["activation", "block"]
