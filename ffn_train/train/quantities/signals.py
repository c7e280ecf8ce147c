"""The sizes of the signal at each block boundary, of its gradient, and of the gradient's parts."""

from __future__ import annotations

from ffn_train.config.registry import choice
from ffn_train.nn.core import Array
from ffn_train.nn.stack import Stack
from ffn_train.train.quantities.quantity import Backward, Forward, RootMeanSquare


@choice("quantity", "signal_rms")
class SignalRMS(RootMeanSquare):
    """Root mean square of the signal at each block boundary, over the batch and its features."""

    per = "boundary"
    symbol = "RMS $x_l$"
    equation = "sqrt(mean x_l²)"
    needs = ("signals",)

    def forward(self, at: Forward, partial: Array) -> None:
        at.reductions.norms(at.signals, partial[at.boundaries])


@choice("quantity", "signal_gradient_rms")
class SignalGradientRMS(RootMeanSquare):
    """Root mean square of the gradient with respect to the signal at each block boundary."""

    per = "boundary"
    symbol = r"RMS $\partial L/\partial x_l$"
    equation = "sqrt(mean (dLoss/dx_l)²)"
    needs = ("signal gradients",)

    def backward(self, at: Backward, partial: Array) -> None:
        at.reductions.norms(at.gradients, partial[at.boundaries])


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
        if at.skip is not None:
            at.reductions.norms(at.skip, partial[at.blocks])


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
