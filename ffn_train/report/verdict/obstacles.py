"""What held a run back: the first rule of the list that applies.

Each rule considers the whole run, not its last row. The thresholds were set on situations of
``experiments/verdicts`` and tested on others.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ffn_train.config.settings import counted
from ffn_train.nn.optim.optimizer import SHRINKING, shrinking
from ffn_train.report.verdict.evidence import HALF, Evidence
from ffn_train.report.verdict.gradient_flow import MILD, STRONG
from ffn_train.report.verdict.learning import AS_GOOD
from ffn_train.report.verdict.remedies import (
    WEAK,
    WIDE,
    WIDER,
    initialised,
    reviving,
    slower,
    steadier,
    strengthened,
    tried,
)
from ffn_train.runs.finding import HELD_BACK, NOTHING, Finding
from ffn_train.runs.outcome import best_validation_step
from ffn_train.train.diagnosis import LARGE, TOO_LARGE

# skills: shares of the trivial model's error that are removed
GOOD = 0.9  # nothing held such a run back, if linear regression is no better
FAIR = 0.8  # more steps would not matter much
LITTLE = 0.2
MORE_THAN_LINEAR = 0.1  # what it takes to be more than linear regression
# losses, relative to another loss
SPIKE = 3.0  # over the trivial model's: far beyond the scatter between batches
FALLING = 0.8  # over an earlier loss: still falling
SLOWLY_FALLING = 0.9  # the same while there is much left to learn
BELOW = 0.9  # training loss over validation loss and over the trivial model's: memorised
LEARNED = 0.1  # training loss over the trivial model's
WORSE, GAP = 2.0, 0.15  # validation over training loss, and the skill lost between the two
# |Δθ|/|θ| of a step
FAST = 1e-3  # slower steps do not make the loss jump
SLOW = 4e-4  # with smaller steps little changes in a few hundred
USUAL = 1e-3  # of a step that trains well
# distances that the weights moved, relative to their size
FAR = 3.0  # far enough to have converged
TRAVELLED = 0.05  # the least for memorising
OUTLIER = 0.5  # a few rows' share of a target's variance
SMALL = 0.01  # a branch's factor on the variance, below that of usual initial weights
SPIKES = 0.005  # share of the rows
CLIPPED = 0.9  # share of the updates
USUAL_CLIP = 1.0  # the default of trainer.clip
BEGUN = 20  # updates
MANY = 12  # blocks
FEW = 0.5  # parameters per training row
JUDGED_BY = (  # the quantities that rules read
    "signal_gradient_rms",
    "skip_gradient_rms",
    "branch_gradient_rms",
    "dead_share",
    "weight_norm",
    "update_norm",
)


def held_back(evidence: Evidence) -> Finding | None:
    """The answer; None for a run without a score, or of another program."""
    if evidence.run.score is None or evidence.run.provenance.trivial_loss is None:
        return None
    for rule in RULES:
        finding = rule(evidence)
        if finding is not None:
            return finding
    more = ""
    if _falling(evidence):
        more = "; the loss was still falling, so more steps may help"
    elif evidence.end_unknown and not _good(evidence):
        more = "; overfitting and noise are not judged by so few rows of the log: try log.every=1"
    unmeasured = [name for name in JUDGED_BY if name not in evidence.run.measures.series]
    if unmeasured and not _good(evidence):
        more += f"; not all causes are judged without {', '.join(unmeasured)}"
    return Finding(HELD_BACK, NOTHING, f"nothing that the run shows{more}")


def _good(evidence: Evidence) -> bool:
    """Whether nothing held the run back: neither it nor linear regression is much better."""
    return evidence.skill >= GOOD and not evidence.skill < evidence.baseline_skill - AS_GOOD


def _finding(kind: str, text: str, change: tuple[str, ...] = ()) -> Finding:
    return Finding(HELD_BACK, kind, f"{kind}: {text}{tried(change)}", change)


def _no_rate(evidence: Evidence) -> Finding | None:
    if evidence.setting("optimizer", "lr") != 0:
        return None
    return _finding("rate too small", "optimizer.lr=0 changes no weight", ("optimizer.lr=0.05",))


def _outlier(evidence: Evidence) -> Finding | None:
    outliers = evidence.run.provenance.outliers
    if outliers is None or outliers.share < OUTLIER:
        return None
    rows, more = outliers.rows[:3], ", ..." * (len(outliers.rows) > 3)
    which = (
        f"row {rows[0]}" if len(outliers.rows) == 1 else f"rows {', '.join(map(str, rows))}{more}"
    )
    has = "has" if len(outliers.rows) == 1 else "have"
    return _finding(
        "outlier",
        f"{which} of {outliers.of} {has} {outliers.share:.0%} of the variance of "
        f"{outliers.target}; is that value right?",
    )


def _narrow_norm(evidence: Evidence) -> Finding | None:
    """A norm over one or two features, which leaves nothing of the data or only signs."""
    if _good(evidence) or not evidence.narrow_norm:
        return None
    return _finding("model too small", evidence.narrow_norm, WIDER)


def _initialisation(evidence: Evidence) -> Finding | None:
    """The branches' initial weights are far too large or too small."""
    variance, init = evidence.branch_variance, evidence.run.section("init").get("name", "")
    small_by_design = init in ("gpt2", "fixup", "deepnorm")
    if _good(evidence) or not (variance > LARGE or (variance < SMALL and not small_by_design)):
        return None
    size = "large" if variance > 1 else "small"
    text = (
        f"the initial weights are too {size}: a branch multiplies the gradient's variance by "
        f"{variance:.2g}"
    )
    return _finding("initialisation", text, initialised(evidence, "init=lecun"))


