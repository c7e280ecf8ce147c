"""Training loops for the networks of the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import ffn_train
from ffn_train.interop.torch.watcher import Watch
from ffn_train.runs import Measures, load_run


def loss_of(model: nn.Module, x: Tensor) -> Tensor:
    return model(x).float().square().mean()


def train(model: nn.Module, x: Tensor, run: Watch | None, steps: int = 3) -> None:
    """An ordinary loop."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(steps):
        loss = loss_of(model, x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if run is not None:
            run.log(loss)


def watched(model: nn.Module, x: Tensor, path: Path, **options: Any) -> Measures:
    options = {"blocks": "layers.*", "every": 1, "split": None, **options}
    with ffn_train.watch(model, path=path, **options) as run:
        train(model, x, run)
    return load_run(path).measures
