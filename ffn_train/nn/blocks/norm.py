"""``norm=...``: a block's normalisation, before the branch or after the residual sum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from ffn_train.config.registry import Choice, choice
from ffn_train.config.settings import one_of, setting
from ffn_train.nn.core import Layer
from ffn_train.nn.layers.norms import LayerNorm, RMSNorm


class Norm(Choice):
    """A block's norm: none, before the branch, or after the residual sum."""

    placement: ClassVar[Literal["none", "pre", "post"]]

    @classmethod
    def check_class(cls) -> None:
        one_of("placement", getattr(cls, "placement", None), ("none", "pre", "post"))
        if cls.placement != "none" and cls.layer is Norm.layer:
            raise ValueError(f"placement is {cls.placement!r}, and there is no method layer")

    def layer(self, width: int) -> Layer | None:
        """A norm over ``width`` features; None without a norm."""
        return None

    def warnings(self, width: int) -> list[str]:
        """Warnings about it for ``width`` features."""
        return []


@choice("norm", "none")
class NoNorm(Norm):
    """x + f(x)."""

    placement = "none"


@dataclass(frozen=True, kw_only=True)
class _Norm(Norm):
    eps: float = setting("added to the variance", 1.0e-5, above=0, below=1)

    kind: ClassVar[type[LayerNorm] | type[RMSNorm]]

    def layer(self, width: int) -> Layer:
        return self.kind(width, self.eps)

    def warnings(self, width: int) -> list[str]:
        free = width - 1 if self.kind is LayerNorm else width  # numbers left without the mean
        if free > 1:
            return []
        what = f"{self.kind.__name__} over {'one feature' if width == 1 else 'two features'}"
        if free == 0:
            lost = "its shift whatever its input, so the output does not depend on the data"
        else:
            lost = "a sign times its gain, so the size of the input is lost and hardly any gradient"
            lost += " gets through"
        article = "a" if self.kind is LayerNorm else "an"
        return [f"{article} {what} returns {lost}; try model.width=32"]


@choice("norm", "pre_layer")
class PreLayerNorm(_Norm):
    """x + f(LayerNorm(x)), and a final LayerNorm before the read-out. Xiong et al. 2020."""

    placement = "pre"
    kind = LayerNorm


@choice("norm", "pre_rms")
class PreRMSNorm(_Norm):
    """x + f(RMSNorm(x)), and a final RMSNorm before the read-out, as in Llama."""

    placement = "pre"
    kind = RMSNorm


@choice("norm", "post_layer")
class PostLayerNorm(_Norm):
    """LayerNorm(x + f(x)): the first transformer's order. Vaswani et al. 2017."""

    placement = "post"
    kind = LayerNorm


@choice("norm", "post_rms")
class PostRMSNorm(_Norm):
    """RMSNorm(x + f(x))."""

    placement = "post"
    kind = RMSNorm
