"""Predicted norms at step 0: of x_l, of dLoss/dx_l and of every parameter's gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from ffn_train.nn.core import Array, Floats
from ffn_train.nn.initialisers.initialiser import Initialiser
from ffn_train.nn.initialisers.weights import Weights
from ffn_train.nn.losses.loss import Loss
from ffn_train.nn.losses.mse import MSE
from ffn_train.nn.stack import Stack
from ffn_train.theory import gradients
from ffn_train.theory.anchor import Anchor, excess, measured_top
from ffn_train.theory.batch import measured, measured_sum, sample
from ffn_train.theory.branch import Maps, Variances, maps
from ffn_train.theory.fluctuation import Climb, climb, of_batch, of_gradient, of_sample, of_sum
from ffn_train.theory.limits import Case, refusal, undecided
from ffn_train.theory.path import between, grows_by_products
from ffn_train.theory.readout import ReadOut, mse_read_out, normalised_square
from ffn_train.theory.recursion import Down, Top, Up, down, up
from ffn_train.theory.scaled import Scaled, by_chunks
from ffn_train.theory.sums import LogNormals, Sums


@dataclass(frozen=True)
class Prediction:
    """Root mean squares over seeds, as natural logarithms, and the scatter of one seed.

    log_signal_rms, log_signal_gradient_rms   (L+1,)  RMS of x_l and of dLoss/dx_l, l = 0 ... L
    log_gradient_norm                         (T,)    |dLoss/dθ| of each tensor in the layout's
                                                      order; NaN where none is derived, the
                                                      sampled rows do not suffice or all terms
                                                      cancel, -inf for 0
    signal_sd, signal_gradient_sd             (L+1,)  standard deviation of the log over seeds
    gradient_sd                               (T,)    the same; too low for sums that cancel
                                                      between samples
    sampled                                           (n, N) if only n of the batch's N rows are
                                                      used, else None
    """

    log_signal_rms: Floats
    log_signal_gradient_rms: Floats
    log_gradient_norm: Floats
    signal_sd: Floats
    signal_gradient_sd: Floats
    gradient_sd: Floats
    sampled: tuple[int, int] | None = None

    @property
    def rows(self) -> str:
        """The part of the batch that was used, as in "90 of 128 rows"; "" for the whole batch."""
        return "" if self.sampled is None else "{} of {} rows".format(*self.sampled)

    @property
    def log_gradient_ratio(self) -> float:
        """The log of |dLoss/dx_0| / |dLoss/dx_L|."""
        with np.errstate(invalid="ignore"):  # where all of it is infinite
            return float(self.log_signal_gradient_rms[0] - self.log_signal_gradient_rms[-1])

    @property
    def log_growth(self) -> float:
        """The log of the growth per block: minus the slope of the least-squares line through
        log |dLoss/dx_l|, l = 0 ... L, as for what is measured.
        """
        log = self.log_signal_gradient_rms
        offset = (len(log) - 1) / 2 - np.arange(len(log))
        with np.errstate(invalid="ignore"):
            return float(offset @ log / (offset @ offset))

    def gaps(self, inside: Sequence[bool]) -> str:
        """Words on the tensors ``inside`` blocks that have no prediction; "" if all have one."""
        count = int(np.isnan(self.log_gradient_norm[inside]).sum())
        which = f"the gradients of {count} of {sum(inside)} tensors"
        why = "chance decides how far the rows' parts cancel"
        return f"no prediction for {which}: {why}" if count else ""


@dataclass(frozen=True)
class Unpredicted:
    """No prediction, because none is derived or verified; ``reason`` is half a line."""

    reason: str


@np.errstate(all="ignore")  # overflows are reported as not finite
def predict(
    model: Stack, init: Initialiser, loss: Loss, x: Array, targets: Array
) -> Prediction | Unpredicted:
    """The a-priori prediction for a batch x (N, inputs) with targets (N, M), without measurements.

    The mean is over the weights of the whole stack, with input projection and read-out.
    """
    if not isinstance(loss, MSE):
        return Unpredicted(
            f"the a-priori gradient at the read-out is derived for mse, not {loss.name}"
        )
    inputs = np.asarray(x, np.float64)
    rows = sample(inputs, model.depth)
    first = measured(inputs, 1.0, rows)
    found = _blocks(model, init, first, anchored=False)
    if isinstance(found, Unpredicted):
        return found
    branch, blocks, scatter = found
    target_kernel = measured_sum(np.asarray(targets, np.float64), 1.0, rows) * float(
        targets.shape[1]
    )
    out = mse_read_out(model, blocks.output.at(-1), target_kernel, len(inputs))
    top = replace(out.top, excess=excess(model, init))
    scatter = scatter.starting_at(2 / model.width * normalised_square(first))
    sums = Sums(len(rows), len(inputs))
    return _prediction(
        model, branch, blocks, scatter, None, top, sums, inputs[rows], out.spread, out
    )


@np.errstate(all="ignore")
def predict_anchored(
    model: Stack, init: Initialiser, x: Array, anchor: Anchor
) -> Prediction | Unpredicted:
    """The prediction from the measured x_0 and dLoss/dx_L, for any loss."""
    inputs = np.asarray(x, np.float64)
    signal, last, gradient = (
        np.asarray(array, np.float64) for array in (anchor.first, anchor.last, anchor.gradient)
    )
    products = grows_by_products(model)
    rows = sample(last if products else signal, model.depth)
    first = measured(signal, 1.0, rows)
    found = _blocks(model, init, first, anchored=True)
    if isinstance(found, Unpredicted):
        return found
    branch, blocks, scatter = found
    if not np.isfinite(gradient).all() or not np.isfinite(last).all():
        return Unpredicted("the forward pass of the first batch is not finite")
    path = between(model, branch, blocks, last[rows]) if products else None
    predicted = (blocks if path is None else path).output.at(-1)
    top = measured_top(model, init, gradient, last, rows, predicted)
    nothing = np.zeros((len(rows), len(rows)))
    sums = Sums(len(rows), len(inputs))
    return _prediction(model, branch, blocks, scatter, path, top, sums, inputs[rows], nothing, None)


def _blocks(
    model: Stack, init: Initialiser, first: Scaled, *, anchored: bool
) -> tuple[Maps, Up, Climb] | Unpredicted:
    """The branch's maps, the blocks, and their scatter where nothing scatters below them."""
    if isinstance(init, Weights):
        return Unpredicted("initial weights from a file")
    variances = Variances.of(model, init)
    if not np.isfinite([variances.inner, variances.outer]).all():
        return Unpredicted(f"init={init.name} knows no variance of its weights")
    branch = maps(model.branch, variances)
    if branch is None:
        return Unpredicted(f"none is derived for {type(model.branch).__name__} blocks")
    blocks = up(model, branch, first)
    scatter = climb(model, blocks, np.zeros_like(first.values))
    norms = float(np.diagonal(scatter.fresh, axis1=1, axis2=2).mean(axis=1).sum())
    variance = float(scatter.spreads[-1].max())
    if not np.isfinite(blocks.output.values).all() or np.isnan(variance):
        return Unpredicted("the weights are so large that its numbers leave float64's range")
    why = refusal(Case(model, not init.independent, anchored, norms, variance))
    return Unpredicted(why) if why else (branch, blocks, scatter)


