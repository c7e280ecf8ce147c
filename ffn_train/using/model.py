"""A run's network with what it knows of its data: from new rows to predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ffn_train.config.keys import MODEL_GROUPS, read_settings
from ffn_train.config.outside import digest_of
from ffn_train.config.registry import BEFORE, build, choices
from ffn_train.config.settings import SettingError
from ffn_train.nn.core import Array, Views
from ffn_train.nn.losses.loss import Loss
from ffn_train.nn.stack import Stack
from ffn_train.running.experiment import build_stack
from ffn_train.runs import Run, RunError, files
from ffn_train.runs.files import damaged, read_json
from ffn_train.tasks.logistic_regression import log_softmax
from ffn_train.tasks.scores import R2, Accuracy, Score
from ffn_train.tasks.tabular.binary import settled
from ffn_train.tasks.tabular.columns import Column, Columns
from ffn_train.tasks.tabular.dialect import SEPARATORS, Given
from ffn_train.tasks.tabular.file import read
from ffn_train.tasks.tabular.numerals import MARKS
from ffn_train.tasks.tabular.reading import Reading
from ffn_train.using.tables import framed
from ffn_train.using.trace import Trace, trace

ROWS = 2**14  # that the network is applied to at a time
_WORDS = {mark: word for word, mark in SEPARATORS.items()}
Which = Literal["last", "best"]


@dataclass(frozen=True, eq=False)
class Prediction:
    """The predictions for new rows, and their score if the rows have the target.

    ``frame``: one row each; a column for each target in its own units or, of classes, the class and
    the probability of each. ``score``: over the ``scored`` rows that have the target, with its
    ``symbol``; None without such rows, or where it is not defined for them. ``unknown``: the rows
    with a class that training did not have, which are not scored. No prediction have the rows
    without an input where training left such rows out, ``lacking``, and those whose outputs are not
    finite, as with numbers too far from the training rows for the run's precision, ``beyond``.
    """

    frame: Any
    score: float | None
    scored: int
    symbol: str
    unknown: int = 0
    lacking: int = 0
    beyond: int = 0


@dataclass(frozen=True)
class Scale:
    """Means and standard deviations of the training rows, (D,) and (M,)."""

    input_mean: Array
    input_std: Array
    target_mean: Array
    target_std: Array


@dataclass(frozen=True, eq=False)
class Model:
    """A trained stack with its parameters, the coding of its columns and their scale.

    ``outputs``: the names of the stack's outputs, which are targets or classes. ``source``: the
    settings by which a file is read, of a task that has them.
    """

    stack: Stack
    params: Views
    loss: Loss
    score: Score
    columns: Columns
    outputs: tuple[str, ...]
    scale: Scale
    source: Mapping[str, Any]

    def __reduce__(self) -> Any:  # the views lie over the vector: pickled, they would be copies
        return _unpickled, ({**vars(self), "params": self.params.vector},)

    def predict(self, table: Any) -> Prediction:
        """The predictions for the rows of a table (see ``framed``).

        Columns are found by name, in any order; unknown levels and missing cells are treated as in
        training, where ``task.fill=drop`` leaves out a row that lacks an input: its prediction is
        missing, as that of a row with too large a number. Raises SettingError for a column that is
        missing or has cells of another kind.
        """
        import pandas as pd

        frame = self.framed(table)
        x, targets, lacking = self.inputs(frame), self.targets(frame), self._left_out(frame)
        chunks = [x[start : start + ROWS] for start in range(0, len(x), ROWS)]
        with np.errstate(all="ignore"):
            y = np.concatenate(
                [self.stack.predict(self.params, chunk) for chunk in chunks]
                or [np.zeros((0, len(self.outputs)), x.dtype)]
            )
            if self.of_classes:
                columns = self._classes(y)
            else:
                values = y * self.scale.target_std + self.scale.target_mean
                columns = dict(zip(self.outputs, values.T, strict=True))
            beyond = ~np.isfinite(y).all(axis=1) & ~lacking
            known = np.zeros(len(y), bool) if targets is None else np.isfinite(targets).all(axis=1)
            scored = known & ~lacking & ~beyond
            score = None
            if targets is not None and scored.any():
                value = float(self.score.value(targets[scored], y[scored]))
                score = None if np.isnan(value) else value  # of one row, R² is not defined
        predicted = pd.DataFrame(columns, index=frame.index)
        if (lacking | beyond).any():
            predicted.iloc[lacking | beyond] = np.nan
        unknown = 0
        if targets is not None and self.columns.classes is not None:
            named = self.columns.cells(frame, self.columns.targets[0]).notna().to_numpy()
            unknown = int((named & ~known & ~lacking & ~beyond).sum())
        return Prediction(
            frame=predicted,
            score=score,
            scored=int(scored.sum()),
            symbol=self.score.symbol,
            unknown=unknown,
            lacking=int(lacking.sum()),
            beyond=int(beyond.sum()),
        )

    def trace(self, table: Any) -> Trace:
        """What the network computes from these rows and, if they have the target, its gradients."""
        frame = self.framed(table)
        x, targets = self.inputs(frame), self.targets(frame)
        if self._left_out(frame).any():
            raise SettingError("a trace needs all inputs of a run with task.fill=drop")
        if targets is not None and not len(x):
            raise SettingError("a gradient needs a row, and the table has none")
        if targets is not None and np.isnan(targets).any():
            raise SettingError("a gradient needs a target in each row, and some rows have none")
        return trace(self.stack, self.params, self.loss, x, targets)

    def _left_out(self, frame: Any) -> NDArray[np.bool_]:
        """The rows (N,) without an input where training left such rows out."""
        if self.source.get("fill") == "drop":
            return self.columns.lacking(frame)
        return np.zeros(len(frame), bool)

    def read(self, path: str) -> Any:
        """The rows of a file, with numbers as such. Raises SettingError, which names the file."""
        return self.reading(path)[0]

    def reading(self, path: str) -> tuple[Any, Reading]:
        """The rows of a file, and how it was read: as the training file was.

        If the columns are not there then, the file decides on separator, encoding and lines before
        the table, and at last on the marks of numbers that no setting names. It has a row of units
        only if the training file had one.
        """
        columns = self.columns
        given = Given(
            separator=SEPARATORS.get(str(self.source.get("separator"))),
            decimal=MARKS.get(str(self.source.get("decimal"))),
            thousands=MARKS.get(str(self.source.get("thousands"))),
            header=self.source.get("header"),
            units=self.source.get("units"),
            skip=self.source.get("skip") or 0,
            missing=frozenset(columns.missing),
            version=columns.version,
            columns=frozenset([*(column.name for column in columns.inputs), *columns.targets]),
            words=columns.of_words,
        )
        units = None if given.units else given.units
        anew = replace(given, separator=None, units=units, skip=0)
        encoding, numerals = self.source.get("encoding"), vars(columns.numerals)
        ways = {
            (replace(given, **numerals), encoding): None,
            (replace(anew, **numerals), None): None,
            (given, encoding): None,
            (anew, None): None,
        }
        largest = int(float(self.source.get("largest", 4)) * 2**30)
        readers = [partial(_read, path, *way, largest) for way in ways]
        return columns.of_another(readers, path, targets=False)

    def framed(self, table: Any) -> Any:
        """A pandas frame, a mapping of columns, or an array (N, columns) or list of rows.

        These have all columns of the table that trained but the targets, in its order, or else the
        inputs alone, in the order in which they were chosen.
        """
        inputs = tuple(column.name for column in self.columns.inputs)

        def of_array(shape: tuple[int, int]) -> tuple[str, ...]:
            for names in (self.columns.table, inputs):
                if shape[1] == len(names):
                    return names
            counts = sorted({len(names) for names in (self.columns.table, inputs) if names})
            sizes = " or ".join(f"(N, {count})" for count in counts)
            listed = ", ".join([*inputs[:8], *(["..."] if len(inputs) > 8 else [])])
            raise SettingError(f"an array of shape {shape} is not {sizes}; the inputs are {listed}")

        frame = framed(table, of_array)
        given = Given(**vars(self.columns.numerals), version=self.columns.version)
        frame = settled(frame, "frame", given)[0]
        self.columns.check(frame, "the table", targets=self.columns.has_targets(frame))
        return self.columns.numbered(frame)

    def inputs(self, frame: Any) -> Array:
        """The coded and standardised inputs (N, D) in the run's precision."""
        return self._standardised(
            self.columns.encode(frame), self.scale.input_mean, self.scale.input_std
        )

    def targets(self, frame: Any) -> Array | None:
        """The standardised targets (N, M), NaN where they are missing; None without the columns."""
        if not self.columns.has_targets(frame):
            return None
        return self._standardised(
            self.columns.values(frame), self.scale.target_mean, self.scale.target_std
        )

    def _standardised(self, columns: Array, mean: Array, std: Array) -> Array:
        """The columns in the run's precision, infinite beyond its range."""
        with np.errstate(over="ignore"):
            scaled: Array = ((columns - mean) / std).astype(self.params.vector.dtype)
        return scaled

    @property
    def of_classes(self) -> bool:
        return self.columns.classes is not None or isinstance(self.score, Accuracy)

    def _classes(self, y: Array) -> dict[str, Any]:
        """The most probable class and the probability of each."""
        name = self.columns.targets[0] if self.columns.classes else "class"
        shares = np.exp(log_softmax(y.astype(np.float64)))
        likely = np.array(self.outputs, dtype=object)[shares.argmax(axis=1)]
        each = {f"{name}={word}": share for word, share in zip(self.outputs, shares.T, strict=True)}
        return {name: likely, **each}


