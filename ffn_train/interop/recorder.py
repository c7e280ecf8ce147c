"""``record``: the run directory of any training loop, whatever it computes with."""

from __future__ import annotations

import math
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import datetime
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from weakref import finalize

import numpy as np
from numpy.typing import ArrayLike

from ffn_train.config.keys import differences, dotted
from ffn_train.config.settings import SettingError, described, first_line, one_of
from ffn_train.interop import declaring
from ffn_train.nn.core import Array, Floats
from ffn_train.nn.reductions import norm, rms
from ffn_train.report.conclusion import conclude
from ffn_train.running.guard import GuardedLogger
from ffn_train.runs import Run, files, records
from ffn_train.runs.checkpoint import NO_LOGS, Logs
from ffn_train.runs.directory import claim, is_empty
from ffn_train.runs.layout import QuantityColumn, RunLayout, read_layout
from ffn_train.runs.logger import Logger, NoLogger
from ffn_train.runs.provenance import Provenance, surroundings
from ffn_train.runs.scalars import read_scalars
from ffn_train.runs.status import Status
from ffn_train.runs.writer import RunWriter, write_weights
from ffn_train.train.divergence import Divergence
from ffn_train.train.quantities.quantity import shape_of

Measured = ArrayLike | Sequence[ArrayLike] | Mapping[str, ArrayLike]
# how an array is reduced that is given for a quantity whose name ends so
REDUCED: dict[str, Callable[[Floats], float]] = {
    "norm": norm,
    "rms": lambda array: rms(array) if array.size else math.nan,
}


def record(
    path: str | Path,
    *,
    tensors: Mapping[str, Sequence[int] | declaring.Shaped],
    blocks: str | Sequence[str],
    quantities: Iterable[str | Mapping[str, Any]] = (),
    scalars: Sequence[str] = ("loss", "lr"),
    config: Mapping[str, Any] | None = None,
    dtype: Literal["float32", "float64"] | None = None,
    loss_unit: str | None = None,
    baseline_loss: float | None = None,
    score: Mapping[str, Any] | None = None,
    first: int = 0,
    logger: Logger | None = None,
) -> Recorder:
    """Begin the directory ``path`` of a run that your own program trains; use it in a ``with``.

    tensors     the parameter tensors by name, or their shapes, in the order of computation
    blocks      the blocks' names, from input to output, or a pattern such as ``blocks.*``; a tensor
                whose name continues that of a block belongs to it: ``blocks.0.up.weight`` to
                ``blocks.0``
    quantities  what will be measured: names of this package's quantities, and declarations such as
                ``{"name": "entropy", "per": "block", "unit": "nats", "log": False}``. ``per`` is
                tensor, boundary, block or run; ``every`` is its own interval in steps (a file
                ``measures-50.npy``); ``absent`` says why a quantity does not apply
    scalars     the columns of scalars.csv: loss, and any others
    config      settings that distinguish runs in comparisons, as nested mappings
    dtype       the range of numbers in which the run computes; None: that of ``tensors``, float64
                where these are shapes
    score       what the column ``validation_score`` is: ``name``, ``symbol``, ``better`` (higher or
                lower), and if there are ``perfect``, ``trivial`` and its score ``no_skill``,
                without which nothing says whether the run learned
    first       the first step that will be logged; later rows that a run of the same columns left
                in the directory are removed

    Raises SettingError for what does not fit, and if the directory holds something else or is in
    use; OSError if the disk fails.
    """
    layout = declaring.layout(tensors, blocks, quantities)
    # PyTorch's is "torch.float64", TensorFlow's "<dtype: 'float64'>"
    dtypes = [str(getattr(each, "dtype", "float64")) for each in tensors.values()]
    wide = any("float64" in each or "complex128" in each for each in dtypes)
    begin = declared(
        path,
        scalars=scalars,
        config=config,
        dtype=dtype or ("float64" if wide else "float32"),
        loss_unit=loss_unit,
        baseline_loss=baseline_loss,
        score=score,
        first=first,
        logger=logger,
    )
    return begin(layout, sum(math.prod(tensor.shape) for tensor in layout.tensors))


