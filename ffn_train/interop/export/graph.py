"""A trained network as an ONNX graph, with the standardising of its inputs and outputs inside."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ffn_train import __version__
from ffn_train.config.settings import SettingError
from ffn_train.interop.export.source import scale_of
from ffn_train.nn.blocks.residual import ResidualBlock
from ffn_train.nn.core import Array, Layer
from ffn_train.nn.layers.norms import LayerNorm, RMSNorm
from ffn_train.using.model import Model

OPSET, IR = 17, 8  # of 2022, which readers since then know
LARGEST = 2**31  # bytes that a file of protocol buffers holds


class Graph:
    """Nodes and constants as they are added; values are known by their names."""

    def __init__(self, weights: Mapping[str, Array], dtype: np.dtype[Any]) -> None:
        from onnx import helper, numpy_helper

        self._node, self._tensor = helper.make_node, numpy_helper.from_array
        self.dtype = dtype
        self.nodes: list[Any] = []
        self.constants = {name: self._tensor(array, name) for name, array in weights.items()}

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        """The value of a node."""
        name = f"{op}_{len(self.nodes)}"
        self.nodes.append(self._node(op, inputs, [name], **attributes))
        return name

    def number(self, value: float) -> str:
        """A constant in the network's precision."""
        name = repr(float(value))
        self.constants[name] = self._tensor(np.array(value, self.dtype), name)
        return name

    def cast(self, x: str, dtype: Any) -> str:
        from onnx.helper import np_dtype_to_tensor_dtype

        return self.add("Cast", x, to=np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def linear(self, x: str, name: str) -> str:
        return self.add("Gemm", x, f"{name}.weight", f"{name}.bias", transB=1)

    def norm(self, x: str, name: str, norm: Layer) -> str:
        """x / sqrt(mean(x²) + eps), of a LayerNorm's x minus its mean, times gain, plus shift.

        A row above 1 is divided by its largest entry first, so that no square overflows.
        """
        assert isinstance(norm, (LayerNorm, RMSNorm))
        features: dict[str, Any] = {"axes": [-1], "keepdims": 1}
        if isinstance(norm, LayerNorm):
            x = self.add("Sub", x, self.add("ReduceMean", x, **features))
        largest = self.add("ReduceMax", self.add("Abs", x), **features)
        largest = self.add("Max", largest, self.number(1))
        x = self.add("Div", x, largest)
        square = self.add("ReduceMean", self.add("Mul", x, x), **features)
        eps = self.add("Div", self.number(norm.eps), self.add("Mul", largest, largest))
        x = self.add("Div", x, self.add("Sqrt", self.add("Add", square, eps)))
        x = self.add("Mul", x, f"{name}.gain")
        return self.add("Add", x, f"{name}.shift") if isinstance(norm, LayerNorm) else x

    def erf(self, z: str) -> str:
        """erf z in float32, since onnxruntime has none for float64."""
        if self.dtype == np.float32:
            return self.add("Erf", z)
        return self.cast(self.add("Erf", self.cast(z, np.float32)), self.dtype)

    def times_sigmoid(self, z: str, u: str) -> str:
        """z σ(u) = z / (1 + exp(-u)): where exp overflows it is 0, and never infinity times 0."""
        decay = self.add("Exp", self.add("Neg", u))
        return self.add("Div", z, self.add("Add", decay, self.number(1)))

    def gelu(self, z: str) -> str:
        erf = self.erf(self.add("Mul", z, self.number(math.sqrt(0.5))))
        half = self.add("Mul", z, self.number(0.5))
        return self.add("Mul", half, self.add("Add", erf, self.number(1)))

    def gelu_tanh(self, z: str) -> str:
        """z (1 + tanh u)/2 = z σ(2u)."""
        scale = math.sqrt(8 / math.pi)
        cubic = self.add("Mul", self.add("Mul", z, z), self.number(0.044715 * scale))
        slope = self.add("Add", cubic, self.number(scale))
        return self.times_sigmoid(z, self.add("Mul", slope, z))

    def block(self, x: str, name: str, block: ResidualBlock) -> str:
        """One residual block, see ``ResidualBlock.predict``."""
        read = self.norm(x, f"{name}.norm", block.pre) if block.pre else x
        branch = block.branch
        first = "gate" if "gate" in branch.inner else "up"
        settings = vars(branch.activation)
        hidden = self.linear(read, f"{name}.{first}")
        hidden = ACTIVATIONS[branch.activation.name](self, hidden, **settings)
        if first == "gate":
            hidden = self.add("Mul", hidden, self.linear(read, f"{name}.up"))
        y = self.linear(hidden, f"{name}.down")
        if block.learnable:
            y = self.add("Mul", y, f"{name}.multiplier")
        elif block.multiplier != 1:
            y = self.add("Mul", y, self.number(block.multiplier))
        if block.skip:
            skip = x if block.skip == 1 else self.add("Mul", x, self.number(block.skip))
            y = self.add("Add", y, skip)
        return self.norm(y, f"{name}.norm", block.post) if block.post else y


ACTIVATIONS: Mapping[str, Callable[..., str]] = {  # of a graph, z and an activation's own settings
    "relu": lambda graph, z: graph.add("Relu", z),
    "leaky_relu": lambda graph, z, slope: graph.add(
        "Max", z, graph.add("Mul", z, graph.number(slope))
    ),
    "gelu": Graph.gelu,
    "gelu_tanh": Graph.gelu_tanh,
    "silu": lambda graph, z: graph.times_sigmoid(z, z),
    "tanh": lambda graph, z: graph.add("Tanh", z),
    "erf": Graph.erf,
    "identity": lambda graph, z: z,
}


def files_of(model: Model, path: Path) -> dict[Path, bytes]:
    """The graph, which takes ``inputs`` and gives ``predictions`` or ``probabilities``.

    Its metadata list the columns of both. Raises SettingError for more weights than a file holds.
    """
    from onnx import helper

    stack = model.stack
    if model.params.vector.nbytes >= LARGEST:
        raise SettingError("--to onnx takes less than 2 GiB of weights; --to torch takes these")
    weights = stack.layout.named(model.params.vector)
    graph = Graph({**weights, **scale_of(model)}, model.params.vector.dtype)
    x = graph.add("Div", graph.add("Sub", "inputs", "input_mean"), "input_std")
    x = graph.linear(graph.cast(x, graph.dtype), "input")
    for name in stack.block_of:
        x = graph.block(x, name, stack.block)
    if stack.final_norm:
        x = graph.norm(x, "final_norm", stack.final_norm)
    y = graph.cast(graph.linear(x, "output"), np.float64)
    if model.of_classes:
        result = "probabilities"
        graph.nodes.append(helper.make_node("Softmax", [y], [result], axis=-1))
    else:
        result = "predictions"
        y = graph.add("Mul", y, "target_std")
        graph.nodes.append(helper.make_node("Add", [y, "target_mean"], [result]))
    double = helper.np_dtype_to_tensor_dtype(np.dtype(np.float64))
    ends = {"inputs": model.columns.names, result: model.outputs}
    given, returned = (
        helper.make_tensor_value_info(name, double, ["rows", len(columns)])
        for name, columns in ends.items()
    )
    whole = helper.make_model(
        helper.make_graph(
            graph.nodes, "network", [given], [returned], list(graph.constants.values())
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR,
        producer_name="ffn_train",
        producer_version=__version__,
    )
    helper.set_model_props(whole, {name: json.dumps(columns) for name, columns in ends.items()})
    return {path: whole.SerializeToString(deterministic=True)}
