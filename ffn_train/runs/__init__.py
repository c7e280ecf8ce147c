"""One run's directory: its files, how they are written, and how they are read back."""

from ffn_train.runs.files import RunError
from ffn_train.runs.measures import Measures
from ffn_train.runs.reader import Run, load_run

__all__ = ["Measures", "Run", "RunError", "load_run"]
