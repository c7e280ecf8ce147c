"""Where nothing is predicted, and why: the limits of a theory of wide layers.

Each was found by simulation over seeds; ``experiments/theory_limits`` repeats it for configurations
drawn at random. A run's own check at step 0 is in ``runs.predictions``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ffn_train.nn.stack import Stack

# Gradients of parameters are sums over pairs of samples. Between samples whose products go to 0 in
# wide layers their chance, of order 1/D each, is left, forward and backward together: where it may
# be so much of the sum, norms were up to 1.7 of the prediction (geglu, 200 samples, D = 47).
PAIRS = 0.6
# E[1/σ²] of a norm's scale, which grows from block to block in a plain stack: at depth 192 and
# width 18 the gradient was 1e-7 of the prediction.
NORMS = 2.0
# |x|² of gated blocks without a norm grows faster than exponentially: the largest sample decides.
GATES = 0.5


@dataclass(frozen=True)
class Case:
    """What a limit may depend on.

    ``anchored``: the mode; ``norms`` and ``variance``: the variances over seeds of the logs of all
    squares |x_l|² that norms divide by, of one sample, and of |x_L|², of the worst sample.
    """

    model: Stack
    orthogonal: bool
    anchored: bool
    norms: float
    variance: float


@dataclass(frozen=True)
class Limit:
    """Nothing is predicted ``where``; ``why`` is half a line."""

    where: Callable[[Case], bool]
    why: str


def _plain(case: Case) -> bool:
    return case.model.block.skip == 0


LIMITS: Sequence[Limit] = (
    Limit(
        # ratios of up to 6; LayerNorm of one feature is 0
        lambda case: case.model.width < 5 and case.model.norm.placement != "none",
        "none is for a norm over fewer than 5 features: they are no wide layer",
    ),
    Limit(
        lambda case: case.orthogonal and case.model.hidden <= case.model.width and _plain(case),
        "none is verified for square orthogonal matrices without a skip path",
    ),
    Limit(
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
    Limit(
        lambda case: case.model.norm.placement != "none" and _plain(case) and case.norms > NORMS,
        "none is for a plain stack with a norm that is so deep and narrow: the chance in the "
        "norms' scales multiplies from block to block",
    ),
    Limit(
        lambda case: (
            "gate" in case.model.branch.parts
            and case.model.norm.placement == "none"
            and case.variance > GATES
        ),
        "none is for gated blocks without a norm whose products grow so fast that chance decides",
    ),
)


def refusal(case: Case) -> str:
    """Why nothing is predicted; "" where something is."""
    return next((limit.why for limit in LIMITS if limit.where(case)), "")


def undecided(share: float) -> bool:
    """Whether the chance in the pairs' products is too large a share of a sum over all pairs."""
    return bool(np.isfinite(share) and share > PAIRS)
