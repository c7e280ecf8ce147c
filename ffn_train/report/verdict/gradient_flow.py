"""Is the gradient flow healthy: exploding, vanishing, dead units, or all carried by the skip path?

exploding, vanishing   the signal gradient changes more than a hundredfold from output to input, at
                       step 0 or at the last
dead units             most of a block's hidden units are dead on the whole last batch
skip path              the branches of all blocks together carry almost nothing of the gradient
healthy                none of these, and the gradient stays within a factor of ten, at step 0
                       and at the last
not finite             nothing finite was measured at one of these steps
uneven                 none of these
"""

from __future__ import annotations

import math

import numpy as np

from ffn_train.config.keys import MODEL_GROUPS
from ffn_train.config.settings import either
from ffn_train.report.verdict.evidence import DEAD, Evidence, Slope, exp
from ffn_train.report.verdict.remedies import (
    WIDER,
    reviving,
    slower,
    steadier,
    steadier_in_words,
    strengthened,
    tried,
)
from ffn_train.runs.finding import FLOW, Finding
from ffn_train.theory import Prediction

STRONG, MILD = 100.0, 10.0  # changes of the signal gradient over the whole stack
SKIP = 0.05  # next to none of the gradient: of the branches, all together, over the skip paths'


def gradient_flow(evidence: Evidence) -> Finding | None:
    """The answer; None where the gradient was not measured."""
    measures = evidence.run.measures
    if not measures.has("signal_gradient_rms") or not len(measures["signal_gradient_rms"].step):
        return None
    if evidence.narrow_norm and _lost(evidence):
        some = "hardly any" if measures["signal_gradient_rms"].values[0, 0] else "no"
        text = f"vanishing: {some} gradient reaches block 0: {evidence.narrow_norm}"
        return Finding(FLOW, "vanishing", f"{text}{tried(WIDER)}", WIDER)
    lasting = None if evidence.ended_early else _dead(evidence) or _skip(evidence)
    return _changing(evidence) or lasting or _not_finite(evidence) or _steady(evidence)


def _lost(evidence: Evidence) -> bool:
    """Whether the gradient vanishes at step 0, as far as it is measured."""
    change = evidence.change
    below = change is not None and change <= -math.log(STRONG)
    return below or evidence.run.measures["signal_gradient_rms"].values[0, 0] == 0


def _changing(evidence: Evidence) -> Finding | None:
    """Exploding or vanishing at step 0, as measured or, without a measurement, as predicted."""
    run, flow, predicted = evidence.run, evidence.slope(0), evidence.predicted
    change, theory = evidence.change, exp(predicted.log_growth) if predicted else math.nan
    if change is None or abs(change) < math.log(STRONG):
        return None
    kind = "exploding" if change > 0 else "vanishing"
    growth = theory if flow is None else _growth(evidence, flow)
    text = f"{kind}: dL/dx_l changes by {growth:.3g}x per block from output to "
    total = f"10^{change / math.log(10):.1f} in all"
    if flow is None or flow.lost is None:
        text += f"input, {total}"
    else:
        range_ = f"out of {run.dtype.name}'s range from block {flow.lost} down"
        text += f"input, {range_} ({total}, if it went on so)"
    if flow is None:
        text += ", in theory: nothing finite was measured"
    elif predicted is not None:
        text += f"; theory says {theory:.3g}x"
    return Finding(FLOW, kind, text + _cause(evidence), steadier(evidence))


def _growth(evidence: Evidence, flow: Slope) -> float:
    """The factor per block at step 0; that of the finite part where it is all that there is."""
    growth = float(evidence.run.measures.growth_per_block[0])
    if math.isfinite(growth):
        return growth
    return exp(flow.log / evidence.run.measures.depth)


def _not_finite(evidence: Evidence) -> Finding | None:
    """Numbers that are not finite where a slope would need them, which says nothing of its sign."""
    flow = evidence.run.measures["signal_gradient_rms"]
    for row in (0,) if evidence.ended_early else (0, -1):
        if evidence.slope(row) is None and not np.isfinite(flow.values[row]).all():
            text = f"not measured: dL/dx_l is not finite at step {flow.step[row]}"
            return Finding(FLOW, "not finite", text)
    return None


