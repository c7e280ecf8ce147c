"""The file of a page: what it holds, what it admits, and that it is the same for the same run."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ffn_train.view
from ffn_train import load_run
from ffn_train.runs import Run
from ffn_train.view import Inline, page, run_content, run_page
from ffn_train.view.packing import Blocks
from ffn_train.view.page import SCRIPTS
from ffn_train.view.run_content import MOST_ROWS
from tests.support.made_measures import with_values

HERE = Path(ffn_train.view.__file__).parent


def unpacked(packed: dict[str, Any], texts: list[str]) -> Any:
    planes = np.frombuffer(zlib.decompress(base64.b64decode(texts[packed["block"]])), np.uint8)
    size = packed["bytes"]
    values = np.ascontiguousarray(planes.reshape(size, -1).T).view(f"<f{size}")
    return values.reshape(packed["shape"])


def test_arrays_are_packed_as_float32_unless_that_would_lose_some() -> None:
    blocks = Blocks()
    usual = np.array([[0.0, 1 / 3, np.nan], [np.inf, -2.0, 1e-30]])
    tiny = np.array([1e-200, 1.0])
    steps = np.array([1.0, 2.0**24 + 1])
    packed = [blocks.add(usual), blocks.add(tiny), blocks.add(steps, exact=True), blocks.add(usual)]
    assert [each["bytes"] for each in packed] == [4, 8, 8, 4]
    assert packed[0] == packed[3]
    assert len(blocks.texts) == 3
    np.testing.assert_array_equal(unpacked(packed[0], blocks.texts), usual.astype(np.float32))
    np.testing.assert_array_equal(unpacked(packed[1], blocks.texts), tiny)
    np.testing.assert_array_equal(unpacked(packed[2], blocks.texts), steps)
    signalling = np.array([0x7FF0000000000001], np.uint64).view(np.float64)
    assert np.isnan(unpacked(blocks.add(signalling), blocks.texts)).all()


def test_the_same_run_gives_the_same_bytes(small_run: Run) -> None:
    assert run_page(small_run) == run_page(ffn_train.load_run(small_run.path))


def test_a_long_run_is_thinned_to_what_a_screen_shows(small_run: Run) -> None:
    rng = np.random.default_rng(0)
    tensors = len(small_run.measures.tensors)
    rows = 3 * MOST_ROWS
    measures = with_values(small_run.measures, gradient_norm=rng.random((rows, tensors)))
    loss = rng.random(20 * MOST_ROWS)
    loss[777], loss[5555] = 9.0, np.nan
    scalars = {"step": np.arange(len(loss)).astype(float), "loss": loss}
    header, texts = run_content(replace(small_run, measures=measures, scalars=scalars))
    assert header["measured"] == {"all": rows, "shown": MOST_ROWS}
    (column,) = (each for each in header["scalars"] if each["name"] == "loss")
    shown = unpacked(column["x"], texts)
    assert len(shown) <= 2 * MOST_ROWS + 2
    assert {0, 777, len(loss) - 1} <= {*shown}
    (norms,) = (each for each in header["quantities"] if each["name"] == "gradient_norm")
    assert norms["steps"][0] == 0
    assert norms["steps"][-1] == rows - 1


def test_rows_after_a_step_are_those_of_later_steps(small_run: Run) -> None:
    header, texts = run_content(small_run, after=3)
    for quantity in header["quantities"]:
        series = small_run.measures[quantity["name"]]
        later = series.step > 3
        assert quantity["steps"] == series.step[later].tolist()
        values = unpacked(quantity["values"], texts)
        np.testing.assert_array_equal(values, series.values[later].astype(values.dtype))
    for column in header["scalars"]:
        assert (unpacked(column["x"], texts) > 3).all()
    assert "settings" not in header


HOSTILE = "</script><img src=x onerror=alert(1)><!--"


def test_names_are_never_markup() -> None:
    made = page("run", HOSTILE, {"name": HOSTILE}, [])
    assert "<img" not in made
    assert made.count("<!--") == 1  # uPlot's licence
    assert json.loads(re.search(r'id="header">(.*)</script>', made)[1]) == {"name": HOSTILE}  # type: ignore[index]


def test_a_name_that_is_not_utf_8_is_written_in_a_form_that_is() -> None:
    made = page("run", "r\udcff", {"name": "r\udcff"}, []).encode()
    assert rb"<title>r\udcff</title>" in made
    assert rb'id="header">{"name":"r\udcff"}</script>' in made


@pytest.mark.parametrize("kind", SCRIPTS)
def test_a_page_admits_its_own_style_and_scripts_alone(kind: Any) -> None:
    made = page(kind, "a page", {}, ["AAAA"])
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', made)
    assert policy is not None
    parts = re.findall(r"<(?:script|style)>(.*?)</(?:script|style)>", made, re.S)
    digests = [base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for part in parts]
    assert set(re.findall(r"'sha256-([^']+)'", policy[1])) == set(digests)
    assert "default-src 'none'" in policy[1]
    assert "unsafe" not in policy[1]
    assert "connect-src" not in policy[1]
    assert "connect-src 'self'" in page(kind, "a page", {"live": {"address": "rows"}}, [])
    assert (HERE / "uplot" / "LICENSE").read_text() in made


def test_a_notebook_shows_the_whole_page_in_a_frame(small_run: Run) -> None:
    shown = load_run(small_run.path).view()
    assert isinstance(shown, Inline)
    assert repr(shown) == "Inline(height=900)"
    frame = shown._repr_html_()
    assert re.search(r'srcdoc="[^"]*Content-Security-Policy[^"]*"', frame)
    assert "src=" not in frame.replace("srcdoc=", "").partition(">")[0]


def test_uplot_is_the_released_one() -> None:
    folder = HERE / "uplot"
    known = json.loads((folder / "VERSION.json").read_text())
    for name, digest in known["sha256"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert {*known["sha256"], "VERSION.json"} == {path.name for path in folder.iterdir()}
    assert f"(v{known['version']})" in (folder / "uPlot.iife.min.js").read_text()[:80]


def test_every_script_is_type_checked_and_used() -> None:
    configured = json.loads((HERE / "tsconfig.json").read_text())["files"]
    ours = {path.stem for path in (HERE / "page").glob("*.js")}
    assert {Path(name).stem for name in configured if name.startswith("page/")} == ours
    assert {name for names in SCRIPTS.values() for name in names} == ours
