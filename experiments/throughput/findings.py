"""The tables as Markdown for the README, and the figure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import geometric_mean
from typing import Any

import numpy as np
from cells import KINDS, Cell
from costs import RECOMPUTE
from grid import ALONE, COMPILED, EAGER, ENGINES, LIMIT, LIMITS, NUMPY, OVER, PEERS
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ffn_train.plots.scales import set_ticks
from ffn_train.plots.style import DOUBLE, INK, MUTED

BEGIN, END = "<!-- written by benchmark.py -->", "<!-- end -->"
TITLES = {
    "peak": "The processor's peak: products of large matrices",
    "profile": "Where a step goes, ms on one thread",
    "measures": "Cost of measuring, as a share of the time without it",
    "memory": "Peak resident memory",
    "depth": "Depth",
    "start": "Commands, from process start to exit",
    "many_runs": "Many small runs",
}

Row = Mapping[str, Any]
Cells = Mapping[Cell, Mapping[str, Row]]  # the rows by cell and contestant

SPEED = "(a)  speed of a step: above the line an engine is faster than every peer"
SHARE = "(b)  share of the step that its matrix products in NumPy would take"
PANELS = (  # position, title, labels of x and y
    ((0.1, 0.69, 0.87, 0.275), SPEED, "", "speed, fastest peer = 1"),
    ((0.1, 0.375, 0.87, 0.18), SHARE, "depth, width, hidden width, batch", "products / step (%)"),
    ((0.1, 0.065, 0.22, 0.2), "(c)  time over depth", "depth", "µs a step and block"),
    ((0.405, 0.065, 0.22, 0.2), "(d)  memory over depth", "depth", "KiB a block"),
    ((0.745, 0.065, 0.22, 0.2), "(e)  memory; pale: libraries", "", "peak memory (MiB)"),
)
BLUE, GREEN = "#123f6b", "#2f7d4f"
OTHERS = ("#c2501c", "#e3a13a", "#8d6bb0", "#d7a6e0", "#9a9a9a")
COLOURS = dict(zip((*ENGINES, *PEERS), (BLUE, GREEN, *OTHERS), strict=True))
COLOURS |= {f"{NUMPY} {RECOMPUTE}": "#7fb0cf", f"{COMPILED} {RECOMPUTE}": "#9cc9a8"}
WORDS = dict(zip(KINDS, ("relu", "relu, norm", "gelu", "gelu, norm"), strict=True))
SHADES = (BLUE, "#3b78a8", "#7fb0cf", "#bcd7e6")


def text(tables: Mapping[str, Sequence[Row]], machine: str) -> str:
    """All findings as Markdown."""
    cells = by_cell(tables.get("results", ()))
    peaks = {row["threads"]: row["gflops"] for row in tables.get("peak", ())}
    sections = {
        "Time per step, ms (threads), and relative to the fastest peer's (quartiles)": [
            vars(size) | against_peers(cell) for size, cell in cells.items()
        ],
        "Time per step relative to others', geometric mean and range over cells": [
            in_the_mean(list(cells.values()), engine) for engine in ENGINES if cells
        ],
        "The step's matrix products alone, ms, and as a share of each engine's step": [
            vars(size) | against_products(cell) | of_peak(size, cell, peaks)
            for size, cell in cells.items()
        ],
    }
    depth = tables.get("depth", ())
    ends = [row["depth"] for row in (*depth[:1], *depth[-1:])]
    tables = {**tables, "depth": [row for row in depth if row["depth"] in ends]}
    sections |= {title: tables.get(part, ()) for part, title in TITLES.items()}
    blocks = [f"**{title}**\n\n{markdown(rows)}" for title, rows in sections.items() if rows]
    return "\n\n".join([machine, *blocks])


def markdown(rows: Sequence[Row]) -> str:
    """A table; numbers to three digits."""
    head = list(dict.fromkeys(column for row in rows for column in row))
    lines = [head, ["---"] * len(head)]
    for row in rows:
        values = [row.get(column, "") for column in head]
        lines.append([f"{v:.3g}" if isinstance(v, float) else str(v) for v in values])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def by_cell(rows: Sequence[Row]) -> dict[Cell, dict[str, Row]]:
    """The rows that have a time, by cell and contestant."""
    cells: dict[Cell, dict[str, Row]] = {}
    for row in rows:
        if "ms" in row:
            cell = Cell(*(row[field] for field in Cell.__dataclass_fields__))
            cells.setdefault(cell, {})[row["contestant"]] = row
    return cells


def fastest_peer(cell: Mapping[str, Row]) -> Row:
    """The row of the fastest peer; empty without peers."""
    peers = [cell[name] for name in PEERS if name in cell]
    return min(peers, key=lambda row: row["ms"], default={})


def share(cell: Mapping[str, Row], limit: str, engine: str) -> float:
    """The time of the products alone, in percent of that of the engine's step."""
    return 100 / cell[limit][OVER[engine]] if limit in cell and engine in cell else float("nan")


