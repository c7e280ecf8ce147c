"""Backward passes against centred differences, along random directions, in float64.

For a layer y = f(θ, x), a random cotangent c, in place of dLoss/dy, makes the scalar <c, y>, whose
gradient is the pullback of c. Each tensor (and x) is moved along a random unit direction v, and
<gradient, v> is compared with the five-point difference

    (8 (F(h) - F(-h)) - (F(2h) - F(-2h))) / (12 h),    F(t) = <c, f(θ + t v, x)>.

The gradient's storage, which a pullback has to overwrite, and the output of a block's branch, which
its pullback must not read, are filled with NaN before the backward pass.

A random dense direction reveals an error in any entry. If two step sizes disagree in F' or F'',
there is a kink between the points (a ReLU changes sign), which says nothing about the backward
pass: the kink is counted, and another point is drawn, with steps a quarter as long. Three things
leave a derivative unjudged, neither right nor wrong: a kink at every point that was tried; F not
finite; and a derivative so small compared with y that rounding hides it, as in very deep stacks. A
gradient that is not finite where F is, is wrong.

What evaluation computes without a backward pass, ``Layer.predict`` and ``Loss.value``, is compared
with what training computes.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass

import numpy as np

from ffn_train.nn.blocks.branch import Branch
from ffn_train.nn.core import Array, Layer, Layout, Views
from ffn_train.nn.losses.loss import Loss
from ffn_train.nn.reductions import norm, rms

STEP = 1e-4
TOLERANCE = 1e-7
DRAWS = 6  # points tried per tensor to avoid a kink
CLOSER = 4  # factor between the steps at one point and those at the next

Forward = Callable[[Views, Array], tuple[Array, Callable[[Array, Views], Array]]]


@dataclass(frozen=True)
class Check:
    """One tensor's directional derivative, by the backward pass and by differences.

    ``error`` is |analytic - numeric| relative to the larger of the two and to the typical size of
    such a derivative, |gradient|/sqrt(entries); ``resolution`` is the rounding error of the
    difference on the same scale. ``kinks`` counts the points discarded for a kink.
    """

    tensor: str
    analytic: float
    numeric: float
    error: float
    resolution: float
    kinks: int
    tolerance: float = TOLERANCE

    @property
    def unjudged(self) -> str:
        """Why the derivative is neither right nor wrong; empty if it is one of them."""
        if self.kinks == DRAWS:
            return "a kink at every point tried"
        if not np.isfinite(self.numeric):
            return "values that are not finite"
        return "" if self.resolution <= self.tolerance else "lost in rounding"

    @property
    def failed(self) -> bool:
        return not self.unjudged and not self.error <= self.tolerance


def random_parameters(layer: Layer, rng: np.random.Generator) -> Views:
    """Every parameter drawn at random (float64), so that no branch is multiplied by zero.

    Matrices are N(0, 1/fan_in); others N(0, 1/4), or N(0, 1/16) around an initial value other than
    0.
    """
    layout = Layout(layer)
    flat = layout.zeros("float64")
    for tensor, array in zip(layout.tensors, layout.named(flat.vector).values(), strict=True):
        draw = rng.standard_normal(array.shape)
        if array.ndim > 1:
            array[...] = draw / np.sqrt(array.shape[1])
        else:
            array[...] = tensor.initial + draw / (4 if tensor.initial else 2)
    return flat


def check_layer(
    layer: Layer,
    *,
    inputs: int,
    rng: np.random.Generator,
    samples: int = 5,
    tensors: Container[str] | None = None,
    tolerance: float = TOLERANCE,
) -> list[Check]:
    """Check the input's gradient (``x``) and that of every parameter tensor of a layer, or of those
    that are named in ``tensors``; and that ``predict``, if the layer has its own, is ``forward``.
    """
    layout = Layout(layer)
    spans: list[tuple[str, slice | None]] = [("x", None)]
    spans += [(t.name, t.span) for t in layout.tensors if tensors is None or t.name in tensors]
    checks = [
        _check(layer, layout, name, span, inputs, samples, rng, tolerance) for name, span in spans
    ]
    if type(layer).predict is not Layer.predict:
        checks.append(_predicted(layer, inputs, samples, rng, tolerance))
    return checks


@np.errstate(all="ignore")  # overflows leave a check unjudged
def check_loss(loss: Loss, targets: Array, rng: np.random.Generator) -> Check:
    """Check dLoss/dy at random outputs y for some targets, both (N, M)."""
    for kinks in range(DRAWS):
        y = rng.standard_normal(targets.shape)
        value, gradient = loss.value_and_gradient(y.copy(), targets)
        direction = rng.standard_normal(y.shape)
        direction /= np.linalg.norm(direction)
        values = _losses(loss, y, direction, targets)
        check = _compared("y", gradient, direction, values, abs(value), kinks, TOLERANCE)
        if check.kinks == kinks:
            break
    return check


@np.errstate(all="ignore")
def check_loss_value(loss: Loss, targets: Array, rng: np.random.Generator) -> Check:
    """Check ``value`` of a loss at random outputs y against that of ``value_and_gradient``."""
    y = rng.standard_normal(targets.shape)
    right = np.asarray(loss.value_and_gradient(y.copy(), targets)[0])
    return check_array("value", loss.value(y, targets), right, rng)


@np.errstate(all="ignore")
def check_array(
    name: str,
    array: Array | float,
    right: Array,
    rng: np.random.Generator,
    tolerance: float = TOLERANCE,
) -> Check:
    """Check an array against what it should be; both are shown along a random direction, numbers
    as they are.
    """
    direction = rng.standard_normal(right.shape) if right.ndim else np.ones(())
    numeric = float(np.vdot(direction, right))
    if np.shape(array) != right.shape:
        return Check(name, np.nan, numeric, np.inf, 0.0, 0, tolerance)
    error = _relative(norm(array - right), norm(right))
    return Check(name, float(np.vdot(direction, array)), numeric, error, 0.0, 0, tolerance)


@np.errstate(all="ignore")
def _predicted(
    layer: Layer, inputs: int, samples: int, rng: np.random.Generator, tolerance: float
) -> Check:
    params, x = random_parameters(layer, rng), rng.standard_normal((samples, inputs))
    right = layer.forward(params, x.copy())[0]
    return check_array("predict", layer.predict(params, x), right, rng, tolerance)


def _losses(loss: Loss, y: Array, direction: Array, targets: Array) -> Callable[[float], float]:
    return lambda t: loss.value(y + t * direction, targets)


@np.errstate(all="ignore")
def _check(
    layer: Layer,
    layout: Layout,
    name: str,
    span: slice | None,
    inputs: int,
    samples: int,
    rng: np.random.Generator,
    tolerance: float,
) -> Check:
    for kinks in range(DRAWS):
        params = random_parameters(layer, rng)
        x = rng.standard_normal((samples, inputs))
        y, pullback = layer.forward(params, x)
        cotangent = rng.standard_normal(y.shape)
        size = float(np.abs(cotangent * y).sum())
        if isinstance(layer, Branch):
            y[...] = np.nan  # a block overwrites it with the residual sum
        grads = layout.zeros("float64")
        grads.vector[...] = np.nan  # a gradient that is never written must not pass as zero
        dx = pullback(cotangent.copy(), grads)  # which that of a pre-norm may overwrite
        gradient = (dx if span is None else grads.vector[span]).reshape(-1)
        direction = rng.standard_normal(gradient.size)
        direction /= np.linalg.norm(direction)
        moved = x if span is None else params.vector[span]
        values = _along(layer, params, x, moved, direction, cotangent)
        check = _compared(name, gradient, direction, values, size, kinks, tolerance)
        if check.kinks == kinks:
            break
    return check


def _compared(
    tensor: str,
    gradient: Array,
    direction: Array,
    values: Callable[[float], float],
    size: float,
    kinks: int,
    tolerance: float,
) -> Check:
    """The check at one point, after others with kinks; a kink here is counted with them.

    ``values``: F(t), the sum of terms whose absolute values add up to ``size``.
    """
    step = STEP / CLOSER**kinks
    analytic = float(np.vdot(gradient, direction))
    (coarse, bend), (fine, finer_bend) = (_difference(values, h) for h in (step, step / 4))
    if not np.isfinite([coarse, fine, size]).all():
        return Check(tensor, analytic, np.nan, np.nan, 0.0, kinks, tolerance)
    if not np.isfinite(analytic):
        return Check(tensor, analytic, fine, np.inf, 0.0, kinks, tolerance)
    typical = rms(gradient)
    scale = max(abs(analytic), abs(coarse), typical)
    error = _relative(abs(analytic - fine), scale)
    resolution = _relative(10 * np.finfo(np.float64).eps * size / step, scale)
    # at a kink nearer than all points both slopes are means of its sides, but the bend grows
    apart = max(abs(coarse - fine), abs(bend - 4 * finer_bend))
    if resolution <= tolerance and apart > tolerance * scale:
        kinks += 1
    return Check(tensor, analytic, fine, error, resolution, kinks, tolerance)


def _relative(difference: float, scale: float) -> float:
    if difference == 0:
        return 0.0
    return difference / scale if scale > 0 else np.inf


def _along(
    layer: Layer, params: Views, x: Array, moved: Array, direction: Array, cotangent: Array
) -> Callable[[float], float]:
    """F(t): the scalar after moving x or a span of the parameters, in place, by t v."""
    start = moved.copy()

    def value(t: float) -> float:
        moved[...] = start + t * direction.reshape(start.shape)
        result = float(np.vdot(cotangent, layer.forward(params, x)[0]))
        moved[...] = start
        return result

    return value


def _difference(values: Callable[[float], float], h: float) -> tuple[float, float]:
    """F'(0), and the second difference over h: h F''(0) unless there is a kink."""
    above, below = values(h), values(-h)
    slope = (8 * (above - below) - (values(2 * h) - values(-2 * h))) / (12 * h)
    return slope, (above + below - 2 * values(0.0)) / h


def failures(checks: list[Check]) -> Iterator[Check]:
    """The checks that failed."""
    return (check for check in checks if check.failed)
