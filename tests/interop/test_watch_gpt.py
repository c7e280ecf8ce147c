"""The experiment with a small GPT, at a tiny size."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from ffn_train.compare import Options, collect
from ffn_train.runs import load_run

pytest.importorskip("torch", reason="PyTorch is not installed (extra 'torch')")

GPT = Path(__file__).parents[2] / "experiments" / "watch_gpt" / "gpt.py"


def test_the_four_networks_are_watched_and_compared(tmp_path: Path) -> None:
    main = runpy.run_path(str(GPT))["main"]
    main(["--out", str(tmp_path), "--depth=1", "--width=8", "--steps=4", "--every=2"])
    comparison = collect([tmp_path], Options(), print)
    assert comparison.varied == ["norm", "skip"]
    assert len(comparison.cases) == 4
    for norm in ("pre", "post"):
        with_skip, plain = (load_run(tmp_path / f"{norm}_{kind}") for kind in ("skip", "plain"))
        assert with_skip.measures.has("skip_gradient_rms", "branch_gradient_rms")
        assert not plain.measures.has("skip_gradient_rms")
        assert plain.measures["signal_gradient_rms"].values.shape == (3, 3)
