"""ffn-train check FILE.py: a file in a process of its own, whatever it does there."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ffn_train.commands import check
from ffn_train.teach import child
from ffn_train.teach.calls import Call
from tests.teach.planted import MATMUL_LAYER, PLANTED

EXIT = "\nimport os\nprint('backward_pass: right')\nos._exit(0)\n"


def status_of(source: str, folder: Path, *arguments: str) -> int:
    path = folder / "mine.py"
    path.write_text(source, encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        check.main([str(path), *arguments])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_a_right_file_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    part = """
from ffn_train.parts import Activation, Norm, choice
from ffn_train.nn.layers.norms import RMSNorm

@choice("activation", "cubic")
class Cubic(Activation):
    def value(self, z):
        print("prints are not shown")
        return z**3

    def derivative(self, z):
        return 3 * z**2

@choice("norm", "own_rms")
class Mine(Norm):
    placement = "pre"

    def layer(self, width):
        return RMSNorm(width, 1e-6)
"""
    assert status_of(MATMUL_LAYER + part, tmp_path) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[0] for line in lines] == [
        "backward_pass",
        "activation cubic backward",
        "norm own_rms backward",
    ]


def test_a_wrong_file_is_named_and_can_be_checked_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(PLANTED[0].written("einsum"), tmp_path) == 1
    assert "backward_pass: wrong: W for Wᵀ" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (EXIT, "it ended the process (exit status 0) before the check was complete"),
        (MATMUL_LAYER.replace("    X,", "    os._exit(0)\n    X,") + "import os", "ended the"),
        ("while True:\n    pass", "it has not finished after 2 s"),
        ("while True:\n    print('right' * 1000)", "it prints more than 1 MB"),
        (
            "import os\nfor n in range(3, 9):\n"
            "    try: os.write(n, b'right' * 9)\n    except OSError: pass",
            "its answer cannot be read",
        ),
    ],
    ids=["exit", "exit when called", "hanging", "flooding", "forging"],
)
def test_a_file_that_does_not_answer_costs_one_line(
    source: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = ("--seconds", "2") if "finished" in says else ()
    assert status_of(source, tmp_path, *seconds) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert says in errors
    assert errors.count("\n") == 1


def test_the_limit_is_of_the_time_that_the_file_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that moves between the calls, and then within each of them."""
    path, now, tick = tmp_path / "mine.py", 0.0, 0.0

    def clock() -> float:
        nonlocal now
        now += tick
        return now

    path.write_text("def forward(x):\n    return x", encoding="utf-8")
    monkeypatch.setattr(child, "time", SimpleNamespace(monotonic=clock))
    with child.Child(path, 1000.0) as started:
        call = Call("forward", [np.ones(2)])
        for _ in range(3):
            now += 900
            assert started.call(call).error is None
        tick = 600
        assert started.call(call).error is None
        with pytest.raises(child.Unanswered, match="it has not finished after 1000 s"):
            started.call(call)


def test_memory_has_a_limit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = MATMUL_LAYER.replace("    X,", "    bytearray(3 << 30)\n    X,")
    assert status_of(source, tmp_path) == 2
    assert "it runs out of memory: a file that is checked has 2 GB" in capsys.readouterr().out


CALLABLE = """
from functools import partial
import numpy as np

class Layer:
    def forward(self, x, W, b):
        self.kept = x, W, b
        return np.tanh(x @ W.T + b)

    def backward(self, dy):
        x, W, b = self.kept
        dz = dy * (1 - np.tanh(x @ W.T + b) ** 2)
        return dz.T @ x, dz.sum(0), dz @ W

class Power:
    def __call__(self, x):
        return x**3

layer = Layer()
forward, backward = layer.forward, layer.backward
cube, cube_backward = Power(), partial(lambda n, dy, x: n * dy * x**2, 3)
"""


def test_methods_objects_and_partials_are_functions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(CALLABLE, tmp_path) == 0
    lines = capsys.readouterr().out.splitlines()
    names = [line.partition(": ")[0] for line in lines]
    assert names == ["backward", "Layer.backward", "cube_backward"]


def test_a_process_that_is_left_behind_does_not_hold_up_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    left = tmp_path / "pid"
    source = f"""
import os, pathlib, time
if os.fork() == 0:
    os.setsid()
    pathlib.Path({str(left)!r}).write_text(str(os.getpid()))
    time.sleep(60)
    os._exit(0)
while True:
    time.sleep(1)
"""
    began = time.monotonic()
    try:
        assert status_of(source, tmp_path, "--seconds", "4") == 2
        assert "it has not finished after 4 s" in capsys.readouterr().err
        assert time.monotonic() - began < 30
    finally:
        os.kill(int(left.read_text()), signal.SIGKILL)


def test_a_file_without_functions_or_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of("x = 1", tmp_path) == 2
    assert "it defines none of forward_pass, backward_pass" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        check.main([str(tmp_path / "none.py")])
    assert ended.value.code == 2
    assert "is not a file" in capsys.readouterr().err
    notebook = tmp_path / "mine.ipynb"
    notebook.write_text("{}", encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        check.main([str(notebook)])
    assert ended.value.code == 2
    assert "is a notebook: call ffn_train.check_gradients" in capsys.readouterr().err


UNRECOGNISED = """
def forward(x, scale):
    return x.reshape(2, 7) * scale.reshape(2, 7)
def backward(dy, x, scale):
    return (dy * x.reshape(2, 7)).reshape(14), (dy * scale.reshape(2, 7)).reshape(14)
"""


def test_shapes_that_no_array_has_cost_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    right = {"x": (14,), "scale": (14,)}
    assert status_of(f"shapes = {right}{UNRECOGNISED}", tmp_path) == 0
    assert status_of(f"shapes = {right | {'x': (-1, 3)}}{UNRECOGNISED}", tmp_path) == 2
    said = "mine.py cannot be checked: shapes: x must be a tuple of integers >= 1, got (-1, 3)\n"
    assert capsys.readouterr().err.endswith(said)
    assert status_of(f"shapes = {{'note': 'abc'}}\n{MATMUL_LAYER}", tmp_path) == 0


def test_what_is_mapped_and_not_written_counts_little(tmp_path: Path) -> None:
    mapped = "import mmap\nlarge = mmap.mmap(-1, 3 << 30, mmap.MAP_PRIVATE, mmap.PROT_READ)\n"
    assert status_of(mapped + MATMUL_LAYER, tmp_path) == 0


@pytest.mark.parametrize("seconds", ["abc", "nan", "0", "3601"])
def test_a_limit_that_is_not_one_costs_one_line(
    seconds: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(MATMUL_LAYER, tmp_path, "--seconds", seconds) == 2
    said = f"ffn_train.check: --seconds must be a number in (0, 3600], got {seconds!r}\n"
    assert capsys.readouterr().err == said
