"""The exercises: unsolved, each check says what is missing; solved, each says right."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from ffn_train.config import places

EXERCISES = places.EXPERIMENTS / "manual_backprop" / "exercises.ipynb"

SOLUTIONS = {
    "forward_pass": "return activation_fn(x @ W.T + b)",
    "backward_pass": """
    dz = dy * activation_grad_fn(x @ W.T + b)
    rows = np.atleast_2d(dz)
    return rows.T @ np.atleast_2d(x), rows.sum(axis=0), dz @ W""",
    "backprop_two_layer": """
    h = forward_pass(x, W1, b1, activation_fn)
    dW2, db2, dh = backward_pass(dy, h, W2, b2, None, np.ones_like)
    dW1, db1, dx = backward_pass(dh, x, W1, b1, activation_fn, activation_grad_fn)
    return dW1, db1, dW2, db2, dx""",
    "residual_backward": "return dout.copy(), dout.copy()",
    "block_backward": """
    skip, branch = residual_backward(dout)
    slope = lambda z: 1 - np.tanh(z) ** 2
    *dweights, dx = backprop_two_layer(x, W1, b1, W2, b2, np.tanh, slope, branch)
    return *dweights, skip + dx""",
}
RETURNED = ("y", "dW, db and dx", "dW1, db1, dW2, db2 and dx", "dx_input and dx_ffn")


def answers(solutions: dict[str, str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What the checks print; a solution takes a stub's place."""
    namespace: dict[str, object] = {"__name__": "__main__"}
    for cell in nbformat.read(EXERCISES, as_version=4).cells:
        if cell.cell_type != "code":
            continue
        source = cell.source
        for name, solution in solutions.items():
            if f"def {name}(" in source:
                source = source.replace("raise NotImplementedError", solution)
        exec(compile(source, EXERCISES.name, "exec"), namespace)
    return capsys.readouterr().out.splitlines()


def test_an_unsolved_exercise_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the notebook needs no other file
    returned = (*RETURNED, RETURNED[2])
    assert answers({}, capsys) == [
        f"{name}: cannot be checked: not written yet; it must return {tensors}"
        for name, tensors in zip(SOLUTIONS, returned, strict=True)
    ]


def test_the_solved_exercises_are_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    printed = answers(SOLUTIONS, capsys)
    assert [line.partition(": ")[0] for line in printed] == [*SOLUTIONS]
    assert all(": right: " in line for line in printed)


def test_the_exercises_are_kept_unsolved() -> None:
    cells = [c for c in nbformat.read(EXERCISES, as_version=4).cells if c.cell_type == "code"]
    assert sum("raise NotImplementedError" in cell.source for cell in cells) == len(SOLUTIONS)
    assert not any(cell.outputs or cell.execution_count for cell in cells)
