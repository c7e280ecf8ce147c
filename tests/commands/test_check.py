"""ffn-train check FILE.py: a file in a process of its own, whatever it does there."""

from __future__ import annotations

from pathlib import Path

import pytest

from ffn_train.commands import check
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


def test_memory_has_a_limit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = MATMUL_LAYER.replace("    X,", "    bytearray(1 << 40)\n    X,")
    assert status_of(source, tmp_path) == 2
    assert "it needs more memory than the limit" in capsys.readouterr().out


def test_a_file_without_functions_or_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of("x = 1", tmp_path) == 2
    assert "it defines none of forward_pass, backward_pass" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        check.main([str(tmp_path / "none.py")])
    assert ended.value.code == 2
    assert "is not a file" in capsys.readouterr().err
