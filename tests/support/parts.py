"""Parts that tests loaded, forgotten again."""

from __future__ import annotations

from collections.abc import Mapping

from ffn_train.config import outside, registry


def forget(loaded: Mapping[str, str]) -> None:
    """Unregister what these files declare, given by name and digest."""
    for name, digest in loaded.items():
        registry.forget(outside._module(name, digest))
