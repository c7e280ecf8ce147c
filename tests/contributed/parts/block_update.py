"""The relative size of each block's update."""

# mypy: ignore-errors

import numpy as np

from ffn_train.parts import StepQuantity, choice


@choice("quantity", "block_update")
class BlockUpdate(StepQuantity):
    """Norm of the update of each block's parameters over the norm that they had before it."""

    per = "block"
    symbol = r"$|\Delta\theta_l| / |\theta_l|$"
    equation = "|Δθ_l| / |θ_l|"
    needs = ("update",)

    def value(self, step, memory, out):
        updates, weights = step.blocks(step.update), step.blocks(step.params)
        for index, (update, after) in enumerate(zip(updates, weights, strict=True)):
            update = update.astype(float)
            before = np.linalg.norm(after - update)  # params are those after the update here
            out[index] = np.linalg.norm(update) / before if before else np.nan
