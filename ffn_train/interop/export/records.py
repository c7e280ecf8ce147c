"""A run's scalars and measures as one tidy table, or as TensorBoard's event file."""

from __future__ import annotations

import csv
import io
import tempfile
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from ffn_train.interop.loggers import tensorboard
from ffn_train.runs import Run, files
from ffn_train.runs.outcome import evaluated
from ffn_train.runs.scalars import logged

COLUMNS = ("step", "quantity", "per", "block", "tensor", "value", "unit")
LOSSES = ("loss", "validation_loss")
EVALUATED = ("validation_loss", "validation_score", "gradient_norm")  # see ``outcome.evaluated``


def files_of(run: Run, to: str, path: Path) -> dict[Path, bytes]:
    """The table as csv or parquet, or the event file in the directory ``path``."""
    if to == "tensorboard":
        return {path / tensorboard.FILE: events(run)}
    columns = table(run)
    return {path: as_csv(columns) if to == "csv" else as_parquet(columns)}


def table(run: Run) -> dict[str, list[Any]]:
    """A row for each value, by column: step, quantity, per, block, tensor, value, unit.

    ``per``: run, tensor, block, or boundary, of which number l is the input of block l. ``block``
    and ``tensor`` are None where they do not apply. What was not measured at a step, or does not
    apply to the run, has no row; NaN and infinities are values that are not finite.
    """
    rows: list[tuple[Any, ...]] = []
    steps = run.scalars["step"].astype(int).tolist()
    for name in run.scalars:
        unit = (run.provenance.loss_unit or "").removeprefix("in ") if name in LOSSES else ""
        known = evaluated(run, name) if name in EVALUATED else logged(run.scalars, name)
        for step, value, there in zip(steps, run.scalars[name].tolist(), known, strict=True):
            if name != "step" and (name == "loss" or there):  # each row has a loss
                rows.append((step, name, "run", None, None, value, unit))
    places: dict[str, list[tuple[int | None, str | None]]] = {
        "tensor": [(tensor.block, tensor.name) for tensor in run.measures.tensors],
        "boundary": [(index, None) for index in range(run.measures.depth + 1)],
        "block": [(index, None) for index in range(run.measures.depth)],
        "run": [(None, None)],
    }
    for name, series in run.measures.series.items():
        if not run.measures.has(name):
            continue
        column = series.column
        values = series.values.reshape(len(series.step), len(places[column.per]))
        for step, measured in zip(series.step.tolist(), values.tolist(), strict=True):
            for (block, tensor), value in zip(places[column.per], measured, strict=True):
                rows.append((step, name, column.per, block, tensor, value, column.unit))
    return {name: [row[place] for row in rows] for place, name in enumerate(COLUMNS)}


def as_csv(columns: dict[str, list[Any]]) -> bytes:
    """The table as CSV with a header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue().encode()


def as_parquet(columns: dict[str, list[Any]]) -> bytes:
    """The table with null only where something does not apply: NaN stays a number."""
    import pyarrow as pa
    from pyarrow import parquet

    types = {"step": pa.int64(), "block": pa.int64(), "value": pa.float64()}
    arrays = {
        name: pa.array(cells, types.get(name, pa.string())) for name, cells in columns.items()
    }
    sink = io.BytesIO()
    parquet.write_table(pa.table(arrays), sink)
    return sink.getvalue()


def events(run: Run) -> bytes:
    """What the logger would have written while the run trained, all as of the run's start."""
    logger, began = tensorboard.TensorBoard(), 0.0
    series = {name: s for name, s in run.measures.series.items() if run.measures.has(name)}
    places = {
        name: {int(step): place for place, step in enumerate(s.step)} for name, s in series.items()
    }
    columns = {name: values for name, values in run.scalars.items() if name != "step"}
    known = {name: logged(run.scalars, name) for name in columns}
    with suppress(ValueError, TypeError, OverflowError):  # another program's run need not tell
        began = datetime.fromisoformat(run.provenance.started or "").timestamp()
    logger.now = lambda: began
    with tempfile.TemporaryDirectory() as scratch:
        logger.open(run.path, run.config, 0, Path(scratch))
        for row, step in enumerate(run.scalars["step"].astype(int).tolist()):
            logger.log(
                step,
                {name: float(values[row]) for name, values in columns.items() if known[name][row]},
                {name: series[name].values[at[step]] for name, at in places.items() if step in at},
            )
        logger.close(run.state or "")
        return files.read_bytes(Path(scratch) / tensorboard.FILE)