def declared(
    path: str | Path,
    *,
    scalars: Sequence[str],
    config: Mapping[str, Any] | None,
    dtype: str,
    loss_unit: Any,
    baseline_loss: Any,
    score: Mapping[str, Any] | None,
    first: int,
    logger: Any,
) -> Callable[[RunLayout, int], Recorder]:
    """Check what is declared of a run; its layout and number of parameters let the result begin it.

    Raises SettingError; what is returned raises as ``record`` does.
    """
    columns = declaring.listed("scalars", scalars)
    declaring.unique("scalars", ["step", *columns])
    for name in columns:
        declaring.identifier("scalars", name)
    if "loss" not in columns:
        raise SettingError(f"scalars must have loss among them, got {', '.join(columns)}")
    settings = declaring.plain(config or {})
    scored = None if score is None else declaring.score(score)
    if baseline_loss is not None:
        baseline_loss = declaring.number("baseline_loss", baseline_loss)
        if not math.isfinite(baseline_loss):
            raise SettingError(f"baseline_loss must be a finite number, got {baseline_loss}")
    declaring.instance("path", path, str | PathLike, "a path")
    declaring.instance("loss_unit", loss_unit, str | None, "text")
    declaring.instance("logger", logger, Logger | None, "a Logger of ffn_train.parts")
    one_of("dtype", dtype, ("float32", "float64"))
    first = declaring.integer("first", first, at_least=0)
    seed = settings.get("seed")

    def begin(layout: RunLayout, parameters: int) -> Recorder:
        origin = Provenance(
            **{**surroundings(), "code": None},
            seed=seed if type(seed) is int else None,
            dtype=dtype,
            parameters=parameters,
            score=scored,
            baseline_loss=baseline_loss,
            loss_unit=loss_unit,
            started=datetime.now().astimezone().isoformat(timespec="seconds"),
        )
        return Recorder(Path(path), layout, columns, settings, origin, first, logger or NoLogger())

    return begin


