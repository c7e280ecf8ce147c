"""The teacher task: a student stack learns the outputs of a random stack of its own family."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ffn_train.config.registry import choice
from ffn_train.config.settings import integer, number
from ffn_train.nn.activations.gelu import GELU
from ffn_train.nn.blocks.feedforward import FeedForwardChoice
from ffn_train.nn.blocks.norm import NoNorm
from ffn_train.nn.blocks.residual import IdentityResidual
from ffn_train.nn.initialisers.width import He
from ffn_train.nn.stack import Stack
from ffn_train.tasks.table import Table, Task


@choice("task", "teacher")
@dataclass(frozen=True, kw_only=True)
class Teacher(Task):
    """y = teacher(gain · x) standardised, + noise; x ~ N(0, I).

    The teacher is a residual GELU stack with He weights, drawn with the data.
    """

    rows: int
    inputs: int
    outputs: int
    depth: int
    width: int
    gain: float
    noise: float

    def __post_init__(self) -> None:
        super().__post_init__()
        for key in ("inputs", "outputs", "depth", "width"):
            integer(f"task.{key}", getattr(self, key), at_least=1)
        integer("task.rows", self.rows, at_least=4)
        number("task.gain", self.gain, above=0)
        number("task.noise", self.noise, at_least=0)

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
