"""The norm of each parameter tensor."""

from collections.abc import Mapping

from ffn_train.config.registry import choice
from ffn_train.nn.core import Array, Floats
from ffn_train.train.quantities.quantity import Step, StepQuantity


@choice("quantity", "weight_norm")
class WeightNorm(StepQuantity):
    """Norm of each parameter tensor."""

    per = "tensor"
    symbol = r"$\|\theta\|$"
    equation = "|θ|"
    needs = ("parameters",)

    def value(self, step: Step, memory: Mapping[str, Array], out: Floats) -> None:
        model = step.model
        model.engine.reductions.tensor_norms(model.layout, step.params, out)