def _prediction(
    model: Stack,
    branch: Maps,
    blocks: Up,
    scatter: Climb,
    path: Up | None,
    top: Top,
    sums: Sums,
    inputs: Floats,
    last: Floats,
    out: ReadOut | None,
) -> Prediction:
    """The prediction, from the covariances of the signal and of dLoss/dx_L (``last``).

    ``path``: the blocks on the way to the measured |x_L|², from which the gradient is predicted;
    None where it is predicted from ``blocks``, as the signal is.
    """
    sizes = blocks.sizes
    signal_spread = of_batch(scatter.spreads, sizes)
    if path is not None:
        blocks, scatter = path, climb(model, path, scatter.spreads[0])
    power = out.power if out else 0.0
    norm_spreads = scatter.norm_spreads(model)
    downs = down(model, branch, blocks, top, norm_spreads, scatter.passing, power)
    gradient = downs.sizes
    squares = of_gradient(model, blocks, downs, scatter, last, power, known=path is not None)
    gradient_spread = of_batch(squares, gradient)
    spreads = scatter.spreads if path is None else scatter.around()
    of_blocks = by_chunks(
        partial(_of_parameters, model, branch, sums),
        *(len(inputs), blocks, downs, squares[1:], scatter.fresh, spreads[:-1]),
        *(scatter.chance(blocks), of_sum(model, blocks, downs, sums)[1:]),
    )
    # by part and tensor: the log of the squared gradient norm, and that log's variance
    norms: dict[tuple[str, str], tuple[Any, Any]] = {
        (part, name): (logs[index], variances[index])
        for name, (logs, variances) in of_blocks.items()
        for part, index in model.block_of.items()
    }
    first, variance = downs.signal.at(0), gradient_spread[0]
    weighted = first * Scaled(inputs @ inputs.T)
    norms["input", "weight"] = sums.log_total(weighted * model.width), variance
    norms["input", "bias"] = sums.log_total(first * model.width), variance
    if out is not None:
        error, weighted = float(out.error_spread.mean()), out.error * out.final_signal
        norms["output", "weight"] = (
            sums.log_total(weighted * model.width),
            error + signal_spread[-1],
        )
        norms["output", "bias"] = sums.log_total(out.error), error
        norms["final_norm", "gain"] = sums.log_total(out.gain), error + 2 / model.width
        norms["final_norm", "shift"] = sums.log_total(out.shift), error + 2 / model.width
    none = (np.nan, np.nan)
    logs, variances = np.array([norms.get((t.part, t.role), none) for t in model.layout.tensors]).T
    return Prediction(
        sizes.log_mean() / 2,
        gradient.log_mean() / 2,
        logs / 2,
        np.sqrt(signal_spread) / 2,
        np.sqrt(gradient_spread) / 2,
        np.sqrt(variances) / 2,
        (sums.rows, sums.batch) if sums.rows < sums.batch else None,
    )


