"""predictions.npz: the model's predictions for the validation rows, with the true values.

NumPy arrays without pickle, uncompressed: ``row`` (K,), the row's index in the table as in
data.json; ``true`` and ``predicted``, (K, M) each, in the targets' units. For a classification
``true`` (K,) is the index of the row's class in provenance.json's ``targets``, and ``predicted``
(K, M) are the probabilities. ``input`` (K,), in its own unit, if there is only one. Of more than
``MOST`` rows, evenly chosen ones are kept.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ffn_train.nn.core import Array
from ffn_train.runs import files
from ffn_train.runs.files import damaged
from ffn_train.tasks.logistic_regression import log_softmax
from ffn_train.tasks.table import Data

MOST = 10_000  # rows


@dataclass(frozen=True)
class Outputs:
    """The content of predictions.npz, see this module."""

    row: NDArray[np.int64]
    true: NDArray[Any]
    predicted: NDArray[Any]
    input: NDArray[Any] | None = None

    @classmethod
    def of(cls, data: Data, kind: str, outputs: Array) -> Outputs:
        """The predictions from a model's outputs (N, M) for all validation rows of a task."""
        count = len(outputs)
        rows = np.linspace(0, count - 1, min(count, MOST)).round().astype(np.int64)
        exact, targets = outputs[rows].astype(np.float64), data.y_validation[rows]
        with np.errstate(all="ignore"):  # of a model that diverged
            if kind == "classes":
                true, predicted = targets.argmax(axis=1), np.exp(log_softmax(exact))
            else:
                true, predicted = (
                    values * data.target_std + data.target_mean for values in (targets, exact)
                )
        single = None
        if len(data.input_names) == 1:
            single = data.x_validation[rows, 0] * data.input_std[0] + data.input_mean[0]
        return cls(data.validation_rows[rows], true, predicted, single)

    def write(self, run: Path) -> None:
        """Write predictions.npz atomically; equal values give equal bytes."""
        buffer = io.BytesIO()
        arrays = {name: array for name, array in vars(self).items() if array is not None}
        np.savez(buffer, allow_pickle=False, **arrays)
        files.write_whole(run / files.PREDICTIONS, buffer.getvalue(), durable=False)


def read_outputs(run: Path, content: bytes) -> Outputs:
    """A run's predictions.npz, from its content. Raises RunError if it is damaged."""
    path = run / files.PREDICTIONS
    names = [field.name for field in fields(Outputs)]
    # a header may be any Python literal, so that reading it may raise any exception
    with damaged(path, Exception):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise ValueError("it is compressed")  # it could exceed the memory
            members = archive.namelist()
            arrays = {n: _array(archive.read(f"{n}.npy")) for n in names if f"{n}.npy" in members}
        outputs = Outputs(**arrays)
        count = len(outputs.row)
        if any(len(array) != count for array in vars(outputs).values() if array is not None):
            raise ValueError("its arrays differ in length")
        if outputs.predicted.ndim != 2 or outputs.true.shape not in (
            (count,),
            outputs.predicted.shape,
        ):
            raise ValueError("true and predicted differ in shape")
    return outputs


def _array(content: bytes) -> NDArray[Any]:
    """The array in the content of a .npy file. Raises ValueError if it is not of numbers."""
    array = files.parse_npy(content)
    if array.dtype.kind not in "if":
        raise ValueError(f"it holds {array.dtype}, not numbers")
    return array
