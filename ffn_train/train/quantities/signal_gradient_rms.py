"""The size of the loss's gradient with respect to the signal at each block boundary."""

from ffn_train.config.registry import choice
from ffn_train.nn.core import Array
from ffn_train.train.quantities.quantity import Backward, RootMeanSquare


@choice("quantity", "signal_gradient_rms")
class SignalGradientRMS(RootMeanSquare):
    """Root mean square of the gradient with respect to the signal at each block boundary."""

    per = "boundary"
    symbol = r"RMS $\partial L/\partial x_l$"
    equation = "sqrt(mean (dLoss/dx_l)²)"
    needs = ("signal gradients",)

    def backward(self, at: Backward, partial: Array) -> None:
        partial[at.boundaries] = at.norms[at.boundaries]
