"""Every choice as ``conf/`` lists it, and tiny stacks made of them."""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import Any

from omegaconf import OmegaConf

from ffn_train.config.combinations import REFUSED
from ffn_train.config.keys import MODEL_GROUPS
from ffn_train.config.places import CONF
from ffn_train.config.registry import build
from ffn_train.nn.engine import engine as get_engine
from ffn_train.nn.stack import Stack

INITS = ("lecun", "deepnorm")  # of every combination below, the first that is allowed


@cache
def settings(group: str, name: str) -> dict[str, Any]:
    """The settings of a choice as its YAML file gives them."""
    loaded = OmegaConf.to_container(OmegaConf.load(CONF / group / f"{name}.yaml"))
    assert isinstance(loaded, dict)
    return {str(key): value for key, value in loaded.items()}


def files(group: str) -> list[str]:
    """The names of a group's YAML files."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def refusal(names: dict[str, str]) -> str | None:
    """The reason why the choices do not go together, or None."""
    return next((rule.reason for rule in REFUSED if rule.broken_by(names)), None)


def combinations(block: str, residual: str) -> list[dict[str, str]]:
    """All norms and activations with a block and a residual, each with an init that it allows."""
    found = []
    for norm, activation in product(files("norm"), files("activation")):
        for init in INITS:
            names = dict(zip(MODEL_GROUPS, (activation, block, residual, norm, init), strict=True))
            if refusal(names) is None:
                found.append(names)
                break
    return found


def tiny(names: dict[str, str], depth: int = 3, engine: str = "numpy") -> Stack:
    """A stack of width 5, hidden 10, 3 inputs and 2 outputs."""
    parts = {g: build(g, settings(g, names[g])) for g in MODEL_GROUPS if g != "init"}
    sizes = {"inputs": 3, "outputs": 2, "depth": depth, "width": 5, "expansion": 2}
    return Stack(**sizes, **parts, engine=get_engine(engine))
