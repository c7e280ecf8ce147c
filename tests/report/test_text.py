"""The summary of a run: a line for each row, whatever its targets are called."""

from __future__ import annotations

from pathlib import Path

from ffn_train.report.text import rows
from ffn_train.runs import load_run
from ffn_train.runs.files import SUMMARY, write_json
from tests.plots.made_up import make_run


def test_targets_are_counted_and_stay_on_their_line(tmp_path: Path) -> None:
    make_run(tmp_path, steps=1)
    names = ["a", "b\nc", "d", "e", "f"]
    for count, more in ((5, "and 1 more target"), (6, "and 2 more targets")):
        scores = {"RMSE": dict.fromkeys([*names, "g"][:count], 1.0)}
        ends = {"gradient_ratio_start": 2.0, "gradient_ratio_end": 2.0}
        write_json(tmp_path / SUMMARY, {"state": "finished", "scores": scores, **ends})
        said = dict(rows(load_run(tmp_path)))
        assert "b c: RMSE 1" in said["other scores"]
        assert said["other scores"].endswith(more)
        assert said["|dL/dx_0| / |dL/dx_L|"] == "2 at step 0"
