"""Tasks: the data that a model is trained on, as tables of inputs and targets.

A new task is a new module of this folder.
"""

from ffn_train.tasks.least_squares import fit_least_squares
from ffn_train.tasks.scores import R2, Score
from ffn_train.tasks.table import Data, Table, split
from ffn_train.tasks.task import Task

__all__ = ["R2", "Data", "Score", "Table", "Task", "fit_least_squares", "split"]
