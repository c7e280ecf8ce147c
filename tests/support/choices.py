"""Every choice with its defaults, how they combine, and tiny stacks made of them."""

from __future__ import annotations

from functools import cache
from itertools import combinations, product
from typing import Any

from ffn_train.config.combinations import REFUSED
from ffn_train.config.keys import MODEL_GROUPS
from ffn_train.config.registry import build, choices
from ffn_train.config.settings import defaults
from ffn_train.nn.engine import engine as get_engine
from ffn_train.nn.stack import Stack


def settings(group: str, name: str) -> dict[str, Any]:
    """A choice with its defaults, as a configuration has it."""
    return {"name": name, **defaults(choices(group)[name])}


def files(group: str) -> list[str]:
    """The names of a group's choices."""
    return list(choices(group))


def refusal(names: dict[str, str]) -> str | None:
    """The reason why the choices do not go together, or None."""
    return next((rule.reason for rule in REFUSED if rule.broken_by(names)), None)


@cache
def allowed() -> list[dict[str, str]]:
    """Every combination of activation, block, residual, norm and init that goes together."""
    groups = ([name for name in files(g) if name != "weights"] for g in MODEL_GROUPS)  # no file
    products = product(*groups)
    chosen = (dict(zip(MODEL_GROUPS, names, strict=True)) for names in products)
    return [names for names in chosen if refusal(names) is None]


def covered(names: dict[str, str]) -> list[Any]:
    """What a combination is one case of: its pairs of choices, and its block, residual and norm."""
    pairs = combinations(names.items(), 2)
    return [*pairs, tuple(names[group] for group in ("block", "residual", "norm"))]


@cache
def covering() -> list[dict[str, str]]:
    """Of the allowed combinations a few that cover all that any of them covers.

    Greedy: the combination that covers most that is new, again and again.
    """
    numbers: dict[Any, int] = {}
    masks = [
        sum(1 << numbers.setdefault(case, len(numbers)) for case in covered(names))
        for names in allowed()
    ]
    missing, collected = (1 << len(numbers)) - 1, []
    while missing:
        best = max(range(len(masks)), key=lambda at: (masks[at] & missing).bit_count())
        missing &= ~masks[best]
        collected.append(allowed()[best])
    return collected


def tiny(names: dict[str, str], depth: int = 3, engine: str = "numpy") -> Stack:
    """A stack of width 5, hidden 10, 3 inputs and 2 outputs."""
    parts = {g: build(g, settings(g, names[g])) for g in MODEL_GROUPS if g != "init"}
    sizes: dict[str, Any] = {"inputs": 3, "outputs": 2, "depth": depth, "width": 5, "expansion": 2}
    return Stack(**sizes, **parts, engine=get_engine(engine))
