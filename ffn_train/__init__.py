"""A laboratory for gradient flow in residual feed-forward stacks, with backward passes by hand."""

from __future__ import annotations

import sys

if "-m" in sys.argv[:1] and any(f"{word}.".startswith("ffn_train.") for word in sys.orig_argv):
    # a command that is being found: until it can answer Ctrl-C, that ends it without a word
    import _signal  # type: ignore[import-not-found]

    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ffn_train.config.composition import compose
    from ffn_train.functional import (
        backprop_two_layer,
        backward_pass,
        forward_pass,
        residual_backward,
    )
    from ffn_train.interop.recorder import record
    from ffn_train.interop.watching import watch
    from ffn_train.running.experiment import build_experiment
    from ffn_train.teach import check_gradients
    from ffn_train.using.fit import fit
    from ffn_train.using.run import Run, load_run

__version__ = "0.2.0.dev0"

__all__ = [
    "Run",
    "backprop_two_layer",
    "backward_pass",
    "build_experiment",
    "check_gradients",
    "compose",
    "fit",
    "forward_pass",
    "load_run",
    "record",
    "residual_backward",
    "watch",
]


# imported when first asked for: the textbook functions need none of the rest, and a command's first
# import is not all of NumPy
_MODULES = {
    "Run": "ffn_train.using.run",
    "backprop_two_layer": "ffn_train.functional",
    "backward_pass": "ffn_train.functional",
    "build_experiment": "ffn_train.running.experiment",
    "check_gradients": "ffn_train.teach",
    "compose": "ffn_train.config.composition",
    "fit": "ffn_train.using.fit",
    "forward_pass": "ffn_train.functional",
    "load_run": "ffn_train.using.run",
    "record": "ffn_train.interop.recorder",
    "residual_backward": "ffn_train.functional",
    "watch": "ffn_train.interop.watching",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:  # what an interpreter completes
    return sorted({*globals(), *__all__})
