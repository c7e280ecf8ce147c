"""predictions.npz: what a run's model predicts for the validation rows, beside what is true.

NumPy arrays without pickle, uncompressed: ``row`` (K,), the row's place in the table as in
data.json; ``true`` and ``predicted``, (K, M) each, in the targets' units. Of classes ``true`` (K,)
is the place of the row's class among provenance.json's ``targets``, and ``predicted`` (K, M) are
the probabilities. ``input`` (K,), where there is a single one, in its own unit. Of more than
``MOST`` rows as many are kept, evenly chosen.
"""

from __future__ import annotations

import io
import math
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
    """The content of predictions.npz; see there."""

    row: NDArray[np.int64]
    true: NDArray[Any]
    predicted: NDArray[Any]
    input: NDArray[Any] | None = None

    @classmethod
    def of(cls, data: Data, kind: str, outputs: Array) -> Outputs:
        """Those of a model's outputs (N, M) for all validation rows of a task of this kind."""
        count = len(outputs)
        kept = np.linspace(0, count - 1, min(count, MOST)).round().astype(np.int64)
        exact, targets = outputs[kept].astype(np.float64), data.y_validation[kept]
        with np.errstate(all="ignore"):  # of a model that diverged
            if kind == "classes":
                true, predicted = targets.argmax(axis=1), np.exp(log_softmax(exact))
            else:
                true, predicted = (
                    values * data.target_std + data.target_mean for values in (targets, exact)
                )
        single = None
        if len(data.input_names) == 1:
            single = data.x_validation[kept, 0] * data.input_std[0] + data.input_mean[0]
        return cls(data.validation_rows[kept], true, predicted, single)

    def write(self, run: Path) -> None:
        """Write the file, whole; the same values give the same bytes."""
        buffer = io.BytesIO()
        arrays = {name: array for name, array in vars(self).items() if array is not None}
        np.savez(buffer, allow_pickle=False, **arrays)
        files.write_whole(run / files.PREDICTIONS, buffer.getvalue(), durable=False)


def read_outputs(run: Path) -> Outputs:
    """Read the file of a run's directory. Raises RunError if it is missing or damaged."""
    path = run / files.PREDICTIONS
    names = [field.name for field in fields(Outputs)]
    # a header may be any Python literal: what reading that raises is of no fixed kind
    with damaged(path, Exception):
        with zipfile.ZipFile(io.BytesIO(files.read_bytes(path))) as archive:
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise ValueError("it is compressed")  # may unpack to more than memory takes
            there = archive.namelist()
            arrays = {n: _array(archive.read(f"{n}.npy")) for n in names if f"{n}.npy" in there}
        outputs = Outputs(**arrays)
        count = len(outputs.row)
        if any(len(array) != count for array in vars(outputs).values() if array is not None):
            raise ValueError("its arrays differ in length")
        if outputs.predicted.ndim != 2 or outputs.true.shape not in (
            (count,),
            outputs.predicted.shape,
        ):
            raise ValueError("true and predicted do not fit together")
    return outputs


def _array(content: bytes) -> NDArray[Any]:
    """The array of a .npy file's content, which is as long as its header says."""
    file = io.BytesIO(content)
    np.lib.format.read_magic(file)
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    if dtype.kind not in "if":
        raise ValueError(f"it holds {dtype}, not numbers")
    flat = np.frombuffer(content, dtype, math.prod(shape), file.tell())
    return flat.reshape(shape, order="F" if fortran else "C")
