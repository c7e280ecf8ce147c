"""JAX: the whole step in one ``jit``, with ``lax.scan`` over the blocks and donated buffers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import cycle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from cells import EPS, MOMENTUM, Cell

ACTIVATIONS = {"relu": jax.nn.relu, "gelu_tanh": lambda z: jax.nn.gelu(z, approximate=True)}

Params = dict[str, jax.Array]  # those of the blocks as ``blocks.up.weight`` (L, H, D)


class Jit:
    """The number of threads is that of the processors that the process may use."""

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def load(self, cell: Cell, data: Mapping[str, np.ndarray]) -> None:
        self.cell = cell
        self.params = stacked(data, cell.depth)
        self.velocity = jax.tree.map(jnp.zeros_like, self.params)
        pairs = zip(data["x"], data["y"], strict=True)
        batches = [(jnp.asarray(x), jnp.asarray(y)) for x, y in pairs]
        self._epoch, self._batches = batches, cycle(batches)
        self._gradient = jax.jit(jax.grad(loss_of(cell)))
        self._step = jax.jit(step_of(cell), donate_argnums=(0, 1))

    def compile(self) -> float:
        state = jax.tree.map(jnp.copy, (self.params, self.velocity))
        started = time.perf_counter()
        jax.block_until_ready(self._step(*state, *self._epoch[0]))
        return time.perf_counter() - started

    def gradients(self, batch: int) -> dict[str, np.ndarray]:
        return unstacked(self._gradient(self.params, *self._epoch[batch]), self.cell.depth)

    def steps(self, count: int) -> list[float]:
        losses = []
        for _ in range(count):
            self.params, self.velocity, loss = self._step(
                self.params, self.velocity, *next(self._batches)
            )
            losses.append(float(loss))
        jax.block_until_ready(self.params)
        return losses


def step_of(cell: Cell) -> Any:
    """(params, velocity, x, y) -> (params, velocity, loss)."""
    value_and_grad, rate = jax.value_and_grad(loss_of(cell)), cell.rate

    def step(params: Params, velocity: Params, x: jax.Array, y: jax.Array) -> Any:
        loss, gradient = value_and_grad(params, x, y)
        velocity = jax.tree.map(lambda v, g: MOMENTUM * v + g, velocity, gradient)
        params = jax.tree.map(lambda p, v: p - rate * v, params, velocity)
        return params, velocity, loss

    return step


def loss_of(cell: Cell) -> Any:
    """The mean squared error of the stack as a function of parameters and batch."""
    activation, scale = ACTIVATIONS[cell.activation], cell.depth**-0.5
    normed = cell.norm == "pre_layer"

    def linear(params: Params, name: str, x: jax.Array) -> jax.Array:
        return x @ params[f"{name}.weight"].T + params[f"{name}.bias"]

    def norm(params: Params, name: str, x: jax.Array) -> jax.Array:
        centred = x - x.mean(axis=1, keepdims=True)
        inverse = jax.lax.rsqrt((centred * centred).mean(axis=1, keepdims=True) + EPS)
        return centred * inverse * params[f"{name}.gain"] + params[f"{name}.shift"]

    def block(x: jax.Array, params: Params) -> tuple[jax.Array, None]:
        z = norm(params, "blocks.norm", x) if normed else x
        z = linear(params, "blocks.down", activation(linear(params, "blocks.up", z)))
        return x + scale * z, None

    def loss(params: Params, x: jax.Array, y: jax.Array) -> jax.Array:
        blocks = {name: value for name, value in params.items() if name.startswith("blocks.")}
        x = linear(params, "input", x)
        x, _ = jax.lax.scan(block, x, blocks)
        if normed:
            x = norm(params, "final_norm", x)
        return ((linear(params, "output", x) - y) ** 2).mean()

    return loss


def stacked(data: Mapping[str, np.ndarray], depth: int) -> Params:
    """The blocks' weights of each name as one array with the block as its first axis."""
    ends = {n: a for n, a in data.items() if n not in ("x", "y") and not n.startswith("blocks.")}
    parts = [n.removeprefix("blocks.0.") for n in data if n.startswith("blocks.0.")]
    blocks = {
        f"blocks.{part}": np.stack([data[f"blocks.{index}.{part}"] for index in range(depth)])
        for part in parts
    }
    return {name: jnp.array(array) for name, array in {**ends, **blocks}.items()}


def unstacked(params: Params, depth: int) -> dict[str, np.ndarray]:
    """The inverse of ``stacked``."""
    named = {}
    for name, value in params.items():
        if name.startswith("blocks."):
            part = name.removeprefix("blocks.")
            named |= {f"blocks.{i}.{part}": np.asarray(value[i]) for i in range(depth)}
        else:
            named[name] = np.asarray(value)
    return named
