"""The grid's findings: time a step against the peers and against the products, cell by cell."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from contestants import COMPILED, EAGER, ENGINES, LIMIT, MKL_LIMIT, NUMPY, PEERS
from results import OVER

Row = Mapping[str, Any]
Cells = Mapping[tuple[Any, ...], Mapping[str, Row]]

SIZE = ("depth, width, hidden, batch", "activation", "norm")


def by_cell(rows: Sequence[Row]) -> dict[tuple[Any, ...], dict[str, Row]]:
    """Of each cell, the rows that have a time, by contestant."""
    cells: dict[tuple[Any, ...], dict[str, Row]] = {}
    for row in rows:
        key = (*shape(row), row["activation"], row["norm"])
        if row.get("ms") is not None:
            cells.setdefault(key, {})[row["contestant"]] = row
    return cells


def shape(row: Row) -> tuple[int, int, int, int]:
    return row["depth"], row["width"], row["hidden"], row["batch"]


def fastest_peer(cell: Mapping[str, Row]) -> Row | None:
    """The row of the peer that takes least."""
    peers = [row for name, row in cell.items() if name in PEERS]
    return min(peers, key=lambda row: row["ms"], default=None)


def share_of_limit(cell: Mapping[str, Row], engine: str, limit: str = LIMIT) -> float | None:
    """What the products alone take over what the engine's step takes."""
    return 1 / cell[limit][OVER[engine]] if engine in cell and limit in cell else None


def measured(cells: Cells, names: Sequence[str]) -> list[str]:
    """Those that have a time in some cell."""
    return [name for name in names if any(name in cell for cell in cells.values())]


def grid_findings(rows: Sequence[Row]) -> Iterator[str]:
    """Blocks of Markdown."""
    cells = by_cell(rows)
    if not cells:
        return
    engines = measured(cells, ENGINES)
    yield (
        "**Time a step** in ms, medians over interleaved rounds, each at its better number of "
        "threads (in brackets); the last columns: over the fastest peer's, with quartiles."
    )
    yield "\n".join(_times(cells, engines))
    yield "\n".join(_against_peers(cells, engines))
    yield from _gains(cells, engines)
    yield (
        "**The step's matrix products alone**, ms, by `np.matmul` and by MKL from compiled code, "
        "and as a share of each engine's step."
    )
    yield "\n".join(_limits(cells, engines))
    yield from _beforehand(rows)


def _line(words: Sequence[str]) -> str:
    return f"| {' | '.join(words)} |"


def _head(words: Sequence[str]) -> list[str]:
    return [_line(words), "|" + "---|" * len(words)]


def _cell(key: tuple[Any, ...]) -> list[str]:
    return [str(key[:4])[1:-1], *key[4:]]


def _times(cells: Cells, engines: Sequence[str]) -> Iterator[str]:
    names = [*engines, *measured(cells, PEERS)]
    yield from _head([*SIZE, *names, *(f"{engine} / fastest" for engine in engines)])
    for key, cell in cells.items():
        times = [_ms(cell.get(name)) for name in names]
        peer = fastest_peer(cell)
        yield _line([*_cell(key), *times, *(_ratio(peer, OVER[engine]) for engine in engines)])


def _against_peers(cells: Cells, engines: Sequence[str]) -> Iterator[str]:
    yield from _head(
        [
            "engine",
            "fastest peer's time over it, geometric mean",
            "PyTorch eager's",
            "slower than the fastest peer",
            "its time over that peer's, at most",
        ]
    )
    for engine in engines:
        over = OVER[engine]
        peers = [fastest_peer(cell) for cell in cells.values() if engine in cell]
        fastest = [peer[over] for peer in peers if peer is not None]
        eager = [cell[EAGER][over] for cell in cells.values() if {EAGER, engine} <= cell.keys()]
        if fastest:
            slower = sum(ratio > 1 for ratio in fastest)
            yield _line(
                [
                    engine,
                    f"{1 / _mean(fastest):.2f}",
                    f"{1 / _mean(eager):.2f}" if eager else "",
                    f"in {slower} of {len(fastest)} cells",
                    f"{max(fastest):.2f}",
                ]
            )


def _gains(cells: Cells, engines: Sequence[str]) -> Iterator[str]:
    """What compiling gains: the NumPy engine's time over the compiled one's."""
    for engine in engines:
        if engine != NUMPY:
            gains = [
                cell[engine][OVER[NUMPY]]
                for cell in cells.values()
                if {engine, NUMPY} <= cell.keys()
            ]
            yield (
                f"numpy's time over that of {engine}: geometric mean {_mean(gains):.2f}, "
                f"from {min(gains):.2f} to {max(gains):.2f}."
            )


def _limits(cells: Cells, engines: Sequence[str]) -> Iterator[str]:
    limits = measured(cells, (LIMIT, MKL_LIMIT))
    shares = [(LIMIT, engine) for engine in engines]
    if MKL_LIMIT in limits and COMPILED in engines:
        shares.append((MKL_LIMIT, COMPILED))
    yield from _head([*SIZE, *limits, *(f"{limit} / {engine}" for limit, engine in shares)])
    for key, cell in cells.items():
        found = [share_of_limit(cell, engine, limit) for limit, engine in shares]
        percent = ["" if share is None else f"{100 * share:.0f} %" for share in found]
        yield _line([*_cell(key), *(_ms(cell.get(limit)) for limit in limits), *percent])


def _beforehand(rows: Sequence[Row]) -> Iterator[str]:
    """How well gradients agree, and what compiling a cell takes."""
    errors = [row["gradient_error"] for row in rows if row.get("gradient_error")]
    if errors:
        yield f"Gradients agree to {max(errors):.1e} of each tensor's largest entry."
    spent: dict[str, list[float]] = {}
    for row in rows:
        if row.get("compile_seconds") and row.get("ms"):
            spent.setdefault(row["contestant"], []).append(row["compile_seconds"])
    if spent:
        each = ", ".join(f"{name} {median(spent[name]):.1f} s" for name in sorted(spent))
        yield (
            "Compiling a cell, which is in none of these times, takes in the median: "
            f"{each}; `engine=compiled` compiles once for all cells and keeps it on disk."
        )


def _mean(ratios: Sequence[float]) -> float:
    return math.exp(sum(math.log(ratio) for ratio in ratios) / len(ratios))


def _ms(row: Row | None) -> str:
    return "" if row is None else f"{row['ms']:.3g} ({row['threads']})"


def _ratio(peer: Row | None, over: str) -> str:
    if peer is None or over not in peer:
        return ""
    return f"{peer[over]:.2f} ({peer[f'{over}_q1']:.2f} to {peer[f'{over}_q3']:.2f})"
