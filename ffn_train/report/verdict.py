"""The verdict on a run in a line or two, from its measures and from theory, where one is due.

exploding, vanishing   the signal gradient changes more than a hundredfold from output to input
dead units             most of a block's hidden units are dead on the whole last batch
dominated by the skip  the branches' part of the gradient is a twentieth of the skip path's at most
healthy                none of these, and the gradient stays within a factor of ten, at step 0
                       and at the last
uneven                 none of these

and whether the run learned, where none of the first three says why not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ffn_train.config.keys import MODEL_GROUPS
from ffn_train.config.registry import build
from ffn_train.config.settings import SettingError
from ffn_train.nn.blocks.residual import Residual
from ffn_train.runs import Run
from ffn_train.train.diagnosis import either, settings

STRONG, MILD = 100.0, 10.0  # changes of the signal gradient over the whole stack
DEAD = 0.6  # up to half of the units are off only because all samples have come to look alike
SKIP = 0.05
ROWS = 20  # of the training loss, which is that of a batch, to average over at the end
WORSE, GAP = 2.0, 0.2  # validation loss over training loss, and what is lost between the two


def verdict(run: Run, *, diverged: bool) -> list[str]:
    """The lines; none where nothing was measured, or where a run that diverged shows no cause."""
    if not run.measures.has("signal_gradient_rms") or not len(run.measures.step):
        return []
    lines = _changing(run)
    if lines or diverged:  # what else its last row shows is what it diverged to
        return lines
    lines = _dead(run) or _skip(run)
    if not lines and (lines := _steady(run)):
        against = _against(run)
        lines[0] = f"{against}; the flow is {lines[0]}" if against else lines[0]
    return lines


def _against(run: Run) -> str:
    """What the losses say against the run: whether it learned, and more than its training rows."""
    if _chosen(run, "optimizer").get("lr") == 0:
        return "nothing was learned: optimizer.lr=0 changes no weight"
    score, columns = run.score, ("loss", "validation_loss", "validation_score")
    if score is None or not run.scalars.keys() >= {*columns}:
        return ""
    training = run.scalars["loss"][-ROWS:].mean()
    loss, value = (run.scalars[name][-1] for name in columns[1:])
    unlearned = score.unlearned(value)
    if loss > WORSE * training and (unlearned or 0) * (1 - training / loss) > GAP:
        best = np.nanmin(run.scalars["validation_loss"])
        return (
            f"overfitting: the loss is {training:.3g} in training and {loss:.3g} on the validation "
            f"rows (at best {best:.3g})"
        )
    if score.no_better(value, score.no_skill):
        trivial = score.trivial or "knowing nothing of the inputs"
        return f"no better than {trivial}: {score.symbol} is {value:.2g} on the validation rows"
    return ""


def _chosen(run: Run, group: str) -> Mapping[str, Any]:
    """A choice of the run's configuration; nothing where it has none."""
    choice = run.config.get(group)
    return choice if isinstance(choice, Mapping) else {}


def _residual(run: Run) -> Residual | None:
    """The residual connection; None where the run does not tell, or has one that is not known."""
    try:
        residual: Residual = build("residual", _chosen(run, "residual"))
    except SettingError:
        return None
    return residual


@dataclass(frozen=True)
class _Flow:
    """The change of the signal gradient from output to input in a row, as far as it was in range.

    ``log`` is that of |dL/dx_0| / |dL/dx_L|, extrapolated from where it was; ``lost`` the largest l
    at which it was not, or None.
    """

    log: float
    lost: int | None


def _measured(run: Run, row: int) -> _Flow | None:
    flow = run.measures["signal_gradient_rms"].values[row]
    known = np.flatnonzero(np.isfinite(flow) & (flow >= np.finfo(run.dtype).tiny))
    if len(known) < 2:
        return None
    first, last = int(known[0]), int(known[-1])
    slope = (math.log(flow[first]) - math.log(flow[last])) / (last - first)
    return _Flow(slope * run.measures.depth, first - 1 if first else None)


def _changing(run: Run) -> list[str]:
    """Exploding or vanishing at step 0, as measured, else as predicted."""
    flow, predicted, depth = _measured(run, 0), _predicted(run), run.measures.depth
    change = predicted if flow is None else flow.log
    if change is None or abs(change) < math.log(STRONG):
        return []
    line = (
        f"{'exploding' if change > 0 else 'vanishing'}: dL/dx_l changes "
        f"x{math.exp(change / depth):.3g} per block from output to input, "
    )
    total = f"x10^{change / math.log(10):.1f} in all"
    if flow is None or flow.lost is None:
        line += total
    else:
        range_ = f"out of {run.dtype.name}'s range from block {flow.lost} down"
        line += f"{range_} ({total}, if it went on so)"
    if flow is None:
        line += ", in theory: nothing finite was measured"
    elif predicted is not None:
        line += f"; theory says x{math.exp(predicted / depth):.3g}"
    return _with(line, f"{_cause(run, predicted)}{advice(run)}")


