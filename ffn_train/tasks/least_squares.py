"""Ordinary least squares, the baseline that a trained model has to beat, and R²."""

from __future__ import annotations

import math

import numpy as np

from ffn_train.nn.core import Array
from ffn_train.tasks.table import Data, is_constant


def fit_least_squares(data: Data) -> Array:
    """Predictions (N, M) for the validation rows by the linear model fitted to the training rows.

    min over W, b of Σ_n |y_n - W x_n - b|²; of several minima the one with the smallest weights.
    Computed in float64, whatever the data's precision.
    """
    weights = np.linalg.lstsq(_with_ones(data.x_train), data.y_train, rcond=None)[0]
    predictions: Array = _with_ones(data.x_validation) @ weights
    return predictions


def _with_ones(x: Array) -> Array:
    return np.column_stack((np.ones(len(x)), x))


def r2(targets: Array, predictions: Array) -> float:
    """The coefficient of determination, 1 - SS_res/SS_tot, averaged over the M targets.

    SS_res = Σ_n (y_n - ŷ_n)² and SS_tot = Σ_n (y_n - mean(y))² over the given rows, both (N, M).
    Not a number when a target is constant or there are fewer than two rows.
    """
    if targets.shape != predictions.shape:
        raise ValueError(f"targets are {targets.shape}, predictions are {predictions.shape}")
    if len(targets) < 2 or is_constant(targets).any():
        return math.nan
    targets, predictions = targets.astype(np.float64), predictions.astype(np.float64)
    # A diverged model's predictions may be past float64's range: its R² is -inf or nan.
    with np.errstate(all="ignore"):
        residual = ((targets - predictions) ** 2).sum(axis=0)
        total = ((targets - targets.mean(axis=0)) ** 2).sum(axis=0)
        return float((1 - residual / total).mean())
