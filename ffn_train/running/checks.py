"""What is checked before a run starts, beyond the single settings, and what may go wrong in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ffn_train.config import combinations
from ffn_train.config.keys import GROUPS, MODEL_GROUPS
from ffn_train.config.precision import check_precision, misread
from ffn_train.config.registry import is_ours
from ffn_train.config.sections import Model, Settings, Trainer
from ffn_train.config.settings import SettingError
from ffn_train.nn.blocks.residual import Residual
from ffn_train.nn.core import Array, Layer, Layout
from ffn_train.nn.initialisers.initialiser import Initialiser
from ffn_train.nn.losses.loss import Loss
from ffn_train.nn.stack import BLOCK, Stack, beyond_memory
from ffn_train.nn.trial import agree, array, number, tried
from ffn_train.tasks.scores import R2, Score
from ffn_train.tasks.table import Data
from ffn_train.train import threads

ROWS = 3  # on which a layer is tried


def own(part: Any, *given: Any, **sizes: Any) -> None:
    """Try a choice of the user's own; raises SettingError for one that breaks its contract."""
    if not part.ours:
        part.check_results(*given, **sizes)


def choices(parts: Mapping[str, Any], settings: Settings) -> None:
    """Refuse choices that do not go together, or whose numbers the run's dtype does not hold."""
    combinations.check(parts)
    for group in GROUPS:
        if group != "task":  # its rows are made in float64
            check_precision(parts[group], group, settings.dtype)
    check_precision(settings.trainer, "trainer", settings.dtype)
    own(parts["activation"], settings.dtype)
    own(parts["optimizer"])
    parts["residual"].check_results(settings.model.depth)
    _branch(parts["residual"], settings.model.depth, settings.dtype)


def _branch(residual: Residual, depth: int, dtype: str) -> None:
    """Refuse a branch factor that over- or underflows in the run's dtype."""
    factor = residual.multiplier(depth)
    lost = misread(factor, dtype)
    if not factor and vars(residual).get("scale"):  # 0 in float64 too
        lost = "is too small for any precision"
    if lost is not None:
        values = ", ".join(f"residual.{key}={value}" for key, value in vars(residual).items())
        raise SettingError(f"{values} and model.depth={depth}: the factor {factor:.3g} {lost}")


def size(sizes: Model, dtype: str) -> None:
    """Refuse a model that with its gradients and momentum exceeds this machine's memory."""
    matrices = 2 * sizes.depth * sizes.expansion * sizes.width**2
    needed = 3 * matrices * np.dtype(dtype).itemsize + sizes.depth * BLOCK
    if beyond := beyond_memory(needed):
        raise SettingError(
            f"model.depth={sizes.depth}, model.width={sizes.width} and "
            f"model.expansion={sizes.expansion} need {beyond}"
        )


def targets(data: Data, loss: Loss, score: Score, rows: int) -> None:
    """Try a loss and a score of the user's own, and let none change the targets.

    A loss is tried on a batch of so many rows.
    """
    own(loss, data.y_train[:rows])
    score.check_results(data)
    if not loss.ours:
        data.y_train.flags.writeable = False
    if not (loss.ours and is_ours(type(score))):
        data.y_validation.flags.writeable = data.y_test.flags.writeable = False


def layers(parts: Mapping[str, Any], model: Stack, dtype: str) -> None:
    """Try a norm and a branch of the user's own, in the run's dtype."""
    for group, layer in (("norm", model.block.pre or model.block.post), ("block", model.branch)):
        if layer is not None and not parts[group].ours:
            _layer(f"{group}={parts[group].name}", layer, model, dtype)


def _layer(who: str, layer: Layer, model: Stack, dtype: str) -> None:
    """Raises SettingError for a norm or branch that breaks its contract on a few rows."""
    rng, layout = np.random.default_rng(0), Layout(layer)
    for tensor in layout.tensors:
        number(f"{who}: initial_value", tensor.initial, finite=True, where=f" for {tensor.name}")
    params, grads = (layout.zeros(dtype) for _ in range(2))
    params.vector[...] = rng.standard_normal(layout.size)
    x, dy = rng.standard_normal((2, ROWS, model.width)).astype(dtype)

    def fits(method: str, result: Array, given: Array) -> Array:
        array(f"{who}: {method}", result, "an array like x", x.shape, x.dtype)
        if layer is model.branch and np.may_share_memory(result, given):
            raise SettingError(f"{who}: {method} must return a new array, which the block adds to")
        return result

    def both(x: Array, dy: Array = dy) -> Array:
        y, pullback = layer.forward(params, x)
        fits("forward", y, x)
        if layer is model.branch:
            what = "a pullback with its units (N, H) as hidden"
            array(f"{who}: forward", getattr(pullback, "hidden", None), what)
        fits("the pullback", pullback(dy, grads), dy)
        return y

    def alone(x: Array) -> Array:
        return fits("predict", layer.predict(params, x), x)

    given = {"x": x, "dL/dy": dy}
    if layer is model.block.pre:
        del given["dL/dy"]  # which nobody reads after a pre-norm
    y = tried(f"{who}: forward with its pullback", both, given)
    agree(f"{who}: predict and forward", tried(f"{who}: predict", alone, {"x": x}), y, dtype)


def initialiser(init: Initialiser, model: Stack) -> None:
    """Try an initialiser of the user's own on each matrix of a block."""
    for sizes in model.matrices.values():
        own(init, **sizes)


def warnings(
    parts: Mapping[str, Any], settings: Settings, model: Stack, steps: int, data: Data
) -> list[str]:
    """What may go wrong, a line each."""
    norm, schedule = parts["norm"], parts["schedule"]
    names = {group: parts[group].name for group in MODEL_GROUPS}
    of_norm = f"norm={norm.name} with model.width={model.width}"
    of_schedule = f"schedule.warmup={schedule.warmup} with trainer.steps={steps}"
    return [
        *combinations.warnings(names, model.depth),
        *(f"{of_norm}: {warning}" for warning in norm.warnings(model.width)),
        *(f"{of_schedule}: {warning}" for warning in schedule.warnings(steps)),
        *threads.warnings(settings.threads),
        *_without_a_score(settings.trainer, parts["task"].score, data),
    ]


def _without_a_score(trainer: Trainer, score: Score, data: Data) -> list[str]:
    """A warning if a setting needs the score of validation rows for which it is undefined."""
    asked = ["trainer.keep=best"] if trainer.keep == "best" else []
    if trainer.early_stopping is not None:
        asked.append(f"trainer.early_stopping={trainer.early_stopping}")
    rows = data.y_validation
    if not asked or not isinstance(score, R2) or not np.isnan(score.value(rows, rows)):
        return []
    what = f"{' and '.join(asked)} {'does' if len(asked) == 1 else 'do'} nothing"
    return [
        f"{what}: {score.symbol} takes two validation rows with different targets, and there "
        f"{'is one row' if len(rows) == 1 else f'are {len(rows)} alike'} "
        "(task.validation is their share)"
    ]
