"""python -m ffn_train.reproduce: runs the studies and checks their claims."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ffn_train.commands.options import Parser, say
from ffn_train.config.places import EXPERIMENTS, INSTALLED

OUT = Path("outputs") / "reproduce"  # where an installed package writes


def main(arguments: Sequence[str] | None = None, folder: Path = EXPERIMENTS) -> None:
    """Run the named studies, or all; exits 1 if a verdict differs from the record, 2 on errors.

    Progress goes to stderr, a line per study; the claims go to stdout.
    """
    from ffn_train.reproduce import Claim, table
    from ffn_train.reproduce.study import discover, load, run

    parser = Parser(
        "reproduce",
        "Run studies of experiments/, check each published claim and print measured "
        "beside expected, and write a table and a figure of each study.",
    )
    parser.add_argument(
        "studies",
        nargs="*",
        metavar="NAME",
        help=f"of {', '.join(discover(folder))}; default: all",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        default=OUT if INSTALLED else None,
        help=f"write to DIR/NAME; default: {OUT if INSTALLED else 'beside the study'}",
    )
    options = parser.parse(arguments)
    with parser.mistakes("; --out DIR writes elsewhere"):
        names = dict.fromkeys(options.studies) or discover(folder)
        studies = [load(name, folder) for name in names]
        claims: list[Claim] = []
        for index, study in enumerate(studies, start=1):
            progress = f"{index} of {len(studies)}: {study.name}"
            parser.notify(f"{progress} ...")
            started = time.perf_counter()
            checked = run(study, options.out)
            parser.notify(f"{progress}, {time.perf_counter() - started:.0f} s")
            say(f"{study.name}: {study.question}\n{table.text(checked)}\n")
            claims += checked
    say(table.summary(claims))
    sys.exit(0 if all(claim.as_recorded for claim in claims) else 1)
