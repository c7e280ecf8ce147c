"""The forward kernels on the most likely way from the measured |x_0|² to the measured |x_L|².

With products in each block |x|² grows faster than exponentially, and chance in the first blocks
decides how fast: the recursion may miss |x_L|² by many powers of ten, and the gradient with it. Of
the ways q_l = log |x_l|² that end at the measured one, the most likely deviates from the recursion
in each block by as little as chance F allows, min Σ_l (q_{l+1} - log Z_l(q_l))²/F_l, each sample by
itself. Newton's method: near one way, deviations follow linearly.
"""

from __future__ import annotations

import numpy as np

from ffn_train.nn.core import Floats
from ffn_train.nn.stack import Stack
from ffn_train.theory.branch import Maps
from ffn_train.theory.fluctuation import climb
from ffn_train.theory.recursion import Up, up
from ffn_train.theory.scaled import Scaled, recurrence

ROUNDS = 10
CLOSE = 0.05  # of a log |x_l|²: its effect on a norm is about the accuracy of the theory
BEYOND = 1.0  # how far log |x_l|² may leave the range of both ends; Newton's steps overshoot
_TINY = 1e-300


def grows_by_products(model: Stack) -> bool:
    """Whether blocks multiply their input by itself, and no norm resets its size."""
    return "gate" in model.branch.parts and model.norm.placement == "none"


def between(model: Stack, maps: Maps, blocks: Up, last: Floats) -> Up:
    """The recursion's ``blocks`` with |x_l|² on the way to the measured x_L, ``last`` (N, D)."""
    first = blocks.signal.at(0)
    nothing = np.zeros_like(first.values)
    way = _logs(blocks.sizes)
    start, end = way[0], _log_squares(last)
    lowest, highest = np.minimum(start, end) - BEYOND, np.maximum(start, end) + BEYOND
    for _ in range(ROUNDS):
        scatter = climb(model, blocks, nothing)
        own = _logs(blocks.total.diagonal) - scatter.passing * way[:-1]
        free = recurrence(start, scatter.passing, own)
        free += scatter.shares() * (end - free[-1])
        before, way = way, np.clip(np.where(np.isnan(free), highest, free), lowest, highest)
        if np.max(np.abs(way - before)) < CLOSE:
            break
        blocks = up(model, maps, first, way)
    return blocks


def _logs(sizes: Scaled) -> Floats:
    return np.asarray(np.log(np.maximum(sizes.values, _TINY)) + sizes.log[:, None])


def _log_squares(x: Floats) -> Floats:
    """The log of each row's mean square, which may itself overflow."""
    size = np.maximum(np.abs(x).max(axis=1), _TINY)
    return np.asarray(np.log(np.mean((x / size[:, None]) ** 2, axis=1)) + 2 * np.log(size))
