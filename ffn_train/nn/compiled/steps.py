"""Several steps of a fit in one call of compiled code.

Each calls the machine code that a single step calls from Python, so it computes the same bytes.
"""

from __future__ import annotations

import time
from math import isfinite

import numpy as np
from numba import from_dtype, int64, typeof, types
from numpy.typing import NDArray

from ffn_train.nn.compiled.blocks import backward, forward
from ffn_train.nn.compiled.jit import address, call, entry
from ffn_train.nn.compiled.losses import CompiledGradientOf, gradient_of
from ffn_train.nn.compiled.reductions import vector_norm
from ffn_train.nn.compiled.segment import scheme_of
from ffn_train.nn.compiled.updates import CompiledOptimizer
from ffn_train.nn.engine import Fit

SECONDS = 0.05  # of a call, about: no signal is handled during one
LARGE = 2**30  # multiply-adds of a step that itself lasts about as long


@entry
def _steps(described, fit, rows, numbers, shrink, losses, norms):
    """The steps of ``Fit``; returns how many were made.

    ``described``: the addresses of forward pass, loss, backward pass, norm and update; the record
    of the scheme; the numbers of blocks and of entries that a forward pass keeps; the loss's
    settings. ``fit``: its data, vectors and limits.
    """
    functions, record, sizes, settings = described
    x, targets, theta, grads, first, second, decays, clip, limit = fit
    scheme, blocks, batch = record[0], sizes[0], rows.shape[1]
    dtype, real = theta.dtype, theta.dtype.type
    inputs, wanted = (
        np.empty((batch, x.shape[1]), dtype),
        np.empty((batch, targets.shape[1]), dtype),
    )
    outputs, doutputs, dinputs = np.empty_like(wanted), np.empty_like(wanted), np.empty_like(inputs)
    signals = np.empty((blocks + 1, batch, scheme.width), dtype)
    hiddens = np.empty((blocks, batch, scheme.hidden), dtype)
    kept, flow = np.empty(sizes[1], dtype), np.empty((0, 0, 0, 0), dtype)
    for step in range(rows.shape[0]):
        for n in range(batch):
            inputs[n] = x[rows[step, n]]
            wanted[n] = targets[rows[step, n]]
        passed = signals, hiddens, kept
        loss, norm = losses[step : step + 1], norms[step : step + 1]
        call(functions[0], (record, theta, inputs, *passed, outputs, blocks))
        call(functions[1], (outputs, wanted, settings, doutputs, loss))
        call(functions[2], (record, theta, grads, inputs, *passed, doutputs, dinputs, flow))
        call(functions[3], (grads, norm))
        if not (loss[0] <= limit and isfinite(loss[0]) and isfinite(norm[0])):
            return step
        if norm[0] > clip:
            factor = real(clip / norm[0])
            for i in range(grads.size):
                grads[i] *= factor
        if shrink[step] != 1:
            for i in range(theta.size):
                if decays[i]:
                    theta[i] *= shrink[step]
        call(functions[4], (theta, grads, first, second, numbers[step]))
    return rows.shape[0]


class CompiledSteps:
    """``Steps``, compiled."""

    def __init__(self, fit: Fit, gradient_of: CompiledGradientOf, rule: CompiledOptimizer) -> None:
        dtype, blocks, rows = fit.params.dtype, fit.model.depth, fit.rows
        scheme, record = scheme_of(fit.model, dtype, True, True)
        vector, matrix, cube, flow = (types.Array(from_dtype(dtype), n, "C") for n in range(1, 5))
        doubles, described = types.Array(types.float64, 1, "C"), typeof(record)
        kept = cube, cube, vector
        functions = [
            address(forward, described, vector, matrix, *kept, matrix, int64),
            address(gradient_of.kernel, matrix, matrix, doubles, matrix, doubles),
            address(backward, described, *[vector] * 2, matrix, *kept, matrix, matrix, flow),
            address(vector_norm, vector, doubles),
            address(rule.kernel, *[vector] * 4, doubles),
        ]
        self.at_once, self._rule, self._real = 1, rule, dtype.type
        sizes = np.array([blocks, rows * scheme.kept(blocks)])
        self._described = np.array(functions), record, sizes, gradient_of.settings
        self._fit = (
            np.ascontiguousarray(fit.x, dtype),
            np.ascontiguousarray(fit.targets, dtype),
            fit.params,
            fit.gradient,
            *rule.vectors(fit.memory, fit.params),
            fit.decays,
            np.inf if fit.clip is None else fit.clip,
            fit.limit,
        )
        self(np.empty((0, rows), np.int64), [], 1)  # compiles it

    def __call__(
        self, rows: NDArray[np.int64], rates: list[float], count: int
    ) -> tuple[list[float], list[float]]:
        rule, scalar = self._rule, self._real
        numbers = np.array([rule.numbers(lr, n) for n, lr in enumerate(rates, count)], ndmin=2)
        shrink = 1 - np.array(rates, scalar) * scalar(rule.weight_decay)
        losses, norms = np.empty(len(rows)), np.empty(len(rows))
        began = time.perf_counter()
        made = _steps(self._described, self._fit, rows, numbers, shrink, losses, norms)
        could = int(SECONDS * made / (time.perf_counter() - began))
        self.at_once = max(1, min(2 * self.at_once, could))
        return losses[:made].tolist(), norms[:made].tolist()


def compiled_steps(fit: Fit) -> CompiledSteps | None:
    """Several steps in a call, where all that a step does is compiled and takes less than one."""
    gradient, rule, size = gradient_of(fit.loss), fit.optimizer, fit.params.size
    if fit.model.segment < fit.model.depth or 3 * size * fit.rows > LARGE:
        return None
    if not isinstance(gradient, CompiledGradientOf) or not isinstance(rule, CompiledOptimizer):
        return None
    return CompiledSteps(fit, gradient, rule)
