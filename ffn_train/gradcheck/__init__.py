"""Checks of the backward passes against centred differences: a command and functions."""

from ffn_train.gradcheck.differences import (
    Check,
    check_layer,
    check_loss,
    check_loss_value,
    failures,
    random_parameters,
)
from ffn_train.gradcheck.stack import check_stack

__all__ = [
    "Check",
    "check_layer",
    "check_loss",
    "check_loss_value",
    "check_stack",
    "failures",
    "random_parameters",
]
