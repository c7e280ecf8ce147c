"""Small PyTorch networks whose signals and sums a test can keep, to differentiate them itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH = 8


class Kept(nn.Module):
    """Hands the tensors that it marks to a test: ``signal``, or ``sum`` of skip and branch."""

    keep: Callable[[str, Tensor], object] | None = None

    def mark(self, kind: str, tensor: Tensor) -> Tensor:
        if self.keep is not None:
            tensor.retain_grad()
            self.keep(kind, tensor)
        return tensor


class Residual(Kept):
    """x + f(x) of two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.act, self.down = nn.Linear(WIDTH, 16), nn.ReLU(), nn.Linear(16, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return self.mark("sum", x + self.down(self.act(self.up(x))))


class BasicBlock(Kept):
    """A ResNet's block: sums and activations in place, an empty Sequential for a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.conv2, self.bn2 = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.act, self.shortcut = nn.ReLU(inplace=True), nn.Sequential()

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(self.act(self.bn1(self.conv1(x)))))
        out += self.shortcut(x)
        return self.act(self.mark("sum", out).clone())


class PreNorm(Kept):
    """A transformer's block with its norms before attention and feed-forward."""

    def __init__(self) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attn = nn.MultiheadAttention(WIDTH, 2, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 16), nn.GELU(), nn.Linear(16, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        y = self.ln_1(x)
        h = self.mark("signal", self.mark("sum", x + self.attn(y, y, y, need_weights=False)[0]))
        return self.mark("sum", h + self.mlp(self.ln_2(h)))


class PostNorm(Kept):
    """A transformer's block with its norms after the sums, attention by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.linear1, self.linear2 = nn.Linear(WIDTH, 16), nn.Linear(16, WIDTH)

    def forward(self, hidden: Tensor, scale: float = 1.0) -> tuple[Tensor, None]:
        q, k, v = self.qkv(hidden).chunk(3, -1)
        attended = self.out(F.scaled_dot_product_attention(q, k, v))
        h = self.mark("signal", self.norm1(self.mark("sum", hidden + scale * attended)))
        fed = self.linear2(F.gelu(self.linear1(h)))
        return self.norm2(self.mark("sum", h + fed)), None


class Net(Kept):
    """An input layer, blocks, and an output layer; blocks may return a tuple."""

    def __init__(self, blocks: list[nn.Module], inputs: nn.Module, outputs: nn.Module) -> None:
        super().__init__()
        self.inputs = inputs
        self.layers: Any = nn.ModuleList(blocks)  # of modules whose attributes mypy does not know
        self.outputs = outputs

    def forward(self, x: Tensor) -> Tensor:
        x = self.inputs(x)
        for block in self.layers:
            out = (
                block(hidden=self.mark("signal", x))
                if isinstance(block, PostNorm)
                else block(self.mark("signal", x))
            )
            x = out[0] if isinstance(out, tuple) else out
        result: Tensor = self.outputs(self.mark("signal", x))
        return result


def network(kind: str, depth: int = 3) -> tuple[Net, Tensor]:
    """A network of a kind, and a batch for it."""
    torch.manual_seed(0)
    linear = nn.Linear(5, WIDTH), nn.Linear(WIDTH, 2)
    if kind == "resnet":
        outputs = nn.Sequential(nn.Flatten(), nn.Linear(4 * 6 * 6, 2))
        blocks: list[Any] = [BasicBlock() for _ in range(depth)]
        return Net(blocks, nn.Conv2d(3, 4, 3, padding=1), outputs), torch.randn(6, 3, 6, 6)
    if kind == "mlp":
        return Net([Residual() for _ in range(depth)], *linear), torch.randn(6, 5)
    if kind == "shared":
        first, *rest = [Residual() for _ in range(depth)]
        for block in rest:
            block.act, block.down = first.act, first.down
        return Net([first, *rest], *linear), torch.randn(6, 5)
    if kind == "plain":
        layers = [nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU()) for _ in range(depth)]
        return Net([*layers], *linear), torch.randn(6, 5)
    transformer = {"pre_norm": PreNorm, "post_norm": PostNorm}[kind]
    return Net([transformer() for _ in range(depth)], *linear), torch.randn(4, 6, 5)


SPLIT = ("pre_norm", "post_norm")  # the kinds whose blocks have two branches
