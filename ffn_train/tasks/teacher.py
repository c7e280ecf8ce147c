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
from ffn_train.tasks.synthetic import Synthetic
from ffn_train.tasks.table import Table

EXPANSION = 4


@choice("task", "teacher")
class Teacher(Synthetic):
    """y = teacher(gain · x) standardised, + noise; x ~ N(0, I).

    The teacher is a residual GELU stack with He weights, drawn with the data.
    """

    rows: int = setting("training and validation rows together", 4096, at_least=4)
    outputs: int = setting("M, the number of targets", 1, at_least=1)
    depth: int = setting("of the teacher", 2, at_least=1)
    width: int = setting("of the teacher", 32, at_least=1)
    gain: float = setting("factor of the teacher's inputs: larger is less linear", 2.0, above=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_sizes("rows", "inputs", "outputs")

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
            clean = teacher.predict(params, self.gain * inputs)
        return self._with_noise(inputs, self._standard(clean, "gain", "depth"), rng)