def _dead_from_the_start(evidence: Evidence) -> Finding | None:
    share = evidence.dead(0)
    if _good(evidence) or not evidence.many_dead(share):
        return None
    biases = "" if evidence.has("init.bias_std=0") else " and biases"
    text = (
        f"up to {evidence.units(share.max())} hidden units of a block are dead at step 0, before "
        f"any update, because of the initial weights{biases}"
    )
    return _finding("dead units at initialisation", text, reviving(evidence))


def _out_of_range_at_once(evidence: Evidence) -> Finding | None:
    """Diverged at step 0, before any update."""
    summary = evidence.run.summary
    if summary is None or summary.divergence is None or evidence.updates > 0:
        return None
    reason, site = summary.divergence.reason, summary.divergence.site
    if "per block" in reason and TOO_LARGE not in reason:
        return Finding(HELD_BACK, "depth", f"depth: {site}: {reason}", steadier(evidence))
    usual = ("init=lecun", "init.bias_std=0") if "blocks." in site or TOO_LARGE in reason else ()
    change = evidence.new(*usual)
    return _finding("initialisation", f"{site}: {reason.partition('; try ')[0]}", change)


def _all_alike(evidence: Evidence) -> Finding | None:
    """Over many blocks without a skip path the signals of all samples become alike."""
    residual, depth = evidence.residual, evidence.run.measures.depth
    if residual is None or evidence.skips or depth < MANY or not evidence.skill < LITTLE:
        return None
    text = (
        f"over {depth} blocks without a skip path the signals of different samples come to look "
        "alike, and nothing is left to tell them apart by"
    )
    return _finding("depth", text, steadier(evidence))


def _depth(evidence: Evidence) -> Finding | None:
    """The gradient changes so much over the depth that no learning rate suits all blocks."""
    change = evidence.change
    if change is None:
        return None
    if abs(change) < math.log(STRONG) and not (
        abs(change) > math.log(MILD) and (evidence.skill < 0.5 or evidence.ended_early)
    ):
        return None
    kind, size = "grows" if change > 0 else "shrinks", abs(change)
    factor = f"{math.exp(size):.3g}" if size < math.log(1e6) else f"10^{size / math.log(10):.1f}"
    text = f"the gradient {kind} by a factor of {factor} over the {evidence.run.measures.depth} "
    return _finding("depth", f"{text}blocks at step 0", steadier(evidence))


