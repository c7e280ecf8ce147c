"""Exported runs: networks that predict as the run does, tables, event files, and refusals."""

from __future__ import annotations

import csv
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import ffn_train
from ffn_train.commands import export
from ffn_train.config import outside, registry
from ffn_train.config.composition import compose
from ffn_train.interop.export import NEEDS, source
from ffn_train.interop.loggers import tensorboard
from ffn_train.running.execution import execute
from ffn_train.running.experiment import build_experiment
from ffn_train.runs import files
from ffn_train.using.run import Run, load_run
from tests.interop.exported import (
    TOLERANCE,
    batches,
    differences,
    doors,
    in_onnx,
    in_torch,
    network,
)

README = Path(ffn_train.__file__).parent / "interop" / "README.md"
OLD_RUNS = Path(__file__).parent.parent / "old_runs"
SMALL = (
    *("model.depth=2", "model.width=8", "trainer.steps=2", "trainer.batch_size=8"),
    *("evaluate.every=1", "measure.every=1", "plot.when=never", "threads=1"),
)
MODULES = ("torch", "onnx", "onnxruntime", "pyarrow", "tensorboardX", "tensorboard")
LACKING = [name for name in MODULES if importlib.util.find_spec(name) is None]
NETWORKS = pytest.mark.skipif(
    bool({"torch", "onnx", "onnxruntime"} & {*LACKING}), reason=f"not installed: {LACKING}"
)
TABLES = pytest.mark.skipif(
    bool({"pyarrow", "tensorboardX", "tensorboard"} & {*LACKING}),
    reason=f"not installed: {LACKING}",
)


def trained(path: Path, *overrides: str, frame: pd.DataFrame | None = None) -> Run:
    config = compose([*SMALL, *overrides, f"run.dir={path}"])
    if frame is not None:
        config["task"]["path"] = None
    execute(build_experiment(config, frame=frame), lambda _: None)
    return load_run(path)


def table() -> pd.DataFrame:
    """Columns of every kind, with missing cells and a rare word."""
    rng, rows = np.random.default_rng(0), 40
    frame = pd.DataFrame(
        {
            "length": rng.normal(50, 9, rows),
            'the "colour"': rng.choice(["red", "blue", "green"], rows),
            "when": pd.date_range("2020-01-01", periods=rows, freq="25D").strftime("%Y-%m-%d"),
            "flag": rng.choice(["yes", "no"], rows),
            "y": rng.normal(1000, 30, rows),
            "z": rng.normal(0, 0.01, rows),
            "kind": rng.choice(["high", "mid", "low"], rows),
        }
    )
    frame.loc[3::7, "length"] = np.nan
    frame.loc[5::9, 'the "colour"'] = np.nan
    frame.loc[0, 'the "colour"'] = "violet"
    return frame


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of two targets, whose best weights are not its last, and of classes."""
    folder, frame = tmp_path_factory.mktemp("runs"), table()
    both = ["task=table", "optimizer.lr=3"]
    targets = ["task.target=[y,z]", "task.drop=[kind]", "block=swiglu", "norm=post_layer"]
    run = trained(folder / "targets", *both, *targets, "trainer.keep=best", "seed=1", frame=frame)
    assert run.summary is not None
    assert run.summary.kept_step == 0
    classes = ["task.target=kind", "task.drop=[y,z]", "residual=rezero", "norm=pre_rms"]
    trained(folder / "classes", *both, *classes, "dtype=float64", frame=frame)
    return folder


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line that the command ends with."""
    with pytest.raises(SystemExit) as ended:
        export.main([str(argument) for argument in arguments])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line.removeprefix("ffn_train.export: ")


@NETWORKS
def test_networks_give_what_the_model_predicts(combination: dict[str, str], tmp_path: Path) -> None:
    seed = sum(map(len, combination.values()))
    model = network(combination, classes=seed % 2 == 0, seed=seed)
    networks = doors(model, tmp_path)
    for batch, x in batches(model, seed).items():
        for to, size in differences(model, networks, x).items():
            assert size <= TOLERANCE, (to, batch)


@NETWORKS
@pytest.mark.parametrize("norm", ["pre_layer", "post_rms"])
def test_a_norm_of_rows_whose_squares_overflow(norm: str, tmp_path: Path) -> None:
    names = {"activation": "gelu", "block": "feedforward", "residual": "identity", "norm": norm}
    model = network(names, classes=False)
    x = batches(model)["usual"] * 1e25
    assert max(differences(model, doors(model, tmp_path), x).values()) <= TOLERANCE


