"""``engine=...``: what computes the stack's blocks."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from ffn_train.segments import PlainSegment, Segment
from ffn_train.settings import SettingError, one_of

ENGINES = ("numpy", "compiled")


def check_engine(name: Any) -> str:
    """The engine's name, if it can be had here. Raises SettingError."""
    if one_of("engine", name, ENGINES) == "compiled" and not _installed():
        raise SettingError(
            "engine=compiled needs Numba and SciPy: pip install 'ffn_train[compiled]', "
            "or engine=numpy"
        )
    return str(name)


def _installed() -> bool:
    return find_spec("numba") is not None and find_spec("scipy") is not None


def engine(name: str) -> type[Segment]:
    """How the engine computes a segment of blocks."""
    if check_engine(name) == "numpy":
        return PlainSegment
    from ffn_train.compiled.segment import CompiledSegment  # late: Numba takes a moment to import

    return CompiledSegment
