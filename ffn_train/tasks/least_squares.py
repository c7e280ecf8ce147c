"""Ordinary least squares, the baseline that a trained model has to beat."""

from __future__ import annotations

import numpy as np

from ffn_train.nn.core import Array
from ffn_train.tasks.table import Data


def fit_least_squares(data: Data) -> Array:
    """Predictions (N, M) for the validation rows by the linear model fitted to the training rows.

    min over W, b of Σ_n |y_n - W x_n - b|²; of several minima the one with the smallest weights.
    Computed in float64, whatever the data's precision.
    """
    weights = np.linalg.lstsq(with_ones(data.x_train), data.y_train, rcond=None)[0]
    predictions: Array = with_ones(data.x_validation) @ weights
    return predictions


def with_ones(x: Array) -> Array:
    """x (N, D) with a column of ones in front."""
    return np.column_stack((np.ones(len(x)), x))