def times(cell: Mapping[str, Row], names: Sequence[str]) -> dict[str, str]:
    return {n: "{ms:.3g} ({threads})".format(**cell[n]) for n in names if n in cell}


def against_peers(cell: Mapping[str, Row]) -> dict[str, str]:
    columns, peer = times(cell, (*ENGINES, *PEERS)), fastest_peer(cell)
    for engine, over in OVER.items():
        if over in peer:
            low, high = peer[f"{over}_q1"], peer[f"{over}_q3"]
            columns[f"{engine} / fastest"] = f"{peer[over]:.2f} ({low:.2f} to {high:.2f})"
    return columns


def against_products(cell: Mapping[str, Row]) -> dict[str, str]:
    pairs = [(LIMIT, NUMPY), *((limit, COMPILED) for limit in LIMITS)]
    known = [pair for pair in pairs if cell.keys() >= set(pair)]
    shares = {f"{limit} / {e}": f"{share(cell, limit, e):.0f} %" for limit, e in known}
    return times(cell, LIMITS) | shares


def of_peak(size: Cell, cell: Mapping[str, Row], peaks: Mapping[int, float]) -> dict[str, str]:
    """How much of the processor's peak the compiled step reaches, and what two threads gain."""
    if not {COMPILED, ALONE} <= cell.keys():
        return {}
    threads, ms = cell[COMPILED]["threads"], cell[COMPILED]["ms"]
    reached = 1e-6 * size.flops / ms / peaks.get(threads, float("nan"))
    gain = f"{1 / cell[ALONE][OVER[COMPILED]]:.2f}" if threads > 1 else ""
    return {"compiled / peak": f"{100 * reached:.0f} %", "one thread / two": gain}


def in_the_mean(cells: Sequence[Mapping[str, Row]], engine: str) -> Row:
    def over(rows: Iterable[Row]) -> str:
        ratios = [row[OVER[engine]] for row in rows if OVER[engine] in row]
        if not ratios:
            return ""
        return f"{geometric_mean(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"

    peers = [fastest_peer(cell) for cell in cells]
    slower = sum(peer.get(OVER[engine], 0) > 1 for peer in peers)
    row = {"engine": engine, "the fastest peer's": over(peers)}
    for other in (EAGER, NUMPY):
        row[f"{other}'s"] = over(cell[other] for cell in cells if other in cell)
    return row | {"slower than the fastest peer": f"in {slower} of {len(cells)} cells"}


def put_into(readme: Path, findings: str) -> None:
    """Replace the text between the two marks."""
    before, _, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    readme.write_text(f"{before}{BEGIN}\n{findings}\n{END}{after}", encoding="utf-8")


def draw(tables: Mapping[str, Sequence[Row]]) -> Figure:
    """The figure; the panels of parts that were not measured stay empty."""
    figure = Figure(figsize=(DOUBLE, 7.8))
    speed, shares, time, memory, peak = (
        figure.add_axes(box, title=title, xlabel=x, ylabel=y) for box, title, x, y in PANELS
    )
    if cells := by_cell(tables.get("results", ())):
        draw_speed(speed, cells)
        draw_shares(shares, cells)
    if cells := by_cell(tables.get("depth", ())):
        draw_depth(time, cells, "us_per_block")
        draw_depth(memory, cells, "kib_per_block")
        width, hidden, deepest = max((cell.width, cell.hidden, cell.depth) for cell in cells)
        floor = 3 * 4 * (2 * width * hidden + width + hidden) / 1024
        memory.axhline(floor, color=MUTED, linewidth=0.9, dashes=(4, 2))
        note = {"ha": "right", "va": "top", "fontsize": 6.5, "color": MUTED}
        memory.text(deepest, 0.95 * floor, "weights, gradients, momentum", **note)
        entries = time.get_legend_handles_labels()
        figure.legend(*entries, loc="center", bbox_to_anchor=(0.535, 0.305), ncols=len(entries[1]))
    cells = by_cell(tables.get("memory", ()))
    for group, cell in enumerate(cells.values()):
        for order, (name, row) in enumerate(cell.items()):
            x = group + 0.17 * (order - (len(cell) - 1) / 2)
            peak.bar(x, row["peak_mib"], width=0.16, color=COLOURS[name])
            peak.bar(x, row["libraries_mib"], width=0.16, color="white", alpha=0.55)
    peak.set_xticks(range(len(cells)), [cell.shape for cell in cells], fontsize=6.5)
    peak.grid(False, axis="x")
    return figure


