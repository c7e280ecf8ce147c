"""The teacher task: a student stack learns the outputs of a random stack of its own family."""

from __future__ import annotations

import numpy as np

from ffn_train.config.registry import choice
from ffn_train.config.settings import setting
from ffn_train.nn.activations.gelu import GELU
from ffn_train.nn.blocks.feedforward import FeedForwardChoice
from ffn_train.nn.blocks.norm import NoNorm
from ffn_train.nn.blocks.residual import IdentityResidual
from ffn_train.nn.initialisers.width import He
from ffn_train.nn.stack import Stack
from ffn_train.tasks.table import Table
from ffn_train.tasks.task import Task


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
        "standard deviation of the noise, in units of the clean target's", 0.05, at_least=0
    )

    def table(self, rng: np.random.Generator) -> Table:
        teacher = Stack(
            inputs=self.inputs,
            outputs=self.outputs,
            depth=self.depth,
            width=self.width,
            expansion=4,
            activation=GELU(),
            block=FeedForwardChoice(),
            residual=IdentityResidual(),
            norm=NoNorm(),
        )
        params = teacher.initial(He(), rng, "float64")
        inputs = rng.standard_normal((self.rows, self.inputs))
        clean = teacher.predict(params.views, self.gain * inputs)
        clean = (clean - clean.mean(axis=0)) / clean.std(axis=0)
        return Table(
            inputs=inputs,
            targets=clean + self.noise * rng.standard_normal(clean.shape),
            input_names=tuple(f"x{index}" for index in range(1, self.inputs + 1)),
            target_names=tuple(f"y{index}" for index in range(1, self.outputs + 1)),
        )
