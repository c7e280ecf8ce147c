"""The likely cause of a divergence, and the settings that help."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ffn_train.config.combinations import GATED
from ffn_train.config.settings import either
from ffn_train.nn.blocks.residual import DeepNormResidual, Residual, ScaledResidual
from ffn_train.nn.stack import Stack

Phase = Literal["forward", "backward", "update", "training"]
GROWS = 1.2  # per block: slower growth is not what makes a signal overflow
# a branch's factor on the variance, beyond that of usual initial weights: as the mean over many
# units, and as the largest entries of a few show it
LARGE, VERY_LARGE = 8.0, 100.0
TOO_LARGE = "the initial weights or biases are too large"


@dataclass(frozen=True)
class Updates:
    """The updates before a step: how many, and their optimizer.lr."""

    made: int
    lr: float


def likely_cause(model: Stack, phase: Phase, growth: float, updates: Updates) -> str:
    """The likely cause of an overflow at step 0, which is due to the initialisation, and remedies
    that are not in use already.

    A later one came with the updates; why they did it is left to the verdict, which knows the whole
    run: their rate may be usual and the gradients huge. ``growth`` is the factor per block by which
    the signal (forward pass) or its gradient (backward pass) grew in the failing step.
    """
    if updates.made > 0 and updates.lr > 0:
        return f"step 0 was finite, so the updates with optimizer.lr={updates.lr:g} led to it"
    if growth >= GROWS:
        names = {"norm": model.norm.name, "block": model.block_choice.name}
        remedies = either(settings(model.residual, model.depth, **names))
        what = "gradient" if phase == "backward" else "signal"
        grows = f"at initialisation the {what} grows {growth:.2g}x per block"
        if _beyond_usual_weights(model, growth):
            return f"{grows}: {TOO_LARGE}; try init=lecun init.bias_std=0"
        return f"{grows}; try {remedies}"
    return "no update changed the weights: they, or the data, were too large from the start"


def _beyond_usual_weights(model: Stack, growth: float) -> bool:
    """Whether usual initial weights, at any depth, would not let a block grow the signal so much.

    A gated branch without a norm squares its input: its growth says nothing of the weights.
    """
    if model.norm.name == "none" and model.block_choice.name in GATED:
        return False
    skip, multiplier = model.residual.skip(model.depth), model.residual.multiplier(model.depth)
    return growth > math.hypot(skip, math.sqrt(VERY_LARGE) * multiplier)


def settings(
    residual: Residual, depth: int, *, norm: str, block: str, init: str | None = None
) -> list[str]:
    """The settings, not in use already, that limit a stack's growth or decay with depth.

    A gated branch is of second degree in its input: without a norm no scale of it is small enough.
    """
    normed = ["norm=pre_layer"] if norm == "none" else []
    if normed and block in GATED and residual.skip(depth) > 0:
        return normed
    if isinstance(residual, DeepNormResidual):
        return ["residual=scaled with init=lecun"]
    if isinstance(residual, ScaledResidual):
        power = ["residual.power=0.5"] if residual.power < 0.5 and depth > 1 else []
        return [*power, "a smaller residual.scale", *normed]
    if residual.learnable:
        return ["a smaller residual.start", *normed]
    if residual.skip(depth) == 0:
        return ["residual=scaled"]
    return ["residual=scaled", *normed, *([] if init == "gpt2" else ["init=gpt2"])]
