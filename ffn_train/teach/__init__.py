"""Checks of a user's own backward passes, which say what is wrong and why."""

from ffn_train.teach.check import check_bench, check_functions, check_gradients
from ffn_train.teach.report import Finding, Report

__all__ = ["Finding", "Report", "check_bench", "check_functions", "check_gradients"]
