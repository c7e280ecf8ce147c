"""The residual block: y = post(skip · x + a · branch(pre(x))), and the choices of skip and a."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ffn_train.config.registry import Choice, choice
from ffn_train.config.settings import setting
from ffn_train.nn.blocks.branch import Branch, BranchPullback
from ffn_train.nn.blocks.norm import Norm
from ffn_train.nn.core import Array, Layer, Pullback, Shape, Views
from ffn_train.nn.trial import number


class Residual(Choice):
    """How a block adds its skip path and its branch, given the depth L of the stack."""

    learnable: ClassVar[bool] = False

    def skip(self, depth: int) -> float:
        """The factor of the skip path; 0 for no skip path."""
        return 1.0

    def multiplier(self, depth: int) -> float:
        """The factor a of the branch; its initial value if it is learnable."""
        return 1.0

    def check_results(self, depth: int) -> None:
        """Raises SettingError for a factor that is no finite number."""
        for method in (self.skip, self.multiplier):
            number(f"residual={self.name}: {method.__name__}", method(depth), finite=True)


@choice("residual", "none")
class NoResidual(Residual):
    """y = f(x): the plain stack."""

    def skip(self, depth: int) -> float:
        return 0.0


@choice("residual", "identity")
class IdentityResidual(Residual):
    """y = x + f(x). He et al. 2016."""


@choice("residual", "scaled")
class ScaledResidual(Residual):
    """y = x + c L^(-p) f(x), by default x + f(x)/sqrt(L). Hayou et al. 2021, "Stable ResNet"."""

    scale: float = setting("c, a factor on every branch", 1.0, above=0)
    power: float = setting("p, the power of the depth: 0.5 is 1/sqrt(L)", 0.5, at_least=0)

    def multiplier(self, depth: int) -> float:
        return float(self.scale * depth**-self.power)


@choice("residual", "rezero")
class ReZero(Residual):
    """y = x + α_l f(x) with a learnable α_l for each block. Bachlechner et al. 2021."""

    start: float = setting("α before the first step", 0.0)

    learnable = True

    def multiplier(self, depth: int) -> float:
        return self.start


@choice("residual", "deepnorm")
class DeepNormResidual(Residual):
    """y = LayerNorm(α x + f(x)) with α = L^(1/4). Wang et al. 2022, "DeepNet".

    The paper's (2N)^(1/4) counts N layers of two residual sums each; here each block is one sum.
    """

    def skip(self, depth: int) -> float:
        return float(depth**0.25)


@dataclass(slots=True)
class ResidualPullback:
    """Backward of z = s x + a f(x): dL/dx = s dL/dz + fᵀ(a dL/dz), the skip and the branch part."""

    block: ResidualBlock
    params: Views
    branch: BranchPullback
    branch_output: Array | None
    pre: Pullback | None
    post: Pullback | None

    def split(self, dy: Array, grads: Views) -> tuple[Array | None, Array]:
        """The two parts of dL/dx (N, D), skip (None without a skip path) and branch."""
        block = self.block
        dz = dy if self.post is None else self.post(dy, grads.part("norm"))
        dbranch = dz
        if self.branch_output is not None:
            grads["multiplier"][...] = np.vdot(dz, self.branch_output)
            dbranch = dz * self.params["multiplier"]
        elif block.multiplier != 1:
            dbranch = dz * block.multiplier
        dx = self.branch(dbranch, grads)
        if self.pre is not None:
            dx = self.pre(dx, grads.part("norm"))
        if block.skip == 0:
            return None, dx
        return (dz if block.skip == 1 else dz * block.skip), dx

    def __call__(self, dy: Array, grads: Views) -> Array:
        skip, dx = self.split(dy, grads)
        if skip is not None:
            dx += skip
        return dx


class ResidualBlock(Layer):
    """One block of the stack: a branch with its skip path, multiplier and norm.

    Its parts are the branch's own (``up``, ``down``, ...) and ``norm``; a learnable multiplier is
    the parameter ``multiplier`` of shape (1,).
    """

    def __init__(
        self, *, branch: Branch, residual: Residual, norm: Norm, width: int, depth: int
    ) -> None:
        self.branch = branch
        self.skip = float(residual.skip(depth))
        self.multiplier = float(residual.multiplier(depth))
        self.learnable = residual.learnable
        self.pre = norm.layer(width) if norm.placement == "pre" else None
        self.post = norm.layer(width) if norm.placement == "post" else None

    @property
    def shapes(self) -> Mapping[str, Shape]:
        return {"multiplier": (1,)} if self.learnable else {}

    def initial_value(self, name: str) -> float:
        return self.multiplier

    @property
    def parts(self) -> Mapping[str, Layer]:
        norm = self.pre or self.post
        return {**({"norm": norm} if norm else {}), **self.branch.parts}

    def forward(self, params: Views, x: Array) -> tuple[Array, ResidualPullback]:
        pre = post = branch_output = None
        branch_input = x
        if self.pre is not None:
            branch_input, pre = self.pre.forward(params.part("norm"), x)
        y, branch = self.branch.forward(params, branch_input)
        if self.learnable:
            branch_output = y
        y = self._join(params, x, y)
        if self.post is not None:
            y, post = self.post.forward(params.part("norm"), y)
        return y, ResidualPullback(self, params, branch, branch_output, pre, post)

    def predict(self, params: Views, x: Array) -> Array:
        branch_input = x if self.pre is None else self.pre.predict(params.part("norm"), x)
        y = self._join(params, x, self.branch.predict(params, branch_input))
        return y if self.post is None else self.post.predict(params.part("norm"), y)

    def _join(self, params: Views, x: Array, y: Array) -> Array:
        """s x + a y, in y's storage; a learnable a keeps y, which its gradient needs."""
        if self.learnable:
            y = y * params["multiplier"]
        elif self.multiplier != 1:
            y *= self.multiplier
        if self.skip == 1:
            y += x
        elif self.skip != 0:
            y += x * self.skip
        return y
