"""The size of the part of each block's signal gradient that comes through the branch."""

from ffn_train.config.registry import choice
from ffn_train.nn.core import Array
from ffn_train.nn.stack import Stack
from ffn_train.train.quantities.quantity import Backward, RootMeanSquare


@choice("quantity", "branch_gradient_rms")
class BranchGradientRMS(RootMeanSquare):
    """Root mean square of the part of each block's signal gradient that came by the branch."""

    per = "block"
    symbol = r"RMS $\partial L/\partial x_l$, branch part"
    equation = "sqrt(mean (fᵀ(a dLoss/dz_l))²), of z = s x + a f(x)"
    needs = ("signal gradients",)

    def absent(self, model: Stack) -> str:
        return "" if model.block.skip != 0 else "the blocks have no skip path: it is all of it"

    def backward(self, at: Backward, partial: Array) -> None:
        at.reductions.norms(at.branch, partial[at.blocks])
