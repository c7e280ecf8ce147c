"""The size of the signal at each block boundary."""

from ffn_train.config.registry import choice
from ffn_train.nn.core import Array
from ffn_train.train.quantities.quantity import Forward, RootMeanSquare


@choice("quantity", "signal_rms")
class SignalRMS(RootMeanSquare):
    """Root mean square of the signal at each block boundary, over the batch and its features."""

    per = "boundary"
    symbol = "RMS $x_l$"
    equation = "sqrt(mean x_l²)"
    needs = ("signals",)

    def forward(self, at: Forward, partial: Array) -> None:
        at.reductions.norms(at.signals, partial[at.boundaries])