def _large_from_the_start(evidence: Evidence) -> Finding | None:
    """Stopped because of a loss that the updates did not make."""
    losses = evidence.losses
    if not evidence.ended_early or evidence.run.state != "stopped":
        return None
    if np.nanmax(losses) > SPIKE * losses[0]:
        return None
    text = (
        f"the loss was {losses[0]:.3g} times {_trivial(evidence)} before any update, and did not "
        "grow much: the initial weights or biases are too large, or the targets too small"
    )
    return _finding("initialisation", text, evidence.new("init=lecun", "init.bias_std=0"))


def _weight_decay(evidence: Evidence) -> Finding | None:
    """The weights shrink faster than gradients can hold them up, and than so few rows need."""
    decay, lr = evidence.setting("optimizer", "weight_decay"), evidence.highest_rate
    rows = evidence.run.provenance.training_rows
    most = max(10 * SHRINKING, 1.01 * shrinking(rows) if rows else 0.0)  # which is rounded
    if _good(evidence) or not lr * decay > most or not lr * decay * evidence.updates > 1:
        return None
    text = (
        f"each step takes {100 * lr * decay:.3g}% off the weights, the learning rate of {lr:.2g} "
        f"times optimizer.weight_decay={decay:g}"
    )
    usual = f"optimizer.weight_decay={SHRINKING / lr:.2g}"
    return _finding("weight decay too large", text, (usual,))


def _rate_too_large(evidence: Evidence) -> Finding | None:
    lr, rows = f"optimizer.lr={evidence.setting('optimizer', 'lr'):g}", len(evidence.losses)
    change = slower(evidence, 10)
    if math.isnan(evidence.setting("trainer", "clip")):  # the usual rate needs it
        change = (*change, f"trainer.clip={USUAL_CLIP:g}")
    if evidence.ended_early and evidence.updates > 0:
        losses = evidence.losses
        largest = losses[np.isfinite(losses)].max(initial=losses[0])
        first, most = f"{losses[0]:.3g}", f"{largest:.3g}"
        then = f"it grew to {most} times"
        if most == first:
            then = f"not all numbers were finite at step {evidence.updates}"
        text = f"the loss was {first} times {_trivial(evidence)} at step 0, and with {lr} {then}"
        return _finding("rate too large", text, change)
    before, after = evidence.mean_loss(0.1, 0.5), evidence.mean_loss(0.5, 1)
    if after > 1 and after > FALLING * before and evidence.update_size > FAST:
        text = f"with {lr} the loss stays at {after:.3g} times {_trivial(evidence)}"
        if evidence.clipped_share > 0.5:
            text += f"; clipping in {evidence.clipped_share:.0%} of the steps holds it up"
        return _finding("rate too large", text, change)
    above = SPIKE * max(1, evidence.losses[0])
    spikes = int((evidence.losses > above).sum())
    if not _good(evidence) and spikes >= max(2, SPIKES * rows):
        text = (
            f"with {lr} the loss jumped above {above:.3g} times {_trivial(evidence)} in {spikes} "
            f"of {rows} logged steps, up to {np.nanmax(evidence.losses):.3g} times"
        )
        return _finding("rate too large", text, change)
    return None


def _trivial(evidence: Evidence) -> str:
    score = evidence.run.score
    return f"that of {(score and score.trivial) or 'knowing nothing of the inputs'}"


def _training(evidence: Evidence) -> str:
    passes = counted(f"{evidence.passes:.2g}", "pass")
    return f"{counted(evidence.updates, 'step')}, {passes} over the training rows"


def _hardly_begun(evidence: Evidence) -> Finding | None:
    begun = evidence.updates >= BEGUN and evidence.passes >= 1
    if _good(evidence) or evidence.ended_early or begun:
        return None
    text = _training(evidence)
    if evidence.stopped_early:
        patience = int(evidence.setting("trainer", "early_stopping"))
        more = (f"trainer.early_stopping={max(10 * patience, 20)}",)
        return _finding("too few steps", f"early stopping ended the run after {text}", more)
    return _finding("too few steps", text, (f"trainer.steps={max(10 * evidence.updates, 200)}",))


