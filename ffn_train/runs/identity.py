"""A run's identity: its settings, its parts and its rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ffn_train.config.keys import DECLARED, differences, lasting

STEPS_KEY = "trainer.steps"  # may grow


@dataclass(frozen=True)
class Identity:
    """What distinguishes runs.

    ``settings``: those that change numbers, except ``STEPS_KEY``, by dotted key. ``parts``: the
    digests of the user's own parts by name. ``data``: the digest of the rows, "" if settings and
    seed determine them; None in a run of an old version.
    """

    settings: Mapping[str, Any]
    parts: Mapping[str, str]
    data: str | None

    @classmethod
    def of(cls, config: Mapping[str, Any], parts: Mapping[str, str], data: str | None) -> Identity:
        """The identity of a resolved configuration with these parts and rows."""
        settings = lasting(config)
        settings.pop(STEPS_KEY, None)
        return cls(settings, parts, data)

    @property
    def digest(self) -> str:
        """The SHA-256; settings with the value from before they existed are left out."""
        settings = {
            key: value
            for key, value in self.settings.items()
            if key not in DECLARED or value != DECLARED[key].before
        }
        content = [settings, sorted(self.parts.values()), self.data or ""]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def differences(self, other: Identity) -> list[str]:
        """The differences from another identity, in words; unknown rows are not compared."""
        lines = differences(self.settings, other.settings)
        if sorted(self.parts.values()) != sorted(other.parts.values()):
            stored, current = (_short(identity.parts) for identity in (self, other))
            lines.append(f"parts with the content {stored} there, {current} here")
        if None not in (self.data, other.data) and self.data != other.data:
            lines.append(
                f"rows with the digest {str(self.data)[:8]} there, {str(other.data)[:8]} here"
            )
        return lines


def _short(parts: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {digest[:8]}" for name, digest in sorted(parts.items())) or "(none)"
