"""Networks of every combination of choices, exported and run by PyTorch and onnxruntime."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ffn_train.gradcheck import random_parameters
from ffn_train.interop.export import graph, source
from ffn_train.nn.core import Array
from ffn_train.nn.losses.mse import MSE
from ffn_train.tasks.scores import R2, Accuracy
from ffn_train.tasks.tabular.columns import Column, Columns
from ffn_train.using.model import Model, Scale
from tests.support.choices import tiny

Apply = Callable[[Array], Array]
TOLERANCE = 1e-5  # of the largest output


def network(
    names: dict[str, str], *, classes: bool, dtype: str = "float32", seed: int = 0
) -> Model:
    """A model of these choices with random parameters, 3 inputs and 2 targets or classes."""
    stack, rng = tiny(names, depth=2), np.random.default_rng(seed)
    params = stack.layout.zeros(dtype)
    params.vector[...] = random_parameters(stack, rng).vector
    return Model(
        stack=stack,
        params=params,
        loss=MSE(),
        score=Accuracy() if classes else R2(),
        columns=Columns(tuple(Column(name, "number") for name in ("a", "b", "c")), ("p", "q")),
        outputs=("p", "q"),
        scale=Scale(
            np.array([5.0, -0.01, 20_000.0]),
            np.array([2.0, 0.003, 300.0]),
            np.array([0.0, 40.0]),
            np.array([1.0, 3.0]),
        ),
        source={},
    )


def batches(model: Model, seed: int = 0) -> dict[str, Array]:
    """Usual rows, rows up to a million standard deviations off, and tiny and zero ones."""
    usual = np.random.default_rng(seed).standard_normal((8, len(model.scale.input_mean)))
    rows = {
        "usual": usual,
        "large": usual * np.geomspace(1, 1e6, 8)[:, None],
        "tiny": usual * np.array([0, 0, 1e-30, 1e-12, 1e-6, 1e-3, 1, 1])[:, None],
    }
    inputs = {name: z * model.scale.input_std + model.scale.input_mean for name, z in rows.items()}
    inputs["tiny"][-1] = 0
    return inputs


def in_torch(path: Path) -> Apply:
    """The network of an exported module."""
    import torch

    spec = importlib.util.spec_from_file_location("exported_net", path)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    net = module.load()

    def apply(x: Array) -> Array:
        torch.set_num_threads(1)
        with torch.no_grad():
            return net(torch.from_numpy(x)).numpy()

    return apply


def in_onnx(content: bytes) -> Apply:
    """The network of an exported graph."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"inputs": x})[0]


def doors(model: Model, folder: Path) -> dict[str, Apply]:
    """The network as each format has it, by format; files are written to the folder."""
    for path, content in source.files_of(model, folder / "net.py").items():
        path.write_bytes(content)
    (content,) = graph.files_of(model, Path("net.onnx")).values()
    return {"torch": in_torch(folder / "net.py"), "onnx": in_onnx(content)}


def differences(model: Model, networks: Mapping[str, Apply], x: Array) -> dict[str, float]:
    """Each one's largest difference from ``model.predict``, in units of the batch's largest output.

    Probabilities differ by as much as the rounding of their logits, which may be large: they are
    compared in units of the row's largest logit, or of 1.
    """
    predicted = model.predict(x).frame
    ours = predicted[predicted.columns[-len(model.outputs) :]].to_numpy(np.float64)
    assert np.isfinite(ours).all()
    unit = np.abs(ours).max()
    if model.of_classes:
        logits = model.stack.predict(model.params, model.inputs(model.framed(x)))
        unit = np.maximum(1, np.abs(logits).max(axis=1, keepdims=True))
    sizes = {}
    for name, apply in networks.items():
        theirs = apply(x)
        assert theirs.shape == ours.shape
        assert theirs.dtype == np.float64
        sizes[name] = float((np.abs(theirs - ours) / unit).max())
    return sizes
