"""Which quantities are measured, and when: ``measure.quantities``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ffn_train.config.registry import choices
from ffn_train.config.sections import listed
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
    """The instruments for the setting ``measure.quantities``.

    It is a name, a list of names, or a mapping from names to the steps between two measurements
    (null: those of ``cadence``); ``default`` stands for all of ``USUAL``. Raises SettingError.
    """
    words = chosen if isinstance(chosen, Mapping) else dict.fromkeys(listed(chosen))
    known = choices("quantity")
    every: dict[str, int] = {}
    for word, steps in words.items():
        one_of("measure.quantities", word, (DEFAULT, *known))
        interval = cadence.every if steps is None else steps
        integer(f"measure.quantities.{word}", interval, at_least=1)
        if word == DEFAULT:  # what is named itself has its own interval, before or after
            every |= {name: interval for name in USUAL if name not in every}
        else:
            every[word] = interval
    return tuple(
        Instrument(
            "measures" if steps == cadence.every else f"measures-{steps}",
            Cadence(steps, cadence.limit),
            tuple(known[name]() for name, interval in every.items() if interval == steps),
        )
        for steps in dict.fromkeys([cadence.every, *every.values()])
        if steps in every.values()
    )
