"""The end of a run: writes and seals its results and verdict."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ffn_train.report.verdict import verdict
from ffn_train.runs import Run, files, load_run, records
from ffn_train.runs.outcome import outcome
from ffn_train.runs.seal import sealed
from ffn_train.runs.status import Status
from ffn_train.train.divergence import Divergence


def conclude(path: Path, divergence: Divergence | None, stopped: str = "", **results: Any) -> Run:
    """Write the summary and the status of a run whose other files are complete.

    ``divergence``, ``stopped``: why it ended early, if it did; ``results``: further fields of the
    summary. Raises RunError for a damaged file, OSError if writing fails.
    """
    run = load_run(path)
    state = divergence.state if divergence else "stopped" if stopped else "finished"
    fields = {"state": state, "divergence": divergence, "stopped": stopped or None, **results}
    summary = replace(outcome(run), **fields)
    run = replace(run, summary=summary, state=state)
    summary = replace(summary, verdict=verdict(run))
    files.flush_directory(path)  # no power loss keeps the summary and loses what it speaks of
    files.write_json(path / files.SUMMARY, sealed(path, records.to_json(summary)))
    with suppress(OSError):  # only the summary counts
        Status(state, str(divergence or stopped)).write(path)
    return replace(run, summary=summary)
