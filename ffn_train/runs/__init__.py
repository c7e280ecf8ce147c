"""One run's directory: its files, how they are written, and how they are read back."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ffn_train.runs.files import RunError
    from ffn_train.runs.measures import Measures
    from ffn_train.runs.reader import Run, load_run

__all__ = ["Measures", "Run", "RunError", "load_run"]

_MODULES = {"Measures": "measures", "Run": "reader", "RunError": "files", "load_run": "reader"}


def __getattr__(name: str) -> Any:  # late: who only writes a run reads none
    if name in _MODULES:
        return getattr(import_module(f"ffn_train.runs.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
