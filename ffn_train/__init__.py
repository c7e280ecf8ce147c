"""A laboratory for gradient flow in residual feed-forward stacks, with backward passes by hand."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ffn_train.functional import backprop_two_layer, backward_pass, forward_pass, residual_backward

if TYPE_CHECKING:
    from ffn_train.config.composition import compose
    from ffn_train.running.experiment import build_experiment
    from ffn_train.runs import Run, load_run

__all__ = [
    "Run",
    "backprop_two_layer",
    "backward_pass",
    "build_experiment",
    "compose",
    "forward_pass",
    "load_run",
    "residual_backward",
]


# imported when first asked for: the textbook functions need none of it
_MODULES = {
    "Run": "ffn_train.runs",
    "build_experiment": "ffn_train.running.experiment",
    "compose": "ffn_train.config.composition",
    "load_run": "ffn_train.runs",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
