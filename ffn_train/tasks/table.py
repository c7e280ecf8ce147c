"""A table of inputs and targets, and its standardised parts: training, validation and test rows."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ffn_train.config.settings import SettingError
from ffn_train.nn.core import Array
from ffn_train.tasks.outliers import Outliers, outliers

Rows = NDArray[np.int64]
BLOCK = 4096  # rows, of which a few columns fit the cache
ENDLESS = 1e30  # the unit of an input without variance, in float32 too


@dataclass(frozen=True)
class Table:
    """R rows of D inputs and M targets in float64, in the units of their source; lists and frames
    will do.

    For ``standardised`` the inputs may be anything with a shape that gives an array for a slice.
    """

    inputs: Any  # (R, D)
    targets: Array  # (R, M)
    input_names: tuple[str, ...]
    target_names: tuple[str, ...]

    def __post_init__(self) -> None:
        for name in ("inputs", "targets"):
            given = getattr(self, name)
            if isinstance(given, (list, tuple)) or hasattr(given, "to_numpy"):
                object.__setattr__(self, name, np.asarray(given))
        for name in ("input_names", "target_names"):
            names = tuple(getattr(self, name))
            if not all(isinstance(each, str) for each in names):
                raise ValueError(f"{name} must be text, got {names!r}")
            object.__setattr__(self, name, names)
        inputs, targets = np.shape(self.inputs), np.shape(self.targets)
        named = (len(self.input_names), len(self.target_names))
        if len(inputs) != 2 or len(targets) != 2 or inputs[0] != targets[0]:
            raise ValueError(f"inputs are {inputs} and targets {targets}, not (R, D) and (R, M)")
        if (inputs[1], targets[1]) != named:
            raise ValueError(
                f"{inputs[1]} columns of inputs and {targets[1]} of targets have "
                f"{named[0]} and {named[1]} names"
            )


@dataclass(frozen=True)
class Data:
    """Training, validation and test rows in units of the training part's standard deviations.

    x is (N, D) and y is (N, M); the means and standard deviations, (D,) and (M,), are those of the
    training rows in the table's own units: targets = y · target_std + target_mean. Targets that are
    not standardised have mean 0 and standard deviation 1 here. Without a test part its arrays have
    no rows. ``validation_rows``: the places of the validation rows in the table. ``digest`` is that
    of the table's rows in their order, the columns' names and the rows of each part. ``origin``: of
    a table from a file, how it was read and what its columns are, as JSON, and ``rows``, the places
    in it of each part's rows; ``notes`` tell that to a person.
    """

    x_train: Array
    y_train: Array
    x_validation: Array
    y_validation: Array
    x_test: Array
    y_test: Array
    input_names: tuple[str, ...]
    target_names: tuple[str, ...]
    input_mean: Array
    input_std: Array
    target_mean: Array
    target_std: Array
    validation_rows: Rows
    digest: str = ""
    outliers: Outliers | None = None
    origin: Mapping[str, Any] = field(default_factory=dict)
    rows: Mapping[str, Rows] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def tested(self) -> Data | None:
        """The same with the test rows in the place of the validation rows; None without them."""
        if not len(self.x_test):
            return None
        return replace(self, x_validation=self.x_test, y_validation=self.y_test)

    def to_json(self) -> dict[str, Any]:
        """What a model needs to be used on other rows; of the rows themselves nothing."""
        content = {
            "digest": self.digest,
            "inputs": list(self.input_names),
            "input_mean": self.input_mean.tolist(),
            "input_std": self.input_std.tolist(),
            "targets": list(self.target_names),
            "target_mean": self.target_mean.tolist(),
            "target_std": self.target_std.tolist(),
            **self.origin,
        }
        if self.rows:
            content["rows"] = {part: places.tolist() for part, places in self.rows.items()}
        return content

    def astype(self, dtype: DTypeLike) -> Data:
        """The same rows in another precision; the means and standard deviations stay float64.

        Raises SettingError for a column with a value beyond the range of the precision.
        """

        def cast(values: Array, names: tuple[str, ...]) -> Array:
            with np.errstate(over="ignore"):
                cast_values: Array = values.astype(dtype)
            _check_finite(cast_values, names, f"does not fit {np.dtype(dtype).name}")
            return cast_values

        return replace(
            self,
            x_train=cast(self.x_train, self.input_names),
            y_train=cast(self.y_train, self.target_names),
            x_validation=cast(self.x_validation, self.input_names),
            y_validation=cast(self.y_validation, self.target_names),
            x_test=cast(self.x_test, self.input_names),
            y_test=cast(self.y_test, self.target_names),
        )


@dataclass(frozen=True)
class Parts:
    """The rows of a table that train, those for validation and those for the test, by place."""

    train: Rows
    validation: Rows
    test: Rows = field(default_factory=lambda: np.arange(0))

    @classmethod
    def cut(cls, order: Rows, validation: int, test: int) -> Parts:
        """So many of the first rows for validation, so many of the next for the test."""
        held_out, tested, train = np.split(order, [validation, validation + test])
        return cls(train, held_out, tested)


def held(rows: int, validation: float, test: float) -> tuple[int, int]:
    """How many of so many rows are for validation and test, where each is a share of them.

    Raises SettingError if a part that is asked for has no row.
    """
    shares = {"validation": validation, "test": test}
    numbers = {part: round(share * rows) for part, share in shares.items()}
    left = rows - sum(numbers.values())
    asked = [part for part, share in shares.items() if share > 0]
    if left < 1 or any(numbers[part] == 0 for part in asked):
        given = " and ".join(f"task.{part}={shares[part]:g}" for part in asked)
        parts = "".join(f" and {numbers[part]} for {part}" for part in asked)
        raise SettingError(
            f"{given} of {rows} rows leaves {left} for training{parts}; each needs at least 1"
        )
    return numbers["validation"], numbers["test"]


def split(
    table: Table,
    *,
    validation: float,
    test: float = 0.0,
    rng: np.random.Generator,
    standardise_targets: bool = True,
    identify: bool = True,
) -> Data:
    """Draw the parts' rows, and standardise all rows; raises SettingError as these do."""
    rows = len(table.inputs)
    numbers = held(rows, validation, test)
    parts = Parts.cut(rng.permutation(rows), *numbers)
    return standardised(table, parts, standardise_targets=standardise_targets, identify=identify)