class Recording(ABC):
    """A run that ends when its ``with`` is left: finished, or with the error that left it."""

    def close(self) -> Run | None:
        """End the run, finished or diverged; the run that it is now, None without a row."""
        return self.end(None)

    @abstractmethod
    def end(self, error: BaseException | None) -> Run | None:
        """End the run, with the error if there is one; does nothing if it has ended."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end(error)


class Recorder(Recording):
    """A run's directory while your program trains: a row for each step that it logs.

    If its ``with`` ends without an error, the run is finished, or diverged if its last loss is not
    finite: its files are sealed by their digests. After Ctrl-C or ``sys.exit()`` it is interrupted,
    after another error failed.
    """

    def __init__(
        self,
        path: Path,
        layout: RunLayout,
        scalars: Sequence[str],
        config: Mapping[str, Any],
        origin: Provenance,
        first: int,
        logger: Logger,
    ) -> None:
        self.path, self._layout, self._scalars = path, layout, scalars
        self._origin, self._next, self._first = origin, first, first
        self._loss = math.nan
        self._torn = ""  # why no measured step can follow
        self._files: dict[str, list[QuantityColumn]] = {}
        for column in layout.quantities:
            if not column.absent:
                self._files.setdefault(column.file, []).append(column)
        self._started = time.perf_counter()
        given = path, layout, ["step", *scalars], config, first
        with suppress(OSError):  # which ``claim`` tells
            if not files.there(path / files.LOCK):
                _kept(*given)  # refuses before a directory or a lock is made
        with ExitStack() as stack:
            stack.enter_context(claim("path", path, path.parent))
            logs = _kept(*given)
            Status("running").write(path)
            (path / files.SUMMARY).unlink(missing_ok=True)
            files.write_json(path / files.CONFIG, dict(config), durable=False)
            records.write(path / files.PROVENANCE, origin)
            self._writer = stack.enter_context(RunWriter(path, layout, logs))
            self._logger = stack.enter_context(GuardedLogger(logger, say))
            self._logger.open(path, config, first)
            self._open: ExitStack | None = stack.pop_all()
            # of a run that is dropped without ``close``; when the process ends, the system does it
            finalize(self, self._open.close).atexit = False

    def log(
        self,
        step: int | np.integer[Any],
        scalars: Mapping[str, float],
        measures: Mapping[str, Measured] | None = None,
    ) -> None:
        """Append the row of ``step``, which describes the weights before the update number step.

        ``scalars``: the loss, and what was computed of the other columns; NaN is a value that is
        not finite. ``measures``: a value for each quantity, or for each of those with the same
        ``every``: a number per run, (L,) per block, (L+1,) per boundary, (T,) or a mapping by name
        per tensor. For quantities named ``..._norm`` or ``..._rms`` arrays may take the place of
        the numbers. What needs the update may be left out where none follows. Raises SettingError.
        """
        if self._open is None:
            raise SettingError(f"path={self.path} is closed: no step can follow")
        step = declaring.integer("step", step, at_least=0)
        if step < self._next:
            raise SettingError(f"step={step} is not after the last one: {self._next} may come next")
        for name in scalars:
            one_of("scalars", name, self._scalars)
        if "loss" not in scalars:
            raise SettingError(f"scalars: the loss of step {step} is missing")
        known = {
            name: declaring.number(f"{name} of step {step}", value)
            for name, value in scalars.items()
        }
        row = {"step": step, **{name: known.get(name) for name in self._scalars}}
        values = self._values(step, measures or {})
        self._loss, self._next = known["loss"], step + 1
        self._writer.record(row, values)
        self._logger.log(row, values)

    def save_weights(self, arrays: Mapping[str, ArrayLike]) -> None:
        """Write all tensors by name to weights.safetensors; bfloat16 and the like as float32, what
        is longer than float64 as that. Raises SettingError.
        """
        if self._open is None:
            raise SettingError(f"path={self.path} is closed: no weights can follow")
        whole = {name: _weights(name, array) for name, array in arrays.items()}
        for tensor in self._layout.tensors:
            shape = whole[tensor.name].shape if tensor.name in whole else None
            if shape != tensor.shape:
                what = "is missing" if shape is None else f"has the shape {shape}"
                raise SettingError(f"weights: {tensor.name} {what}, declared is {tensor.shape}")
        write_weights(self.path / files.WEIGHTS, whole)

    def end(self, error: BaseException | None) -> Run | None:
        stack, self._open = self._open, None
        if stack is None:
            return None
        with stack:
            if error is not None:
                stopped = isinstance(error, (KeyboardInterrupt, SystemExit))
                status = Status("interrupted" if stopped else "failed", described(error))
                with suppress(OSError):
                    status.write(self.path)
                self._logger.close(status.state)
                return None
            self._writer.to_disk()
            if self._next == self._first:
                Status("failed", "no step was logged").write(self.path)
                self._logger.close("failed")
                return None
            seconds = time.perf_counter() - self._started
            rate = (self._next - self._first) / seconds
            origin = replace(self._origin, training_seconds=seconds, steps_per_second=rate)
            records.write(self.path / files.PROVENANCE, origin)
            divergence = None
            if not math.isfinite(self._loss):
                reason = f"the loss is {self._loss}"
                divergence = Divergence(self._next - 1, "forward", "loss", reason)
            run = conclude(self.path, divergence)
            self._logger.close(str(run.state))
            return run

    def _values(self, step: int, given: Mapping[str, Measured]) -> dict[str, Floats]:
        """The values by quantity, each of its shape."""
        for name in given:
            one_of("measures", name, [c.name for columns in self._files.values() for c in columns])
        if given and self._torn:
            raise SettingError(f"measures: {self._torn}, so that step {step} cannot follow")
        values = {}
        for columns in self._files.values():
            for column in columns if any(column.name in given for column in columns) else ():
                if column.name in given:
                    values[column.name] = self._array(column, given[column.name])
                elif "update" in column.needs:
                    self._torn = f"{column.name} of step {step} is missing"
                else:
                    raise SettingError(f"measures: {column.name} of step {step} is missing")
        return values

    def _array(self, column: QuantityColumn, value: Measured) -> Floats:
        names = [tensor.name for tensor in self._layout.tensors]
        named: Any = value  # a mapping, or a series of pandas that has the names
        known = {*named.keys()} if hasattr(named, "keys") else set()
        if column.per == "tensor" and (isinstance(named, Mapping) or known & {*names}):
            if missing := [name for name in names if name not in known]:
                raise SettingError(f"measures: {column.name} of {missing[0]} is missing")
            value = [named[name] for name in names]
        reduced = REDUCED.get(column.name.rpartition("_")[2])
        try:
            if reduced is not None and column.per != "run" and np.iterable(value):
                arrays = [_real(np.asarray(item)) for item in value]
                value = [reduced(array) if array.ndim else float(array) for array in arrays]
            array = np.asarray(value)
            if np.iscomplexobj(array):
                raise TypeError("they are complex")
            array = array.astype(np.float64)
        except (TypeError, ValueError, RuntimeError) as error:  # the last is PyTorch's
            reason = first_line(error)
            raise SettingError(f"measures: {column.name} does not hold numbers: {reason}") from None
        shape = shape_of(column.per, len(self._layout.tensors), self._layout.depth)
        if array.shape != shape:
            raise SettingError(
                f"measures: {column.name}, a value per {column.per}, has the shape {shape}, "
                f"got {array.shape}"
            )
        return array


def _real(array: Array) -> Floats:
    """The array in float64, |z| for complex numbers, whose norm is the same."""
    return np.asarray(np.abs(array) if np.iscomplexobj(array) else array, np.float64)


def _weights(name: str, values: ArrayLike) -> Array:
    """A tensor in one of the file's dtypes. Raises SettingError."""
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "fiuc":
            array = array.astype(np.float32)
    except (TypeError, ValueError, RuntimeError) as error:  # the last is PyTorch's
        reason = first_line(error)
        raise SettingError(f"weights: {name} does not hold numbers: {reason}") from None
    if array.dtype.kind == "c":
        raise SettingError(f"weights: {name} is complex; save its real and imaginary parts")
    return array.astype(np.float64) if array.dtype.itemsize > 8 else array


