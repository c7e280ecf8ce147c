"""Tasks: the data that a model is trained on, as tables of inputs and targets.

The modules of this folder are imported here so that each one's choices are declared; a new task is
a new module and a new file in ``conf/task/``.
"""

from importlib import import_module
from pkgutil import iter_modules

from ffn_train.tasks.least_squares import fit_least_squares, r2
from ffn_train.tasks.table import Data, Table, Task, split

__all__ = ["Data", "Table", "Task", "fit_least_squares", "r2", "split"]

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
