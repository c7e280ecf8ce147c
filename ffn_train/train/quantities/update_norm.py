"""The norm of each parameter tensor's update."""

from collections.abc import Mapping

from ffn_train.config.registry import choice
from ffn_train.nn.core import Array, Floats
from ffn_train.train.quantities.quantity import Step, StepQuantity


@choice("quantity", "update_norm")
class UpdateNorm(StepQuantity):
    """Norm of the update of each parameter tensor, in the step taken from here."""

    per = "tensor"
    symbol = r"$\|\Delta\theta\|$"
    equation = "|Δθ|"
    needs = ("update",)

    def value(self, step: Step, memory: Mapping[str, Array], out: Floats) -> None:
        model = step.model
        assert step.update is not None
        model.engine.reductions.tensor_norms(model.layout, step.update, out)
