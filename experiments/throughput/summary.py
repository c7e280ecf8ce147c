"""The findings in words and figures, for the terminal and between two marks of the README."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from grid_findings import grid_findings, shape

BEGIN, END = "<!-- written by benchmark.py -->", "<!-- end -->"

Row = Mapping[str, Any]
Results = Mapping[str, Sequence[Row]]


def text(results: Results, machine: Mapping[str, Any]) -> str:
    """All findings as Markdown."""
    blocks = [
        f"{machine['processor']}, {machine['cores']} cores, {machine['blas']}; "
        + ", ".join(f"{name} {known}" for name, known in machine["packages"].items() if known)
        + ".",
        *grid_findings(results.get("results", ())),
        *_profile(results.get("profile", ())),
        *_table("What the measures cost", DIAGNOSTICS, results.get("diagnostics", ())),
        *_table("Peak resident memory", MEMORY, results.get("memory", ())),
        *_table("Depth", DEPTH, _ends(results.get("depth", ()))),
        *_table("The default run, from process start to exit", SECONDS, results.get("start", ())),
        *_table("Many small runs", VALUES, results.get("many_runs", ())),
    ]
    return "\n\n".join(blocks)


# heading -> how a row fills the column
SIZE = {"depth, width, hidden, batch": lambda r: str(shape(r))[1:-1]}
DIAGNOSTICS = {
    **SIZE,
    "engine": lambda r: r["engine"],
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


def _table(title: str, columns: Mapping[str, Any], rows: Sequence[Any]) -> Iterator[str]:
    if not rows:
        return
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    lines += [f"| {' | '.join(fill(row) for fill in columns.values())} |" for row in rows]
    yield f"**{title}**"
    yield "\n".join(lines)


def _profile(rows: Sequence[Row]) -> Iterator[str]:
    """A row for each shape and engine, a column for each kind of operation."""
    steps: dict[tuple[Any, ...], dict[str, float]] = {}
    for row in rows:
        steps.setdefault((shape(row), row["engine"]), {})[row["kind"]] = row["ms"]
    kinds = list(dict.fromkeys(row["kind"] for row in rows))

    def of(kind: str) -> Any:
        return lambda step: f"{step[1][kind]:.3g}"

    columns = {
        "depth, width, hidden, batch": lambda step: str(step[0][0])[1:-1],
        "engine": lambda step: step[0][1],
        **{kind: of(kind) for kind in kinds},
        "in all": lambda step: f"{sum(step[1].values()):.3g}",
    }
    title = "Where a step goes, ms on one thread (gelu_tanh, pre_layer)"
    yield from _table(title, columns, list(steps.items()))


def _ends(rows: Sequence[Row]) -> list[Row]:
    """The shallowest and the deepest."""
    depths = [row["depth"] for row in rows]
    return [row for row in rows if row["depth"] in (min(depths), max(depths))]


def put_into(readme: Path, findings: str) -> None:
    """Replace what stands between the two marks."""
    before, _, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    readme.write_text(f"{before}{BEGIN}\n{findings}\n{END}{after}", encoding="utf-8")