def standardised(
    table: Table,
    parts: Parts,
    *,
    standardise_targets: bool = True,
    identify: bool = True,
    constant_std: float = ENDLESS,
) -> Data:
    """The parts, standardised by the training part's mean and sd.

    z = (x - mean) / sd for every column, where mean and sd know nothing of the other rows. An
    input that is constant in the training rows is 0 there, and next to it elsewhere (its sd counts
    as ``constant_std``): weights that have learned nothing of it would make noise of its size.
    Raises SettingError if a target is constant in the training rows (of those that are not
    standardised, if all are), or if a column's values are too large or too close together for
    float64.
    """
    with ThreadPoolExecutor(1) as beside:  # hashing takes as long as all else
        digest = beside.submit(_digest, table, parts) if identify else None
        data = _standardised(table, parts, standardise_targets, constant_std)
    return data if digest is None else replace(data, digest=digest.result())


def _digest(table: Table, parts: Parts) -> str:
    """What identifies the rows in their order, the columns' names and the rows of each part."""
    tested = (len(parts.test),) if len(parts.test) else ()  # without them as before there were any
    named = (table.input_names, table.target_names, len(parts.validation), *tested)
    content = hashlib.sha256(repr(named).encode())
    for columns in (table.inputs, table.targets):
        for start in range(0, len(table.targets), BLOCK):
            content.update(np.ascontiguousarray(columns[start : start + BLOCK]).data)
    for rows in (parts.validation, parts.train, parts.test):
        content.update(np.ascontiguousarray(rows).data)
    return content.hexdigest()


