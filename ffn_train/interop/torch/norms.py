"""Norms that neither overflow nor underflow where their tensors do not."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

_SAFE = (1e-15, 1e15)  # norms whose squares are in float32's range, as are those of the entries


def norm(tensor: Tensor) -> float:
    """The Euclidean norm, in float32 or float64."""
    return norms([tensor])[0]


def norms(tensors: Sequence[Tensor]) -> list[float]:
    """The norm of each; those whose squares may leave the range are computed again, scaled."""
    tensors = [_dense(tensor.detach()) for tensor in tensors]
    wide = any(tensor.dtype == torch.float64 for tensor in tensors)
    dtype = torch.float64 if wide else torch.float32
    values = torch.stack(torch._foreach_norm(tensors, 2, dtype)).tolist() if tensors else []
    return [
        value if _SAFE[0] < value < _SAFE[1] or math.isnan(value) else _scaled(tensor)
        for value, tensor in zip(values, tensors, strict=True)
    ]


def _scaled(tensor: Tensor) -> float:
    """The norm in float64, of the entries relative to the largest."""
    entries = tensor.double()
    largest = float(entries.abs().max()) if entries.numel() else 0.0
    if largest == 0 or math.isinf(largest):
        return largest
    return largest * float(torch.linalg.vector_norm(entries / largest))


def _dense(tensor: Tensor) -> Tensor:
    """The entries, complex ones as pairs of real ones."""
    entries = tensor.coalesce().values() if tensor.is_sparse else tensor
    return torch.view_as_real(entries.resolve_conj()) if entries.is_complex() else entries
