"""JAX: the whole step in one ``jit``, with ``lax.scan`` over the blocks and donated buffers.

Or the 32 steps of an epoch in one ``jit``, with ``lax.scan`` over the steps as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from itertools import cycle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from cells import BATCHES, EPS, MOMENTUM, Cell, layers

ACTIVATIONS = {"relu": jax.nn.relu, "gelu_tanh": lambda z: jax.nn.gelu(z, approximate=True)}


class Jit:
    """The parameters are those of ``layers``; each of a block's is stacked over all blocks.

    JAX uses one thread for each core that the process may run on.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def load(self, cell: Cell, data: Mapping[str, np.ndarray]) -> dict[str, Any]:
        self.cell, self.names = cell, [name for name in data if name not in ("x", "y")]
        into, blocks, final, out = layers(cell, [data[name] for name in self.names])
        stacked = jax.tree.map(lambda *each: np.stack(each), *blocks)
        self.params = jax.tree.map(jnp.array, (into, stacked, final, out))
        self.velocity = jax.tree.map(jnp.zeros_like, self.params)
        self.epoch = list(
            zip(map(jnp.asarray, data["x"]), map(jnp.asarray, data["y"]), strict=True)
        )
        self.batches = cycle(self.epoch)
        value_and_grad = jax.value_and_grad(loss_of(cell))

        def step(params: Any, velocity: Any, x: jax.Array, y: jax.Array) -> Any:
            loss, gradient = value_and_grad(params, x, y)
            velocity = jax.tree.map(lambda v, g: MOMENTUM * v + g, velocity, gradient)
            return jax.tree.map(lambda p, v: p - cell.rate * v, params, velocity), velocity, loss

        self.step = jax.jit(step, donate_argnums=(0, 1))
        copies = jax.tree.map(jnp.copy, (self.params, self.velocity))
        started = time.perf_counter()
        jax.block_until_ready(self.step(*copies, *self.epoch[0]))
        return {"threads": self.threads, "compile_seconds": time.perf_counter() - started}

    def gradients(self, batch: int) -> dict[str, np.ndarray]:
        gradient = jax.jit(jax.grad(loss_of(self.cell)))
        into, stacked, final, out = gradient(self.params, *self.epoch[batch])
        blocks = [jax.tree.map(lambda a, i=i: a[i], stacked) for i in range(self.cell.depth)]
        leaves = map(np.asarray, jax.tree.leaves((into, blocks, final, out)))
        return dict(zip(self.names, leaves, strict=True))

    def steps(self, count: int) -> list[float]:
        losses = []
        for _ in range(count):
            batch = next(self.batches)
            self.params, self.velocity, loss = self.step(self.params, self.velocity, *batch)
            losses.append(float(loss))
        jax.block_until_ready(self.params)
        return losses


class Epochs(Jit):
    """An epoch of steps in one ``jit``; the rest of a turn, less than an epoch, step by step."""

    def load(self, cell: Cell, data: Mapping[str, np.ndarray]) -> dict[str, Any]:
        facts = super().load(cell, data)
        step, self.stacked = self.step, (jnp.asarray(data["x"]), jnp.asarray(data["y"]))

        def one(carry: Any, batch: Any) -> Any:
            *carry, loss = step(*carry, *batch)
            return tuple(carry), loss

        def epoch(params: Any, velocity: Any, x: jax.Array, y: jax.Array) -> Any:
            return jax.lax.scan(one, (params, velocity), (x, y))

        self.whole = jax.jit(epoch, donate_argnums=(0, 1))
        copies = jax.tree.map(jnp.copy, (self.params, self.velocity))
        started = time.perf_counter()
        jax.block_until_ready(self.whole(*copies, *self.stacked))
        return {**facts, "compile_seconds": time.perf_counter() - started}

    def steps(self, count: int) -> list[float]:
        losses: list[float] = []
        for _ in range(count // BATCHES):
            carry, each = self.whole(self.params, self.velocity, *self.stacked)
            (self.params, self.velocity), losses = carry, losses + np.asarray(each).tolist()
        return losses + super().steps(count % BATCHES)


def loss_of(cell: Cell) -> Callable[..., jax.Array]:
    """The mean squared error of the stack as a function of parameters and batch."""
    activation, scale = ACTIVATIONS[cell.activation], cell.depth**-0.5

    def linear(x: jax.Array, weight: jax.Array, bias: jax.Array) -> jax.Array:
        return x @ weight.T + bias

    def norm(x: jax.Array, gain: jax.Array, shift: jax.Array) -> jax.Array:
        centred = x - x.mean(axis=1, keepdims=True)
        inverse = jax.lax.rsqrt((centred * centred).mean(axis=1, keepdims=True) + EPS)
        return centred * inverse * gain + shift

    def block(x: jax.Array, params: Any) -> tuple[jax.Array, None]:
        *normed, up, down = params
        z = norm(x, *normed[0]) if normed else x
        return x + scale * linear(activation(linear(z, *up)), *down), None

    def loss(params: Any, x: jax.Array, y: jax.Array) -> jax.Array:
        into, blocks, final, out = params
        x, _ = jax.lax.scan(block, linear(x, *into), blocks)
        x = x if final is None else norm(x, *final)
        return ((linear(x, *out) - y) ** 2).mean()

    return loss