def _steady(evidence: Evidence) -> Finding:
    """No strong change at step 0: healthy or uneven, or what training made of it."""
    first, last = evidence.slope(0), evidence.slope(-1)
    steps = evidence.run.measures["signal_gradient_rms"].step
    if evidence.ended_early and first is not None:  # later gradients follow the growing loss
        text = f"the first block got {math.exp(first.log):.3g} times the last block's gradient"
        return Finding(FLOW, "healthy", f"healthy at step {steps[0]}: {text}")
    if first is None or last is None:
        step = steps[0 if first is None else -1]
        text = f"less than {evidence.run.dtype.name} can hold reaches the blocks at step {step}"
        return Finding(FLOW, "vanishing", f"no gradient: {text}")
    start, end = first.log, last.log
    text = f"the first block gets {math.exp(start):.3g} times the last block's gradient"
    text += f" at step {steps[0]}, {exp(end):.3g} times at step {steps[-1]}"
    even_first, even_last = (abs(flow) <= math.log(MILD) for flow in (start, end))
    if even_first and even_last:
        return Finding(FLOW, "healthy", f"healthy: {text}{_units(evidence)}")
    strong = abs(end) >= math.log(STRONG)
    word = "exploding" if (end if strong else start) > 0 else "vanishing"
    if even_first or (strong and start * end < 0):
        kind = word if strong else "uneven"
        change = slower(evidence, 3) if evidence.skips else steadier(evidence)
        text = f"{kind}: {text}; this came with training, not with the initialisation"
        return Finding(FLOW, kind, f"{text}{tried(change)}", change)
    if strong:
        text = f"{word}: {text}, so training made it worse{_cause(evidence)}"
        return Finding(FLOW, word, text, steadier(evidence))
    text = f"somewhat {word}: {text} (from {STRONG:g}x on we call it {word}){_cause(evidence)}"
    return Finding(FLOW, "uneven", text, steadier(evidence))


def _dead(evidence: Evidence) -> Finding | None:
    share = evidence.dead(-1)
    if not evidence.many_dead(share):
        return None
    blocks = np.flatnonzero(share >= min(DEAD, share.max()))
    which = f"block {blocks[0]}" if len(blocks) == 1 else f"{len(blocks)} of {len(share)} blocks"
    text = (
        f"dead units: up to {evidence.units(share.max())} hidden units of {which} are positive for "
        "no sample of the last batch"
    )
    change = reviving(evidence)
    return Finding(FLOW, "dead units", f"{text}{tried(change)}", change)


def _units(evidence: Evidence) -> str:
    """How many hidden units are dead at the last measured step, of how many."""
    shares, units = evidence.dead(-1), evidence.hidden
    if not len(shares) or not units:
        return ""
    dead, total = round(float(shares.sum()) * units), len(shares) * units
    return f"; {dead:,} of {total:,} hidden units dead" if dead else "; no dead units"


def _skip(evidence: Evidence) -> Finding | None:
    """All branches together carry almost nothing; the share of each falls with depth by design."""
    together = evidence.branches(-1)
    if not together <= SKIP:
        return None
    text = (
        f"skip path: all branches together carry {100 * together:.2g}% of the gradient, so the "
        "stack is nearly linear"
    )
    if evidence.narrow_norm:
        text += f": {evidence.narrow_norm}"
    elif evidence.run.section("residual").get("name") == "rezero":
        text += "; more steps or a larger optimizer.lr let the learnable multipliers grow"
    change = strengthened(evidence, together)
    return Finding(FLOW, "skip path", f"{text}{tried(change)}", change)


def _cause(evidence: Evidence) -> str:
    """The cause of the predicted change, and the settings that would reduce it."""
    residual, depth = evidence.residual, evidence.run.measures.depth
    names = {group: evidence.run.section(group).get("name") for group in MODEL_GROUPS}
    if residual is None or None in names.values():
        return ""
    advice = f"; try {either(steadier_in_words(evidence))}"
    predicted = evidence.predicted
    if predicted is None:
        return advice
    skip, multiplier = residual.skip(depth) ** 2, residual.multiplier(depth) ** 2
    unit = names["activation"] if names["block"] == "feedforward" else names["block"]
    weights, variance = f"; init={names['init']} with {unit}", _per_block(predicted)
    norm = "" if names["norm"] == "none" else f" and norm={names['norm']}"
    if norm or skip == 0:
        return f"{weights}{norm} multiplies the variance by {variance:.2g} in each block{advice}"
    branch = (variance - skip) / multiplier if multiplier else math.nan
    scaled = f" (then by {multiplier:.2g}, the multiplier's square)" if multiplier != 1 else ""
    return (
        f"{weights} multiplies the variance by {branch:.2g} in each branch{scaled}, and "
        f"residual={residual.name} adds the skip path's: the variance grows {variance:.2g}x per "
        f"block, the gradient by the square root of it{advice}"
    )


def _per_block(predicted: Prediction) -> float:
    """The variance's predicted factor per block, that of the signal if the gradient's is similar.

    For homogeneous units both are the same, except that the gradient's part along the signal, of
    order 1/D, turns the 3 that the weights' variances explain into 3.1.
    """
    signal = predicted.log_signal_rms
    up, down = 2 * float(signal[-1] - signal[0]), 2 * predicted.log_gradient_ratio
    factor = up if abs(up - down) < 0.1 * abs(down) else down
    return exp(factor / (len(signal) - 1))
