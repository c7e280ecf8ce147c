"""python -m ffn_train.gradcheck: checks the configured model's backward pass."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence

from ffn_train.commands.options import Parser, say
from ffn_train.gradcheck import Check
from ffn_train.gradcheck.differences import DRAWS
from ffn_train.report.table import aligned


def main() -> None:
    """Print a table of analytic and numeric derivatives; exits 1 if one of them disagrees."""
    parser = Parser(
        "gradcheck",
        "Check the configured model's backward pass in float64, with random cotangents "
        "and random parameters, against centred differences: a block and its parts alone, then "
        "both ends of the whole stack.",
    )
    parser.add_argument(
        "overrides", nargs="*", help="as for ffn_train: model.depth=4 block=swiglu norm=pre_rms"
    )
    options = parser.parse(None)
    with parser.mistakes():
        checks = check(options.overrides)
    say(table(checks))
    rows = [check for part in checks.values() for check in part]
    unjudged = Counter(check.unjudged for check in rows if check.unjudged)
    more = "".join(f"; {count} not judged: {why}" for why, count in unjudged.items())
    failed = [check.tensor for check in rows if check.failed]
    if failed:
        where = ", ".join(failed)
        say(f"{len(failed)} of {len(rows)} derivatives and outputs disagree: {where}{more}")
        sys.exit(1)
    say(f"all {len(rows) - unjudged.total()} derivatives and outputs agree{more}")


def check(overrides: Sequence[str]) -> dict[str, list[Check]]:
    """Compose the configuration and check the model and the loss that it describes."""
    import numpy as np

    from ffn_train.config.composition import compose
    from ffn_train.gradcheck import check_loss, check_loss_value, check_stack
    from ffn_train.running.experiment import build_experiment

    experiment = build_experiment(compose(overrides))
    rng = np.random.default_rng(experiment.settings.seed)
    checks = check_stack(experiment.model, rng)
    targets = experiment.data.y_train[:5].astype(np.float64)
    loss = experiment.trainer.loss
    of_loss = [check_loss(loss, targets, rng), check_loss_value(loss, targets, rng)]
    return {**checks, "loss": of_loss}


def table(checks: dict[str, list[Check]]) -> str:
    """The checks as a table; ``kinks avoided``: points that were redrawn to avoid a kink."""
    rows: list[Sequence[str] | str] = []
    for part, part_checks in checks.items():
        rows += [
            part,
            ("  tensor", "analytic", "numeric", "rel. error", ""),
            *map(_row, part_checks),
        ]
    return "\n".join(aligned(rows, left=(0, 4)))


def _row(check: Check) -> Sequence[str]:
    note = f"FAILED (above {check.tolerance:g})" if check.failed else check.unjudged
    avoided = f"{check.kinks} kink{'s' if check.kinks > 1 else ''} avoided"
    numbers = f"{check.analytic:.7e}", f"{check.numeric:.7e}", f"{check.error:.1e}"
    notes = filter(None, (note, avoided if 0 < check.kinks < DRAWS else ""))
    return f"  {check.tensor}", *numbers, "  ".join(notes)
