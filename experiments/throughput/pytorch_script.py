"""The default run as a plain PyTorch script: python pytorch_script.py run.dir=FOLDER.

Data, stack, optimizer, schedule, clipping and evaluation every 20 steps are those of
python -m ffn_train plot.when=never; without norms of layers, configuration, checkpoints and
provenance.
"""

from __future__ import annotations

import csv
import math
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

DEPTH, WIDTH, HIDDEN, BATCH, STEPS, RATE = 8, 64, 256, 128, 500, 0.15
INPUTS, ROWS, WAVES, FREQUENCY, SPREAD, NOISE = 8, 4096, 6, 1.4, 1.5, 0.05


def linear(fan_in: int, fan_out: int) -> nn.Linear:
    layer = nn.Linear(fan_in, fan_out)
    nn.init.normal_(layer.weight, std=fan_in**-0.5)
    nn.init.zeros_(layer.bias)
    return layer


class Block(nn.Sequential):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + super().forward(x) * DEPTH**-0.5


def data(rng: np.random.Generator) -> list[np.ndarray]:
    """Training and validation rows of a sum of sine waves, standardised: x, y, x, y."""
    x = rng.standard_normal((ROWS, INPUTS))
    directions = rng.standard_normal((INPUTS, WAVES)) * SPREAD / math.sqrt(INPUTS)
    phases = rng.uniform(0, 2 * np.pi, WAVES)
    y = np.sin(FREQUENCY * x @ directions + phases).sum(axis=1, keepdims=True)
    y += NOISE * y.std() * rng.standard_normal(y.shape)
    order = rng.permutation(ROWS)
    test, train = order[: ROWS // 5], order[ROWS // 5 :]
    x, y = ((part - part[train].mean(0)) / part[train].std(0) for part in (x, y))
    return [x[train], y[train], x[test], y[test]]


def main(folder: Path) -> None:
    torch.manual_seed(0)
    arrays = data(np.random.default_rng(0))
    x_train, y_train, x_test, y_test = (torch.tensor(a, dtype=torch.float32) for a in arrays)
    branches = [(linear(WIDTH, HIDDEN), nn.GELU(), linear(HIDDEN, WIDTH)) for _ in range(DEPTH)]
    model = nn.Sequential(
        linear(INPUTS, WIDTH), *(Block(*branch) for branch in branches), linear(WIDTH, 1)
    )
    optimizer = torch.optim.SGD(model.parameters(), RATE, momentum=0.9)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    rows = []
    per_epoch = len(x_train) // BATCH
    for step in range(STEPS + 1):
        if step % per_epoch == 0:
            order = torch.randperm(len(x_train))
        picked = order[step % per_epoch * BATCH :][:BATCH]
        loss = F.mse_loss(model(x_train[picked]), y_train[picked])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        validation = math.nan
        if step % 20 == 0:
            with torch.no_grad():
                validation = F.mse_loss(model(x_test), y_test).item()
        norm = float(nn.utils.clip_grad_norm_(model.parameters(), 1.0))
        rows.append((step, loss.item(), validation, norm))
        if step < STEPS:
            optimizer.step()
            cosine.step()
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), folder / "weights.pt")
    with (folder / "scalars.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("step", "loss", "validation_loss", "gradient_norm"))
        table.writerows(rows)
    print(f"loss {rows[-1][1]:.3g}  validation {rows[-1][2]:.3g}")


if __name__ == "__main__":
    main(Path(sys.argv[1].removeprefix("run.dir=")))
