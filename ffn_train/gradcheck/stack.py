"""A configured stack's backward pass, part by part and as a whole."""

from __future__ import annotations

import numpy as np

from ffn_train.gradcheck.differences import Check, check_array, check_layer, random_parameters
from ffn_train.nn.core import Layer
from ffn_train.nn.engine import NUMPY
from ffn_train.nn.segments import Segment
from ffn_train.nn.stack import Stack

WHOLE = 1e-5  # tolerance for the whole stack: rounding grows with the depth


def check_stack(model: Stack, rng: np.random.Generator) -> dict[str, list[Check]]:
    """The checks of each part alone, then of the whole stack; by part, in order.

    The parts are the branch, the block around it, each distinct norm, input projection and
    read-out. In the whole stack, of the configured depth, the input and the tensors of the first
    and last block and of the ends are checked. The output of another engine is compared with that
    of NumPy.
    """
    parts: dict[str, tuple[Layer, int]] = {
        "input projection": (model.input, model.input.fan_in),
        "branch": (model.branch, model.width),
        "block": (model.block, model.width),
        "read-out": (model.output, model.width),
    }
    norm = model.block.pre or model.block.post
    if norm is not None:
        parts["norm"] = (norm, model.width)
    checks = {
        part: check_layer(layer, inputs=inputs, rng=rng) for part, (layer, inputs) in parts.items()
    }
    ends = (None, 0, model.depth - 1)
    tensors = {t.name for t in model.layout.tensors if model.block_of.get(t.part) in ends}
    checks[f"stack of depth {model.depth}"] = check_layer(
        model, inputs=model.input.fan_in, rng=rng, samples=3, tensors=tensors, tolerance=WHOLE
    )
    if model.engine is not NUMPY:
        checks["output, numeric by engine=numpy"] = [_against_numpy(model, rng)]
    return checks


def _against_numpy(model: Stack, rng: np.random.Generator) -> Check:
    """The model's output along a random direction, by its engine and by NumPy."""
    params, x = random_parameters(model, rng), rng.standard_normal((3, model.input.fan_in))
    plain = Segment(model, params, range(model.depth), x).forward(keep=False)
    return check_array("y", model.predict(params, x), plain, rng, WHOLE)
