"""PyTorch: eager, and the loss compiled as one graph by ``torch.compile``."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from timeit import timeit
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from cells import EPS, MOMENTUM, Cell, layers

ACTIVATIONS = {"relu": F.relu, "gelu_tanh": lambda z: F.gelu(z, approximate="tanh")}
DEEPEST = 64  # blocks of a graph: torch.compile takes minutes beyond


class Eager:
    """Functional calls on a list of leaf tensors: the least work for PyTorch."""

    graph = False

    def __init__(self, threads: int) -> None:
        torch.set_num_threads(threads)
        self.threads = threads

    def load(self, cell: Cell, data: Mapping[str, np.ndarray]) -> dict[str, Any]:
        self.names = [name for name in data if name not in ("x", "y")]
        self.weights = [torch.tensor(data[name]).requires_grad_() for name in self.names]
        self.epoch = list(zip(torch.tensor(data["x"]), torch.tensor(data["y"]), strict=True))
        self.batches = cycle(self.epoch)
        self.loss, self.update = loss_of(cell, self.weights), fastest(self.weights, cell.rate)
        if not self.graph:
            return {"threads": self.threads}
        if cell.depth > DEEPEST:
            return {"note": f"not beyond depth {DEEPEST}"}
        torch._dynamo.reset()
        self.loss = torch.compile(self.loss, fullgraph=True, dynamic=False, mode="reduce-overhead")
        started = time.perf_counter()
        self.backward(*self.epoch[0])
        return {"threads": self.threads, "compile_seconds": time.perf_counter() - started}

    def gradients(self, batch: int) -> dict[str, np.ndarray]:
        self.backward(*self.epoch[batch])
        grads = [weight.grad.numpy().copy() for weight in self.weights]
        return dict(zip(self.names, grads, strict=True))

    def steps(self, count: int) -> list[float]:
        losses = []
        for _ in range(count):
            losses.append(self.backward(*next(self.batches)))
            self.update()
        return losses

    def backward(self, x: torch.Tensor, y: torch.Tensor) -> float:
        for weight in self.weights:
            weight.grad = None
        loss = self.loss(x, y)
        loss.backward()
        return float(loss.item())


class Compiled(Eager):
    """The same loss through ``torch.compile``; the update stays PyTorch's own kernel.

    The mode "reduce-overhead" gave the fastest code on a CPU, though its CUDA graphs are not used.
    """

    graph = True


def loss_of(cell: Cell, weights: Sequence[torch.Tensor]) -> Callable[..., torch.Tensor]:
    """The mean squared error of the stack as a function of a batch."""
    into, blocks, final, out = layers(cell, weights)
    activation, scale, features = ACTIVATIONS[cell.activation], cell.depth**-0.5, (cell.width,)

    def loss(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        x = F.linear(x, *into)
        for *norm, up, down in blocks:
            z = F.layer_norm(x, features, *norm[0], EPS) if norm else x
            z = F.linear(activation(F.linear(z, *up)), *down)
            x = torch.add(x, z, alpha=scale)
        if final is not None:
            x = F.layer_norm(x, features, *final, EPS)
        return F.mse_loss(F.linear(x, *out), y)

    return loss


def fastest(weights: Sequence[torch.Tensor], rate: float) -> Callable[[], None]:
    """SGD with momentum by the fused kernel, the foreach one, or foreach calls by hand.

    Tried on copies of the tensors; which is fastest depends on their number.
    """
    copies = [weight.detach().clone().requires_grad_() for weight in weights]
    for weight in copies:
        weight.grad = torch.zeros_like(weight)
    seconds = []
    for update in updates(copies, rate):
        update()
        seconds.append(timeit(update, number=5))
    return updates(weights, rate)[seconds.index(min(seconds))]


def updates(weights: Sequence[torch.Tensor], rate: float) -> list[Callable[[], None]]:
    velocity = [torch.zeros_like(weight) for weight in weights]

    @torch.no_grad()
    def by_hand() -> None:
        torch._foreach_mul_(velocity, MOMENTUM)
        torch._foreach_add_(velocity, [weight.grad for weight in weights])
        torch._foreach_add_(weights, velocity, alpha=-rate)

    fused = torch.optim.SGD(weights, rate, momentum=MOMENTUM, fused=True)
    foreach = torch.optim.SGD(weights, rate, momentum=MOMENTUM, foreach=True)
    return [fused.step, foreach.step, by_hand]
