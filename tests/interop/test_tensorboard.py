"""TensorBoard's own reader finds every value once, whatever became of the run."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from ffn_train.config.composition import compose
from ffn_train.config.settings import SettingError
from ffn_train.interop.loggers import tensorboard
from ffn_train.running.execution import execute
from ffn_train.running.experiment import build_experiment
from ffn_train.runs import Run, files
from tests.support.small_runs import SMALL

NAME = "events.out.tfevents.0.ffn_train"
EVENTS = pytest.mark.skipif(
    importlib.util.find_spec("tensorboardX") is None
    or importlib.util.find_spec("tensorboard") is None,
    reason="tensorboardX and tensorboard are not installed (extra 'dev')",
)


def trained(path: Path, *overrides: str) -> Run:
    given = [*SMALL, f"run.dir={path}", *overrides]
    return execute(build_experiment(compose(given)), print, progress=False)


def accumulated(run: Path):  # type: ignore[no-untyped-def]
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0, "images": 0})
    events.Reload()
    return events


def values(run: Path, tag: str) -> dict[int, float]:
    """By step, each of which is there once."""
    events = accumulated(run).Scalars(tag)
    assert len({event.step for event in events}) == len(events)
    return {event.step: event.value for event in events}


@EVENTS
def test_it_has_what_the_run_has_and_changes_nothing(tmp_path: Path) -> None:
    logged = trained(
        tmp_path / "logged", "logger=tensorboard", "plot.when=auto", "plot.figures=[loss]"
    )
    plain = trained(tmp_path / "plain", "plot.when=never")
    for name in (files.SCALARS, files.MEASURES, files.WEIGHTS):
        assert (logged.path / name).read_bytes() == (plain.path / name).read_bytes()
    steps = logged.scalars["step"].astype(int).tolist()
    losses = values(logged.path, "loss/training")
    assert list(losses) == steps
    np.testing.assert_allclose(list(losses.values()), logged.scalars["loss"], rtol=1e-6)
    validated = logged.scalars["step"][~np.isnan(logged.scalars["validation_loss"])]
    assert list(values(logged.path, "loss/validation")) == validated.tolist()
    measures = logged.measures
    layers = dict(zip(measures.layers, measures.layer_gradient_norm.T, strict=True))
    for tag, layer in (("input", "input"), ("block 0", "blocks.0"), ("output", "output")):
        written = values(logged.path, f"gradient_norm/{tag}")
        np.testing.assert_allclose(list(written.values()), layers[layer], rtol=1e-6)
    flow = measures["signal_gradient_rms"].values
    ends = ("into block 0", 0), ("out of the last block", -1)
    for tag, place in ends:
        written = values(logged.path, f"signal_gradient_rms/{tag}")
        np.testing.assert_allclose(list(written.values()), flow[:, place], rtol=1e-6)
    events = accumulated(logged.path)
    assert events.Tags()["images"] == ["figures/loss"]
    assert "_hparams_/session_start_info" in events.PluginTagToContent("hparams")
    (text,) = events.Tensors("verdict/text_summary")
    assert b"gradient flow" in text.tensor_proto.string_val[0]


@EVENTS
def test_a_run_that_goes_on_has_each_step_once(tmp_path: Path) -> None:
    run = trained(tmp_path / "run", "logger=tensorboard", "plot.when=never")
    last = int(run.scalars["step"][-1])
    path = run.path / "tensorboard" / NAME
    logger = tensorboard.TensorBoard()
    config = compose(SMALL)
    logger.open(run.path, config, 0)
    for step in range(last):  # and killed in the midst of a record, which the run gives again
        logger.log(step, {"loss": -1.0 if step >= 3 else float(step)}, {})
    logger.file.close()
    path.write_bytes(path.read_bytes()[:-7])
    again = tensorboard.TensorBoard()
    again.open(run.path, config, 3)
    for step in range(3, last + 1):
        again.log(step, {"loss": float(step)}, {})
    again.close("finished")
    assert values(run.path, "loss/training") == {step: step for step in range(last + 1)}
    assert path.parent.is_dir()
    assert [file.name for file in path.parent.iterdir()] == [NAME]


@EVENTS
def test_an_extended_run_has_one_end(tmp_path: Path) -> None:
    trained(tmp_path / "run", "logger=tensorboard", "plot.when=never", "schedule=constant")
    longer = ["logger=tensorboard", "plot.when=never", "schedule=constant", "trainer.steps=30"]
    run = trained(tmp_path / "run", *longer)
    assert list(values(run.path, "loss/training")) == run.scalars["step"].tolist()
    assert len(accumulated(run.path).Tensors("verdict/text_summary")) == 1


def test_its_extra_is_named_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "tensorboardX" else real(name)
    )
    with pytest.raises(SettingError, match=r"needs tensorboardX: pip install 'ffn_train\[tens"):
        trained(tmp_path / "run", "logger=tensorboard")
    assert not (tmp_path / "run").exists()
