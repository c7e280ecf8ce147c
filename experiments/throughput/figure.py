"""One page: time against the peers, share of the limit, depth scaling, memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from contestants import COMPILED, EAGER, ENGINES, GRAPH, JAX, LIMIT, NUMPY, OPENBLAS, PEERS
from depth_memory import RECOMPUTE
from grid_findings import by_cell, fastest_peer, shape, share_of_limit
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator
from results import OVER

from ffn_train.plots import encoded
from ffn_train.plots.style import DOUBLE, INK, MUTED, look

Rows = Sequence[Mapping[str, Any]]

DARK, PALE = {NUMPY: "#123f6b", COMPILED: "#2f7d4f"}, {NUMPY: "#7fb0cf", COMPILED: "#9cc9a8"}
COLOURS = {**DARK, OPENBLAS: "#2f7d4f", EAGER: "#c2501c", GRAPH: "#e3a13a", JAX: "#8d6bb0"}
COLOURS |= {f"{engine} {RECOMPUTE}": colour for engine, colour in PALE.items()}
MARKERS = {NUMPY: "o", COMPILED: "D", OPENBLAS: "D", EAGER: "_", GRAPH: "_", JAX: "_"}
KINDS = {("relu", "none"): "relu", ("relu", "pre_layer"): "relu, norm"}
KINDS |= {("gelu_tanh", "none"): "gelu", ("gelu_tanh", "pre_layer"): "gelu, norm"}
SHADES = ("#123f6b", "#3b78a8", "#7fb0cf", "#bcd7e6")


def draw(results: Mapping[str, Rows]) -> Figure:
    """Empty panels where a part was not measured."""
    figure = Figure(figsize=(DOUBLE, 7.8))
    places = [(0.10, 0.69, 0.87, 0.275), (0.10, 0.375, 0.87, 0.18)]
    places += [(left, 0.065, 0.22, 0.2) for left in (0.10, 0.405, 0.745)]
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
            max(row["depth"] for row in depth),
            0.95 * floor,
            "weights, gradients, momentum",
            ha="right",
            va="top",
            fontsize=6.5,
            color=MUTED,
        )
    _memory(axes[4], results.get("memory", ()))
    shared = next((panel for panel in axes[2:] if panel.get_legend_handles_labels()[1]), None)
    if shared is not None:
        handles, labels = shared.get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="center", bbox_to_anchor=(0.535, 0.305), ncols=len(labels)
        )
    return figure


def state_kib(row: Mapping[str, Any]) -> float:
    """What a block's weights, their gradients and their momentum take, in float32."""
    width, hidden = row["width"], row["hidden"]
    return 3 * 4 * (2 * width * hidden + width + hidden) / 1024


