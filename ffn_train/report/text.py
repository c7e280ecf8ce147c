"""The short summary of a run that its command prints at the end."""

from __future__ import annotations

import math
from typing import Any

from ffn_train.report.table import aligned
from ffn_train.runs import Run
from ffn_train.train.divergence import Divergence


def report(run: Run) -> str:
    """The run's losses, R² against least squares, |dL/dx_0|/|dL/dx_L| and directory, aligned."""
    summary = run.summary or {}
    rows = [
        (
            "loss",
            f"training {_short(summary['train_loss'])}   "
            f"validation {_short(summary['validation_loss'])}   "
            f"best {_short(summary['best_validation_loss'])}",
        ),
        (
            "R²",
            f"{_short(summary['validation_r2'])}   "
            f"least squares {_short(summary['least_squares_r2'])}{_verdict(summary)}",
        ),
        ("|dL/dx_0| / |dL/dx_L|", f"{_change(run, 'gradient_ratio')}{_vanished(run)}"),
        ("growth per block", _change(run, "growth_per_block")),
        ("theory", _theory(run)),
        ("time", _time(run.provenance)),
        ("files", str(run.path)),
    ]
    rows += [("" if index else "verdict", line) for index, line in enumerate(summary["verdict"])]
    lines = aligned(rows, left=(0, 1))
    if summary["state"] == "diverged":
        lines.insert(0, f"warning: {Divergence(**summary['divergence']).line}")
    return "\n".join(lines)


def _change(run: Run, name: str) -> str:
    """A quotient of signal gradients, which may both be 0, at the first and at the last step."""
    summary, flow = run.summary or {}, run.measures["signal_gradient_rms"].values

    def quotient(end: str, row: int) -> str:
        value = summary[f"{name}_{end}"]
        nothing = value is None and len(flow) and flow[row, -1] == 0
        return "0/0" if nothing else factor(value)

    return f"{quotient('start', 0)} at step 0   {quotient('end', -1)} at step {summary['steps']}"


def _vanished(run: Run) -> str:
    """From which block down the gradient is below the range of the numbers, where it is."""
    found = [run.vanished(row) for row in (0, -1)] if len(run.measures.step) else []
    blocks = [block for block in found if block is not None]
    if not blocks:
        return ""
    lost = max(blocks)
    where = "everywhere" if lost == run.measures.depth else f"from block {lost} down"
    return f"   (below {run.dtype.name}'s range {where})"


def _theory(run: Run) -> str:
    """The worst ratio at step 0, or why theory gives no prediction."""
    ratio = run.worst_ratio
    if ratio is not None:
        rows = f" from {run.theory.rows}" if run.theory is not None and run.theory.rows else ""
        return (
            f"worst measured/predicted {factor(ratio.ratio)} ({ratio.where}, {ratio.mode}{rows}; "
            f"1 sd of a seed: x/÷ {factor(math.exp(ratio.sd))})"
        )
    if run.theory is not None and run.theory.chosen is None:
        return f"no prediction: {run.theory.reason}"
    return "nothing finite to compare with at step 0"


def _time(provenance: dict[str, Any]) -> str:
    """The seconds, how many steps in one, and the share that went into the per-layer measures."""
    seconds, rate = provenance["training_seconds"], provenance["steps_per_second"]
    steps = f"{rate:.0f} steps/s, " if rate >= 9.5 else f"{rate:.2g} steps/s, " if rate else ""
    measuring = f"of it measuring {provenance.get('measuring_seconds', 0) / seconds:.0%}"
    return f"{seconds:.1f} s, {steps}{measuring}, {provenance['parameters']:,} parameters"


def _verdict(summary: dict[str, Any]) -> str:
    ours, theirs = summary["validation_r2"], summary["least_squares_r2"]
    if ours is None or theirs is None or ours > theirs:
        return ""
    return "   (not better than the straight line)"


def factor(value: float | None) -> str:
    """A factor in three digits, or in as many as tell it from 1, up to rounding: 1.0005."""
    short = _short(value)
    if value is None or short != "1" or abs(value - 1) < 1e-6:
        return short
    return f"{value:.{-math.floor(math.log10(abs(value - 1)))}f}"


def _short(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.3g}"