def _read(path: str, way: Given, encoding: str | None, largest: int) -> tuple[Any, Reading]:
    """``read``, whose errors name the file."""
    try:
        return read(path, way, encoding=encoding, largest=largest)
    except SettingError as error:
        raise SettingError(f"{path} {error}") from error.__cause__


def _unpickled(fields: Mapping[str, Any]) -> Model:
    """The model whose parameters are given as their flat vector."""
    vector = fields["params"]
    params = fields["stack"].layout.views(vector)
    return Model(**{**fields, "params": params})


def model_of(run: Run, which: Which | None = None) -> Model:
    """The model that a run trained, with its last or best weights; None: the best if they are kept.

    Reads nothing but the run's own directory. Raises RunError, in one line, where that does not
    tell enough or is damaged, SettingError for parts of one's own that are not loaded, or not those
    that trained it.
    """
    if not {*MODEL_GROUPS} <= {*run.config}:
        raise RunError(f"{run.path} was recorded by another program: no model can be built of it")
    path = run.path / files.DATA
    if not run.path.is_dir():
        raise RunError(f"{run.path} is not there: it was moved, or the working directory changed")
    if not files.there(path):
        raise RunError(f"{run.path} is of a version that wrote no {files.DATA}: train it again")
    content = read_json(path)
    with damaged(path, KeyError, TypeError, ValueError, AttributeError):
        scale = Scale(**{name: np.array(content[name], float) for name in Scale.__annotations__})
        inputs, outputs = map(tuple, (content["inputs"], content["targets"]))
        if "columns" in content:
            columns = Columns.from_json(content["columns"])
        else:  # of a task whose columns are numbers
            columns = Columns(tuple(Column(name, "number") for name in inputs), outputs)
        reading = content.get("reading", {})
        separator = _WORDS.get(reading.get("separator"))
        read_as = {"header": reading.get("header"), "separator": separator}
        if reading.get("units") is False and columns.version > 1:  # else it may have them or not
            read_as["units"] = False
        sizes = [array.shape for array in vars(scale).values()]
        if sizes != [(len(columns.names),)] * 2 + [(len(outputs),)] * 2:
            raise ValueError("its columns, means and standard deviations do not fit together")
    if which is None:
        which = "best" if run.summary and run.summary.kept_step is not None else "last"
    weights = run.weights(which)
    settings = read_settings(run.config)
    described = {**BEFORE, **run.config}
    parts = {group: _part(run, group, described[group]) for group in (*MODEL_GROUPS, "loss")}
    with damaged(run.path / files.CONFIG, ValueError):
        if settings.model.depth != run.measures.depth:
            raise ValueError(f"model.depth={settings.model.depth} is not that of {files.LAYOUT}")
        stack = build_stack(settings.model, parts, inputs=len(inputs), outputs=len(outputs))
        shapes = {tensor.name: tensor.shape for tensor in stack.layout.tensors}
        if shapes != {name: array.shape for name, array in weights.items()}:
            raise ValueError("the weights are not those of this model")
    params = stack.layout.zeros(run.dtype)
    for name, array in stack.layout.named(params.vector).items():
        array[...] = weights[name]
    return Model(
        stack=stack,
        params=params,
        loss=parts["loss"],
        score=_score(run),
        columns=columns,
        outputs=outputs,
        scale=scale,
        source={**run.config["task"], **read_as},
    )


