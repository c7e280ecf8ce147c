"""python -m ffn_train: one run from the command line."""

from __future__ import annotations

import sys
from typing import Any

from ffn_train.settings import SettingError


def main() -> None:
    """Run what the command line describes; exits 2, with one line, for a mistake in it."""
    from ffn_train.configuration import launch

    try:
        launch(run)
    except SettingError as error:
        print(f"ffn_train: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("ffn_train: interrupted", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        print(f"ffn_train: {error.filename or ''}: {error.strerror or error}", file=sys.stderr)
        sys.exit(1)


def run(config: dict[str, Any]) -> None:
    """Build, execute and summarise one run."""
    from ffn_train.execution import execute
    from ffn_train.experiment import build_experiment
    from ffn_train.report import report

    experiment = build_experiment(config)
    for warning in experiment.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(report(execute(experiment)))
