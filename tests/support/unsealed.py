"""A finished run without its seal, as one that another program wrote: for tests of what is read."""

from __future__ import annotations

import json
from pathlib import Path

from ffn_train.runs import files
from ffn_train.runs.seal import SEALED


def unseal(run: Path) -> Path:
    """Take the digests out of a run's summary."""
    content = json.loads((run / files.SUMMARY).read_text(encoding="utf-8"))
    del content["files"], content[SEALED]
    (run / files.SUMMARY).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return run