def _of_parameters(
    model: Stack,
    branch: Maps,
    sums: Sums,
    forward: Up,
    backward: Down,
    covariance: Floats,
    fresh: Floats,
    spread: Floats,
    correlations: Floats,
    vectors: Floats,
) -> dict[str, tuple[Floats, Floats]]:
    """By the parameter's name, of each block, as in ``_prediction``'s norms.

    ``covariance``: of the logs of the samples' |dLoss/dx|² at the block's output, ``vectors``: the
    variance of their sum's; ``fresh``: what the block adds to ``spread``, that of the signal's;
    ``correlations``: the variance accumulated at the block's input.
    """
    if model.block.post is not None:  # 1/ζ² is not included yet
        covariance = covariance + fresh
    above = of_products = LogNormals(covariance)
    if model.norm.placement == "none":
        of_products = LogNormals(covariance + spread)
    alone = of_sample(covariance, backward.output)
    own = np.diagonal(fresh, axis1=1, axis2=2).mean(axis=1)
    shared = forward.branch_input.apart() * ((correlations + own) / 2)[:, None, None]
    found = {}
    for square in gradients.of_blocks(model, branch, forward, backward, sums):
        name, matrix = square.name, square.name.endswith("weight")
        chance = alone + square.spread
        if matrix or name == "norm.gain":
            chance = chance + correlations
        pairs = square.sum.chance_of_pairs(shared)
        # their mean is not derived: in simulations, up to twice this share of the sum
        unknown = np.log1p(2 * pairs)
        variance = square.sum.spread(of_products if matrix else above, chance / 2, square.spread)
        if not matrix:  # a sum over the batch is one vector, and scatters as one
            of_sums = square.pairs**2 * vectors + square.spread
            variance = np.maximum(variance, np.maximum(chance, of_sums))
        known = np.array([square.log, variance + unknown**2])
        found[name] = tuple(np.where(undecided(pairs), np.nan, known))
    return found
