"""The limits of a theory of wide layers: where it predicts nothing, and why.

Each was found by simulation over seeds; ``experiments/theory_limits`` tests them on random
configurations. A run's check against its measured step 0 is in ``runs.theory``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ffn_train.nn.core import Floats
from ffn_train.nn.stack import Stack
from ffn_train.theory.path import grows_by_products

# Gradients of parameters are sums over pairs of samples. Products of samples that vanish in wide
# layers leave random terms of order 1/D, correlated between forward and backward pass. Where these
# may be as large as the rest of the sum, the band is wider than a factor of 1.7, as far as norms
# were off (geglu, 200 samples, D = 47).
PAIRS = 1.0
# The scatter of a norm's σ² grows from block to block in a plain stack, and E[1/σ²] with it: at
# depth 192 and width 18 the gradient was 1e-7 times the prediction.
NORMS = 2.0
# |x|² of gated blocks without a norm grows faster than exponentially: the largest sample dominates.
# Without a measured x_L the band, up to a factor of 30, was right up to here; at 70 a median was
# 1e-6 times the predicted.
GATES = 50.0


@dataclass(frozen=True)
class Case:
    """What a limit may depend on.

    ``anchored``: the mode; ``norms``: the summed variances over seeds of the logs that blocks add
    to |x_l|², mean over samples; ``variance``: that of log |x_L|² of the worst sample.
    """

    model: Stack
    orthogonal: bool
    anchored: bool
    norms: float
    variance: float


def _plain(case: Case) -> bool:
    return case.model.block.skip == 0


# where nothing is predicted, and why in half a line
LIMITS: Sequence[tuple[Callable[[Case], bool], str]] = (
    (
        # ratios of up to 6; LayerNorm of one feature is 0
        lambda case: case.model.width < 5 and case.model.norm.placement != "none",
        "none is for a norm over fewer than 5 features: they are no wide layer",
    ),
    (
        lambda case: case.orthogonal and case.model.hidden <= case.model.width and _plain(case),
        "none is verified for square orthogonal matrices without a skip path",
    ),
    (
        # 0.69 for a linear stack of D = 40, L = 24; 0.43 for tanh of D = 64, L = 128
        lambda case: (
            case.anchored
            and case.model.norm.placement == "none"
            and _plain(case)
            and case.model.depth > case.model.width
        ),
        "none is for a plain stack without a norm that is deeper than wide, from its measured "
        "gradient: the chance in that counts for more in each block, up to exp(L/2D)",
    ),
    (
        lambda case: case.model.norm.placement != "none" and _plain(case) and case.norms > NORMS,
        "none is for a plain stack with a norm that is so deep and narrow: the chance in the "
        "norms' scales multiplies from block to block",
    ),
    (
        lambda case: not case.anchored and grows_by_products(case.model) and case.variance > GATES,
        "none is for gated blocks without a norm whose products grow so fast that chance decides",
    ),
)


def refusal(case: Case) -> str:
    """Why nothing is predicted; "" if something is."""
    return next((why for where, why in LIMITS if where(case)), "")


def undecided(share: Floats) -> NDArray[np.bool]:
    """Whether random terms are too large a share of a sum over all pairs of samples."""
    return np.isfinite(share) & (share > PAIRS)
