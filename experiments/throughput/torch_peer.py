"""PyTorch: eager, and the loss compiled as one graph by ``torch.compile``."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from itertools import cycle
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from cells import EPS, MOMENTUM, Cell

ACTIVATIONS = {"relu": F.relu, "gelu_tanh": lambda z: F.gelu(z, approximate="tanh")}


class Eager:
    """Functional calls on a list of leaf tensors: the least that PyTorch can be asked to do."""

    def __init__(self, threads: int) -> None:
        torch.set_num_threads(threads)
        self.threads = threads

    def load(self, cell: Cell, data: Mapping[str, np.ndarray]) -> None:
        self._rate = cell.rate
        names = [name for name in data if name not in ("x", "y")]
        tensors = [torch.tensor(data[name]).requires_grad_() for name in names]
        self.weights = dict(zip(names, tensors, strict=True))
        batches = list(zip(torch.tensor(data["x"]), torch.tensor(data["y"]), strict=True))
        self._epoch, self._batches = batches, cycle(batches)
        self._loss = self._prepare(loss_of(cell, self.weights))
        self._update: Callable[[], None] | None = None

    def _prepare(self, loss: Callable[..., Any]) -> Callable[..., Any]:
        return loss

    def compile(self) -> float | None:
        return None

    def gradients(self, batch: int) -> dict[str, np.ndarray]:
        self._backward(*self._epoch[batch])
        return {name: weight.grad.numpy().copy() for name, weight in self.weights.items()}

    def steps(self, count: int) -> list[float]:
        if self._update is None:
            self._update = fastest_update(list(self.weights.values()), self._rate)
        losses = []
        for _ in range(count):
            losses.append(self._backward(*next(self._batches)))
            self._update()
        return losses

    def _backward(self, x: torch.Tensor, y: torch.Tensor) -> float:
        for weight in self.weights.values():
            weight.grad = None
        loss = self._loss(x, y)
        loss.backward()
        return float(loss.item())


class Compiled(Eager):
    """The same loss through ``torch.compile``; the update stays PyTorch's own fused kernel."""

    def _prepare(self, loss: Callable[..., Any]) -> Callable[..., Any]:
        torch._dynamo.reset()
        return torch.compile(loss, fullgraph=True, dynamic=False)

    def compile(self) -> float:
        started = time.perf_counter()
        self._backward(*self._epoch[0])
        return time.perf_counter() - started


def loss_of(cell: Cell, weights: Mapping[str, torch.Tensor]) -> Callable[..., torch.Tensor]:
    """The mean squared error of the stack as a function of a batch."""
    activation, scale = ACTIVATIONS[cell.activation], cell.depth**-0.5
    normed = cell.norm == "pre_layer"

    def linear(name: str) -> tuple[torch.Tensor, torch.Tensor]:
        return weights[f"{name}.weight"], weights[f"{name}.bias"]

    def norm(name: str) -> tuple[torch.Tensor, torch.Tensor]:
        return weights[f"{name}.gain"], weights[f"{name}.shift"]

    into, out = linear("input"), linear("output")
    blocks = [(linear(f"blocks.{i}.up"), linear(f"blocks.{i}.down")) for i in range(cell.depth)]
    norms = [norm(f"blocks.{i}.norm") for i in range(cell.depth)] if normed else []
    final = norm("final_norm") if normed else None
    features = (cell.width,)

    def loss(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        x = F.linear(x, *into)
        for index, (up, down) in enumerate(blocks):
            z = F.layer_norm(x, features, *norms[index], EPS) if normed else x
            z = F.linear(activation(F.linear(z, *up)), *down)
            x = torch.add(x, z, alpha=scale)
        if final is not None:
            x = F.layer_norm(x, features, *final, EPS)
        return F.mse_loss(F.linear(x, *out), y)

    return loss


def fastest_update(weights: list[torch.Tensor], rate: float) -> Callable[[], None]:
    """SGD with momentum by the fused kernel, the foreach one, or foreach calls by hand.

    Tried on copies with as many gradients; which is fastest depends on the number of tensors.
    """
    copies = [weight.detach().clone().requires_grad_() for weight in weights]
    for weight in copies:
        weight.grad = torch.zeros_like(weight)
    timed = []
    for make in (_fused, _foreach, _by_hand):
        update = make(copies, rate)
        update()
        started = time.perf_counter()
        for _ in range(5):
            update()
        timed.append((time.perf_counter() - started, make))
    return min(timed, key=lambda pair: pair[0])[1](weights, rate)


def _fused(weights: list[torch.Tensor], rate: float) -> Callable[[], None]:
    return torch.optim.SGD(weights, rate, momentum=MOMENTUM, fused=True).step


def _foreach(weights: list[torch.Tensor], rate: float) -> Callable[[], None]:
    return torch.optim.SGD(weights, rate, momentum=MOMENTUM, foreach=True).step


def _by_hand(weights: list[torch.Tensor], rate: float) -> Callable[[], None]:
    velocity = [torch.zeros_like(weight) for weight in weights]

    @torch.no_grad()
    def update() -> None:
        torch._foreach_mul_(velocity, MOMENTUM)
        torch._foreach_add_(velocity, [weight.grad for weight in weights])
        torch._foreach_add_(weights, velocity, alpha=-rate)

    return update
