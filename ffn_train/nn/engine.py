"""``engine=...``: what computes a stack's layers and the update of its parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ffn_train.config.settings import SettingError, first_line, one_of
from ffn_train.nn.core import Array
from ffn_train.nn.losses.loss import GradientOf, Loss
from ffn_train.nn.optim.optimizer import Memory, Optimizer
from ffn_train.nn.reductions import Reductions
from ffn_train.nn.segments import Segment

if TYPE_CHECKING:
    from ffn_train.nn.stack import Stack

ENGINES = ("numpy", "compiled")
# parameters x steps from which ``engine=auto`` compiles. Loading takes 1.2 s of every process and
# compiling 20 s once; at this size numpy takes 20 to 180 s in the study, and compiled saves 7 to
# 150 of them, but at the two widest shapes, where products are nearly all, up to 5
WORTH_COMPILING = 2**30


class Steps(Protocol):
    """Several steps of a fit in one call; parameters, memory and gradient change in place.

    Each is the batch of ``rows`` (K, N), its gradient, clipped, and the update number ``count``,
    ``count + 1`` and so on at the rate in ``rates``: bit for bit what the trainer does step by
    step. Returns the loss and the gradient's norm of each step that was made. The first step whose
    loss is above a limit, or not finite, or whose gradient is not, is not made, and ends the call.
    """

    at_once: int  # how many steps last about as long as a signal may wait

    def __call__(
        self, rows: NDArray[np.int64], rates: list[float], count: int
    ) -> tuple[list[float], list[float]]: ...


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What ``Steps`` are made for: the training rows, and what is done with a batch of ``rows``.

    ``limit``: of a loss that has not exploded.
    """

    model: Stack
    loss: Loss
    optimizer: Optimizer
    x: Array
    targets: Array
    rows: int
    params: Array
    gradient: Array
    memory: Memory
    decays: NDArray[np.bool]
    clip: float | None
    limit: float


@dataclass(frozen=True)
class Engine:
    """What computes a segment of a stack, a loss and its gradient, an update, and norms; by default
    NumPy.

    ``steps``: what makes several steps in one call, or None where a part has to be run step by
    step. ``delay``: gives the line that announces the compilation before a first use, or None.
    ``product``: of two matrices, by the library that multiplies those of a step.
    """

    segment: type[Segment] = Segment
    gradient_of: Callable[[Loss], GradientOf] = lambda loss: loss.value_and_gradient
    update: Callable[[Optimizer], Optimizer] = lambda optimizer: optimizer
    reductions: Reductions = field(default_factory=Reductions)
    steps: Callable[[Fit], Steps | None] = lambda fit: None
    delay: Callable[[], str | None] = lambda: None
    product: Callable[[Array, Array], Array] = np.dot

    def __reduce__(self) -> str:  # by its name: only models of this engine are pickled
        return "NUMPY"


NUMPY = Engine()


def check_engine(name: Any) -> str:
    """The engine's name. Raises SettingError if it is unknown or not installed."""
    if one_of("engine", name, ENGINES) == "compiled" and not _installed():
        raise SettingError(
            "engine=compiled needs Numba and SciPy: pip install 'ffn_train[compiled]', "
            "or engine=numpy"
        )
    return str(name)


def _installed() -> bool:
    return find_spec("numba") is not None and find_spec("scipy") is not None


def engine(name: str) -> Engine:
    """The engine of a name. Raises SettingError."""
    if check_engine(name) == "numpy":
        return NUMPY
    try:
        from ffn_train.nn.compiled.blas import product_from_python  # late: Numba is slow to import
        from ffn_train.nn.compiled.blocks import delay
        from ffn_train.nn.compiled.losses import gradient_of
        from ffn_train.nn.compiled.reductions import CompiledReductions
        from ffn_train.nn.compiled.segment import CompiledSegment
        from ffn_train.nn.compiled.steps import compiled_steps
        from ffn_train.nn.compiled.updates import compiled_update
    except (ImportError, OSError) as error:  # Numba refuses a NumPy that it does not know
        raise SettingError(
            f"engine=compiled cannot be used here: {first_line(error)}; engine=numpy can"
        ) from error

    return Engine(
        segment=CompiledSegment,
        gradient_of=gradient_of,
        update=compiled_update,
        reductions=CompiledReductions(),
        steps=compiled_steps,
        delay=delay,
        product=product_from_python,
    )
