"""Which quantities are measured, and when: ``measure.quantities``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ffn_train.config.registry import choices
from ffn_train.config.settings import integer, one_of
from ffn_train.train.cadence import Cadence
from ffn_train.train.quantities.quantity import Quantity

USUAL = (
    "gradient_norm",
    "weight_norm",
    "update_norm",
    "signal_rms",
    "signal_gradient_rms",
    "skip_gradient_rms",
    "branch_gradient_rms",
    "dead_share",
)
DEFAULT = "default"  # the word for all of these


@dataclass(frozen=True)
class Instrument:
    """Quantities that are measured at the same steps: the columns of the file ``name``.npy."""

    name: str
    cadence: Cadence
    quantities: tuple[Quantity, ...]


def instruments(
    chosen: str | Sequence[str] | Mapping[str, int | None], cadence: Cadence
) -> tuple[Instrument, ...]:
    """The instruments for what ``measure.quantities`` says; the cadence is the usual one.

    A word, a list of words, or a mapping to the steps between measurements, of which null stands
    for the usual; the word ``default`` stands for all of ``USUAL``. Raises SettingError.
    """
    words = chosen
    if not isinstance(words, Mapping):
        words = dict.fromkeys([words] if isinstance(words, str) else words)
    known = choices("quantity")
    every: dict[str, int] = {}
    for word, steps in words.items():
        one_of("measure.quantities", word, (DEFAULT, *known))
        own = cadence.every if steps is None else steps
        integer(f"measure.quantities.{word}", own, at_least=1)
        every |= dict.fromkeys(USUAL if word == DEFAULT else (word,), own)
    return tuple(
        Instrument(
            "measures" if steps == cadence.every else f"measures-{steps}",
            Cadence(steps, cadence.limit),
            tuple(known[name]() for name, own in every.items() if own == steps),
        )
        for steps in dict.fromkeys([cadence.every, *every.values()])
        if steps in every.values()
    )


def table() -> str:
    """All quantities, as a Markdown table."""
    lines = [
        "| quantity | per | what it is | equation | cost of a measured step |",
        "|---|---|---|---|---|",
    ]
    for name, cls in choices("quantity").items():
        says = (cls.__doc__ or "").strip().partition("\n")[0]
        cells = (f"`{name}`", cls.per, says, cls.equation, cls().cost)
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines)