def _part(run: Run, group: str, settings: Any) -> Any:
    """The choice of a run. Raises SettingError for one of a part that is not the one loaded."""
    recorded = run.provenance.parts or {}
    name = settings.get("name") if isinstance(settings, Mapping) else None
    if recorded and isinstance(name, str) and name not in choices(group):
        made = f"{run.path} was made with parts: --parts {','.join(recorded)}"
        raise SettingError(f"{group}={name} is not declared; {made}")
    part = build(group, settings)
    digest = digest_of(part)
    if digest and run.provenance.parts is not None and digest not in recorded.values():
        before = ", ".join(f"{file} {content[:8]}" for file, content in recorded.items())
        raise SettingError(
            f"{run.path} was trained by parts with the content {before or '(none)'}, and "
            f"{group}={name} is of one with the content {digest[:8]}"
        )
    return part


def _score(run: Run) -> Score:
    """The score by which the run was judged."""
    name = run.score.name if run.score is not None else ""
    of_task = getattr(choices("task").get(str(run.config["task"].get("name"))), "score", None)
    known = [R2(), Accuracy(), *([of_task] if isinstance(of_task, Score) else [])]
    for score in known:
        if score.name == name:
            return score
    raise SettingError(f"the score {name!r} is of a part that is not loaded (--parts FILE)")