def _against_peers(axes: Axes, rows: Rows) -> None:
    """The fastest peer's time over everyone's: an engine above the line is faster than all."""
    cells = by_cell(rows)
    for name in (*PEERS, *reversed(ENGINES)):
        found = [(x, *_speed(cell, name)) for x, cell in enumerate(cells.values()) if name in cell]
        if not found:
            continue
        place, low, middle, high = np.array(found).T
        engine = name in ENGINES
        axes.errorbar(
            place + 0.2 * (ENGINES.index(name) - 1) if engine else place,
            middle,
            yerr=(middle - low, high - middle),
            linestyle="none",
            marker=MARKERS[name],
            markersize=3.4 if engine else 8,
            markerfacecolor="white" if name == OPENBLAS else COLOURS[name],
            markeredgewidth=0.8 if engine else 1.4,
            color=COLOURS[name],
            elinewidth=0.8,
            label=name,
            zorder=3 if engine else 2,
        )
    axes.axhline(1, color=INK, linewidth=0.9, zorder=1)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(FixedLocator([0.1, 0.2, 0.5, 1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_minor_locator(NullLocator())
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 0.7), 1.7 * max(high, 1.5))
    axes.set_ylabel("speed, fastest peer = 1")
    axes.set_title("(a)  speed of a step: above the line an engine is faster than every peer")
    if cells:
        handles, labels = axes.get_legend_handles_labels()
        order = sorted(range(len(labels)), key=lambda one: [*ENGINES, *PEERS].index(labels[one]))
        axes.legend(
            [handles[one] for one in order],
            [labels[one] for one in order],
            loc="upper right",
            ncols=6,
            columnspacing=1,
        )
    _cells_below(axes, list(cells))


def _speed(cell: Mapping[str, Any], name: str) -> tuple[float, float, float]:
    """The fastest peer's time over the contestant's: lower quartile, median, upper quartile."""
    peer = fastest_peer(cell)
    if peer is None:
        return np.nan, np.nan, np.nan
    if name in ENGINES:
        over = OVER[name]
        return 1 / peer[f"{over}_q3"], 1 / peer[over], 1 / peer[f"{over}_q1"]
    return (peer["ms"] / cell[name]["ms"],) * 3


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
    """A bar for the NumPy engine's step, a marker for the compiled one's."""
    cells = {key: cell for key, cell in by_cell(rows).items() if LIMIT in cell}
    shapes = list(dict.fromkeys(key[:4] for key in cells))
    shares = []
    for order, (kind, label) in enumerate(KINDS.items()):
        found = [(shapes.index(key[:4]), cell) for key, cell in cells.items() if key[4:] == kind]
        if not found:
            continue
        places = np.array([place for place, _ in found]) + 0.2 * (order - 1.5)
        plain, fast = (
            [100 * (share_of_limit(cell, engine) or np.nan) for _, cell in found]
            for engine in (NUMPY, COMPILED)
        )
        axes.bar(places, plain, width=0.19, color=SHADES[order], label=f"numpy, {label}")
        axes.plot(
            places,
            fast,
            linestyle="none",
            marker=MARKERS[COMPILED],
            markersize=3.4,
            color=COLOURS[COMPILED],
            label="_" if shares else "compiled",
        )
        shares += [*plain, *fast]
    axes.axhline(100, color=INK, linewidth=0.9)
    axes.set_ylim(0, 1.22 * max([100, *np.nan_to_num(shares)]))
    axes.set_xlim(-0.6, max(len(shapes), 1) - 0.4)
    axes.grid(False, axis="x")
    axes.xaxis.set_major_locator(FixedLocator(range(len(shapes))))
    axes.set_xticklabels([", ".join(map(str, size)) for size in shapes], fontsize=7)
    axes.set_ylabel("products / step (%)")
    axes.set_xlabel("depth, width, hidden width, batch")
    axes.set_title("(b)  share of the step that its matrix products in NumPy would take")
    if cells:
        axes.legend(loc="upper left", ncols=5, columnspacing=1)


def _over_depth(axes: Axes, rows: Rows, column: str, label: str, title: str) -> None:
    for name in dict.fromkeys(row["contestant"] for row in rows):
        found = [row for row in rows if row["contestant"] == name]
        if found:
            axes.plot(
                [row["depth"] for row in found],
                [row[column] for row in found],
                label=name,
                color=COLOURS[name],
                marker="s" if RECOMPUTE in name else "o",
                markersize=2.6,
            )
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator([8, 64, 512, 4096]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylim(0, 1.08 * axes.get_ylim()[1])
    axes.set_xlabel("depth")
    axes.set_ylabel(label)
    axes.set_title(title)


def _memory(axes: Axes, rows: Rows) -> None:
    """Bars of the peak; the part that the libraries take before anything is built is pale."""
    names = list(dict.fromkeys(row["contestant"] for row in rows))
    shapes = list(dict.fromkeys(shape(row) for row in rows))
    for order, name in enumerate(names):
        found = [row for row in rows if row["contestant"] == name]
        places = [shapes.index(shape(row)) + 0.17 * (order - (len(names) - 1) / 2) for row in found]
        axes.bar(
            places, [r["peak_mib"] for r in found], width=0.16, color=COLOURS[name], label=name
        )
        axes.bar(places, [r["libraries_mib"] for r in found], width=0.16, color="white", alpha=0.55)
    axes.xaxis.set_major_locator(FixedLocator(range(len(shapes))))
    axes.set_xticklabels([f"{s[0]}, {s[1]},\n{s[2]}, {s[3]}" for s in shapes], fontsize=7)
    axes.grid(False, axis="x")
    axes.set_ylim(0, 1.08 * max((row["peak_mib"] for row in rows), default=1))
    axes.set_ylabel("peak memory (MiB)")
    axes.set_title("(e)  memory; pale: libraries")


def write(results: Mapping[str, Rows], folder: Path) -> None:
    """figure.png and figure.pdf."""
    with look():
        figure = draw(results)
    for kind in ("png", "pdf"):
        (folder / f"figure.{kind}").write_bytes(encoded(figure, kind))