def _standardised(
    table: Table, parts: Parts, standardise_targets: bool, constant_std: float
) -> Data:
    """``standardised`` without the digest."""
    order = np.concatenate([*vars(parts).values()])
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    x, y = (_in_parts(columns, places, parts) for columns in (table.inputs, table.targets))
    x_train, y_train = x["train"], y["train"]
    constant = is_constant(y_train)
    if constant.any() if standardise_targets else constant.all():
        raise SettingError(
            f"task target {table.target_names[constant.argmax()]!r} is constant in the "
            f"{len(y_train)} training rows: there is nothing to learn"
        )
    input_mean, input_std = _standardise(x, table.input_names, constant_std)
    target_mean: Array = np.zeros(y_train.shape[1])
    target_std: Array = np.ones(y_train.shape[1])
    if standardise_targets:
        target_mean, target_std = _standardise(y, table.target_names)
    return Data(
        x_train=x_train,
        y_train=y_train,
        x_validation=x["validation"],
        y_validation=y["validation"],
        x_test=x["test"],
        y_test=y["test"],
        input_names=table.input_names,
        target_names=table.target_names,
        input_mean=input_mean,
        input_std=input_std,
        target_mean=target_mean,
        target_std=target_std,
        validation_rows=parts.validation,
        outliers=outliers(table.targets, table.target_names) if standardise_targets else None,
    )


def _in_parts(columns: Any, places: Rows, parts: Parts) -> dict[str, Array]:
    """The rows of each part; ``places``: where each row goes, if the parts follow one another.

    Memory that is touched for the first time takes more time than all else. So rows are moved by
    blocks, and into memory that was in use before: NumPy would ask for huge pages, which nobody has
    touched yet, and which the host of a virtual machine maps only then.
    """
    shape = len(places), columns.shape[1]
    moved: Array = np.ndarray(shape, buffer=bytearray(8 * math.prod(shape)))
    row = np.dtype((np.void, moved.strides[0]))  # rows as single items are moved faster
    for start in range(0, len(places), BLOCK):
        block = np.ascontiguousarray(columns[start : start + BLOCK], moved.dtype)
        moved.view(row)[places[start : start + BLOCK]] = block.view(row)
    ends = np.cumsum([len(rows) for rows in vars(parts).values()])
    return dict(zip(vars(parts), np.split(moved, ends[:-1]), strict=True))


def is_constant(columns: Array) -> NDArray[np.bool_]:
    """Which columns have one value in all rows, (D,).

    The values are compared, because rounding in the mean gives 0.1, 0.1, 0.1 a tiny sd above 0.
    """
    constant: NDArray[np.bool_] = (columns[:BLOCK] == columns[0]).all(axis=0)
    constant[constant] = (columns[:, constant] == columns[0, constant]).all(axis=0)
    return constant


def _standardise(
    parts: Mapping[str, Array], names: Sequence[str], constant_std: float = ENDLESS
) -> tuple[Array, Array]:
    """Standardise the columns of all parts in place, by the moments of ``train``, which it returns.

    Raises SettingError for a column whose standard deviation float64 cannot hold, or with a value
    too far from the mean.
    """
    train = parts["train"]
    constant = is_constant(train)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = np.where(constant, train[0], train.mean(axis=0))
        squares = {part: _centre(columns, mean) for part, columns in parts.items()}
        std = np.where(constant, constant_std, np.sqrt(squares["train"]))
    for name, value in zip(names, std, strict=True):
        if not np.isfinite(value) or value == 0:
            size = "small" if value == 0 else "large"
            raise SettingError(
                f"task column {name!r} cannot be standardised: its standard deviation is too "
                f"{size} for float64; rescale the column"
            )
    for columns in parts.values():
        for block in _blocks(columns):
            with np.errstate(over="ignore"):
                block /= std
            _check_finite(block, names, "is too far from the training rows to be standardised")
    return mean, std


def _blocks(columns: Array) -> Iterator[Array]:
    """The rows in blocks that stay in the cache, from which the next step takes them."""
    return (columns[start : start + BLOCK] for start in range(0, len(columns), BLOCK))


def _centre(columns: Array, mean: Array) -> Array:
    """Subtract the mean in place; returns ``np.square(columns).mean(axis=0)``, to the bit."""
    total = np.zeros(columns.shape[1])
    for block in _blocks(columns):
        block -= mean
        squares = np.square(block)
        squares[0] += total
        total = squares.sum(axis=0)
    if columns.shape[1] == 1:  # which numpy adds up in pairs, and others row by row
        total = np.square(columns).sum(axis=0)
    return total / max(len(columns), 1)


def _check_finite(columns: Array, names: Sequence[str], trouble: str) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(columns.sum()):  # then they all are, and no second array is needed
            return
    for name, column in zip(names, columns.T, strict=True):
        if not np.isfinite(column).all():
            raise SettingError(f"task column {name!r} has a value that {trouble}")
