"""python -m ffn_train.reproduce: run the studies and check what was claimed."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ffn_train.commands.options import Parser
from ffn_train.config.places import EXPERIMENTS
from ffn_train.config.settings import SettingError


def main(arguments: Sequence[str] | None = None, folder: Path = EXPERIMENTS) -> None:
    """Run the studies named, or all; exits 1 if a verdict is not the recorded one, 2 on a mistake.

    Progress goes to stderr, a line a study; the claims go to stdout.
    """
    from ffn_train.reproduce import Claim, table
    from ffn_train.reproduce.study import discover, load, run

    parser = Parser(
        "reproduce",
        "Run studies of experiments/, check each published claim and print measured "
        "beside expected. The table and the figure of a study are written beside it.",
    )
    parser.add_argument(
        "studies",
        nargs="*",
        metavar="NAME",
        help=f"of {', '.join(discover(folder))}; default: all",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="write to DIR/NAME instead")
    options = parser.parse_args(arguments)
    try:
        studies = [load(name, folder) for name in options.studies or discover(folder)]
        claims: list[Claim] = []
        for index, study in enumerate(studies, start=1):
            _notify(f"{index} of {len(studies)}: {study.name} ...")
            started = time.perf_counter()
            found = run(study, options.out)
            _notify(
                f"{index} of {len(studies)}: {study.name}, {time.perf_counter() - started:.0f} s"
            )
            print(f"{study.name}: {study.question}\n{table.text(found)}\n", flush=True)
            claims += found
    except SettingError as error:
        parser.error(str(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        parser.error(f"{where}{error.strerror or error}; --out DIR writes elsewhere")
    print(table.summary(claims))
    sys.exit(0 if all(claim.as_recorded for claim in claims) else 1)


def _notify(line: str) -> None:
    print(f"ffn_train.reproduce: {line}", file=sys.stderr, flush=True)
