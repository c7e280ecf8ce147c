"""Who competes: where each is defined, and with how many threads it is tried."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution

from cells import Cell

NUMPY, COMPILED, OPENBLAS = "numpy", "compiled", "compiled, OpenBLAS"
ENGINES = (NUMPY, COMPILED, OPENBLAS)  # this project's; the last, where the second has MKL
LIMIT, MKL_LIMIT = "products", "products, MKL"
EAGER, GRAPH, JAX = "torch eager", "torch.compile", "jax"
PEERS = (EAGER, GRAPH, JAX)
DEEPEST_GRAPH = 64  # blocks: torch.compile takes minutes beyond


@dataclass(frozen=True)
class Contestant:
    """``pinned``: it takes its threads from the processors that it may use."""

    module: str
    kind: str
    threads: tuple[int, ...] = (1, 2)
    needs: tuple[str, ...] = ()
    extra: str = "peers"
    deepest: int | None = None
    pinned: bool = False

    @property
    def missing(self) -> list[str]:
        """The packages that it needs and that are not installed."""
        return [name for name in self.needs if not installed(name)]

    def takes(self, cell: Cell) -> bool:
        return self.deepest is None or cell.depth <= self.deepest


def installed(package: str) -> bool:
    try:
        distribution(package)
    except PackageNotFoundError:
        return False
    return True


NUMBA, MKL = ("numba", "scipy"), ("numba", "scipy", "mkl")
OWN_RULE = (0,)  # threads=auto

CONTESTANTS = {
    NUMPY: Contestant("ours", "NumPy", OWN_RULE),
    COMPILED: Contestant("ours", "Compiled", OWN_RULE, NUMBA, "compiled"),
    OPENBLAS: Contestant("ours", "CompiledWithoutMKL", OWN_RULE, MKL, "mkl"),
    LIMIT: Contestant("limit", "Products"),
    MKL_LIMIT: Contestant("limit_mkl", "Products", needs=MKL, extra="mkl"),
    EAGER: Contestant("torch_peer", "Eager", needs=("torch",)),
    GRAPH: Contestant("torch_peer", "Compiled", needs=("torch",), deepest=DEEPEST_GRAPH),
    JAX: Contestant("jax_peer", "Jit", needs=("jax",), pinned=True),
}
