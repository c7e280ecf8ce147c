"""A small character GPT, with and without skip paths, normed before and after, while it is watched.

python experiments/watch_gpt/gpt.py --out outputs/watch_gpt
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import ffn_train

TEXT = Path(__file__).with_name("coriolanus.txt")
CONTEXT, HEADS, BATCH = 32, 4, 16


class Attention(nn.Module):
    """Causal self-attention."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        heads = [
            part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in self.qkv(x).chunk(3, -1)
        ]
        query, key, value = heads
        y = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        result: Tensor = self.out(y.transpose(1, 2).flatten(-2))
        return result


class Half(nn.Module):
    """Attention or a feed-forward layer, normed before or after, with a skip path or without."""

    def __init__(self, branch: nn.Module, width: int, norm: str, skip: bool) -> None:
        super().__init__()
        self.branch, self.norm, self.pre, self.skip = (
            branch,
            nn.LayerNorm(width),
            norm == "pre",
            skip,
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.branch(self.norm(x) if self.pre else x)
        z = x + y if self.skip else y
        return z if self.pre else self.norm(z)


class GPT(nn.Module):
    """``depth`` pairs of halves between an embedding and a linear read-out."""

    def __init__(self, letters: int, depth: int, width: int, norm: str, skip: bool) -> None:
        super().__init__()
        self.embed = nn.Embedding(letters, width)
        self.place = nn.Parameter(0.02 * torch.randn(CONTEXT, width))
        branches: list[nn.Module] = []
        for _ in range(depth):
            fed = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
            branches += [Attention(width), fed]
        self.layers = nn.ModuleList(Half(branch, width, norm, skip) for branch in branches)
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, letters)

    def forward(self, text: Tensor) -> Tensor:
        x = self.embed(text) + self.place
        for layer in self.layers:
            x = layer(x)
        result: Tensor = self.head(self.norm(x))
        return result


def train(
    out: Path, norm: str, skip: bool, *, depth: int, width: int, steps: int, every: int, lr: float
) -> None:
    """Train one of the networks and record its gradient flow."""
    torch.manual_seed(0)
    text = TEXT.read_text(encoding="utf-8")
    letters = sorted(set(text))
    codes = torch.tensor([letters.index(letter) for letter in text])
    model = GPT(len(letters), depth, width, norm, skip)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    config = {"norm": norm, "skip": skip, "depth": depth, "width": width, "lr": lr, "seed": 0}
    unit = "nats per character"
    with ffn_train.watch(
        model, "layers.*", path=out, every=every, config=config, loss_unit=unit
    ) as run:
        for _ in range(steps + 1):
            starts = torch.randint(len(codes) - CONTEXT, (BATCH, 1))
            batch = codes[starts + torch.arange(CONTEXT + 1)]
            loss = F.cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            run.log(loss)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("outputs/watch_gpt"))
    for name, value in (("depth", 6), ("width", 64), ("steps", 300), ("every", 50)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--lr", type=float, default=1e-3)
    given = vars(parser.parse_args(arguments))
    out = given.pop("out")
    for norm, skip in itertools.product(("pre", "post"), (True, False)):
        name = f"{norm}_{'skip' if skip else 'plain'}"
        train(out / name, norm, skip, **given)
        print(f"{name} in {out / name}")


if __name__ == "__main__":
    main()