def say(line: str) -> None:
    """Print a line on standard error."""
    print(f"ffn_train: {line}", file=sys.stderr)


def _kept(
    path: Path, layout: RunLayout, columns: list[str], config: Mapping[str, Any], first: int
) -> Logs:
    """Which rows of a directory are kept: those before step ``first``.

    Raises SettingError if it holds another run, or one that would be overwritten.
    """
    if not path.is_dir() or is_empty(path):
        if first:
            raise SettingError(f"first={first}: {path} holds no run to continue")
        return NO_LOGS
    if not files.there(path / files.LAYOUT) or files.there(path / files.DATA):
        raise SettingError(f"path={path} is not empty and holds no recorded run; name another one")
    if not first:
        table = path / files.SCALARS
        if files.there(table) and len(read_scalars(table)["step"]):
            raise SettingError(
                f"path={path} holds a run; first=STEP continues it at that step, "
                "or name another directory"
            )
        return NO_LOGS
    scalars, before = read_scalars(path / files.SCALARS), files.read_json(path / files.CONFIG)
    differing = differences(dotted(before), dotted(config))
    if read_layout(path) != layout or list(scalars) != columns:
        differing.append("other tensors, blocks, quantities or scalars")
    if differing:
        raise SettingError(f"path={path} holds another run: {'; '.join(differing)}")
    lines = files.read_bytes(path / files.SCALARS).splitlines(keepends=True)
    rows = int(np.searchsorted(scalars["step"], first))
    measures = {
        name: int(np.searchsorted(files.read_records(path / name)["step"], first))
        for name in {column.file for column in layout.quantities}
    }
    return Logs(sum(map(len, lines[: rows + 1])), measures)