def _rate_too_small(evidence: Evidence) -> Finding | None:
    """The rate is below the usual one, and updates are tiny while there is much left to learn."""
    lr, warmup = evidence.setting("optimizer", "lr"), evidence.setting("schedule", "warmup")
    learned = min(LEARNED, WORSE * (1 - evidence.baseline_skill))
    if _good(evidence) or evidence.last_loss < learned or not evidence.update_size < SLOW:
        return None
    if not evidence.highest_rate < evidence.usual_rate:  # the gradients are what is small
        return None
    text = (
        f"an update changes the weights by {evidence.update_size:.1g} of their size, all "
        f"{evidence.updates} together by {evidence.moved:.1g} at most"
    )
    if warmup > evidence.updates:
        text += (
            f"; a warm-up of {counted(round(warmup), 'step')} does not reach optimizer.lr={lr:g}"
        )
        return _finding("rate too small", text, ("schedule.warmup=0",))
    factor = np.clip(USUAL / evidence.update_size, 10, 1e6) if evidence.update_size else 100
    usual = evidence.usual_rate
    rate = usual if lr < usual <= lr * factor * 10 else lr * factor
    return _finding("rate too small", text, (f"optimizer.lr={rate:.2g}",))


def _clipping(evidence: Evidence) -> Finding | None:
    """Clipping makes the updates small, and more so than the learning rate does."""
    if _good(evidence) or not evidence.clipped_share >= CLIPPED:
        return None
    remaining, clip = evidence.cut, evidence.setting("trainer", "clip")
    slow = min(1, evidence.highest_rate / evidence.usual_rate)
    if not evidence.update_size < FAST or not remaining < slow:
        return None
    text = (
        f"trainer.clip={clip:g} shortened {evidence.clipped_share:.0%} of the gradients, to "
        f"{remaining:.2g} of their norm in the median, as if the learning rate were that much "
        "smaller"
    )
    usual = clip < USUAL_CLIP <= clip / remaining
    return _finding(
        "clipping", text, (f"trainer.clip={USUAL_CLIP if usual else clip / remaining:.2g}",)
    )


def _little(evidence: Evidence) -> bool:
    """Whether neither the stack nor the baseline has learned more than chance may give.

    Not where no score would tell that.
    """
    run = evidence.run
    if run.score is None or np.isnan(evidence.skills).all():
        return False
    guessed = evidence.by_chance(run.score, run.provenance.validation_rows, 3)
    skill = max(evidence.best_skill, evidence.baseline_skill)
    return guessed < 1 and skill < max(LITTLE, guessed)


def _skip_path(evidence: Evidence) -> Finding | None:
    """Branches scaled down by so much that there is hardly more than linear regression."""
    together = evidence.branches(0)
    linear = evidence.skill < max(0, evidence.baseline_skill) + MORE_THAN_LINEAR
    if not evidence.scaled_down or not together <= WEAK or not linear or _good(evidence):
        return None
    scale, power = (evidence.setting("residual", name) for name in ("scale", "power"))
    text = (
        f"residual.scale={scale:g} and residual.power={power:g} leave all branches together "
        f"{100 * together:.2g}% of the gradient at step 0, so the stack is nearly linear"
    )
    return _finding("skip path", text, strengthened(evidence, together))


def _noise(evidence: Evidence) -> Finding | None:
    """The training loss fell, and nothing of that is seen on the validation rows."""
    losses = evidence.validation_losses
    if not (_little(evidence) and len(losses)) or _few_parameters(evidence):
        return None
    if evidence.moved < TRAVELLED or evidence.end_unknown:
        return None
    if not evidence.last_loss < BELOW * min(1, losses[-1]):
        return None
    text = (
        f"the loss fell to {evidence.last_loss:.2g} times {_trivial(evidence)} on the training "
        f"rows and on the validation rows to {losses.min():.2g} times at best: the stack learns "
        "the noise; more rows, or inputs that say more, would help"
    )
    return _finding("noise", text)


