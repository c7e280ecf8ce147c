"""Tables from files: reading, kinds and coding of columns, and the split of the rows."""

from ffn_train.tasks.tabular.columns import Column, Columns
from ffn_train.tasks.tabular.file import read
from ffn_train.tasks.tabular.reading import Reading
from ffn_train.tasks.tabular.task import TableTask

__all__ = ["Column", "Columns", "Reading", "TableTask", "read"]
