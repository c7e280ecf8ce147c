"""Compatibility of choices: one table, with a reason for every refusal and warning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ffn_train.config.settings import SettingError


@dataclass(frozen=True)
class Rule:
    """If every choice of ``when`` is made, each group of ``needs`` must have an allowed name."""

    when: Mapping[str, tuple[str, ...]]
    needs: Mapping[str, tuple[str, ...]]
    reason: str

    def broken_by(self, names: Mapping[str, str]) -> str | None:
        """The group whose choice violates the rule; None if the rule holds."""
        if any(names[group] not in chosen for group, chosen in self.when.items()):
            return None
        return next((g for g, allowed in self.needs.items() if names[g] not in allowed), None)


REFUSED = (
    Rule(
        {"residual": ("deepnorm",)},
        {"norm": ("post_layer",), "init": ("deepnorm", "weights")},
        "DeepNorm is one scheme: its skip factor, its LayerNorm after the sum and its "
        "initialisation are derived together",
    ),
    Rule(
        {"init": ("deepnorm",)},
        {"residual": ("deepnorm",), "norm": ("post_layer",)},
        "the DeepNorm initialisation is derived for DeepNorm's residual sum and LayerNorm",
    ),
    Rule(
        {"init": ("fixup",)},
        {"residual": ("identity",), "norm": ("none",), "block": ("feedforward",)},
        "Fixup starts each branch at zero and derives its exponents for x + f(x) with two plain "
        "layers and no norm (with rezero both factors of the branch are zero and nothing would "
        "ever train; without a residual the output is zero)",
    ),
    Rule(
        {"residual": ("rezero",)},
        {"norm": ("none", "pre_layer", "pre_rms")},
        "ReZero replaces the norm of the residual sum: a norm after the sum would undo the "
        "identity that it starts from",
    ),
    Rule(
        {"init": ("gpt2",)},
        {"residual": ("identity", "scaled", "rezero")},
        "GPT-2's factor 1/sqrt(number of residual additions) has nothing to count without a "
        "residual",
    ),
)

WARNED = (
    Rule(
        {"residual": ("identity",), "norm": ("none",)},
        {"init": ("gpt2", "fixup", "weights")},
        "without a norm or a scaled branch the signal's variance multiplies in every block; deep "
        "stacks overflow (residual=scaled, norm=pre_layer or init=gpt2 keep it in bounds)",
    ),
    Rule(
        {"residual": ("none",)},
        {"norm": ("pre_layer", "pre_rms", "post_layer", "post_rms")},
        "without a residual or a norm the gradient shrinks or grows in every block; stacks deeper "
        "than about 16 hardly train",
    ),
)
GATED = ("swiglu", "geglu")  # blocks with an activation of their own
DEEP = 16  # the warnings are for stacks of at least this depth


def check(parts: Mapping[str, Any]) -> None:
    """Check that choices (group -> instance) are compatible. Raises SettingError."""
    names = {group: part.name for group, part in parts.items()}
    loss, task = parts["loss"], parts["task"]
    if task.kind not in loss.kinds:
        raise SettingError(
            f"loss={loss.name} needs a task of the kind {' or '.join(loss.kinds)}, "
            f"got task={task.name}, of the kind {task.kind}"
        )
    for rule in REFUSED:
        group = rule.broken_by(names)
        if group is not None:
            when = " and ".join(f"{g}={names[g]}" for g in rule.when)
            allowed = " or ".join(f"{group}={name}" for name in rule.needs[group])
            raise SettingError(f"{when} needs {allowed}, got {group}={names[group]}: {rule.reason}")


def unused(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The groups whose choice has no effect in a configuration."""
    block = config.get("block")
    return ("activation",) * (isinstance(block, Mapping) and block.get("name") in GATED)


def warnings(names: Mapping[str, str], depth: int) -> list[str]:
    """Warnings about choices that are allowed but hard to train according to theory."""
    return [
        f"{' and '.join(f'{g}={names[g]}' for g in rule.when)} at depth {depth}: {rule.reason}"
        for rule in WARNED
        if depth >= DEEP and rule.broken_by(names) is not None
    ]
