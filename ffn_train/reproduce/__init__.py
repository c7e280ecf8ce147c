"""Published claims that the program checks itself: the studies of ``experiments/``.

A study is a folder with a README, a ``study.py``, a figure and the table of its claims; its
settings are the preset of its name in ``conf/experiment/``.
"""

from ffn_train.reproduce.claim import Check, Claim, at_least, at_most, near, within
from ffn_train.reproduce.ensemble import (
    Ensemble,
    Pass,
    ensemble,
    exponent,
    mean_cosine,
    passes,
    points,
    progress,
)
from ffn_train.reproduce.trained import trained

__all__ = [
    "Check",
    "Claim",
    "Ensemble",
    "Pass",
    "at_least",
    "at_most",
    "ensemble",
    "exponent",
    "mean_cosine",
    "near",
    "passes",
    "points",
    "progress",
    "trained",
    "within",
]
