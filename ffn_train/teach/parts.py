"""Parts of your own as pairs of functions: a file's activations, norms and blocks."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from ffn_train.config import registry
from ffn_train.config.settings import defaults
from ffn_train.nn.activations.tanh import Tanh
from ffn_train.nn.core import Floats, Layer, Layout, Views

WIDTH, HIDDEN, SAMPLES = 3, 5, 4  # for parts of fixed width
Functions = dict[str, Callable[..., Any]]
Shapes = dict[str, Mapping[str, tuple[int, ...]]]


def functions_of_parts(module: str) -> tuple[Functions, Shapes]:
    """A forward and a backward function for each part, and the shapes that blocks take."""
    functions: Functions = {}
    shapes: Shapes = {}
    for group in ("activation", "norm", "block"):
        for name, cls in registry.choices(group).items():
            if cls.__module__ != module:
                continue
            part = registry.build(group, {"name": name, **defaults(cls)})
            if group == "activation":
                functions |= _named(f"activation {name}", *_elementwise(part), [])
            elif group == "norm" and part.layer(WIDTH) is not None:
                functions |= _named(f"norm {name}", *_layer(part.layer), _names(part.layer(WIDTH)))
            elif group == "block":
                branch = part.branch(width=WIDTH, hidden=HIDDEN, activation=Tanh())
                tensors = Layout(branch).tensors
                passes = _layer(partial(_whatever_width, branch), spoil=True)
                functions |= _named(f"block {name}", *passes, _names(branch))
                shapes[f"block {name} forward"] = {
                    "x": (SAMPLES, WIDTH),
                    **{_plain(tensor.name): tensor.shape for tensor in tensors},
                }
    return functions, shapes


def _whatever_width(layer: Layer, width: int) -> Layer:
    return layer


def _plain(name: str) -> str:
    return name.replace(".", "_")


def _names(layer: Layer) -> list[str]:
    return [_plain(tensor.name) for tensor in Layout(layer).tensors]


def _named(
    part: str, forward: Callable[..., Any], backward: Callable[..., Any], parameters: list[str]
) -> Functions:
    """Both functions, with explicit signatures."""
    functions = {f"{part} forward": forward, f"{part} backward": backward}
    for (name, function), first in zip(functions.items(), (["x"], ["dy", "x"]), strict=True):
        kind = inspect.Parameter.POSITIONAL_ONLY
        words = [inspect.Parameter(word, kind) for word in (*first, *parameters)]
        function.__name__ = name
        function.__signature__ = inspect.Signature(words)  # type: ignore[attr-defined]
    return functions


def _elementwise(part: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
    return (lambda x: part.value(x)), (lambda dy, x: dy * part.derivative(x))


def _layer(
    build: Callable[[int], Layer], *, spoil: bool = False
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """A layer's passes; ``spoil``: the output is overwritten before the backward pass, as a block
    does with that of its branch.
    """

    def prepared(x: Floats, parameters: tuple[Floats, ...]) -> tuple[Layout, Layer, Views]:
        if x.ndim != 2:
            raise ValueError("x must be a batch (N, D)")
        layer = build(x.shape[1])
        layout = Layout(layer)
        flat = layout.zeros("float64")
        for view, array in zip(layout.named(flat.vector).values(), parameters, strict=True):
            view[...] = array
        return layout, layer, flat

    def forward(x: Floats, *parameters: Floats) -> Any:
        _, layer, flat = prepared(x, parameters)
        return layer.forward(flat, x)[0]

    def backward(dy: Floats, x: Floats, *parameters: Floats) -> Any:
        layout, layer, flat = prepared(x, parameters)
        y, pullback = layer.forward(flat, x)
        if spoil:
            y[...] = np.nan
        gradients = layout.zeros("float64")
        gradients.vector[...] = np.nan  # the part must overwrite it
        dx = pullback(dy, gradients)
        return (*(array.copy() for array in layout.named(gradients.vector).values()), dx)

    return forward, backward
