"""The lesson runs from its first cell to its last."""

from __future__ import annotations

import nbformat
from nbclient import NotebookClient

from ffn_train.config import places

LESSON = places.EXPERIMENTS / "manual_backprop" / "manual_backprop.ipynb"

SHORTER = {  # what takes most of its time, and asks nothing of the numbers that come out
    "def train(seed, steps=200,": "def train(seed, steps=20,",
    '"experiment=diabetes", ': '"experiment=diabetes", "plot.when=never", ',
}


def test_the_lesson_runs() -> None:
    notebook = nbformat.read(LESSON, as_version=4)
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1)), "a cell is committed without its output"
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    for long, short in SHORTER.items():
        (cell,) = (cell for cell in notebook.cells if long in cell.source)
        cell.source = cell.source.replace(long, short)
    client = NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": LESSON.parent}},
    )
    client.execute()  # raises CellExecutionError, with the cell and its traceback
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in cells)
    assert not [out for cell in cells for out in cell.outputs if out.output_type == "error"]
    figures = [out for cell in cells for out in cell.outputs if "image/png" in out.get("data", {})]
    assert len(figures) == 5
    last = "".join(out.text for out in cells[-1].outputs if out.output_type == "stream")
    assert "validation R²" in last
