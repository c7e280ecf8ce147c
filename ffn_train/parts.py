"""What a part of your own imports: ``choice``, ``setting`` and the base class of each kind.

    from ffn_train.parts import Activation, choice

    @choice("activation", "softplus")
    class Softplus(Activation): ...

In a file of its own, named on the command line: ``parts=[my_parts.py] activation=softplus``.
"""

from ffn_train.config.registry import choice
from ffn_train.config.settings import setting
from ffn_train.nn.activations.activation import Activation
from ffn_train.nn.blocks.branch import Block, Branch
from ffn_train.nn.blocks.norm import Norm
from ffn_train.nn.blocks.residual import Residual
from ffn_train.nn.core import Layer
from ffn_train.nn.initialisers.initialiser import Initialiser
from ffn_train.nn.losses.loss import Loss
from ffn_train.nn.optim.optimizer import Optimizer
from ffn_train.nn.optim.schedules import Schedule
from ffn_train.plots.run_figure import RunFigure
from ffn_train.runs.logger import Logger
from ffn_train.tasks.scores import Score
from ffn_train.tasks.table import Data, Table
from ffn_train.tasks.task import Task
from ffn_train.train.quantities.quantity import (
    PassQuantity,
    Quantity,
    RootMeanSquare,
    StepQuantity,
)

__all__ = [
    "Activation",
    "Block",
    "Branch",
    "Data",
    "Initialiser",
    "Layer",
    "Logger",
    "Loss",
    "Norm",
    "Optimizer",
    "PassQuantity",
    "Quantity",
    "Residual",
    "RootMeanSquare",
    "RunFigure",
    "Schedule",
    "Score",
    "StepQuantity",
    "Table",
    "Task",
    "choice",
    "setting",
]
