"""A trained network as PyTorch source that needs nothing of this package, with its weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from ffn_train.config.settings import counted
from ffn_train.nn.activations.activation import Activation
from ffn_train.nn.blocks.residual import ResidualBlock
from ffn_train.nn.core import Array, Layer
from ffn_train.nn.layers.linear import Linear
from ffn_train.nn.layers.norms import LayerNorm, RMSNorm
from ffn_train.nn.stack import Stack
from ffn_train.using.model import Model

ACTIVATIONS = {  # of z; in braces an activation's own settings
    "relu": "F.relu({z})",
    "leaky_relu": "F.leaky_relu({z}, {slope})",
    "gelu": "F.gelu({z})",
    "gelu_tanh": 'F.gelu({z}, approximate="tanh")',
    "silu": "F.silu({z})",
    "tanh": "torch.tanh({z})",
    "erf": "torch.erf({z})",
    "identity": "{z}",
}
WIDTH = 88  # characters of a line, where formatters break it

HEAD = '''\
"""A residual feed-forward stack, trained by ffn_train, which it does not need.

{blocks} of width {width} with {hidden} hidden units. Beside this file lie, under the
same name, the weights (.safetensors) and how INPUTS code a table's columns (.json).
"""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

WEIGHTS = Path(__file__).with_suffix(".safetensors")
'''

LINEAR = '''

class Linear(nn.Linear):
    """weight x + bias, summed in float64: in rows far off, large terms cancel."""

    def forward(self, x):
        weight, bias = self.weight.double(), self.bias.double()
        return F.linear(x.double(), weight, bias).to(x.dtype)
'''

NORM = '''

class {name}(nn.Module):
    """{equation}, over the features of each row."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones({width}))
{shift}
    def forward(self, x):
{centre}        largest = x.abs().amax(-1, keepdim=True).clamp(min=1)
        x = x / largest  # no square overflows, whatever x is
        scale = (x.square().mean(-1, keepdim=True) + {eps} / largest**2).sqrt()
        return {result}
'''

MODEL = '''

class Model(nn.Module):
    """(N, {inputs}) of INPUTS in float64 -> (N, {outputs}) of OUTPUTS, {says}."""

    def __init__(self):
        super().__init__()
{buffers}        self.input = Linear({inputs}, {width})
        self.blocks = nn.ModuleList(Block() for _ in range({depth}))
{final_norm}        self.output = Linear({width}, {outputs})
{double}
    def forward(self, x):
        x = (x.double() - self.input_mean) / self.input_std
        x = self.input(x.to(self.input.weight.dtype))
        for block in self.blocks:
            x = block(x)
        y = self.output({last})
        return {result}


def load(path=WEIGHTS):
    """The trained model."""
    model = Model()
    model.load_state_dict(load_file(path))
    return model.eval()


if __name__ == "__main__":  # what the model gives for the training rows' mean
    net = load()
    with torch.no_grad():
        values = net(net.input_mean[None])[0].tolist()
    for name, value in zip(OUTPUTS, values, strict=True):
        print(name, value)
