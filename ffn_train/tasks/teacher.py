"""The teacher task: a student stack learns the outputs of a random stack of its own family."""

from __future__ import annotations

import numpy as np

from ffn_train.config.registry import choice
from ffn_train.config.settings import SettingError, setting
from ffn_train.nn.activations.gelu import GELU
from ffn_train.nn.blocks.feedforward import FeedForwardChoice
from ffn_train.nn.blocks.norm import NoNorm
from ffn_train.nn.blocks.residual import IdentityResidual
from ffn_train.nn.initialisers.width import He
from ffn_train.nn.stack import BLOCK, Stack, beyond_memory
from ffn_train.tasks.synthetic import LOUDEST, check_sizes, standard
from ffn_train.tasks.table import Table
from ffn_train.tasks.task import Task

EXPANSION = 4


@choice("task", "teacher")
class Teacher(Task):
    """y = teacher(gain · x) standardised, + noise; x ~ N(0, I).

    The teacher is a residual GELU stack with He weights, drawn with the data.
    """

    drawn = True

    rows: int = setting("training and validation rows together", 4096, at_least=4)
    inputs: int = setting("D, of x ~ N(0, I)", 8, at_least=1)
    outputs: int = setting("M, the number of targets", 1, at_least=1)
    depth: int = setting("of the teacher", 2, at_least=1)
    width: int = setting("of the teacher", 32, at_least=1)
    gain: float = setting("factor of the teacher's inputs: larger is less linear", 2.0, above=0)
    noise: float = setting(
        "standard deviation of the noise, in units of the clean target's",
        0.05,
        at_least=0,
        at_most=LOUDEST,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self, "rows", "inputs", "outputs")

    def _check_memory(self) -> None:
        """Raise SettingError if memory cannot hold the teacher and the hidden units of all rows."""
        hidden = EXPANSION * self.width
        ends = (self.rows + self.width) * (self.inputs + self.outputs)
        entries = 2 * self.depth * self.width * hidden + self.rows * hidden + ends
        if beyond := beyond_memory(8 * entries + BLOCK * self.depth):
            sizes = ("rows", "inputs", "outputs", "depth", "width")
            *first, last = (f"task.{key}={getattr(self, key)}" for key in sizes)
            raise SettingError(f"{', '.join(first)} and {last} need {beyond}")

    def table(self, rng: np.random.Generator) -> Table:
        self._check_memory()
        teacher = Stack(
            inputs=self.inputs,
            outputs=self.outputs,
            depth=self.depth,
            width=self.width,
            expansion=EXPANSION,
            activation=GELU(),
            block=FeedForwardChoice(),
            residual=IdentityResidual(),
            norm=NoNorm(),
        )
        params = teacher.initial(He(), rng, "float64")
        inputs = rng.standard_normal((self.rows, self.inputs))
        with np.errstate(over="ignore", invalid="ignore"):
            clean = teacher.predict(params.views, self.gain * inputs)
        clean = standard(clean, self, "gain", "depth")
        return Table(
            inputs=inputs,
            targets=clean + self.noise * rng.standard_normal(clean.shape),
            input_names=tuple(f"x{index}" for index in range(1, self.inputs + 1)),
            target_names=tuple(f"y{index}" for index in range(1, self.outputs + 1)),
        )
