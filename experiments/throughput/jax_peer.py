"""JAX: the whole step in one ``jit``, with ``lax.scan`` over the blocks and donated buffers.

Or many steps in one ``jit``, with ``lax.scan`` over the steps as well.
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

SHORT, LONG, FEW = 2**21, 2**27, 4  # multiply-adds of a cell, and steps at once beyond LONG
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


class Scan(Jit):
    """``at_once`` steps in one ``jit``, which picks their batches itself.

    ``FEW`` where a step takes so long that the cost of a call does not show.
    """

    at_once = BATCHES

    def load(self, cell: Cell, data: Mapping[str, np.ndarray]) -> dict[str, Any]:
        facts = super().load(cell, data)
        if self.at_once > BATCHES and cell.multiply_adds > SHORT:
            return {"note": f"{self.at_once} steps take too long"}
        self.count = FEW if cell.multiply_adds > LONG else self.at_once
        self.done, self.data = 0, (jnp.asarray(data["x"]), jnp.asarray(data["y"]))
        step = self.step

        def several(
            params: Any, velocity: Any, picked: jax.Array, x: jax.Array, y: jax.Array
        ) -> Any:
            def one(carry: Any, batch: jax.Array) -> Any:
                *carry, loss = step(*carry, x[batch], y[batch])
                return tuple(carry), loss

            return jax.lax.scan(one, (params, velocity), picked)

        self.several = jax.jit(several, donate_argnums=(0, 1))
        copies = jax.tree.map(jnp.copy, (self.params, self.velocity))
        started = time.perf_counter()
        jax.block_until_ready(self.several(*copies, self.picked(), *self.data))
        return {**facts, "compile_seconds": time.perf_counter() - started}

    def picked(self) -> jax.Array:
        """The next steps' batches."""
        return jnp.arange(self.done, self.done + self.count) % BATCHES

    def steps(self, count: int) -> list[float]:
        losses: list[float] = []
        while len(losses) < count:
            carry, each = self.several(self.params, self.velocity, self.picked(), *self.data)
            (self.params, self.velocity), losses = carry, losses + np.asarray(each).tolist()
            self.done += self.count
        return losses


class LongScan(Scan):
    """500 steps in one ``jit``."""

    at_once = 500


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
