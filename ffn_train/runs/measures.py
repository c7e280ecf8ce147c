"""A run's measures as arrays over the measured steps, and quantities derived from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ffn_train.nn.core import Floats
from ffn_train.runs.files import RunError, damaged, read_records
from ffn_train.runs.layout import QuantityColumn, RunLayout, TensorColumn
from ffn_train.train.quantities.quantity import shape_of

Steps = NDArray[np.int64]
_MOST_OF = 0.9  # the share of a norm that stands for the whole


@dataclass(frozen=True)
class Series:
    """A quantity at the K steps where it was measured: ``values`` (K, ...), as they were computed.

    All are NaN if it does not apply to the model, for the reason ``column.absent``.
    """

    column: QuantityColumn
    step: Steps
    values: Floats


@dataclass(frozen=True)
class Measures:
    """The quantities that a run measured, by name; T tensors, L blocks."""

    layout: RunLayout
    series: Mapping[str, Series]

    def __getitem__(self, name: str) -> Series:
        """A quantity's series. Raises RunError if there is none."""
        if name not in self.series:
            raise RunError(f"{name} was not measured (measure.quantities)")
        return self.series[name]

    def lacks(self, name: str) -> str:
        """Why there are no values of a quantity, in a few words; "" if there are."""
        if name not in self.series:
            return "not measured"
        absent = self.series[name].column.absent
        return f"does not apply: {absent}" if absent else ""

    def has(self, *names: str) -> bool:
        """Whether all of these were measured and apply."""
        return not any(map(self.lacks, names))

    @property
    def step(self) -> Steps:
        """All steps at which something was measured."""
        return reduce(np.union1d, (s.step for s in self.series.values()), np.zeros(0, int))

    @property
    def depth(self) -> int:
        """L, the number of blocks."""
        return self.layout.depth

    @property
    def tensors(self) -> tuple[TensorColumn, ...]:
        """The columns of quantities measured per tensor."""
        return self.layout.tensors

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers, such as ``input``, ``blocks.0``, ..., ``output``, from input to output."""
        return tuple(dict.fromkeys(t.layer for t in sorted(self.tensors, key=lambda t: t.order)))

    @property
    def block_columns(self) -> list[int]:
        """The index of each block among the layers."""
        columns = {layer: column for column, layer in enumerate(self.layers)}
        blocks = {tensor.block: columns[tensor.layer] for tensor in self.tensors}
        return [blocks[block] for block in range(self.depth)]

    def common(self, *names: str) -> tuple[Steps, list[Floats]]:
        """The steps at which all of these were measured, and the values of each there."""
        series = [self[name] for name in names]
        steps: Steps = reduce(np.intersect1d, (each.step for each in series))
        return steps, [each.values[np.isin(each.step, steps)] for each in series]

    @property
    def layer_gradient_norm(self) -> Floats:
        """|dLoss/dθ| of each layer as a whole (K, layers), at the steps of ``gradient_norm``."""
        return self.by_layer(self["gradient_norm"].values)

    @property
    def update_ratio(self) -> Floats:
        """|Δθ|/|θ| of each layer as a whole (K, layers), at the steps common to both."""
        _, norms = self.common("update_norm", "weight_norm")
        return _over(*map(self.by_layer, norms))

    @property
    def gradient_ratio(self) -> Floats:
        """|dLoss/dx_0| / |dLoss/dx_L| (K,): below 1 gradients shrink towards the input.

        0 where dLoss/dx_0 underflows; NaN where dLoss/dx_L already does.
        """
        flow = self["signal_gradient_rms"].values
        return _over(flow[:, 0], flow[:, -1])

    @property
    def growth_per_block(self) -> Floats:
        """The factor by which |dLoss/dx_l| grows per block towards the input (K,).

        exp(-slope) of the least-squares line through log |dLoss/dx_l| over those l = 0 ... L where
        it does not underflow to 0; 0 where all but dLoss/dx_L do.
        """
        flow, index = self["signal_gradient_rms"].values, np.arange(self.depth + 1)
        nonzero = flow != 0
        with np.errstate(divide="ignore", invalid="ignore"):
            middle = (nonzero @ index) / nonzero.sum(axis=1)
            offset = np.where(nonzero, index - middle[:, None], 0)
            log = np.where(nonzero, np.log(flow), 0)
            slope = (log * offset).sum(axis=1) / (offset**2).sum(axis=1)
        only_last = (flow[:, -1] > 0) & ~flow[:, :-1].any(axis=1)
        return np.where(only_last, 0, np.exp(-slope))

    def mostly_of(self, tensors: NDArray[np.bool]) -> NDArray[np.bool]:
        """Which layers have no other tensors than these (T,), or others that make up less than a
        tenth of the layer's gradient norm at step 0.
        """
        norms = np.ones(len(tensors))  # of tensors alike
        if self.has("gradient_norm") and len(self["gradient_norm"].step):
            norms = self["gradient_norm"].values[0]
        known, lacking, whole, part = (
            self.by_layer(some[None].astype(np.float64))[0]
            for some in (tensors, ~tensors, norms, np.where(tensors, norms, 0))
        )
        most = np.isfinite(whole) & (part >= _MOST_OF * whole) & (known > 0)
        result: NDArray[np.bool] = most | (lacking == 0)
        return result

    def by_layer(self, norms: Floats) -> Floats:
        """The norms of whole layers (K, layers), from those of tensors (K, T)."""
        column = {name: index for index, name in enumerate(self.layers)}
        whole = np.zeros((len(norms), len(column)))
        with np.errstate(under="ignore", over="ignore", invalid="ignore"):
            for index, tensor in enumerate(self.tensors):
                layer = whole[:, column[tensor.layer]]
                np.hypot(layer, norms[:, index], out=layer)  # in range for all sizes of norms
        return whole


def _over(values: Floats, others: Floats) -> Floats:
    """The quotients; NaN where the denominator is not positive."""
    with np.errstate(invalid="ignore"):
        return values / np.where(others > 0, others, np.nan)


def read_measures(run: Path, layout: RunLayout, contents: Mapping[str, bytes]) -> Measures:
    """The quantities in a run's files; columns that are not in its layout are ignored.

    ``contents``: of the files that have been read, by name. Raises RunError for a damaged file.
    """
    series: dict[str, Series] = {}
    for name in dict.fromkeys(column.file for column in layout.quantities):
        path = run / name
        rows = read_records(path, contents.get(name))
        with damaged(path, ValueError):
            fields = rows.dtype.names or ()
            if "step" not in fields:
                raise ValueError("it has no records with a step")
            for column in layout.quantities:
                if column.file == name and column.name in fields:
                    series[column.name] = _series(column, rows, layout)
    return Measures(layout, series)


def _series(column: QuantityColumn, rows: NDArray[np.void], layout: RunLayout) -> Series:
    values, steps = rows[column.name], rows["step"]
    if values.shape[1:] != shape_of(column.per, len(layout.tensors), layout.depth):
        raise ValueError("its records do not match layout.json")
    if column.absent is None:
        absent = "it was not measured for this model" if np.isnan(values).all() else ""
        column = replace(column, absent=absent)
    measured = slice(
        "memory" in column.needs and _unknown(values[:1]),  # the first step has no predecessor
        len(values)
        - ("update" in column.needs and _unknown(values[-1:])),  # the last row makes no update
    )
    return Series(column, steps[measured], values[measured])


def _unknown(row: Floats) -> bool:
    return len(row) > 0 and bool(np.isnan(row).all())
