"""A laboratory for gradient flow in residual feed-forward stacks, with backward passes by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ffn_train.functional import backprop_two_layer, backward_pass, forward_pass, residual_backward

if TYPE_CHECKING:
    from ffn_train.runs import Run, load_run

__all__ = [
    "Run",
    "backprop_two_layer",
    "backward_pass",
    "forward_pass",
    "load_run",
    "residual_backward",
]


def __getattr__(name: str) -> Any:
    if name in ("Run", "load_run"):  # late: the textbook functions need none of what these import
        from ffn_train import runs

        return getattr(runs, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
