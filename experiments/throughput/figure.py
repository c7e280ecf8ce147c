"""One page: time against the peers, share of the limit, depth scaling, memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from contestants import COMPILED, EAGER, JAX, LIMIT
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator
from summary import by_cell, fraction_of_limit, shape

from ffn_train.plots import encoded
from ffn_train.plots.style import DOUBLE, INK, MUTED, look

Rows = Sequence[Mapping[str, Any]]

COLOURS = {EAGER: "#c2501c", COMPILED: "#e3a13a", JAX: "#3b6fb6"}
MARKERS = {EAGER: "o", COMPILED: "s", JAX: "^"}
KINDS = {("relu", "none"): "relu", ("relu", "pre_layer"): "relu, norm"}
KINDS |= {("gelu_tanh", "none"): "gelu", ("gelu_tanh", "pre_layer"): "gelu, norm"}
SHADES = ("#123f6b", "#3b78a8", "#7fb0cf", "#bcd7e6")
OURS_COLOUR, LEAN_COLOUR = "#123f6b", "#7fb0cf"


def draw(results: Mapping[str, Rows]) -> Figure:
    """Empty panels where a part was not measured."""
    figure = Figure(figsize=(DOUBLE, 7.8))
    places = [(0.10, 0.69, 0.87, 0.275), (0.10, 0.375, 0.87, 0.18)]
    places += [(left, 0.065, 0.22, 0.205) for left in (0.10, 0.405, 0.745)]
    axes = [figure.add_axes(place) for place in places]
    _against_peers(axes[0], results.get("results", ()))
    _limit(axes[1], results.get("results", ()))
    depth = results.get("depth", ())
    _over_depth(axes[2], depth, "us_per_block", "µs a step and block", "(c)  time over depth")
    _over_depth(axes[3], depth, "kib_per_block", "KiB a block", "(d)  memory over depth")
    if depth:
        floor = state_kib(depth[0])
        axes[3].axhline(floor, color=MUTED, linewidth=0.9, dashes=(4, 2))
        axes[3].text(
            8, 0.95 * floor, "weights, gradients, momentum", va="top", fontsize=6.5, color=MUTED
        )
    _memory(axes[4], results.get("memory", ()))
    return figure


def state_kib(row: Mapping[str, Any]) -> float:
    """What a block's weights, their gradients and their momentum take, in float32."""
    width, hidden = row["width"], row["hidden"]
    return 3 * 4 * (2 * width * hidden + width + hidden) / 1024


def _against_peers(axes: Axes, rows: Rows) -> None:
    """The time of each peer over ours: above the line we are faster."""
    cells = by_cell(rows)
    for name, colour in COLOURS.items():
        found = [(x, cell[name]) for x, cell in enumerate(cells.values()) if name in cell]
        if not found:
            continue
        places = np.array([x for x, _ in found]) + 0.22 * (list(COLOURS).index(name) - 1)
        middle, low, high = (
            np.array([1 / row[key] for _, row in found])
            for key in ("ours_over", "ours_over_q3", "ours_over_q1")
        )
        axes.errorbar(
            places,
            middle,
            yerr=(middle - low, high - middle),
            linestyle="none",
            marker=MARKERS[name],
            markersize=3,
            color=colour,
            elinewidth=0.8,
            label=name,
        )
    axes.axhline(1, color=INK, linewidth=0.9)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(FixedLocator([0.5, 1, 2, 5, 10, 20, 50, 100]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_minor_locator(NullLocator())
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 0.7), max(high, 2))
    axes.set_ylabel("peer's time / ours")
    axes.set_title("(a)  time a step against the peers: above the line ours is faster")
    if cells:
        axes.legend(loc="lower right", ncols=3, bbox_to_anchor=(1, 1.02))
    _cells_below(axes, list(cells))