@NETWORKS
@pytest.mark.parametrize(
    ("name", "weights"), [("targets", "best"), ("targets", "last"), ("classes", None)]
)
def test_a_tables_run(name: str, weights: Any, runs: Path, tmp_path: Path) -> None:
    run, chosen = load_run(runs / name), ["--weights", weights] if weights else []
    for to, out in {"torch": "net.py", "onnx": "net.onnx"}.items():
        export.main([str(run.path), "--to", to, "--out", str(tmp_path / out), *chosen])
    model, frame = run.model(weights), table()
    coded = model.columns.encode(frame)
    assert (tmp_path / "net.json").read_bytes() == (run.path / files.DATA).read_bytes()
    coding = json.loads((tmp_path / "net.json").read_text())
    assert coding["inputs"] == [*model.columns.names]
    predicted = model.predict(frame).frame
    expected = predicted[predicted.columns[-len(model.outputs) :]].to_numpy(np.float64)
    content = (tmp_path / "net.onnx").read_bytes()
    for apply in (in_torch(tmp_path / "net.py"), in_onnx(content)):
        error = np.abs(apply(coded) - expected) / np.abs(expected).max(axis=0)
        assert error.max() <= TOLERANCE
    if name == "targets":
        other = run.predict(frame, "last" if weights == "best" else "best")
        assert not np.allclose(expected, other)


@NETWORKS
def test_a_graph_is_valid_and_names_its_columns(runs: Path, tmp_path: Path) -> None:
    import onnx

    model = load_run(runs / "classes").model()
    export.main([str(runs / "classes"), "--to", "onnx", "--out", str(tmp_path / "net.onnx")])
    whole = onnx.load(tmp_path / "net.onnx")
    onnx.checker.check_model(whole, full_check=True)
    columns = {entry.key: json.loads(entry.value) for entry in whole.metadata_props}
    assert columns == {"inputs": [*model.columns.names], "probabilities": ["high", "low", "mid"]}


