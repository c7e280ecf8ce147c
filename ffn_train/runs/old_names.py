"""Names of version 0.1.0 and today's: the one table by which its files are read.

The score of all its runs was the coefficient of determination, the baseline linear regression.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# columns of scalars.csv, keys of summary.json, provenance.json and checkpoints, metrics of a
# comparison
NAMES = {
    "validation_r2": "validation_score",
    "least_squares_r2": "baseline_score",
    "least_squares_loss": "baseline_loss",
    "hopeless_for": "exploded_for",
    "lowest_hopeless": "lowest_exploded",
}
SCORE = {
    "name": "r2",
    "symbol": "R²",
    "better": "higher",
    "perfect": 1.0,
    "trivial": "predicting the mean",
    "no_skill": 0.0,
    "baseline_name": "linear regression",
}
_IN_SCORE = {"validation_score": "value", "baseline_score": "baseline"}


def renamed(content: Mapping[str, Any]) -> dict[str, Any]:
    """A summary or a provenance with today's keys.

    In old files a run that a rule stopped is called diverged, and a verdict is lines of text.
    """
    content = dict(content)
    divergence = content.get("divergence")
    if isinstance(divergence, Mapping) and divergence.get("phase") == "training":
        content["state"] = "stopped"
    if isinstance(lines := content.get("verdict"), list):
        text = "; ".join(line for line in lines if isinstance(line, str))
        content["verdict"] = [{"question": "", "kind": "", "text": text}] if text else lines
    old = {new: content[name] for name, new in NAMES.items() if name in content}
    if not old:
        return content
    score = {key: old.pop(name) for name, key in _IN_SCORE.items() if name in old}
    return {"score": {**SCORE, **score}, **old, **content}
