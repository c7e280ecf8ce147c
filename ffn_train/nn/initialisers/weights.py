"""Initial parameters from a file of weights."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ffn_train.config.places import find
from ffn_train.config.registry import choice
from ffn_train.config.sections import path as check_path
from ffn_train.config.settings import SettingError, first_line, printable, setting, shortened
from ffn_train.nn.core import Array, Layout
from ffn_train.nn.initialisers.initialiser import Initialiser, Role

LARGEST = 2**32  # bytes
LISTED = 6  # tensors of a kind in a message
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


@choice("init", "weights")
class Weights(Initialiser):
    """All parameters by name from a safetensors file: a run's weights or a PyTorch state dict.

    Also those of the input projection, the read-out, norms and multipliers. Names and shapes have
    to be the model's, so that W is (fan_out, fan_in); F64, F32, F16 and BF16 are converted to the
    run's dtype. Nothing of the file is executed.
    """

    path: str | None = setting("the file", None, changes="source", check=check_path, literal=True)
    digest: str | None = setting(
        "SHA-256 that the file's content must have; null is that of the file", None
    )

    bias_std: float = 0.0  # no setting here

    def variance(self, *, fan_in: int, fan_out: int, role: Role, depth: int) -> float:
        return math.nan

    def fitting(self, layout: Layout) -> Weights:
        """The same with the file's digest. Raises SettingError if the file does not fit."""
        tensors, digest = self._read()
        needed = {tensor.name: tensor.shape for tensor in layout.tensors}
        lacking = [name for name in needed if name not in tensors]
        surplus = [repr(name) for name in tensors if name not in needed]
        wrong = [
            f"{name} is {tensors[name].shape}, "
            f"{'transposed: ' * (tensors[name].shape[::-1] == shape)}{shape} is needed"
            for name, shape in needed.items()
            if name in tensors and tensors[name].shape != shape
        ]
        problems = [f"it lacks {_listed(lacking)}"] if lacking else []
        problems += [f"the model has no {_listed(surplus)}"] if surplus else []
        problems += [_listed(wrong)] if wrong else []
        if problems:
            raise SettingError(
                f"init.path={self.path} does not fit this model: {'; '.join(problems)}"
            )
        return replace(self, digest=digest)

    def fill(self, params: Mapping[str, Array]) -> None:
        """Set the parameters, by name. Raises SettingError for a value that their dtype lacks."""
        tensors, _ = self._read()
        for name, array in params.items():
            with np.errstate(over="ignore"):
                array[...] = tensors[name]
            if not np.isfinite(array).all():
                raise SettingError(
                    f"init.path={self.path}: {name} has a value that is not a finite {array.dtype}"
                )

    def _read(self) -> tuple[dict[str, Array], str]:
        """The file's tensors by name, and the digest of its content."""
        from safetensors import SafetensorError, deserialize

        if self.path is None:
            raise SettingError("init.path is missing: name a file (init.path=weights.safetensors)")
        key, file = f"init.path={self.path}", find(str(self.path))
        try:
            if not file.is_file():
                trouble = "it is not a regular file" if file.exists() else "there is no such file"
                raise SettingError(f"{key}: {trouble}")
            if file.stat().st_size > LARGEST:
                raise SettingError(f"{key}: it is larger than {LARGEST / 2**30:g} GiB")
            content = file.read_bytes()
        except OSError as error:
            raise SettingError(f"{key}: {error.strerror}") from None
        digest = hashlib.sha256(content).hexdigest()
        if self.digest not in (None, digest):
            raise SettingError(f"{key}: its digest is {digest}, not init.digest={self.digest}")
        try:
            entries = deserialize(content)  # type: ignore[no-untyped-call]
        except (SafetensorError, ValueError) as error:
            reason = printable(shortened(first_line(error)))
            raise SettingError(f"{key} is not a safetensors file: {reason}") from None
        tensors = {}
        for name, entry in entries:
            if entry["dtype"] not in DTYPES:
                what = f"{shortened(repr(name))} is {entry['dtype']}"
                raise SettingError(f"{key}: {what}; {', '.join(DTYPES)} are read")
            values = np.frombuffer(entry["data"], DTYPES[entry["dtype"]])
            if entry["dtype"] == "BF16":  # the upper half of a float32
                values = (values.astype("<u4") << 16).view("<f4")
            tensors[name] = values.reshape(entry["shape"])
        return tensors, digest


def _listed(words: Sequence[str]) -> str:
    more = f" and {len(words) - LISTED} more" if len(words) > LISTED else ""
    return ", ".join(shortened(word) for word in words[:LISTED]) + more
