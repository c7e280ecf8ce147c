"""A page inside a notebook's output."""

from __future__ import annotations

import html
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Inline:
    """A page that a notebook shows in a frame; the output holds all of it and fetches nothing."""

    page: str = field(repr=False)
    height: int = 900  # pixels

    def _repr_html_(self) -> str:
        return (
            f'<iframe srcdoc="{html.escape(self.page)}" sandbox="allow-scripts allow-downloads" '
            f'title="interactive page" width="100%" height="{self.height}" '
            'style="border: 0"></iframe>'
        )
