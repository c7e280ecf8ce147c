"""The numbers that a run's verdict is based on; NaN if unknown."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ffn_train.config.registry import build, choices
from ffn_train.config.settings import REQUIRED, SettingError, defaults
from ffn_train.nn.blocks.norm import Norm
from ffn_train.nn.blocks.residual import Residual, ScaledResidual
from ffn_train.nn.core import Floats
from ffn_train.nn.optim.optimizer import Optimizer
from ffn_train.runs import Run
from ffn_train.runs.outcome import at_the_end, clipped_share
from ffn_train.runs.scalars import logged
from ffn_train.runs.score import ScoreDeclared
from ffn_train.theory import Prediction

HALF = 0.5
RESOLVED = 1e-6  # of the skip path's variance: what a branch adds to a prediction is lost below it
DEAD = 0.6  # share of a block's units
CHANCE = 3.0  # standard deviations of that share if half of them are dead by chance
COMMON = 0.4  # share of the units of most blocks, if there is a skip path
USUAL_POWER = 0.5  # the default of residual.power
FEW_ROWS = 2  # the loss of a single batch is too uncertain to judge a run by


def exp(log: float) -> float:
    """e to this power, cut off below the end of float64's range."""
    return math.exp(min(log, 700.0))


@dataclass(frozen=True)
class Slope:
    """The change of the signal gradient from output to input at a measured step.

    ``log``: of |dL/dx_0| / |dL/dx_L|, extrapolated if it underflows; ``lost``: the largest l where
    it does, or None.
    """

    log: float
    lost: int | None


