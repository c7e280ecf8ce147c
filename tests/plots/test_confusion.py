"""The confusion matrix shows which classes are taken for which, whatever they are called."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ffn_train.plots import draw, figure
from ffn_train.runs import Run, RunError, files, load_run
from ffn_train.runs.outputs import Outputs
from tests.plots.made_up import ALL, make_run

TRUE = [0, 0, 0, 0, 1, 1, 1, 2, 2, 2]
CHOSEN = [0, 0, 0, 2, 1, 1, 1, 2, 2, 1]


def classified(path: Path, *names: str, true: list[int], chosen: list[int]) -> Run:
    """A made-up run that puts rows of these classes in those."""
    make_run(path)
    files.write_json(path / files.PROVENANCE, {"kind": "classes", "targets": names})
    probabilities = np.full((len(true), len(names)), 0.1)
    probabilities[np.arange(len(true)), chosen] = 0.8
    if len(names) == 3:
        probabilities[0] = np.nan  # not finite: in no cell
    Outputs(np.arange(len(true)), np.array(true), probabilities).write(path)
    return load_run(path)


def test_one_row_is_right(tmp_path: Path) -> None:
    said = texts(figure(classified(tmp_path, "a", "b", true=[0, 1], chosen=[0, 0]), "confusion"))
    assert "1 of 2 validation rows is right" in said


def texts(drawn: Figure) -> list[str]:
    return [text.get_text() for text in drawn.texts]


def test_it_counts_and_shows_the_share_of_each_true_class(tmp_path: Path) -> None:
    run = classified(tmp_path, "ash", "$x$ _b", "c" * 40, true=TRUE, chosen=CHOSEN)
    drawn = figure(run, "confusion")
    matrix, bar = drawn.axes
    shares = np.array([[2 / 3, 0, 1 / 3], [0, 1, 0], [0, 1 / 3, 2 / 3]])
    np.testing.assert_allclose(matrix.images[0].get_array(), shares)
    counts = {(text.get_position()[::-1], text.get_text()) for text in matrix.texts}
    assert counts == {((0, 0), "2"), ((0, 2), "1"), ((1, 1), "3"), ((2, 1), "1"), ((2, 2), "2")}
    named = [label.get_text() for label in matrix.get_yticklabels()]
    assert named == ["ash", r"\$x\$ _b", "ccccc…ccccc"]
    assert (matrix.get_xlabel(), matrix.get_ylabel()) == ("predicted class", "true class")
    assert [text.get_text() for text in bar.texts] == ["share of\nits class"]
    assert "7 of 10 validation rows are right; 1 is not finite" in texts(drawn)


@pytest.mark.parametrize("count", [2, 3, 12, 45])
def test_its_labels_are_inside_and_apart(tmp_path: Path, count: int) -> None:
    names = [f"a long name {n}" if n % 2 else f"{n}" for n in range(count)]
    true = [*range(count)] * 2
    drawn = figure(classified(tmp_path, *names, true=true, chosen=true), "confusion")
    canvas = FigureCanvasAgg(drawn)
    canvas.draw()
    matrix, _ = drawn.axes
    for labels in (matrix.get_xticklabels(), matrix.get_yticklabels()):
        boxes = [label.get_window_extent() for label in labels]
        assert not any(a.overlaps(b) for a, b in pairwise(boxes))
    inner = [matrix.xaxis.label, matrix.yaxis.label, *drawn.texts]
    inner += [axis.label for axes in drawn.axes for axis in (axes.xaxis, axes.yaxis)]
    for box in (text.get_window_extent() for text in inner if text.get_text()):
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= drawn.bbox.x1
        assert box.y1 <= drawn.bbox.y1
    assert len(matrix.texts) == (count if count <= 20 else 0)


def test_only_runs_of_classes_have_one(tmp_path: Path) -> None:
    notes: list[str] = []
    run = make_run(tmp_path / "numbers")
    assert [path.stem for path in draw(run, notify=notes.append)] == [*ALL]
    assert not notes
    with pytest.raises(
        RunError, match=r"confusion is for classes, and the task of .* is regression"
    ):
        figure(run, "confusion")
    run = classified(tmp_path / "classes", "a", "b", "c", true=TRUE, chosen=CHOSEN)
    assert "confusion" in [path.stem for path in draw(run, notify=notes.append)]
    (run.path / files.PREDICTIONS).unlink()
    draw(run, notify=notes.append)
    assert notes[0].startswith("left out: confusion needs predictions.npz, which")
