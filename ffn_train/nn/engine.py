"""``engine=...``: what computes a stack's layers and the update of its parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from ffn_train.config.settings import SettingError, first_line, one_of
from ffn_train.nn.optim.optimizer import Optimizer
from ffn_train.nn.reductions import Reductions
from ffn_train.nn.segments import PlainSegment, Segment

ENGINES = ("numpy", "compiled")


@dataclass(frozen=True)
class Engine:
    """What computes a segment of a stack, an update, and norms.

    ``delay``: gives the line that announces the compilation before a first use, or None.
    """

    segment: type[Segment]
    update: Callable[[Optimizer], Optimizer]
    reductions: Reductions
    delay: Callable[[], str | None]

    def __reduce__(self) -> str:  # by its name: only models of this engine are pickled
        return "NUMPY"


NUMPY = Engine(PlainSegment, lambda optimizer: optimizer, Reductions(), lambda: None)


def check_engine(name: Any) -> str:
    """The engine's name. Raises SettingError if it is unknown or not installed."""
    if one_of("engine", name, ENGINES) == "compiled" and not _installed():
        raise SettingError(
            "engine=compiled needs Numba and SciPy: pip install 'ffn_train[compiled]', "
            "or engine=numpy"
        )
    return str(name)


def _installed() -> bool:
    return find_spec("numba") is not None and find_spec("scipy") is not None


def engine(name: str) -> Engine:
    """The engine of a name. Raises SettingError."""
    if check_engine(name) == "numpy":
        return NUMPY
    try:
        from ffn_train.nn.compiled.blocks import delay  # late: Numba is slow to import
        from ffn_train.nn.compiled.reductions import CompiledReductions
        from ffn_train.nn.compiled.segment import CompiledSegment
        from ffn_train.nn.compiled.updates import compiled_update
    except (ImportError, OSError) as error:  # Numba refuses a NumPy that it does not know
        raise SettingError(
            f"engine=compiled cannot be used here: {first_line(error)}; engine=numpy can"
        ) from error

    return Engine(CompiledSegment, compiled_update, CompiledReductions(), delay)
