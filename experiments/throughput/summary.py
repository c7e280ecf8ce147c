"""The findings in words and figures, for the terminal and between two marks of the README."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from contestants import EAGER, LIMIT, OURS, PEERS

BEGIN, END = "<!-- written by benchmark.py -->", "<!-- end -->"
WIDEST = ((8, 256, 1024, 256), (4, 512, 2048, 512))

Row = Mapping[str, Any]
Results = Mapping[str, Sequence[Row]]


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


def fraction_of_limit(cell: Mapping[str, Row]) -> float:
    """The share of our step that its products alone would take."""
    return float(1 / cell[LIMIT]["ours_over"])


def text(results: Results, machine: Mapping[str, Any]) -> str:
    """All findings as Markdown."""
    blocks = [
        f"{machine['processor']}, {machine['cores']} cores, {machine['blas']}; "
        + ", ".join(f"{name} {known}" for name, known in machine["packages"].items() if known)
        + ".",
        *_time(results.get("results", ())),
        *_table("What the measures cost", DIAGNOSTICS, results.get("diagnostics", ())),
        *_table("Peak resident memory", MEMORY, results.get("memory", ())),
        *_table("Depth", DEPTH, _ends(results.get("depth", ()))),
        *_table("The default run, from process start to exit", SECONDS, results.get("start", ())),
        *_table("Many small runs", VALUES, results.get("many_runs", ())),
    ]
    return "\n\n".join(blocks)


def _time(rows: Sequence[Row]) -> Iterator[str]:
    cells = by_cell(rows)
    if not cells:
        return
    lines = [
        "| depth, width, hidden, batch | activation | norm | ours, ms | products | torch eager "
        "| torch.compile | jax | ours / fastest | products / ours |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    fastest, eager = [], []
    for (*size, activation, norm), cell in cells.items():
        peer = fastest_peer(cell)
        times = [_ms(cell.get(name)) for name in (OURS, LIMIT, *PEERS)]
        ratio = "" if peer is None else f"{peer['ours_over']:.2f} {_quartiles(peer)}"
        if peer is not None:
            fastest.append(peer["ours_over"])
        if EAGER in cell:
            eager.append(cell[EAGER]["ours_over"])
        words = [str(tuple(size))[1:-1], activation, norm, *times, ratio]
        lines.append(f"| {' | '.join(words)} | {100 * fraction_of_limit(cell):.0f} % |")
    yield (
        "**Time a step**, medians over interleaved rounds, each at its better number of threads "
        "(in brackets); ratios with their quartiles."
    )
    yield "\n".join(lines)
    if fastest:
        slower = sum(ratio > 1 for ratio in fastest)
        yield (
            f"The fastest peer's time over ours: geometric mean {1 / _mean(fastest):.2f}; ours is "
            f"slower in {slower} of {len(fastest)} cells, at most {max(fastest):.2f} times. "
            + (f"PyTorch eager's time over ours: {1 / _mean(eager):.2f}." if eager else "")
        )
    seconds = [row["compile_seconds"] for row in rows if row.get("compile_seconds")]
    errors = [row["gradient_error"] for row in rows if row.get("gradient_error")]
    if errors:
        yield f"Gradients agree to {max(errors):.1e} of each tensor's largest entry."
    if seconds:
        names = sorted({r["contestant"] for r in rows if r.get("compile_seconds")})
        each = (
            median(r["compile_seconds"] for r in rows if r["contestant"] == n and r.get("ms"))
            for n in names
        )
        spent = ", ".join(f"{n} {s:.1f} s" for n, s in zip(names, each, strict=True))
        yield f"Compiling, which is in none of these times, takes in the median: {spent}."


def _mean(ratios: Sequence[float]) -> float:
    return math.exp(sum(math.log(ratio) for ratio in ratios) / len(ratios))


def _ms(row: Row | None) -> str:
    return "" if row is None else f"{row['ms']:.3g} ({row['threads']})"


def _quartiles(row: Row) -> str:
    return f"({row['ours_over_q1']:.2f} to {row['ours_over_q3']:.2f})"


# heading -> how a row fills the column
SIZE = {"depth, width, hidden, batch": lambda r: str(shape(r))[1:-1]}
DIAGNOSTICS = {
    **SIZE,
    "measured": lambda r: r["cadence"],
    "ms a step": lambda r: f"{r['ms']:.3g}",
    "cost": lambda r: f"{100 * r['cost']:+.1f} %",
    "quartiles": lambda r: f"{100 * r['cost_q1']:+.1f} to {100 * r['cost_q3']:+.1f} %",
}
MEMORY = {
    **SIZE,
    "": lambda r: r["contestant"],
    "peak, MiB": lambda r: f"{r['peak_mib']:.0f}",
    "of which libraries": lambda r: f"{r['libraries_mib']:.0f}",
    "ms a step": lambda r: f"{r['ms']:.3g}",
}
DEPTH = {
    "depth": lambda r: str(r["depth"]),
    "": lambda r: r["contestant"],
    "µs a block": lambda r: f"{r['us_per_block']:.0f}",
    "KiB a block": lambda r: f"{r['kib_per_block']:.0f}",
}
SECONDS = {
    "": lambda r: r["what"],
    "seconds": lambda r: f"{r['seconds']:.2f}",
    "least to most": lambda r: f"{r['seconds_least']:.2f} to {r['seconds_most']:.2f}",
}
VALUES = {"": lambda r: r["what"], "measured": lambda r: f"{r['value']:.3g} {r['unit']}".strip()}


def _table(title: str, columns: Mapping[str, Any], rows: Sequence[Row]) -> Iterator[str]:
    if not rows:
        return
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    lines += [f"| {' | '.join(fill(row) for fill in columns.values())} |" for row in rows]
    yield f"**{title}**"
    yield "\n".join(lines)


def _ends(rows: Sequence[Row]) -> list[Row]:
    """The shallowest and the deepest."""
    depths = [row["depth"] for row in rows]
    return [row for row in rows if row["depth"] in (min(depths), max(depths))]


def put_into(readme: Path, findings: str) -> None:
    """Replace what stands between the two marks."""
    before, _, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    readme.write_text(f"{before}{BEGIN}\n{findings}\n{END}{after}", encoding="utf-8")
