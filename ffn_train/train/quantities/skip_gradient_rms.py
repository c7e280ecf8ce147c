"""The size of the part of each block's signal gradient that comes through the skip path."""

from ffn_train.config.registry import choice
from ffn_train.nn.core import Array
from ffn_train.nn.stack import Stack
from ffn_train.train.quantities.quantity import Backward, RootMeanSquare


@choice("quantity", "skip_gradient_rms")
class SkipGradientRMS(RootMeanSquare):
    """Root mean square of the part of each block's signal gradient that came by the skip path."""

    per = "block"
    symbol = r"RMS $\partial L/\partial x_l$, skip part"
    equation = "sqrt(mean (s dLoss/dz_l)²), of z = s x + a f(x)"
    needs = ("signal gradients",)

    def absent(self, model: Stack) -> str:
        return "" if model.block.skip != 0 else "the blocks have no skip path"

    def backward(self, at: Backward, partial: Array) -> None:
        if at.passes_on:
            partial[at.blocks] = at.norms[at.blocks.start + 1 : at.blocks.stop + 1]
        elif at.skip is not None:
            at.reductions.norms(at.skip, partial[at.blocks])
