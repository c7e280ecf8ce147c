"""The norm of each parameter tensor's gradient."""

from collections.abc import Mapping

from ffn_train.config.registry import choice
from ffn_train.nn.core import Array, Floats
from ffn_train.train.quantities.quantity import Step, StepQuantity


@choice("quantity", "gradient_norm")
class GradientNorm(StepQuantity):
    """Norm of each parameter tensor's gradient, before clipping."""

    per = "tensor"
    symbol = r"$\|\partial L/\partial\theta\|$"
    equation = "|dLoss/dθ|"
    needs = ("gradient",)

    def value(self, step: Step, memory: Mapping[str, Array], out: Floats) -> None:
        model = step.model
        model.engine.reductions.tensor_norms(model.layout, step.gradient, out)