def _steady(run: Run) -> list[str]:
    """Healthy or uneven: no strong change at step 0."""
    first, last = _measured(run, 0), _measured(run, -1)
    if first is None or last is None:
        where = "step 0" if first is None else "the last step"
        return [f"no gradient: less than {run.dtype.name} can hold reaches the blocks at {where}"]
    ratios = [math.exp(min(flow.log, 700.0)) for flow in (first, last)]
    text = f"|dL/dx_0| / |dL/dx_L| is {ratios[0]:.3g} and then {ratios[1]:.3g}"
    first_mild, last_mild = (1 / MILD <= ratio <= MILD for ratio in ratios)
    if first_mild and last_mild:
        return [f"healthy: {text}, and branches and hidden units take part"]
    if first_mild:
        line = f"uneven: {text}, within {MILD:g}-fold at step 0 and not at the last"
        remedy = advice(run, trained=True)
        return [line, f"the updates made it so, not the initialisation; {remedy}"]
    line = (
        f"uneven: {text}, more than {MILD:g}-fold from output to input, short of the "
        f"{STRONG:g}-fold at step 0 that is called exploding or vanishing"
    )
    return _with(line, f"{_cause(run, _predicted(run))}{advice(run)}")


def _with(line: str, more: str) -> list[str]:
    """A line, and what a run that tells its settings has to say more."""
    return [line, more] if more else [line]


def _predicted(run: Run) -> float | None:
    """log |dL/dx_0| / |dL/dx_L| as predicted."""
    if run.theory is None or run.theory.chosen is None:
        return None
    change = run.theory.chosen[1].log_gradient_ratio
    return change if math.isfinite(change) else None


def _per_block(run: Run, change: float) -> float:
    """The variance's predicted factor per block, of the signal where the gradient's agrees.

    A unit that is homogeneous treats both alike, but the gradient's part along the signal, of order
    1/D, would make 3.1 of the 3 that the weights' variances explain.
    """
    assert run.theory is not None
    assert run.theory.chosen is not None
    signal = run.theory.chosen[1].log_signal_rms
    up, down = 2 * float(signal[-1] - signal[0]), 2 * change
    return math.exp((up if abs(up - down) < 0.1 * abs(down) else down) / run.measures.depth)


def _cause(run: Run, change: float | None) -> str:
    """Where the predicted change comes from, and a semicolon; nothing if none is predicted."""
    residual, names = _residual(run), {g: _chosen(run, g).get("name") for g in MODEL_GROUPS}
    if change is None or residual is None or None in names.values():
        return ""
    depth = run.measures.depth
    skip, multiplier = residual.skip(depth) ** 2, residual.multiplier(depth) ** 2
    unit = names["activation"] if names["block"] == "feedforward" else names["block"]
    weights, variance = f"init={names['init']} with {unit}", _per_block(run, change)
    norm = "" if names["norm"] == "none" else f" and norm={names['norm']}"
    if norm or skip == 0:
        return f"{weights}{norm} multiplies the variance by {variance:.2g} in each block; "
    branch = (variance - skip) / multiplier if multiplier else math.nan
    scaled = f" (then {multiplier:.2g}x by the multiplier)" if multiplier != 1 else ""
    return (
        f"{weights} multiplies the variance by {branch:.2g} in each branch{scaled}, and "
        f"residual={residual.name} adds the skip path's: {variance:.2g}x per block; "
    )


def advice(run: Run, *, trained: bool = False) -> str:
    """What would change the flow: as initialised, or as the updates have made it.

    Of a run that does not tell its choices little can be said, and nothing of the initialisation.
    """
    residual, keeps = _residual(run), "residual=scaled keeps it near 1"
    without = residual is not None and residual.name == "none"
    if trained:
        smaller = "a smaller optimizer.lr changes the weights less"
        return f"{smaller}, {keeps}" if without else smaller
    if residual is None or without:
        return keeps if without else ""
    norm, init = (_chosen(run, group).get("name", "none") for group in ("norm", "init"))
    return f"{either(settings(residual, run.measures.depth, norm=norm, init=init))} tames it"


def _dead(run: Run) -> list[str]:
    if not run.measures.has("dead_share"):
        return []
    share = run.measures["dead_share"].values[-1]
    if np.isnan(share).any() or float(share.max()) < DEAD:
        return []
    blocks = np.flatnonzero(share >= DEAD)
    which = f"block {blocks[0]}" if len(blocks) == 1 else f"{len(blocks)} of {len(share)} blocks"
    return [
        f"dead units: up to {share.max():.0%} of the hidden units of {which} are positive for no "
        "sample of the last batch; activation=leaky_relu or a smaller optimizer.lr keeps them alive"
    ]


def _skip(run: Run) -> list[str]:
    if not run.measures.has("skip_gradient_rms", "branch_gradient_rms"):
        return []
    _, (skips, branches) = run.measures.common("skip_gradient_rms", "branch_gradient_rms")
    skip, branch = skips[-1], branches[-1]
    with np.errstate(all="ignore"):
        share = float(np.median(branch / skip))
    if math.isnan(share) or share > SKIP:
        return []
    residual = _chosen(run, "residual").get("name", "")
    advice = {
        "scaled": "a larger residual.scale gives the branches more weight",
        "rezero": "more steps, a larger optimizer.lr or residual.start gives them more weight",
        "deepnorm": "this is what DeepNorm's large skip factor is for",
    }.get(residual, "larger weights (init=he) give the branches more weight")
    return [
        f"dominated by the skip path: the branches carry {share:.1%} of its gradient in the median "
        f"block, so the stack is nearly linear; {advice}"
    ]
