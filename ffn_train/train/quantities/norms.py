"""The norms of each parameter tensor, of its gradient and of its update."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ffn_train.config.registry import choice
from ffn_train.nn.core import Array, Floats
from ffn_train.train.quantities.quantity import Step, StepQuantity


class TensorNorm(StepQuantity):
    """The norm of each tensor's part of a flat vector: the attribute ``vector`` of the step."""

    per = "tensor"
    vector: ClassVar[str]

    def value(self, step: Step, memory: Mapping[str, Array], out: Floats) -> None:
        model = step.model
        model.engine.reductions.tensor_norms(model.layout, getattr(step, self.vector), out)


@choice("quantity", "gradient_norm")
class GradientNorm(TensorNorm):
    """Norm of each parameter tensor's gradient, before clipping."""

    symbol = r"$\|\partial L/\partial\theta\|$"
    equation = "|dLoss/dθ|"
    needs = ("gradient",)
    vector = "gradient"


@choice("quantity", "weight_norm")
class WeightNorm(TensorNorm):
    """Norm of each parameter tensor."""

    symbol = r"$\|\theta\|$"
    equation = "|θ|"
    needs = ("parameters",)
    vector = "params"


@choice("quantity", "update_norm")
class UpdateNorm(TensorNorm):
    """Norm of the update of each parameter tensor, in the step taken from here."""

    symbol = r"$\|\Delta\theta\|$"
    equation = "|Δθ|"
    needs = ("update",)
    vector = "update"