'''


def files_of(model: Model, path: Path) -> dict[Path, bytes]:
    """The weights by their names in the module's state dict, and the source."""
    from safetensors.numpy import save

    tensors = {**model.stack.layout.named(model.params.vector), **scale_of(model)}
    whole = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    return {path.with_suffix(".safetensors"): save(whole), path: source(model).encode()}


def source(model: Model) -> str:
    """The module: what this model's choices need, and no more."""
    stack = model.stack
    norm = stack.block.pre or stack.block.post
    final = "self.final_norm(x)" if stack.final_norm else "x"
    double = model.params.vector.dtype == np.float64
    numbers = "y * self.target_std + self.target_mean"
    head = HEAD.format(
        blocks=counted(stack.depth, "block"),
        width=stack.width,
        hidden=stack.hidden,
    )
    body = MODEL.format(
        inputs=stack.input.fan_in,
        outputs=stack.output.fan_out,
        says="as probabilities" if model.of_classes else "in their own units",
        buffers="".join(
            f'        self.register_buffer("{name}", torch.empty({array.size}).double())\n'
            for name, array in scale_of(model).items()
        ),
        width=stack.width,
        depth=stack.depth,
        final_norm=f"        self.final_norm = {_name(norm)}()\n" if stack.final_norm else "",
        double="        self.double()  # the precision of the training\n" if double else "",
        last=final,
        result="y.double().softmax(-1)" if model.of_classes else numbers,
    )
    names = {"INPUTS": model.columns.names, "OUTPUTS": model.outputs}
    tables = "".join(_tuple(name, values) for name, values in names.items())
    return head + tables + LINEAR + (_norm(norm) if norm else "") + _block(stack) + body


def scale_of(model: Model) -> Mapping[str, Array]:
    """The means and standard deviations that the network needs, by name, (D,) and (M,)."""
    needed = ("input",) if model.of_classes else ("input", "target")
    return {name: array for name, array in vars(model.scale).items() if name.startswith(needed)}


def _name(norm: Layer | None) -> str:
    return type(norm).__name__


def _norm(norm: Layer) -> str:
    assert isinstance(norm, (LayerNorm, RMSNorm))
    centred = isinstance(norm, LayerNorm)
    mean = "x - mean" if centred else "x"
    moment = "variance" if centred else "mean of x²"
    return NORM.format(
        name=_name(norm),
        equation=f"gain ({mean}) / sqrt({moment} + {norm.eps!r}){' + shift' * centred}",
        width=norm.width,
        shift=f"        self.shift = nn.Parameter(torch.zeros({norm.width}))\n" * centred,
        centre="        x = x - x.mean(-1, keepdim=True)\n" * centred,
        eps=repr(norm.eps),
        result=f"self.gain * (x / scale){' + self.shift' * centred}",
    )


def _block(stack: Stack) -> str:
    block, branch = stack.block, stack.branch
    lines = ["", "", "class Block(nn.Module):", "    def __init__(self):"]
    lines.append("        super().__init__()")
    for name, part in block.parts.items():
        if isinstance(part, Linear):
            lines.append(f"        self.{name} = Linear({part.fan_in}, {part.fan_out})")
        else:
            lines.append(f"        self.{name} = {_name(part)}()")
    if block.learnable:
        lines.append("        self.multiplier = nn.Parameter(torch.ones(1))")
    lines += ["", "    def forward(self, x):"]
    read = "x"
    if block.pre:
        lines.append("        y = self.norm(x)")
        read = "y"
    first = "gate" if "gate" in branch.inner else "up"
    hidden = _activated(branch.activation, f"self.{first}({read})")
    gated = f" * self.up({read})" if first == "gate" else ""
    lines.append(f"        y = self.down({hidden}{gated})")
    joined = _joined(block)
    lines.append(
        f"        return self.norm({joined})" if block.post else f"        return {joined}"
    )
    return "\n".join(lines) + "\n"


def _activated(activation: Activation, z: str) -> str:
    return ACTIVATIONS[activation.name].format(z=z, **vars(activation))


def _joined(block: ResidualBlock) -> str:
    """The residual sum of x and the branch's output y."""
    factor = "self.multiplier" if block.learnable else repr(block.multiplier)
    branch = "y" if factor == "1.0" else f"{factor} * y"
    if block.skip == 0:
        return branch
    return f"x + {branch}" if block.skip == 1 else f"{block.skip!r} * x + {branch}"


def _tuple(name: str, values: Iterable[str]) -> str:
    quoted = [_quoted(value) for value in values]
    line = f"{name} = ({', '.join(quoted)}{',' * (len(quoted) == 1)})\n"
    if len(line) <= WIDTH + 1:
        return line
    return f"{name} = (\n" + "".join(f"    {value},\n" for value in quoted) + ")\n"


def _quoted(text: str) -> str:
    """A literal, in double quotes where that needs no backslash."""
    literal = repr(text)
    return literal if '"' in literal else f'"{literal[1:-1]}"'
