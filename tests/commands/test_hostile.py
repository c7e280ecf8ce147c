"""Hostile input: overrides and run directories that nobody should have written."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from safetensors.numpy import save

from ffn_train.commands import train
from ffn_train.config.composition import compose
from ffn_train.config.settings import SettingError
from ffn_train.running.experiment import build_experiment
from ffn_train.runs import Run, RunError, load_run
from ffn_train.sweep.run import check
from tests.support.small_runs import config, run_in
from tests.support.unsealed import unseal

KEYS = [
    *("seed", "dtype", "threads", "model", "model.depth", "model.width", "model.expansion"),
    *("trainer.steps", "trainer.batch_size", "trainer.clip", "trainer.patience", "trainer"),
    *("measure.every", "measure.limit", "evaluate.every", "log.every", "checkpoint.every"),
    *("activation", "block", "residual", "residual.scale", "residual.power", "norm", "init"),
    *("init.bias_std", "task", "task.rows", "task.inputs", "task.noise", "task.validation"),
    *("loss", "optimizer", "optimizer.lr", "optimizer.momentum", "optimizer.nesterov"),
    *("schedule", "schedule.final", "schedule.warmup", "plot.when", "plot.figures"),
    *("plot.formats", "run.dir", "experiment", "nothing", "model.dpeth", "optimizer.beta1"),
    *("run", "sweep", "sweep.dir", "sweep.grid", "sweep.search", "sweep.zip", "parts", "resume"),
    *("hydra", "hydra.launcher", "hydra.launcher.n_jobs", "hydra/launcher", "hydra.searchpath"),
]
SWEPT = ["glob(*)", "range(0,inf)", "range(3,1)", "range(0,9,0)", "shuffle(range(0,3))"]
SWEPT += ["interval(1,0)", "interval(0,1)", "tag(log,interval(0,1))", "choice(1,2)", "none,scaled"]
VALUES = st.one_of(
    st.integers(-10, 40).map(str),
    st.sampled_from(
        [
            *("0", "-1", "1e9", "10000000000000000000000", "1e400", "nan", "inf", "-inf", "0.5"),
            *(
                "null",
                "true",
                "false",
                "''",
                "[]",
                "{}",
                "[1,2]",
                "{a: 1}",
                "{a:1}",
                "a b",
                "../../x",
            ),
            *("${oc.env:HOME}", "${seed}", "${nothing}", "$(touch x)", "__import__('os')", "???"),
            *("he", "lecun", "fixup", "deepnorm", "gelu", "relu", "none", "identity", "scaled"),
            *("rezero", "pre_layer", "post_layer", "csv", "teacher", "adam", "huber", "swiglu"),
            *("1e-50", "1e39", "'~nobodyx/zz'", "9" * 60, "9" * 5000, "[" * 900, "\x1b[31m"),
            *("{seed:[1,2]}", "{_target_:os.system}", "[[seed,3]]", "[seed,seed]", "serial"),
            *SWEPT,
            *("'" * 3, '"', "\\", "=", "é", "\u202e", "x" * 300, "1_0", "0x10", ".5", "1.", "+3"),
            "/".join(["x" * 300, "y.py"]),
        ]
    ),
    st.text(max_size=8).filter(lambda text: "\0" not in text),
)
OVERRIDES = st.lists(
    st.builds(
        lambda prefix, key, value: f"{prefix}{key}={value}",
        st.sampled_from(["", "", "", "+", "++", "~"]),
        st.sampled_from(KEYS),
        VALUES,
    ),
    min_size=1,
    max_size=3,
)


@pytest.mark.slow
@given(overrides=OVERRIDES)
@examples(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_overrides_build_a_run_or_give_one_line(
    overrides: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("here")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        try:
            experiment = build_experiment(compose(["task.rows=40", *overrides]))
        except SettingError as error:
            assert "\n" not in str(error), overrides
            assert str(error).strip(), overrides
        else:
            assert np.isfinite(experiment.params.vector).all()
        assert not list(path.iterdir()), overrides


@pytest.mark.slow
@given(overrides=OVERRIDES)
@examples(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_command_exits_with_2_or_trains(
    overrides: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("here")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        small = ["trainer.steps=1", "trainer.batch_size=4", "model.depth=1", "model.width=2"]
        small += ["task.rows=40", "plot.when=never"]
        wild = [o for o in overrides if "run.dir" not in o and not o.startswith("-")]
        patch.setattr(sys, "argv", ["ffn_train", *small, *wild])
        try:
            train.main()
        except SystemExit as ended:
            assert ended.code == 2, wild
            assert not (path / "outputs").exists(), wild


@pytest.mark.slow
@given(overrides=OVERRIDES)
@examples(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_sweep_is_checked_or_refused_in_one_line(overrides: list[str]) -> None:
    small = ["model.depth=1", "model.width=2", "task.rows=40", "trainer.batch_size=4"]
    try:
        assert check([*small, *overrides]).entries
    except SettingError as error:
        assert "\n" not in str(error), overrides


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "run"
    run_in(path, config())
    return path


def read_all(path: Path) -> Run:
    run = load_run(path)
    run.weights()
    return run


HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "a pickle": b"\x80\x04\x95\x1b\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94",
    "deep JSON": b"[" * 100_000,
    "a JSON list": b"[1, 2]",
    "JSON of other types": b'{"tensors": 3, "depth": [], "state": {}}',
    "another table": b"step,loss\n1\n2,3,4\n",
    "bytes": bytes(range(256)) * 20,
    "an array of objects' header": b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, "
    b"'shape': (3,), }".ljust(118)
    + b"\n",
    "an array larger than any memory": b"\x93NUMPY\x01\x00v\x00"
    + b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999,), }".ljust(117)
    + b"\n",
    "tensors with a path for a name": save({"../../escape": np.zeros(3)}),
    "a header that promises too much": (2**62).to_bytes(8, "little") + b"{}",
}


@pytest.mark.parametrize("content", HOSTILE)
@pytest.mark.parametrize(
    "name",
    [
        *("config.json", "provenance.json", "layout.json", "summary.json", "status.json"),
        *("scalars.csv", "measures.npy", "weights.safetensors", "theory.json"),
    ],
)
def test_a_hostile_file_is_named_or_harmless(
    name: str, content: str, finished: Path, tmp_path: Path
) -> None:
    path = unseal(Path(shutil.copytree(finished, tmp_path / "copy")))
    (path / name).write_bytes(HOSTILE[content])
    try:
        read_all(path)
    except RunError as error:
        assert name in str(error)
        assert "\n" not in str(error)
    assert {p.name for p in tmp_path.iterdir()} == {"copy"}


@pytest.mark.parametrize("name", ["measures.npy", "weights.safetensors", "scalars.csv"])
def test_every_truncation_is_named_or_read(name: str, finished: Path, tmp_path: Path) -> None:
    path = unseal(Path(shutil.copytree(finished, tmp_path / "copy")))
    content = (path / name).read_bytes()
    for length in range(0, len(content), max(1, len(content) // 40)):
        (path / name).write_bytes(content[:length])
        try:
            read_all(path)
        except RunError as error:
            assert name in str(error)


def test_what_a_directory_names_is_never_imported(finished: Path, tmp_path: Path) -> None:
    path = unseal(Path(shutil.copytree(finished, tmp_path / "copy")))
    (tmp_path / "evil.py").write_text("raise SystemExit('imported')")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        bait = {"_target_": "evil.run", "name": "evil", "__class__": "evil.Run"}
        for name in ("config.json", "provenance.json", "summary.json"):
            content = json.loads((path / name).read_text())
            (path / name).write_text(json.dumps({**content, **bait, "model": bait}))
        run = read_all(path)
        assert run.config["_target_"] == "evil.run"
        with pytest.raises(SettingError, match="holds another run"):
            run_in(path, config())
    assert "evil" not in sys.modules


def test_other_runs_are_still_read(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "good")
    shutil.copytree(finished, tmp_path / "bad")
    (tmp_path / "bad" / "measures.npy").write_bytes(b"")
    read = {}
    for path in tmp_path.iterdir():
        try:
            read[path.name] = load_run(path)
        except RunError as error:
            assert str(path) in str(error)
    assert set(read) == {"good"}
