"""Tasks: the data that a model is trained on, as tables of inputs and targets.

A new task is a new module of this folder and a file in ``conf/task/``.
"""

from ffn_train.tasks.least_squares import fit_least_squares, r2
from ffn_train.tasks.table import Data, Table, Task, split

__all__ = ["Data", "Table", "Task", "fit_least_squares", "r2", "split"]
