"""python -m tests.interop.all_exports: every combination of choices, exported and compared.

Prints how many networks were compared on three batches each, and the largest difference (see
``exported.differences``). Exits 1 if a difference is larger than allowed.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.interop.exported import TOLERANCE, batches, differences, doors, network
from tests.support.choices import allowed


def main() -> None:
    worst = {"torch": (0.0, ""), "onnx": (0.0, "")}
    count, wrong = 0, False
    with tempfile.TemporaryDirectory() as folder:
        for seed, names in enumerate(allowed()):
            for classes in (False, True):
                model = network(names, classes=classes, seed=seed)
                networks = doors(model, Path(folder))
                count += 1
                for batch, x in batches(model, seed).items():
                    case = f"{'-'.join(names.values())}, classes={classes}, {batch} rows"
                    for to, size in differences(model, networks, x).items():
                        if not size <= TOLERANCE:
                            wrong = True
                            print(f"{to}: {size:.2g} ({case})")
                        if not size <= worst[to][0]:
                            worst[to] = size, case
    for to, (size, case) in worst.items():
        print(f"{count:,} networks in {to}: largest difference {size:.2g} ({case})")
    sys.exit(wrong)


if __name__ == "__main__":
    main()