def draw_speed(axes: Axes, cells: Cells) -> None:
    """The fastest peer's time over each contestant's: above the line an engine beats all peers."""
    compared = {x: c for x, c in enumerate(cells.values()) if fastest_peer(c)}
    for order, name in enumerate((*ENGINES, *PEERS)):
        speeds = [(x, *speed(cell, name)) for x, cell in compared.items() if name in cell]
        if not speeds:
            continue
        x, low, middle, high = np.array(speeds).T
        look = {"marker": "_", "markersize": 8, "markeredgewidth": 1.4}
        if name in ENGINES:
            x += 0.2 * (order - 0.5)
            look = {"marker": "o" if name == NUMPY else "D", "markersize": 3.4, "zorder": 3}
        look |= {"linestyle": "none", "color": COLOURS[name], "elinewidth": 0.8, "label": name}
        axes.errorbar(x, middle, yerr=(middle - low, high - middle), **look)
    axes.axhline(1, color=INK, linewidth=0.9, zorder=1)
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 0.7), 1.7 * max(high, 1.5))
    set_ticks(axes.yaxis, [0.1, 0.2, 0.5, 1, 2, 5, 10], [])
    entries = axes.get_legend_handles_labels()
    axes.legend(*entries, loc="upper right", ncols=4, columnspacing=1)
    shapes: dict[str, list[int]] = {}
    for x, cell in enumerate(cells):
        shapes.setdefault(cell.shape, []).append(x)
    axes.set_xticks(range(len(cells)), [WORDS[cell.activation, cell.norm] for cell in cells])
    axes.tick_params(axis="x", labelrotation=90, labelsize=6.5)
    axes.set_xticks([np.mean(places) for places in shapes.values()], list(shapes), minor=True)
    below = {"labelsize": 6.5, "labelcolor": MUTED, "pad": 38, "length": 0}
    axes.tick_params(axis="x", which="minor", labelrotation=0, **below)
    for places in shapes.values():
        axes.axvline(places[0] - 0.5, color="#d0d0d0", linewidth=0.6)
    axes.set_xlim(-0.6, len(cells) - 0.4)
    axes.grid(False, axis="x")


def speed(cell: Mapping[str, Row], name: str) -> tuple[float, float, float]:
    """The fastest peer's time over the contestant's: lower quartile, median, upper quartile."""
    peer = fastest_peer(cell)
    if over := OVER.get(name):
        return 1 / peer[f"{over}_q3"], 1 / peer[over], 1 / peer[f"{over}_q1"]
    return (peer["ms"] / cell[name]["ms"],) * 3


def draw_shares(axes: Axes, cells: Cells) -> None:
    """A bar for the NumPy engine's step, a marker for the compiled one's."""
    shapes = list(dict.fromkeys(cell.shape for cell in cells))
    diamond = {"linestyle": "none", "marker": "D", "markersize": 3.4, "color": GREEN}
    for order, (kind, name) in enumerate(WORDS.items()):
        chosen = [cell for cell in cells if (cell.activation, cell.norm) == kind]
        x = [shapes.index(cell.shape) + 0.2 * (order - 1.5) for cell in chosen]
        plain, fast = ([share(cells[c], LIMIT, e) for c in chosen] for e in (NUMPY, COMPILED))
        axes.bar(x, plain, width=0.19, color=SHADES[order], label=f"numpy, {name}")
        axes.plot(x, fast, label="_" if order else "compiled", **diamond)
    axes.axhline(100, color=INK, linewidth=0.9)
    axes.set_ylim(0, 1.15 * axes.get_ylim()[1])
    axes.set_xlim(-0.6, len(shapes) - 0.4)
    axes.grid(False, axis="x")
    axes.set_xticks(range(len(shapes)), shapes, fontsize=7)
    axes.legend(loc="upper left", ncols=5, columnspacing=1)


def draw_depth(axes: Axes, cells: Cells, column: str) -> None:
    depths = [cell.depth for cell in cells]
    for name in next(iter(cells.values())):
        look = {"marker": "s" if RECOMPUTE in name else "o", "markersize": 2.6, "label": name}
        values = [cell[name][column] for cell in cells.values()]
        axes.plot(depths, values, color=COLOURS[name], **look)
    axes.set_xscale("log", base=2)
    axes.set_xticks([8, 64, 512, 4096], ["8", "64", "512", "4096"])
    axes.minorticks_off()
    axes.set_ylim(0, 1.08 * axes.get_ylim()[1])
