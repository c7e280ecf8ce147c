"""A run's directory, or a comparison, as one interactive page: a file that needs nothing else."""

from ffn_train.view.notebook import Inline
from ffn_train.view.page import page
from ffn_train.view.run_content import run_content, run_page

__all__ = ["Inline", "page", "run_content", "run_page"]
