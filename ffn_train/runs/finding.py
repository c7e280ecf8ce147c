"""One sentence of a run's verdict, as text and as data."""

from __future__ import annotations

from dataclasses import dataclass

QUESTIONS = LEARNED, HELD_BACK, FLOW = "learned", "held back", "gradient flow"  # in their order
NOTHING = "nothing"  # the kind if nothing holds the run back


@dataclass(frozen=True)
class Finding:
    """The answer to a question: its kind in a word or two, and a sentence with number and cause.

    ``change``: overrides that would help, such as ``optimizer.lr=0.01``; () if none would.
    """

    question: str
    kind: str
    text: str
    change: tuple[str, ...] = ()
