"""Tables from files: how they are read, what their columns are, and which rows train."""

from ffn_train.tasks.tabular.columns import Column, Columns
from ffn_train.tasks.tabular.reading import Reading, read
from ffn_train.tasks.tabular.task import TableTask

__all__ = ["Column", "Columns", "Reading", "TableTask", "read"]
