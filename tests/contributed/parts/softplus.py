"""The activation softplus, with its compiled twin."""

# mypy: ignore-errors

import math

import numpy as np

from ffn_train.parts import Activation, choice, setting


@choice("activation", "softplus")
class Softplus(Activation):
    """act(z) = log(1 + exp βz)/β; act'(z) = 1/(1 + exp(-βz)). Dugas et al. 2001."""

    beta: float = setting("β: the larger, the closer to ReLU", 1.0, above=0)

    def value(self, z):
        return np.logaddexp(self.beta * z, 0) / self.beta

    def derivative(self, z):
        # through tanh, which neither overflows nor warns where βz is large and negative
        return 0.5 * (1 + np.tanh(0.5 * self.beta * z))

    @staticmethod
    def compiled_pair(z, beta):
        real = type(z)
        decay = math.exp(-abs(beta * z))
        value = max(z, real(0)) + math.log1p(decay) / beta
        return value, (real(1) if z > 0 else decay) / (real(1) + decay)
