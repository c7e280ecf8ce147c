"""Who competes: where each is defined, and with how many threads it is tried."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from cells import Cell

OURS, LIMIT = "ours", "products"
EAGER, COMPILED, JAX = "torch eager", "torch.compile", "jax"
PEERS = (EAGER, COMPILED, JAX)
DEEPEST_GRAPH = 64  # blocks: torch.compile takes minutes beyond


@dataclass(frozen=True)
class Contestant:
    """``pinned``: it takes its threads from the processors that it may use."""

    module: str
    kind: str
    threads: tuple[int, ...] = (1, 2)
    needs: str | None = None
    deepest: int | None = None
    pinned: bool = False

    @property
    def installed(self) -> bool:
        return self.needs is None or importlib.util.find_spec(self.needs) is not None

    def takes(self, cell: Cell) -> bool:
        return self.deepest is None or cell.depth <= self.deepest


CONTESTANTS = {
    OURS: Contestant("ours", "Ours", threads=(0,)),  # by its own rule
    LIMIT: Contestant("limit", "Products"),
    EAGER: Contestant("torch_peer", "Eager", needs="torch"),
    COMPILED: Contestant("torch_peer", "Compiled", needs="torch", deepest=DEEPEST_GRAPH),
    JAX: Contestant("jax_peer", "Jit", needs="jax", pinned=True),
}
