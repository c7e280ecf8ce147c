"""Prediction of the norms at step 0: of x_l, of dLoss/dx_l and of every parameter's gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ffn_train.core import Array
from ffn_train.initialisers import Initialiser
from ffn_train.layers.norms import LayerNorm
from ffn_train.losses import MSE, Loss
from ffn_train.model import Stack
from ffn_train.theory import gradients
from ffn_train.theory.branch import Variances
from ffn_train.theory.fluctuation import climb, of_gradient, of_signal
from ffn_train.theory.readout import ReadOut, mse_read_out, normalised_square
from ffn_train.theory.recursion import Top, Up, down, up
from ffn_train.theory.scaled import Numbers, Scaled, Sums

ROWS = 128  # the largest batch that is taken whole
FEWEST_ROWS = 16
_ENTRIES = 64 * ROWS**2  # kernel entries over all blocks; a deeper stack takes fewer rows


@dataclass(frozen=True)
class Prediction:
    """Root mean squares over seeds, as natural logarithms, and how far one seed lies from them.

    log_signal_rms, log_signal_gradient_rms   (L+1,)  RMS of x_l and of dLoss/dx_l, l = 0 ... L
    log_gradient_norm                         (T,)    |dLoss/dθ| of each tensor in the layout's
                                                      order; NaN where none is derived, -inf for 0
    signal_sd, signal_gradient_sd             (L+1,)  standard deviation of the log over seeds
    gradient_sd                               (T,)    of sums that cancel between samples too low
    """

    log_signal_rms: Numbers
    log_signal_gradient_rms: Numbers
    log_gradient_norm: Numbers
    signal_sd: Numbers
    signal_gradient_sd: Numbers
    gradient_sd: Numbers


@dataclass(frozen=True)
class Unpredicted:
    """No prediction, because none is derived or verified; ``reason`` is half a line."""

    reason: str


@dataclass(frozen=True)
class Anchor:
    """What is measured on the batch: x_0, x_L and dLoss/dx_L, each (N, D)."""

    first: Array
    last: Array
    gradient: Array


def predict(
    model: Stack, init: Initialiser, loss: Loss, x: Array, targets: Array
) -> Prediction | Unpredicted:
    """The a-priori prediction for a batch x (N, inputs) with targets (N, M): nothing is measured.

    The mean is over the weights of the whole stack, with input projection and read-out.
    """
    if not isinstance(loss, MSE):
        return Unpredicted(
            f"the a-priori gradient at the read-out is derived for mse, not {loss.name}"
        )
    inputs = np.asarray(x, np.float64)
    rows = _rows(inputs, model.depth)
    chosen = inputs[rows]
    first = Scaled(chosen @ chosen.T / inputs.shape[1]).normalised()
    first = _with_mean(first, float(np.mean(inputs**2)))
    blocks = _blocks(model, init, first)
    if isinstance(blocks, Unpredicted):
        return blocks
    wanted = np.asarray(targets, np.float64)[rows]
    out = mse_read_out(model, blocks[-1].output, wanted, len(inputs))
    top = out.top
    if top.coherence is not None:
        top = replace(top, coherence=top.coherence * _kept_coherence(model, init))
    chance = 2 / model.width * normalised_square(first)
    return _prediction(
        model, blocks, top, Sums(len(rows), len(inputs)), chosen, chance, out.spread, out
    )


def predict_anchored(
    model: Stack, init: Initialiser, x: Array, anchor: Anchor
) -> Prediction | Unpredicted:
    """The prediction that starts from the measured x_0 and dLoss/dx_L, for any loss."""
    inputs = np.asarray(x, np.float64)
    signal, last, gradient = (
        np.asarray(array, np.float64) for array in (anchor.first, anchor.last, anchor.gradient)
    )
    rows = _rows(signal, model.depth)
    first = _measured(signal, 1.0, rows)
    blocks = _blocks(model, init, first)
    if isinstance(blocks, Unpredicted):
        return blocks
    if not np.isfinite(gradient).all() or not np.isfinite(last).all():
        return Unpredicted("the forward pass of the first batch is not finite")
    top = _measured_top(model, init, gradient, last, rows, blocks[-1].output)
    nothing = np.zeros((len(rows), len(rows)))
    return _prediction(
        model, blocks, top, Sums(len(rows), len(inputs)), inputs[rows], nothing, nothing, None
    )


def _blocks(model: Stack, init: Initialiser, first: Scaled) -> list[Up] | Unpredicted:
    branch = model.branch
    variances = Variances.of(init, width=model.width, hidden=model.hidden, depth=model.depth)
    if "gate" in branch.parts and model.norm.placement == "none":
        return Unpredicted("none is derived for gated blocks without a norm")
    if not init.independent and model.hidden <= model.width and model.block.skip == 0:
        return Unpredicted("none is verified for square orthogonal matrices without a skip path")
    blocks = up(model, variances, first)
    if blocks is None:
        return Unpredicted(f"none is derived for {type(branch).__name__} blocks")
    return blocks


def _prediction(
    model: Stack,
    blocks: Sequence[Up],
    top: Top,
    sums: Sums,
    inputs: Numbers,
    first: Numbers,
    last: Numbers,
    out: ReadOut | None,
) -> Prediction:
    """Collect everything; ``first`` and ``last``: the covariances that the ends start with."""
    found = climb(model, blocks, first)
    downs = list(down(model, blocks, top, found.norm_spreads(model)))
    signal = [here.signal for here in blocks] + [blocks[-1].output]
    gradient = [downs[0].above] + [here.signal for here in downs]
    signal_spread = of_signal(blocks, found)
    power = out.power if out else 0.0
    gradient_spread = of_gradient(model, blocks, downs, found, last, power)
    squares: dict[str, float] = {}
    variances: dict[str, float] = {}
    for place, (here, back) in enumerate(zip(blocks, reversed(downs), strict=True)):
        for name, log in gradients.of_block(model, here, back, sums):
            squares[f"blocks.{place}.{name}"] = log
            variance = gradient_spread[place + 1] + gradients.own_spread(model, here, name)
            if name.endswith(".weight") and model.norm.placement == "none":
                variance += signal_spread[place]
            variances[f"blocks.{place}.{name}"] = float(variance)
    squares["input.weight"] = sums.log_total(gradient[-1] * (inputs @ inputs.T) * model.width)
    squares["input.bias"] = sums.log_total(gradient[-1] * float(model.width))
    variances["input.weight"] = variances["input.bias"] = float(gradient_spread[0])
    if out is not None:
        error = float(out.error_spread.mean())
        squares["output.weight"] = sums.log_total(out.error * out.final_signal * model.width)
        squares["output.bias"] = sums.log_total(out.error)
        variances["output.weight"] = error + float(signal_spread[-1])
        variances["output.bias"] = error
        if model.final_norm is not None:
            squares["final_norm.gain"] = sums.log_total(out.gain)
            squares["final_norm.shift"] = sums.log_total(out.shift)
            for name in ("final_norm.gain", "final_norm.shift"):
                variances[name] = error + 2 / model.width
    names = [tensor.name for tensor in model.layout.tensors]
    return Prediction(
        np.array([kernel.diagonal.log_mean() for kernel in signal]) / 2,
        np.array([kernel.diagonal.log_mean() for kernel in reversed(gradient)]) / 2,
        np.array([squares.get(name, np.nan) for name in names]) / 2,
        np.sqrt(signal_spread) / 2,
        np.sqrt(gradient_spread) / 2,
        np.sqrt(np.array([variances.get(name, np.nan) for name in names])) / 2,
    )


def _rows(x: Numbers, depth: int) -> NDArray[np.intp]:
    """The rows whose kernel stands for the batch: all, or some of every size of |x|.

    With 128 of 512 rows signals and signal gradients were off by 0.7 % at most over six seeds, the
    matrices' gradients by 4 % with ten outputs, but by 8 % and once by 25 % with one: there the
    sum over pairs cancels, and a part of the pairs says little of the rest.
    """
    most = max(FEWEST_ROWS, min(ROWS, int(np.sqrt(_ENTRIES / depth))))
    if len(x) <= most:
        return np.arange(len(x))
    order = np.argsort((x * x).sum(axis=1), kind="stable")
    return np.sort(order[np.linspace(0, len(x) - 1, most).round().astype(np.intp)])


def _kernel(x: Numbers) -> Scaled:
    return Scaled(x @ x.T / x.shape[1]).normalised()


def _with_mean(kernel: Scaled, mean: float) -> Scaled:
    """The kernel of the rows, scaled to the mean diagonal of the whole batch."""
    if mean == 0 or not kernel.values.any():
        return kernel
    return Scaled(kernel.values, kernel.log + float(np.log(mean)) - kernel.diagonal.log_mean())


def _measured_top(
    model: Stack,
    init: Initialiser,
    gradient: Numbers,
    last: Numbers,
    rows: NDArray[np.intp],
    predicted: Scaled,
) -> Top:
    """P of the measured dLoss/dx_L, and what a post-norm lets through of it, exactly.

    ``predicted``: Q of x_L. Blocks nearly keep g · x, a ReLU's exactly; so it is the measured
    g · x that the coherence c = g · x / (D Q) takes along, whatever size x_L happens to have.
    """
    unit, size = _size(gradient), _size(last)
    gradient, last = gradient / unit, last / size
    whole = _measured(gradient, unit, rows)
    if model.final_norm is not None:
        return Top(whole, whole, None)
    square = (last * last).sum(axis=1, keepdims=True)
    along = (gradient * last).sum(axis=1, keepdims=True)
    along = np.divide(along, square, out=np.zeros_like(along), where=square > 0)
    if isinstance(model.block.post, LayerNorm):  # x_L is orthogonal to the ones
        gradient = gradient - gradient.mean(axis=1, keepdims=True)
    projected = _measured(gradient - along * last, unit, rows)
    if model.block.post is not None:
        return Top(whole, projected, None)
    kept = (gradient * last).mean(axis=1)[rows]
    own = predicted.diagonal
    per_square = np.divide(kept, own.values, out=np.zeros_like(kept), where=own.values > 0)
    log = float(np.log(unit) + np.log(size)) - own.log
    coherence = Scaled(per_square, log) * _kept_coherence(model, init)
    return Top(whole, projected, coherence.normalised())


def _kept_coherence(model: Stack, init: Initialiser) -> float:
    """1 for independent entries; the root of 1 - D/H for orthonormal rows and columns.

    With P = D/H, W_out W_in of two such matrices has E tr (W Wᵀ)² of 2 - P instead of 2 times
    (E tr W Wᵀ)², by the moments of free projections; c enters squared.
    """
    return 1.0 if init.independent else float(np.sqrt(1 - model.width / model.hidden))


def _measured(x: Numbers, unit: float, rows: NDArray[np.intp]) -> Scaled:
    """The kernel of the rows of unit · x, scaled to the whole batch."""
    kernel = _with_mean(_kernel(x[rows]), float(np.mean(x * x)))
    return Scaled(kernel.values, kernel.log + 2 * float(np.log(unit)))


def _size(x: Numbers) -> float:
    return float(np.max(np.abs(x), initial=0)) or 1.0