def _cells_below(axes: Axes, cells: Sequence[tuple[Any, ...]]) -> None:
    """Each cell's kind as a tick, each shape once below its cells, a line between shapes."""
    axes.set_xlim(-0.6, max(len(cells), 1) - 0.4)
    axes.grid(False, axis="x")
    axes.xaxis.set_major_locator(FixedLocator(range(len(cells))))
    kinds = [KINDS[cell[4:]] for cell in cells]
    axes.set_xticklabels(kinds, rotation=90, fontsize=6.5)
    shapes = list(dict.fromkeys(cell[:4] for cell in cells))
    for size in shapes:
        at = [place for place, cell in enumerate(cells) if cell[:4] == size]
        axes.annotate(
            ", ".join(map(str, size)),
            ((at[0] + at[-1]) / 2, 0),
            xycoords=axes.get_xaxis_transform(),
            xytext=(0, -38),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=6.5,
            color=MUTED,
        )
        if at[0]:
            axes.axvline(at[0] - 0.5, color="#d0d0d0", linewidth=0.6)


def _limit(axes: Axes, rows: Rows) -> None:
    cells = {key: cell for key, cell in by_cell(rows).items() if LIMIT in cell}
    shapes = list(dict.fromkeys(key[:4] for key in cells))
    for order, (kind, label) in enumerate(KINDS.items()):
        found = [(shapes.index(key[:4]), cell) for key, cell in cells.items() if key[4:] == kind]
        places = np.array([place for place, _ in found]) + 0.2 * (order - 1.5)
        heights = [100 * fraction_of_limit(cell) for _, cell in found]
        axes.bar(places, heights, width=0.19, color=SHADES[order], label=label)
    axes.axhline(100, color=INK, linewidth=0.9)
    axes.set_ylim(0, 118)
    axes.set_xlim(-0.6, max(len(shapes), 1) - 0.4)
    axes.grid(False, axis="x")
    axes.xaxis.set_major_locator(FixedLocator(range(len(shapes))))
    axes.set_xticklabels([", ".join(map(str, size)) for size in shapes], fontsize=7)
    axes.set_ylabel("products / step (%)")
    axes.set_xlabel("depth, width, hidden width, batch")
    axes.set_title("(b)  share of the step that its matrix products alone would take")
    if cells:
        axes.legend(loc="upper left", ncols=4)


def _over_depth(axes: Axes, rows: Rows, column: str, label: str, title: str) -> None:
    looks = {
        "ours": {"color": OURS_COLOUR, "marker": "o"},
        "ours recompute": {"color": LEAN_COLOUR, "marker": "D"},
        EAGER: {"color": COLOURS[EAGER], "marker": "o"},
    }
    for name, style in looks.items():
        found = [row for row in rows if row["contestant"] == name]
        if found:
            axes.plot([r["depth"] for r in found], [r[column] for r in found], label=name, **style)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator([8, 64, 512, 4096]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylim(0, 1.35 * axes.get_ylim()[1])
    axes.set_xlabel("depth")
    axes.set_ylabel(label)
    axes.set_title(title)
    if rows:
        axes.legend(loc="upper right", fontsize=6.5)


def _memory(axes: Axes, rows: Rows) -> None:
    """Bars of the peak; the part that the libraries take before anything is built is pale."""
    names = list(dict.fromkeys(row["contestant"] for row in rows))
    shapes = list(dict.fromkeys(shape(row) for row in rows))
    colours = {"ours": OURS_COLOUR, "ours recompute": LEAN_COLOUR, EAGER: COLOURS[EAGER]}
    for order, name in enumerate(names):
        found = [row for row in rows if row["contestant"] == name]
        places = [shapes.index(shape(row)) + 0.26 * (order - (len(names) - 1) / 2) for row in found]
        axes.bar(
            places, [r["peak_mib"] for r in found], width=0.24, color=colours[name], label=name
        )
        axes.bar(places, [r["libraries_mib"] for r in found], width=0.24, color="white", alpha=0.55)
    axes.xaxis.set_major_locator(FixedLocator(range(len(shapes))))
    axes.set_xticklabels([f"{s[0]}, {s[1]},\n{s[2]}, {s[3]}" for s in shapes], fontsize=7)
    axes.grid(False, axis="x")
    axes.set_ylim(0, 1.4 * max((row["peak_mib"] for row in rows), default=1))
    axes.set_ylabel("peak memory (MiB)")
    axes.set_title("(e)  memory; pale: libraries")
    if rows:
        axes.legend(loc="upper right", fontsize=6.5)


def write(results: Mapping[str, Rows], folder: Path) -> None:
    """figure.png and figure.pdf."""
    with look():
        figure = draw(results)
    for kind in ("png", "pdf"):
        (folder / f"figure.{kind}").write_bytes(encoded(figure, kind))
