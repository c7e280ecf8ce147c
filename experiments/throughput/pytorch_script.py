"""The default run as one would script it in PyTorch, with its six figures: python ... FOLDER.

The same data, stack, optimizer, schedule, clipping, evaluation every 20 steps and norms every 50,
as python -m ffn_train without an argument; no configuration, no checkpoints, no provenance.
"""

from __future__ import annotations

import csv
import math
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import nn

DEPTH, WIDTH, HIDDEN, BATCH, STEPS, RATE = 8, 64, 256, 128, 500, 0.15
INPUTS, ROWS, WAVES, FREQUENCY, SPREAD, NOISE = 8, 4096, 6, 1.4, 1.5, 0.05


def linear(fan_in: int, fan_out: int) -> nn.Linear:
    layer = nn.Linear(fan_in, fan_out)
    nn.init.normal_(layer.weight, std=fan_in**-0.5)
    nn.init.zeros_(layer.bias)
    return layer


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = linear(WIDTH, HIDDEN), linear(HIDDEN, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down(F.gelu(self.up(x))) * DEPTH**-0.5


class Stack(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.input, self.output = linear(INPUTS, WIDTH), linear(WIDTH, 1)
        self.blocks = nn.ModuleList(Block() for _ in range(DEPTH))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        signals = [self.input(x)]
        for block in self.blocks:
            signals.append(block(signals[-1]))
        return self.output(signals[-1]), signals


def data(rng: np.random.Generator) -> list[np.ndarray]:
    """Training and validation rows of a sum of sine waves, standardised."""
    x = rng.standard_normal((ROWS, INPUTS))
    directions = rng.standard_normal((INPUTS, WAVES)) * SPREAD / math.sqrt(INPUTS)
    phases = rng.uniform(0, 2 * np.pi, WAVES)
    y = np.sin(FREQUENCY * x @ directions + phases).sum(axis=1, keepdims=True)
    y += NOISE * y.std() * rng.standard_normal(y.shape)
    order, held = rng.permutation(ROWS), ROWS // 5
    x_train, x_test = x[order[held:]], x[order[:held]]
    y_train, y_test = y[order[held:]], y[order[:held]]
    x_mean, x_std, y_mean, y_std = x_train.mean(0), x_train.std(0), y_train.mean(), y_train.std()
    return [
        (x_train - x_mean) / x_std,
        (y_train - y_mean) / y_std,
        (x_test - x_mean) / x_std,
        (y_test - y_mean) / y_std,
    ]


def least_squares(x: np.ndarray, y: np.ndarray, x_test: np.ndarray, y_test: np.ndarray) -> float:
    def ones(x: np.ndarray) -> np.ndarray:
        return np.hstack([x, np.ones((len(x), 1))])

    weights = np.linalg.lstsq(ones(x), y, rcond=None)[0]
    return float(((ones(x_test) @ weights - y_test) ** 2).mean())


def rms(x: torch.Tensor) -> float:
    return float(x.norm() / math.sqrt(x.numel()))


def train(folder: Path) -> tuple[list[dict], list[dict], float]:
    """Rows of scalars, measured steps, and the floor."""
    arrays = data(np.random.default_rng(0))
    floor = least_squares(*arrays)
    x_train, y_train, x_test, y_test = (torch.tensor(a, dtype=torch.float32) for a in arrays)
    model = Stack()
    optimizer = torch.optim.SGD(model.parameters(), RATE, momentum=0.9)
    half = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: 0.5 * (1 + math.cos(math.pi * step / STEPS))
    )
    scalars, measures = [], []
    per_epoch = len(x_train) // BATCH
    for step in range(STEPS + 1):
        if step % per_epoch == 0:
            order = torch.randperm(len(x_train))
        at = step % per_epoch * BATCH
        picked = order[at : at + BATCH]
        measured = step % 50 == 0
        prediction, signals = model(x_train[picked])
        if measured:
            for signal in signals:
                signal.retain_grad()
        loss = F.mse_loss(prediction, y_train[picked])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        row = {"step": step, "loss": loss.item(), "validation_loss": math.nan}
        if measured:
            measures.append(measure(step, model, signals))
        if step % 20 == 0:
            with torch.no_grad():
                row["validation_loss"] = F.mse_loss(model(x_test)[0], y_test).item()
        if step < STEPS:
            before = [p.detach().clone() for p in model.parameters()] if measured else []
            row["gradient_norm"] = float(nn.utils.clip_grad_norm_(model.parameters(), 1.0))
            optimizer.step()
            half.step()
            if measured:
                measures[-1]["update"] = updates(model, before)
        scalars.append(row)
    torch.save(model.state_dict(), folder / "weights.pt")
    return scalars, measures, floor


def measure(step: int, model: Stack, signals: list[torch.Tensor]) -> dict:
    layers = [model.input, *model.blocks, model.output]
    gradients = [signal.grad for signal in signals]
    return {
        "step": step,
        "gradient": [
            math.sqrt(sum(float(p.grad.norm()) ** 2 for p in layer.parameters()))
            for layer in layers
        ],
        "weight": [
            math.sqrt(sum(float(p.detach().norm()) ** 2 for p in layer.parameters()))
            for layer in layers
        ],
        "signal": [rms(signal.detach()) for signal in signals],
        "signal_gradient": [rms(gradient) for gradient in gradients],
        "branch": [rms(here - there) for here, there in pairwise(gradients)],
    }


def updates(model: Stack, before: list[torch.Tensor]) -> list[float]:
    pairs = zip(model.parameters(), before, strict=True)
    squares = [float((p.detach() - old).norm()) ** 2 for p, old in pairs]
    # input, 8 blocks of four tensors, output, in the order of parameters()
    sizes = [len(list(m.parameters())) for m in (model.input, model.output, *model.blocks)]
    ends = np.cumsum(sizes)
    sums = [
        math.sqrt(sum(squares[end - size : end])) for size, end in zip(sizes, ends, strict=True)
    ]
    return [sums[0], *sums[2:], sums[1]]


def draw(folder: Path, scalars: list[dict], measures: list[dict], floor: float) -> None:
    """Loss, gradient flow, heat map, layers, signal, updates: the sizes and dpi of ours."""
    steps = [row["step"] for row in scalars]
    measured = [row["step"] for row in measures]
    gradient = np.array([row["gradient"] for row in measures])
    rows = [0, len(measures) // 4, len(measures) // 2, 3 * len(measures) // 4, len(measures) - 1]

    def save(name: str, figure: Figure) -> None:
        figure.savefig(folder / f"{name}.png", dpi=200)

    def single() -> tuple[Figure, object]:
        figure = Figure(figsize=(3.5, 2.3))
        figure.subplots_adjust(left=0.19, right=0.96, bottom=0.19, top=0.96)
        return figure, figure.subplots()

    figure, axes = single()
    axes.semilogy(steps, [row["loss"] for row in scalars], label="training", linewidth=0.6)
    known = [row for row in scalars if row["validation_loss"] == row["validation_loss"]]
    axes.plot([r["step"] for r in known], [r["validation_loss"] for r in known], label="validation")
    axes.axhline(floor, color="black", dashes=(4, 2), label="least squares")
    axes.set(xlabel="step", ylabel="loss")
    axes.legend(loc="upper right")
    save("loss", figure)

    figure = Figure(figsize=(7, 2.55))
    figure.subplots_adjust(left=0.09, right=0.98, bottom=0.17, top=0.9, wspace=0.45)
    panels = figure.subplots(1, 3)
    for row in rows:
        label = str(measures[row]["step"])
        panels[0].semilogy(gradient[row, 1:-1], marker="o", label=label)
        panels[1].semilogy(measures[row]["signal_gradient"], marker="o", label=label)
    for row in (rows[0], rows[-1]):
        panels[2].semilogy(measures[row]["signal_gradient"][1:], marker="o", label="skip")
        panels[2].semilogy(measures[row]["branch"], marker="o", label="branch")
    titles = ("parameter gradients", "signal gradients", "parts")
    for axes, title in zip(panels, titles, strict=True):
        axes.set(title=title, xlabel="block")
        axes.legend(loc="upper right")
    save("gradient_flow", figure)

    figure, axes = single()
    image = axes.pcolormesh(measured, range(gradient.shape[1]), np.log10(gradient.T))
    figure.colorbar(image)
    axes.set(xlabel="step", ylabel="layer")
    save("heatmap", figure)

    weight = np.array([row["weight"] for row in measures[:-1]])
    update = np.array([row["update"] for row in measures[:-1]])
    for name, table in (("layers", gradient[:, 1:-1]), ("updates", (update / weight)[:, 1:-1])):
        figure, axes = single()
        for block, norms in enumerate(table.T):
            axes.semilogy(measured[: len(norms)], norms, label=str(block))
        axes.set(xlabel="step", ylabel=name)
        axes.legend(title="block", loc="upper right")
        save(name, figure)

    figure, axes = single()
    for row in rows:
        axes.semilogy(measures[row]["signal"], marker="o", label=str(measures[row]["step"]))
    axes.set(xlabel="block boundary", ylabel="RMS of the signal")
    axes.legend(title="step", loc="upper right")
    save("signal", figure)


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    scalars, measures, floor = train(folder)
    with (folder / "scalars.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, ["step", "loss", "validation_loss", "gradient_norm"])
        table.writeheader()
        table.writerows(scalars)
    draw(folder, scalars, measures, floor)
    print(f"loss {scalars[-1]['loss']:.3g}  validation {scalars[-1]['validation_loss']:.3g}")


if __name__ == "__main__":
    main()
