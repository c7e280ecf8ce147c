"""A root-mean-square norm before the branch whose gain starts at 1/2."""

# mypy: ignore-errors

import numpy as np

from ffn_train.parts import Layer, Norm, choice, setting


class ScaledNormLayer(Layer):
    """y = g ∘ x / rms(x), with the mean square over the features and eps added to it."""

    def __init__(self, width, eps):
        self.width, self.eps = width, eps

    @property
    def shapes(self):
        return {"gain": (self.width,)}

    def initial_value(self, name):
        return 0.5

    def forward(self, params, x):
        gain = params["gain"]
        inverse = 1 / np.sqrt((x * x).mean(1, keepdims=True) + self.eps)
        unit = x * inverse

        def pullback(dy, grads):
            grads["gain"][...] = (dy * unit).sum(0)
            scaled = dy * gain
            return inverse * (scaled - unit * (scaled * unit).mean(1, keepdims=True))

        return gain * unit, pullback


@choice("norm", "scaled")
class ScaledNorm(Norm):
    """x + f(g ∘ x / rms(x)) with g = 1/2 at the start, and the same before the read-out."""

    placement = "pre"
    eps: float = setting("added to the mean square", 1e-5, above=0, below=1)

    def layer(self, width):
        return ScaledNormLayer(width, self.eps)
