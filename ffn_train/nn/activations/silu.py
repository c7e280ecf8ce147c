"""SiLU, which gates z with its own logistic sigmoid."""

from __future__ import annotations

import numpy as np

from ffn_train.config.registry import choice
from ffn_train.nn.activations.activation import PairedActivation
from ffn_train.nn.core import Array


@choice("activation", "silu")
class SiLU(PairedActivation):
    """act(z) = z σ(z), act'(z) = σ(z) (1 + z (1 - σ(z))), σ the logistic sigmoid.

    Elfwing et al. 2018; "swish" in Ramachandran et al. 2017.
    """

    rectifies = True

    def pair(self, z: Array) -> tuple[Array, Array]:
        # σ from exp(-|z|), which never overflows and keeps the lower tail's digits
        decay = np.abs(z)
        np.negative(decay, out=decay)
        np.exp(decay, out=decay)
        sigmoid = np.where(z < 0, decay, 1)
        decay += 1
        sigmoid /= decay
        value = z * sigmoid
        slope = 1 - sigmoid
        slope *= z
        slope += 1
        slope *= sigmoid
        return value, slope