@NETWORKS
def test_the_documented_program_predicts(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(runs / "targets", "outputs/table")
    export.main(["outputs/table", "--to", "onnx"])
    capsys.readouterr()
    (program,) = re.findall(r"^(# my_predictions\.py\n.*?)^```$", README.read_text(), re.M | re.S)
    exec(program, {})
    assert re.fullmatch(r"{'y': .*, 'z': .*}\n", capsys.readouterr().out)


@pytest.mark.skipif(shutil.which("ruff") is None, reason="ruff is not installed (extra 'dev')")
def test_the_source_is_what_a_linter_and_a_formatter_accept(runs: Path, tmp_path: Path) -> None:
    for name in ("targets", "classes"):
        text = source.source(load_run(runs / name).model())
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        assert "ffn_train" not in text.partition('"""\n')[2]
    assert "LayerNorm" in (tmp_path / "targets.py").read_text()
    for arguments in (["check", "-q"], ["format", "-q", "--diff"]):
        done = subprocess.run(
            ["ruff", *arguments, "--isolated", "--no-cache", tmp_path],
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stdout) == (0, "")


def test_the_table_has_each_value_once(runs: Path, tmp_path: Path) -> None:
    run = load_run(runs / "targets")
    export.main([str(run.path), "--to", "csv", "--out", str(tmp_path / "records.csv")])
    with (tmp_path / "records.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    keys = [tuple(row[name] for name in ("step", "quantity", "block", "tensor")) for row in rows]
    assert len({*keys}) == len(keys)
    values = {key: float(row["value"]) for key, row in zip(keys, rows, strict=True)}
    assert values["2", "loss", "", ""] == run.scalars["loss"][-1]
    weight, names = run.measures["weight_norm"], [t.name for t in run.measures.tensors]
    at = names.index("blocks.1.up.weight")
    assert values["1", "weight_norm", "1", names[at]] == weight.values[1, at]
    assert (
        values["1", "weight_norm", "", "output.bias"]
        == weight.values[1, names.index("output.bias")]
    )
    assert values["0", "signal_rms", "2", ""] == run.measures["signal_rms"].values[0, 2]
    assert ("2", "update_norm", "", "output.bias") not in values  # no update follows
    units = {row["unit"] for row in rows if "loss" in row["quantity"]}
    assert units == {"squared standard deviations of the targets"}
    assert not any(row["quantity"] == "step" for row in rows)


@TABLES
def test_a_number_that_is_not_finite_is_one_and_what_does_not_apply_is_none(tmp_path: Path) -> None:
    from pyarrow import parquet

    run = OLD_RUNS / "runs" / "diverged"
    for to in ("csv", "parquet"):
        export.main([str(run), "--to", to, "--out", str(tmp_path / f"records.{to}")])
    with (tmp_path / "records.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    last = {
        row["quantity"]: row["value"] for row in rows if row["step"] == "1" and row["per"] == "run"
    }
    evaluated = ("loss", "gradient_norm", "validation_loss", "validation_score")
    assert last == dict.fromkeys(evaluated, "nan")  # and no update, of which lr is a part
    other = parquet.read_table(tmp_path / "records.parquet").to_pylist()
    as_text = [{name: "" if v is None else str(v) for name, v in row.items()} for row in other]
    assert as_text == rows


@TABLES
def test_event_files_are_those_of_the_logger(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = trained(tmp_path / "run", "logger=tensorboard")
    logged, name = run.path / tensorboard.FOLDER, tensorboard.FILE
    export.main([str(run.path), "--to", "tensorboard", "--out", str(tmp_path / "events")])
    assert [path.name for path in (tmp_path / "events").iterdir()] == [name]
    both = []
    for folder in (logged, tmp_path / "events"):
        events = EventAccumulator(str(folder))
        events.Reload()
        scalars = {tag: events.Scalars(tag) for tag in events.Tags()["scalars"]}
        both.append({tag: [(e.step, e.value) for e in values] for tag, values in scalars.items()})
        assert len(events.Tensors("verdict/text_summary")) == 1
    assert both[0] == both[1]
    assert {event.wall_time for event in events.Scalars("loss/training")} == {
        datetime.fromisoformat(str(run.provenance.started)).timestamp()
    }
    main = tmp_path / "events" / name
    before = main.read_bytes()
    again = ["export", str(run.path), "--to", "tensorboard", "--out", str(tmp_path / "events")]
    subprocess.run([sys.executable, "-m", "ffn_train", *again], check=True)
    assert main.read_bytes() == before
    assert [step for step, _ in both[0]["loss/training"]] == [0, 1, 2]


@TABLES
@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"GIF89a" * 9])
def test_a_figure_that_is_damaged_is_named(
    content: bytes, runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(runs / "targets", tmp_path / "run"))
    (run / files.PLOTS).mkdir()
    (run / files.PLOTS / "loss.png").write_bytes(content)
    line = refused(capsys, run, "--to", "tensorboard")
    assert line == f"{run}/plots/loss.png: it is not a PNG figure"


@NETWORKS
def test_what_exists_is_replaced_by_nothing_else(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs / "targets", run)
    before = {path.name for path in run.iterdir()}
    for to in ("torch", "onnx", "onnx"):  # of which both have the coding of columns beside them
        export.main([str(run), "--to", to])
    assert {path.name for path in run.iterdir()} - before == {
        *("model.py", "model.safetensors", "model.json", "model.onnx")
    }
    assert capsys.readouterr().out.splitlines()[-1] == str(run / "model.onnx")
    content = (run / "model.onnx").read_bytes()
    line = refused(capsys, run, "--to", "onnx", "--weights", "last")
    assert line == f"{run}/model.onnx exists; remove it, or name another file by --out"
    assert (run / "model.onnx").read_bytes() == content
    assert "weights.safetensors exists" in refused(
        capsys, run, "--to", "torch", "--out", run / "weights.py"
    )
    load_run(run).weights()


@pytest.mark.parametrize("to", NEEDS)
def test_an_extra_that_is_not_installed_is_named(
    to: str, runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ffn_train.interop.export.find_spec", lambda name: None)
    line = refused(capsys, runs / "targets", "--to", to)
    assert line == f"--to {to} needs pip install 'ffn_train[{to}]'"


def test_what_cannot_be_exported_is_named(
    runs: Path, parts_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(Path(__file__).parent.parent / "contributed/parts/softplus.py", "own.py")
    trained(Path("own"), "parts=[own.py]", "activation=softplus")
    line = "--to torch has no counterpart of activation=softplus"
    assert refused(capsys, "own", "--to", "torch", "--parts", "own.py") == line
    registry.forget(outside._module("own.py", outside._loaded.pop("own.py")))
    assert refused(capsys, "own", "--to", "torch") == line

    with ffn_train.record(
        "recorded", tensors={"w": (2,)}, blocks=["w"], quantities=["weight_norm"], config={"lr": 1}
    ) as recorded:
        recorded.log(0, {"loss": 1.0}, {"weight_norm": [1.0]})
    assert "was recorded by another program" in refused(capsys, "recorded", "--to", "torch")
    export.main(["recorded", "--to", "csv"])
    assert "0,weight_norm,tensor,0,w,1.0," in Path("recorded/records.csv").read_text()

    run = runs / "targets"
    shutil.copytree(run, "bare")
    Path("bare/weights.safetensors").unlink()
    assert "bare/weights.safetensors" in refused(
        capsys, "bare", "--to", "torch", "--weights", "last"
    )
    assert refused(capsys, run, "--to", "csv", "--weights", "last") == (
        "--weights is for --to torch or onnx, got --to csv"
    )
    assert refused(capsys, run, "--to", "torch", "--out", "net.txt") == (
        "--to torch needs an --out that ends in .py, got net.txt"
    )
    assert "no_such/x.csv" in refused(capsys, run, "--to", "csv", "--out", "no_such/x.csv")