def _overfitting(evidence: Evidence) -> Finding | None:
    losses = evidence.validation_losses
    if evidence.end_unknown or not len(losses) or not losses[-1] > WORSE * evidence.last_loss:
        return None
    if not (1 - evidence.skill) * (1 - evidence.last_loss / losses[-1]) > GAP:
        return None
    text = (
        f"the loss is {evidence.last_loss:.2g} times {_trivial(evidence)} on the training rows and "
        f"{losses[-1]:.2g} times on the validation rows, at best {losses.min():.2g} at step "
        f"{best_validation_step(evidence.run)}"
    )
    if evidence.kept:
        text = f"trainer.keep=best holds it in check: {text}; more rows would help"
        return _finding("overfitting", f"{text}, more steps would not")
    if losses.min() < BELOW * min(1, losses[-1]):
        return _finding("overfitting", text, ("trainer.keep=best",))
    return _finding("overfitting", f"{text}; more rows would help, fewer steps would not")


def _dead(evidence: Evidence) -> Finding | None:
    share = evidence.dead(-1)
    if _good(evidence) or not evidence.many_dead(share):
        return None
    text = (
        f"{evidence.units(share.max())} hidden units of a block died in training: the updates were "
        "too large"
    )
    return _finding("dead units", text, reviving(evidence))


def _falling(evidence: Evidence) -> bool:
    """Whether the loss fell in the middle of the run; at its end the schedule may stop it."""
    if evidence.stopped_early or evidence.end_unknown:
        return False  # the validation score did not improve, or may not have
    before, after = evidence.mean_loss(0.25, 0.5), evidence.mean_loss(0.5, 0.75)
    limit = FALLING if evidence.skill >= HALF else SLOWLY_FALLING
    return evidence.skill < GOOD and after < limit * before and not evidence.moved >= FAR


def _still_falling(evidence: Evidence) -> Finding | None:
    if evidence.skill >= FAIR or not _falling(evidence):
        return None
    text = f"after {_training(evidence)}, the loss was still falling"
    return _finding("too few steps", text, (f"trainer.steps={4 * evidence.updates}",))


def _few_parameters(evidence: Evidence) -> bool:
    """Whether there are far too few parameters to memorise the rows."""
    origin = evidence.run.provenance
    if origin.parameters is None or not origin.training_rows:
        return False
    return origin.parameters < FEW * origin.training_rows


def _too_small(evidence: Evidence) -> Finding | None:
    """Training and validation loss are high, and there are few parameters."""
    if math.isnan(evidence.skill) or _good(evidence) or not _few_parameters(evidence):
        return None
    width = evidence.setting("model", "width")
    text = (
        f"the loss is {evidence.last_loss:.2g} times {_trivial(evidence)} even on the training "
        f"rows: {evidence.run.provenance.parameters:,} parameters are too few"
    )
    change = () if math.isnan(width) else (f"model.width={max(WIDE, 4 * int(width))}",)
    return _finding("model too small", text, change)


def _nothing_to_learn(evidence: Evidence) -> Finding | None:
    """The weights moved far, and still nothing predicts the target, nor does linear regression."""
    if not _little(evidence) or not evidence.moved >= HALF:
        return None
    text = (
        "neither the stack nor linear regression predicts the target from these inputs: it is "
        "noise, or too hard a function for so few rows"
    )
    return _finding("noise", text)


RULES: tuple[Callable[[Evidence], Finding | None], ...] = (
    _no_rate,
    _outlier,
    _narrow_norm,
    _initialisation,
    _depth,
    _weight_decay,
    _out_of_range_at_once,
    _dead_from_the_start,
    _hardly_begun,
    _all_alike,
    _large_from_the_start,
    _rate_too_large,
    _skip_path,
    _noise,
    _overfitting,
    _clipping,
    _rate_too_small,
    _dead,
    _too_small,
    _still_falling,
    _nothing_to_learn,
)
