"""What can be done with a run from Python: predict, trace, tables, a notebook's view of it."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ffn_train import runs
from ffn_train.config.settings import counted
from ffn_train.report.headline import headline
from ffn_train.report.text import report
from ffn_train.using.model import Model, Which, model_of
from ffn_train.using.trace import Trace
from ffn_train.view import Inline, run_page


@dataclass(frozen=True, eq=False, repr=False)
class Run(runs.Run):
    """One run as its directory tells it, and its network for further use."""

    def model(self, which: Which | None = None) -> Model:
        """The network with the last or the best weights; None: the best if they are kept.

        Raises RunError if there are none, or the directory does not tell how to code inputs.
        """
        return model_of(self, which)

    def predict(self, table: Any, which: Which | None = None) -> Any:
        """The predictions for a table's rows, in the target's units: see ``Model.predict``."""
        return self.model(which).predict(table).frame

    def trace(self, table: Any, which: Which | None = None) -> Trace:
        """The signals of a table's rows and, if it has the target, their gradients."""
        return self.model(which).trace(table)

    def frame(self, quantity: str | None = None) -> Any:
        """The rows of scalars.csv, or what was measured of a quantity, by step, as a pandas frame.

        Raises RunError for a quantity that was not measured.
        """
        import pandas as pd

        if quantity is None:
            columns = dict(self.scalars)
            return pd.DataFrame(columns).astype({"step": int}).set_index("step")
        series = self.measures[quantity]
        names = {
            "tensor": [tensor.name for tensor in self.measures.tensors],
            "run": [quantity],
        }.get(series.column.per)
        values = series.values.reshape(len(series.step), math.prod(series.values.shape[1:]))
        return pd.DataFrame(values, pd.Index(series.step, name="step"), names)

    def view(self) -> Inline:
        """The run's interactive page, as a notebook shows it."""
        return Inline(run_page(self))

    def __repr__(self) -> str:
        steps = self.summary.steps if self.summary is not None else None
        words = [self.state or "unknown", *([] if steps is None else [counted(steps, "step")])]
        judged = headline(self)
        if judged is not None:
            score, value, where = judged
            words.append(f"{score.symbol} {value:.3g} {where}")
        return f"Run({str(self.path)!r}: {', '.join(words)})"

    def _repr_html_(self) -> str:
        """The summary that its command prints, for a notebook."""
        lines = report(self).split("\n")
        text = "\n".join(line if len(line) <= 300 else f"{line[:300]}..." for line in lines[:12])
        return f'<pre style="font-family: monospace">{html.escape(text)}</pre>'


def load_run(path: str | Path) -> Run:
    """Read the run in a directory, finished or not.

    Raises RunError, in one line that names the file, for a directory that is no run or is damaged.
    """
    run = runs.load_run(path)
    return Run(**{field.name: getattr(run, field.name) for field in fields(run)})
