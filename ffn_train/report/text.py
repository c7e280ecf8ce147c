"""The short summary of a run that its command prints at the end."""

from __future__ import annotations

import math

from ffn_train.report.headline import headline
from ffn_train.report.table import aligned
from ffn_train.runs import Run
from ffn_train.runs.provenance import Provenance
from ffn_train.runs.summary import Summary
from ffn_train.runs.theory import COMPARED
from ffn_train.tasks.scores import ALL

LISTED = 4  # targets


def report(run: Run) -> str:
    """A run's losses, scores, gradient ratio, theory, time, directory and verdict, aligned."""
    lines = aligned(rows(run), left=(0, 1))
    if run.summary is not None and run.summary.divergence is not None:
        lines.insert(0, f"warning: {run.summary.divergence.line}")
    return "\n".join(lines)


def rows(run: Run) -> list[tuple[str, str]]:
    """The label and the text of each line; unknown values have no line."""
    summary = run.summary or Summary(state=run.state or "running")
    flow = _change(run, summary, "gradient_ratio")
    labelled = [
        ("loss", _losses(summary, run.provenance.loss_unit)),
        (summary.score.symbol if summary.score else "score", _score(run)),
        ("other scores", _scores(summary)),
        ("|dL/dx_0| / |dL/dx_L|", f"{flow}{_vanished(run)}" if flow else ""),
        ("growth per block", _change(run, summary, "growth_per_block")),
        ("theory", _theory(run)),
        ("time", _time(run.provenance)),
        ("saved in", str(run.path)),
    ]
    if summary.stopped is not None:
        labelled.insert(0, ("stopped", f"at step {summary.steps}: {summary.stopped}"))
    verdict = [(finding.question or "verdict", finding.text) for finding in summary.verdict]
    return [*(row for row in labelled if row[1]), *verdict]


def _losses(summary: Summary, unit: str | None) -> str:
    """The final losses, the best one with its step, and their unit."""
    step = summary.best_validation_step
    when = {"best validation loss": "" if step is None else f", at step {step}"}
    losses = {
        "training": summary.train_loss,
        "validation": summary.validation_loss,
        "best validation loss": summary.best_validation_loss,
    }
    known = [
        f"{name} {_short(value)}{when.get(name, '')}"
        for name, value in losses.items()
        if value is not None
    ]
    return "   ".join([*known, f"({unit})"] if known and unit else known)


def _score(run: Run) -> str:
    """The score beside that of the baseline and, if it is of test rows, that of validation rows."""
    judged = headline(run)
    if judged is None:
        return ""
    score, value, where = judged
    words = [_short(value) if where == "on the validation rows" else f"{_short(value)} {where}"]
    if score.baseline is not None:
        words.append(f"{score.baseline_name or 'baseline'} {_short(score.baseline)}")
    validation = run.summary.score if run.summary and run.summary.test_score else None
    if validation is not None and validation.value is not None:
        words.append(f"(validation {_short(validation.value)}")
        if validation.best is not None:
            words[-1] += f", best {_short(validation.best)} at step {validation.best_step}"
        words[-1] += ")"
    return "   ".join(words)


def _scores(summary: Summary) -> str:
    """The other scores by target, each in the target's own units."""
    main = summary.score.symbol if summary.score else ""
    of_targets: dict[str, list[str]] = {}
    for symbol, values in (summary.scores or {}).items():
        for target, value in values.items():
            if symbol != main or len(values) > 1:
                of_targets.setdefault(target, []).append(f"{symbol} {_short(value)}")
    words = [
        ("" if target == ALL else f"{' '.join(target.split())}: ") + ", ".join(scores)
        for target, scores in of_targets.items()
    ]
    left = len(words) - LISTED
    more = [f"and {left} more target{'s' * (left > 1)}"] * (left > 0)
    return "   ".join([*words[:LISTED], *more])


def _change(run: Run, summary: Summary, name: str) -> str:
    """A quotient of signal gradients at the first and the last measured step; both may be 0."""
    start, end = (getattr(summary, f"{name}_{when}") for when in ("start", "end"))
    flow = run.measures.series.get("signal_gradient_rms")
    if start is None or end is None or flow is None or not len(flow.step):
        return ""

    def quotient(value: float, row: int) -> str:
        nothing = math.isnan(value) and flow.values[row, -1] == 0
        return f"{'0/0' if nothing else factor(value)} at step {flow.step[row]}"

    return "   ".join(dict.fromkeys([quotient(start, 0), quotient(end, -1)]))


def _vanished(run: Run) -> str:
    """The block from which down the gradient is zero or underflows; "" if it does not."""
    rows = (0, -1) if len(run.measures.step) else ()
    lowest = [(block, row) for row in rows if (block := run.vanished(row)) is not None]
    if not lowest:
        return ""
    lost, row = max(lowest)
    where = "everywhere" if lost == run.measures.depth else f"from block {lost} down"
    some = run.measures["signal_gradient_rms"].values[row, : lost + 1].any()
    size = f"below {run.dtype.name}'s range" if some else "zero"
    return f"   ({size} {where})"


def _theory(run: Run) -> str:
    """The worst agreement at step 0, or why there is no prediction; "" for a run without theory."""
    if run.theory is None:
        return ""
    ratio = run.worst_ratio
    if ratio is not None:
        rows = f"; from {run.theory.rows}" if run.theory.rows else ""
        return f"{ratio.sentence}{rows}"
    if run.theory.chosen is None:
        return f"no prediction: {run.theory.reason}"
    lacking = [f"{name} {why}" for name in COMPARED if (why := run.measures.lacks(name))]
    if lacking:
        return f"not compared with the run: {', '.join(lacking)}"
    return "nothing finite to compare with at step 0"


def _time(provenance: Provenance) -> str:
    """The seconds, the steps per second, the share of measuring, and the number of parameters."""
    seconds, rate = provenance.training_seconds, provenance.steps_per_second or 0
    words = []
    if seconds is not None and seconds > 0:
        words.append(f"{seconds:.1f} s")
        if rate > 0:
            words.append(f"{rate:.0f} steps/s" if rate >= 9.5 else f"{rate:.2g} steps/s")
        if provenance.measuring_seconds is not None:
            words[-1] += f" ({provenance.measuring_seconds / seconds:.0%} spent on measuring)"
    if provenance.parameters is not None:
        words.append(f"{provenance.parameters:,} parameters")
    return ", ".join(words)


def factor(value: float) -> str:
    """A factor in three digits, or in as many as distinguish it from 1, as in 1.0005."""
    short = _short(value)
    if short != "1" or abs(value - 1) < 1e-6:
        return short
    return f"{value:.{-math.floor(math.log10(abs(value - 1)))}f}"


def _short(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "not finite"
