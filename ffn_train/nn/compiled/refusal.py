"""The error for a part that only the NumPy engine can compute."""

from __future__ import annotations

from ffn_train.config.registry import Choice
from ffn_train.config.settings import SettingError


def no_twin(part: Choice, remedy: str = "engine=numpy") -> SettingError:
    """The error for a part without a compiled twin, named as in a configuration."""
    named = f"{part.group}={part.name} ({type(part).__name__})"
    return SettingError(f"engine=compiled has no compiled twin of {named}: {remedy}")