@dataclass(frozen=True)
class Evidence:
    """A run, and numbers derived from its files."""

    run: Run

    @property
    def ended_early(self) -> bool:
        """Whether the run diverged or a rule stopped it."""
        return self.run.summary is not None and self.run.summary.divergence is not None

    @property
    def stopped_early(self) -> bool:
        """Whether the run was ended because its validation score did not improve any more."""
        return self.run.summary is not None and self.run.summary.stopped is not None

    def has(self, override: str) -> bool:
        """Whether this is a setting of the run already: ``init=lecun``, ``init.bias_std=0``."""
        key, value = override.split("=")
        group, _, name = key.partition(".")
        if not name:
            return bool(self.run.section(group).get("name") == value)
        return self.setting(group, name) == float(value)

    def new(self, *overrides: str) -> tuple[str, ...]:
        """Those that are not settings of the run already."""
        return tuple(override for override in overrides if not self.has(override))

    def setting(self, section: str, name: str) -> float:
        """A number of the configuration."""
        value = self.run.section(section).get(name)
        return float(value) if isinstance(value, (int, float)) else math.nan

    def _built(self, group: str) -> Any:
        """The part that the configuration chooses; None if it cannot be built."""
        try:
            return build(group, self.run.section(group))
        except SettingError:
            return None

    @cached_property
    def residual(self) -> Residual | None:
        """The residual connection; None if unknown."""
        residual: Residual | None = self._built("residual")
        return residual

    @property
    def skips(self) -> bool:
        """Whether the residual connection is known to have a skip path."""
        return self.residual is not None and self.residual.skip(self.run.measures.depth) > 0

    @property
    def scaled_down(self) -> bool:
        """Whether the run scales its branches by less than residual=scaled does by default."""
        residual, depth = self.residual, self.run.measures.depth
        usual = 0.99 * depth**-USUAL_POWER
        return isinstance(residual, ScaledResidual) and residual.multiplier(depth) < usual

    @cached_property
    def norm(self) -> Norm | None:
        """The norm of the blocks; None if unknown."""
        norm: Norm | None = self._built("norm")
        return norm

    @cached_property
    def narrow_norm(self) -> str:
        """What speaks against the norm where it is over one or two features; empty if nothing."""
        width = self.setting("model", "width")
        if width not in (1, 2) or self.norm is None:
            return ""
        return "; ".join(self.norm.warnings(int(width))).partition("; try ")[0]

    @property
    def optimizer(self) -> type[Optimizer] | None:
        """The class of the optimizer; None if unknown."""
        return choices("optimizer").get(str(self.run.section("optimizer").get("name")))

    @property
    def usual_rate(self) -> float:
        """The default learning rate of the optimizer; infinite if it has none."""
        rate = defaults(self.optimizer).get("lr") if self.optimizer is not None else None
        return math.inf if rate in (None, REQUIRED) else float(rate)

    # what was learned

    @cached_property
    def skills(self) -> Floats:
        """The share of the trivial model's error that is removed, by row; NaN if not evaluated."""
        skills = np.full(len(self.run.scalars["step"]), np.nan)
        score, values = self.run.score, self.run.scalars.get("validation_score", skills)
        if score is not None:
            known = ~np.isnan(values)
            skills[known] = [score.skill(value) for value in values[known]]
        return skills

    @property
    def kept(self) -> bool:
        """Whether the best weights are the run's result, whatever became of them later."""
        return self.run.summary is not None and self.run.summary.kept_step is not None

    @property
    def skill(self) -> float:
        """The skill at the last evaluation, or at the best one if its weights are kept."""
        if self.kept:
            return self.best_skill
        known = self.skills[logged(self.run.scalars, "validation_score")]
        return float(known[-1]) if len(known) else math.nan

    @property
    def best_skill(self) -> float:
        return float(np.fmax.reduce(self.skills, initial=math.nan))

    @property
    def baseline_skill(self) -> float:
        score = self.run.score
        return math.nan if score is None else score.skill(score.baseline)

    def right_by_guessing(self, score: ScoreDeclared) -> float | None:
        """The share of the classes that the trivial model has right; None of any other score."""
        share = score.no_skill
        a_share = share is not None and 0 <= share <= 1 and score.perfect == 1
        return share if a_share and self.run.provenance.kind == "classes" else None

    def by_chance(self, score: ScoreDeclared, rows: int | None, deviations: float) -> float:
        """The skill that guesses at so many rows' classes reach by chance; 0 for numbers.

        ``deviations`` says how seldom: as a normal variable is that far above its mean. From 1 on
        no score tells a network from guesses.
        """
        share = self.right_by_guessing(score)
        if share is None or not rows:
            return 0.0
        if share == 1:
            return math.inf
        if share <= HALF:
            gain = deviations * math.sqrt(share * (1 - share) / rows)
        else:  # each guess of a rarer class is lost with this share, and few are likely to pay
            odds = math.log(share / (1 - share))
            gain = (math.sqrt(odds**2 + 4 * deviations**2 / rows) - odds) / 4
        return (gain + HALF / rows) / (1 - share)  # rows are whole ones

    # the losses, relative to the trivial model's

    @cached_property
    def losses(self) -> Floats:
        """The loss of each row's batch, over that of the trivial model on the training rows."""
        trivial = self.run.provenance.trivial_loss or math.nan
        return self.run.scalars.get("loss", np.zeros(0)) / trivial

    @cached_property
    def validation_losses(self) -> Floats:
        """The validation loss of each evaluation, over that of the trivial model."""
        trivial = self.run.provenance.trivial_loss or math.nan
        losses = self.run.scalars.get("validation_loss", np.zeros(0))
        return losses[~np.isnan(losses)] / trivial

    def mean_loss(self, start: float, end: float) -> float:
        """The mean loss over a part of the steps, from 0 to 1; NaN if it has too few rows."""
        steps, count = self.run.scalars["step"], self.updates + 1
        part = self.losses[(steps >= int(start * count)) & (steps < int(end * count))]
        return float(part.mean()) if len(part) >= FEW_ROWS else math.nan

    @cached_property
    def last_losses(self) -> Floats:
        """The losses of the rows at the end of the run."""
        return at_the_end(self.run, self.losses)

    @property
    def last_loss(self) -> float:
        """Their mean."""
        return float(self.last_losses.mean()) if len(self.last_losses) else math.nan

    @property
    def end_unknown(self) -> bool:
        """Whether they are too few to be compared with the validation loss."""
        return len(self.last_losses) < FEW_ROWS

    # the updates

    @property
    def updates(self) -> int:
        return int(self.run.scalars["step"][-1])

    @property
    def passes(self) -> float:
        """The number of passes over the training rows."""
        rows = self.run.provenance.training_rows
        if not rows:
            return math.nan
        return self.updates * min(self.setting("trainer", "batch_size"), rows) / rows

    @property
    def clipped_share(self) -> float:
        share = clipped_share(self.run)
        return math.nan if share is None else share

    @cached_property
    def cut(self) -> float:
        """The factor by which clipping makes an update smaller, the median over the steps."""
        scalars = self.run.scalars
        ignored = self.optimizer is not None and self.optimizer.scale_free
        if ignored or not scalars.keys() >= {"lr", "gradient_norm", "clipped_norm"}:
            return 1.0
        updated = ~np.isnan(scalars["lr"])
        before, after = scalars["gradient_norm"][updated], scalars["clipped_norm"][updated]
        return float(np.median(after / np.where(before > 0, before, 1))) if len(before) else 1.0

    @property
    def highest_rate(self) -> float:
        """The highest learning rate of a step; NaN if unknown."""
        return float(np.fmax.reduce(self.run.scalars.get("lr", np.zeros(0)), initial=math.nan))

    @cached_property
    def update_size(self) -> float:
        """|Δθ|/|θ| of a step, the median over layers and measured steps."""
        if not self.run.measures.has("update_norm", "weight_norm"):
            return math.nan
        ratios = self.run.measures.update_ratio
        return float(np.nanmedian(ratios)) if np.isfinite(ratios).any() else math.nan

    @property
    def moved(self) -> float:
        """An estimate of the distance that the weights moved, relative to their size."""
        return self.update_size * self.updates

    # the gradient flow

    def slope(self, row: int) -> Slope | None:
        """The slope of the signal gradient at a measured step; None if nothing is finite."""
        measures = self.run.measures
        if not measures.has("signal_gradient_rms") or not len(measures["signal_gradient_rms"].step):
            return None
        flow = measures["signal_gradient_rms"].values[row]
        known = np.flatnonzero(np.isfinite(flow) & (flow >= np.finfo(self.run.dtype).tiny))
        if len(known) < 2:
            return None
        first, last = int(known[0]), int(known[-1])
        slope = (math.log(flow[first]) - math.log(flow[last])) / (last - first)
        return Slope(slope * measures.depth, first - 1 if first else None)

    @cached_property
    def predicted(self) -> Prediction | None:
        """The theory's prediction; None if there is none, or if it is infinite or does not hold."""
        theory = self.run.theory
        if theory is None or theory.chosen is None or not self.run.theory_holds:
            return None
        prediction = theory.chosen[1]
        return prediction if math.isfinite(prediction.log_gradient_ratio) else None

    @property
    def change(self) -> float | None:
        """log |dL/dx_0| / |dL/dx_L| at step 0, as measured, or else as predicted."""
        flow, predicted = self.slope(0), self.predicted
        if flow is not None:
            return flow.log
        return None if predicted is None else predicted.log_gradient_ratio

    def dead(self, row: int) -> Floats:
        """The share of dead units of each block at a measured step; empty if unknown."""
        measures = self.run.measures
        if not measures.has("dead_share") or not len(measures["dead_share"].step):
            return np.zeros(0)
        share: Floats = measures["dead_share"].values[row]
        return np.zeros(0) if np.isnan(share).any() else share

    def many_dead(self, share: Floats) -> bool:
        """Whether more of the blocks' units are dead than chance and depth alone explain.

        Where depth has made the samples alike, a unit is dead with a probability of one half; in a
        batch of one row it always is.
        """
        if not len(share):
            return False
        alone = self.setting("trainer", "batch_size") == 1
        chance = 0.5 + CHANCE * 0.5 / math.sqrt(self.hidden) if self.hidden else DEAD
        many = min(max(chance, DEAD), 1.0)
        common = self.skips and not alone and chance < 1 and np.median(share) >= COMMON
        return bool(share.max() >= many or common)

    @property
    def hidden(self) -> int:
        """The hidden units of a block; 0 where that is not known."""
        width, factor = (self.setting("model", name) for name in ("width", "expansion"))
        return 0 if math.isnan(width * factor) else int(width * factor)

    def units(self, share: float) -> str:
        """A share of a block's hidden units: ``45 of 64``, or ``70 % of the`` if n is unknown."""
        n = self.hidden
        return f"{round(share * n)} of {n}" if n else f"{share:.0%} of the"

    def branch_shares(self, row: int) -> Floats:
        """The branch's part of dL/dx over the skip path's, for each block at a measured step."""
        if not self.run.measures.has("skip_gradient_rms", "branch_gradient_rms"):
            return np.zeros(0)
        _, (skips, branches) = self.run.measures.common("skip_gradient_rms", "branch_gradient_rms")
        if not len(skips):
            return np.zeros(0)
        with np.errstate(all="ignore"):
            shares: Floats = branches[row] / skips[row]
        return shares

    def branches(self, row: int) -> float:
        """That of all blocks together, the root of the sum of squares; NaN if unknown."""
        shares = self.branch_shares(row)
        return float(np.sqrt(np.sum(shares**2))) if len(shares) else math.nan

    @cached_property
    def branch_variance(self) -> float:
        """The factor by which a branch multiplies the gradient's variance at step 0, as measured.

        The largest of the blocks, or their mean where there is no skip path; that of block 0 as
        predicted if nothing finite was measured. A norm makes it smaller from block to block.
        """
        residual, depth = self.residual, self.run.measures.depth
        if residual is None:
            return math.nan
        skip, multiplier = residual.skip(depth), residual.multiplier(depth)
        if skip == 0:
            return math.nan if self.change is None else exp(2 * self.change / depth)
        if multiplier == 0:
            return math.nan
        shares = self.branch_shares(0)
        shares = shares[np.isfinite(shares)]
        if len(shares):
            return float((shares.max() * skip / multiplier) ** 2)
        added = self._predicted_of_block_0 - skip**2
        return added / multiplier**2 if added > RESOLVED * skip**2 else math.nan

    @property
    def _predicted_of_block_0(self) -> float:
        """The predicted factor of block 0 on the gradient's variance, whose input is of the data's
        size; NaN if unknown, or if a norm after the sum hides that of the branch.
        """
        if self.predicted is None or self.norm is None or self.norm.placement == "post":
            return math.nan
        log = self.predicted.log_signal_gradient_rms
        return exp(2 * float(log[0] - log[1]))
