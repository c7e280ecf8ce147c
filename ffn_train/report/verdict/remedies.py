"""The overrides that a verdict recommends to try."""

from __future__ import annotations

import math

from ffn_train.report.verdict.evidence import USUAL_POWER, Evidence
from ffn_train.train.diagnosis import LARGE, settings

GROUPS = ("norm", "block", "init")  # of the choices that remedies depend on
WIDE = 32  # a model.width at which the draw of single weights does not matter
WIDER = (f"model.width={WIDE}",)
# the branches' gradients, all blocks together, over the skip paths'
WEAK, PART = 0.2, 0.5  # few, and a little less than usual


def tried(change: tuple[str, ...]) -> str:
    """``; try ...`` with these overrides, if any."""
    return f"; try {' '.join(change)}" if change else ""


def reviving(evidence: Evidence) -> tuple[str, ...]:
    """The overrides against dead units: of what killed them, the initialisation or the updates."""
    if evidence.many_dead(evidence.dead(0)):
        return initialised(evidence, "init=lecun", "init.bias_std=0")
    return slower(evidence, 10)


def initialised(evidence: Evidence, *change: str) -> tuple[str, ...]:
    """These overrides of the initialisation, those that the run has not; if it has them all, what
    else there is: more units where few are drawn, or what limits the change with depth.
    """
    if new := evidence.new(*change):
        return new
    return WIDER if evidence.setting("model", "width") < WIDE else steadier(evidence)


def slower(evidence: Evidence, factor: float) -> tuple[str, ...]:
    """The override for a learning rate smaller by this factor, or for a still smaller default."""
    lr = evidence.setting("optimizer", "lr")
    rate = min(lr / factor, evidence.usual_rate)
    return () if math.isnan(lr) else (f"optimizer.lr={rate:.2g}",)


def strengthened(evidence: Evidence, together: float) -> tuple[str, ...]:
    """The overrides that let the branches, which carry this part together, carry PART of it."""
    if evidence.narrow_norm:
        return WIDER
    change: tuple[str, ...] = ()
    depth, power = evidence.run.measures.depth, evidence.setting("residual", "power")
    if power > USUAL_POWER and depth > 1:
        together *= depth ** (power - USUAL_POWER)
        change = (f"residual.power={USUAL_POWER:g}",)
    elif evidence.run.section("init").get("name") == "normal" and not evidence.scaled_down:
        return ("init=lecun",)
    scale = evidence.setting("residual", "scale")
    if 0 < together <= WEAK and not math.isnan(scale):
        change = (*change, f"residual.scale={scale * PART / together:.2g}")
    return change


def steadier(evidence: Evidence) -> tuple[str, ...]:
    """The overrides that would reduce the stack's growth or decay with depth."""
    remedies = steadier_in_words(evidence)
    if not remedies:
        return ()
    first = remedies[0]
    if first == "a smaller residual.scale":
        first = f"residual.scale={min(evidence.setting('residual', 'scale') / 10, 1):g}"
    elif first == "a smaller residual.start":
        first = "residual.start=0"
    return tuple(first.split(" with "))


def steadier_in_words(evidence: Evidence) -> list[str]:
    """The same in words, the best first; none for an unknown residual connection."""
    residual = evidence.residual
    if evidence.narrow_norm:
        return list(WIDER)
    if residual is None:
        return []
    names = {group: evidence.run.section(group).get("name", "none") for group in GROUPS}
    found = settings(residual, evidence.run.measures.depth, **names)
    large = evidence.branch_variance > LARGE and names["init"] != "lecun"
    return ["init=lecun", *found] if large else found
