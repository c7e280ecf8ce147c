"""Estimators for scikit-learn: a run in memory that is fitted and predicts as others there do.

Needs the extra ``sklearn``.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError:
    raise ImportError(
        "ffn_train.interop.sklearn needs scikit-learn: pip install 'ffn_train[sklearn]'"
    ) from None

from ffn_train.config.composition import Config, compose
from ffn_train.config.keys import read_settings
from ffn_train.config.registry import build, choices
from ffn_train.config.settings import SettingError
from ffn_train.nn.core import Floats
from ffn_train.running.interruption import Interrupted
from ffn_train.runs.finding import HELD_BACK
from ffn_train.using.fit import fit_configured, refuse_overrides
from ffn_train.using.model import Model

FEW = 20  # rows, below which none are for validation
A_ROW, FEWEST, MOST = 50, 500, 10_000  # steps, unless they are given
PRESET = ("experiment=table", "threads=1", "plot.when=never")
CHOICES = ("activation", "residual", "norm", "optimizer")
SETTINGS = {
    "depth": "model.depth",
    "width": "model.width",
    "expansion": "model.expansion",
    "lr": "optimizer.lr",
    "weight_decay": "optimizer.weight_decay",
    "steps": "trainer.steps",
    "epochs": "trainer.epochs",
    "batch_size": "trainer.batch_size",
    "validation": "task.validation",
    "keep": "trainer.keep",
    "early_stopping": "trainer.early_stopping",
    "random_state": "seed",
    "run_dir": "run.dir",
}
TAKEN = {  # keys that no override may set, and what sets them
    **{group: f"the parameter {group}" for group in CHOICES},
    **{key: f"the parameter {name}" for name, key in SETTINGS.items()},
    **dict.fromkeys(("experiment", "task", "task.split"), "the estimator"),
    **dict.fromkeys(("task.path", "task.target", "task.classes"), "fit(X, y)"),
}
_composed = lru_cache(16)(compose)


class FFN(BaseEstimator):  # type: ignore[misc]
    """What both estimators share: their parameters, which are settings of a run, and training."""

    def __init__(
        self,
        *,
        depth: int = 2,
        width: int = 64,
        expansion: int = 4,
        activation: str = "gelu",
        residual: str = "rezero",
        norm: str = "none",
        optimizer: str = "adam",
        lr: float = 0.0005,
        weight_decay: float | None = None,
        steps: int | None = None,
        epochs: int | None = None,
        batch_size: int = 32,
        validation: float = 0.1,
        keep: str = "best",
        early_stopping: int | None = 40,
        random_state: Any = None,
        overrides: Sequence[str] = (),
        run_dir: str | Path | None = None,
    ) -> None:
        self.depth = depth
        self.width = width
        self.expansion = expansion
        self.activation = activation
        self.residual = residual
        self.norm = norm
        self.optimizer = optimizer
        self.lr = lr
        self.weight_decay = weight_decay
        self.steps = steps
        self.epochs = epochs
        self.batch_size = batch_size
        self.validation = validation
        self.keep = keep
        self.early_stopping = early_stopping
        self.random_state = random_state
        self.overrides = overrides
        self.run_dir = run_dir

    def _train(self, x: Floats, y: NDArray[Any], *, classes: bool) -> None:
        """Train on x (N, D) and the targets (N,) or (N, M); of classes, their indices."""
        config = self._config(len(x), classes)
        if len(x) < FEW:
            x, y = np.concatenate([x, x]), np.concatenate([y, y])
        with TemporaryDirectory() as folder:
            if config["run"]["dir"] is None:
                config["run"]["dir"] = str(Path(folder) / "run")
            try:
                run = fit_configured(config, x, y, notify=lambda line: None, progress=False)
            except Interrupted as error:
                signal.raise_signal(error.signal)  # KeyboardInterrupt, for the caller's handler
                raise
            summary = run.summary
            assert summary is not None
            if summary.state == "diverged" and summary.divergence is not None:
                why = [answer.text for answer in summary.verdict if answer.question == HELD_BACK]
                raise ValueError("; ".join([summary.divergence.line, *why]))
            self.model_ = _in_float64(run.model())
            self.n_iter_ = summary.steps

    def _config(self, rows: int, classes: bool) -> Config:
        """The configuration of a run on so many rows. Raises SettingError."""
        usual = type(self)().get_params(deep=False)
        values = {name: _plain(value) for name, value in self.get_params(deep=False).items()}
        state = values["random_state"]
        if state is None or isinstance(state, np.random.RandomState):
            values["random_state"] = int(check_random_state(state).randint(2**31 - 1))
        if values["steps"] is None and values["epochs"] is None:
            values["steps"] = min(max(A_ROW * rows, FEWEST), MOST)
        overrides = values["overrides"]
        refuse_overrides(overrides, {key: f"{name} sets {key}" for key, name in TAKEN.items()})
        # not the usual ones, of which none fits a block with an activation of its own
        chosen = [f"{name}={values[name]}" for name in CHOICES if values[name] != usual[name]]
        usual_loss = ["loss=cross_entropy"] if classes else []  # instead of the regression's
        config = deepcopy(_composed((*PRESET, *usual_loss, *chosen, *overrides)))
        fit_classes = [n for n, loss in choices("loss").items() if "classes" in loss.kinds]
        if classes and (loss := config["loss"]["name"]) not in fit_classes:
            raise SettingError(f"loss={loss} is not for classes: {' or '.join(fit_classes)} is")
        for name, key in SETTINGS.items():
            section, _, last = key.rpartition(".")
            (config[section] if section else config)[last] = values[name]
        config["task"]["classes"] = classes
        read_settings(config)
        build("task", {**config["task"], "path": "-", "target": "y1"})
        if rows < FEW:  # all of them train, and are looked at in the place of validation rows
            config["task"] |= {"validation": 0.5, "test": 0.0, "split": "last"}
            config["trainer"] |= {"keep": "last", "early_stopping": None}
        return config


class FFNRegressor(RegressorMixin, FFN):  # type: ignore[misc]
    """A residual feed-forward stack that predicts one or several numbers.

    x is standardised and y = readout(x_L), x_{l+1} = x_l + a_l f(x_l). By default the settings are
    those of ``experiment=table`` at half the width, and the weights those of the best score on the
    validation rows. Fewer than 20 rows all train, and the last weights are kept.

    depth, width, expansion       L, D and H/D
    activation, residual, norm    names, as on the command line (conf/README.md)
    optimizer, lr, weight_decay   the optimizer's name and its settings; None: the weight decay for
                                  so many rows
    steps, epochs                 the longest training, in one of the two; None: 50 steps for each
                                  row, but from 500 to 10,000
    batch_size                    rows of a batch; at most all that train
    validation                    share of the rows that score the weights and do not train
    keep                          "best" or "last": the weights that predict
    early_stopping                evaluations without a better score that end training, or None
    random_state                  the run's ``seed``; None: another at each fit
    overrides                     any other settings, such as ["schedule=cosine", "threads=2"]; one
                                  that a parameter sets is refused
    run_dir                       a new directory that keeps the run; None: nothing is kept

    X is numeric, (N, D), without missing values; columns of words are encoded before, in a
    Pipeline. y is (N,) or (N, M). Predictions are computed in float64. After ``fit`` there are
    ``model_``, an ``ffn_train.using.model.Model``, and ``n_iter_``, the steps taken. Parameters are
    checked by ``fit``, which raises ValueError in one line as the command does.
    """

    def fit(self, X: Any, y: Any) -> FFNRegressor:
        """Train on X (N, D) and y (N,) or (N, M). Raises ValueError."""
        x, targets = validate_data(
            self, X, y, dtype=np.float64, multi_output=True, y_numeric=True, ensure_min_samples=2
        )
        self._one_dimensional = targets.ndim == 1
        self._train(x, targets.astype(np.float64), classes=False)
        return self

    def predict(self, X: Any) -> Floats:
        """The targets of X (N, D), of y's number of dimensions."""
        values = _predicted(self, X)
        return values[:, 0] if self._one_dimensional else values

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class FFNClassifier(ClassifierMixin, FFN):  # type: ignore[misc]
    """A residual feed-forward stack that predicts a class and the probability of each.

    The outputs are logits, trained by the cross-entropy. y (N,) has numbers or words; after ``fit``
    they stand in ``classes_``. All else is as in ``FFNRegressor``.
    """

    def fit(self, X: Any, y: Any) -> FFNClassifier:
        """Train on X (N, D) and the classes y (N,), of which there are two at least."""
        x, targets = validate_data(self, X, y, dtype=np.float64, ensure_min_samples=2)
        check_classification_targets(targets)
        self.classes_, indices = np.unique(targets, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"two classes are needed, and all of y is one class, {targets[0]}")
        self._train(x, indices, classes=True)
        return self

    def predict_proba(self, X: Any) -> Floats:
        """The probabilities (N, K) of the classes, in the order of ``classes_``."""
        return _predicted(self, X)

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable class of each row of X (N, D)."""
        likely = self.predict_proba(X).argmax(axis=1)
        classes: NDArray[Any] = self.classes_[likely]
        return classes


def _plain(value: Any) -> Any:
    """The value as a configuration has it: Python's numbers, and a path as text."""
    if isinstance(value, np.generic):
        return value.item()
    return str(value) if isinstance(value, Path) else value


def _in_float64(model: Model) -> Model:
    """The model with its parameters in float64, in which a row's prediction hardly depends on the
    rows beside it.
    """
    params = model.stack.layout.zeros(np.float64)
    params.vector[...] = model.params.vector
    return replace(model, params=params)


def _predicted(estimator: FFN, X: Any) -> Floats:
    """The model's predicted numbers (N, M) or probabilities (N, K)."""
    check_is_fitted(estimator)
    x = validate_data(estimator, X, dtype=np.float64, reset=False)
    model = estimator.model_
    frame = model.predict(x).frame
    values: Floats = frame.to_numpy()[:, model.of_classes :].astype(np.float64)
    return values
