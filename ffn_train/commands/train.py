"""python -m ffn_train: one run from the command line."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ffn_train.commands.options import os_error
from ffn_train.config.settings import SettingError, first_line
from ffn_train.running.interruption import Interrupted

COMPARES = "python -m ffn_train.compare"
SHOWN = 10  # jobs that did not finish, by name


def main() -> None:
    """Run what the command line describes; exits 2, with one line, for a mistake in it."""
    from ffn_train.config.composition import launch
    from ffn_train.runs import RunError

    flags = [argument for argument in sys.argv[1:] if argument.startswith("-")]
    try:
        if flags in (["-m"], ["--multirun"]):
            sys.exit(sweep([argument for argument in sys.argv[1:] if argument not in flags]))
        launch(run)
    except (SettingError, RunError) as error:
        print(f"ffn_train: {error}", file=sys.stderr)
        sys.exit(2)
    except Interrupted as error:
        command = _again(sys.argv[1:], "run.dir", error.path)
        then = "starts the run again: it has no checkpoint yet"
        if error.checkpoint is not None:
            then = f"continues the run at step {error.checkpoint}"
        _notify(f"ffn_train: {error}; {command} {then}")
        sys.exit(128 + error.signal)
    except KeyboardInterrupt:
        print("ffn_train: interrupted before the training began", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        _notify("; ".join([f"ffn_train: {os_error(error)}", *getattr(error, "__notes__", [])]))
        sys.exit(1)


def run(config: dict[str, Any]) -> None:
    """Build, execute and summarise one run."""
    from ffn_train.report.text import report
    from ffn_train.running.execution import execute
    from ffn_train.running.experiment import build_experiment

    experiment = build_experiment(config)
    if config["dry_run"]:
        from ffn_train.sweep.estimate import estimate
        from ffn_train.sweep.manifest import entry
        from ffn_train.sweep.space import Job

        print(estimate([entry(Job({}, config))]))
        return
    print(report(execute(experiment, _notify)))


def sweep(overrides: list[str]) -> int:
    """Run a sweep and say what became of it; the exit status is 1 if a job is left or failed."""
    from ffn_train.runs.status import ENDED
    from ffn_train.sweep.run import check, counts, numbered
    from ffn_train.sweep.run import run as run_sweep
    from ffn_train.train import threads

    plan = check(overrides)
    if plan.config["dry_run"]:
        from ffn_train.sweep.estimate import estimate

        print(estimate(plan.entries, plan.trials))
        return 0
    for warning in threads.warnings(plan.config["threads"]):
        _notify(f"warning: {warning}")
    swept = run_sweep(plan, _notify)
    path, entries = swept.path, swept.entries
    states = [(entry.directory, entry.status(path)) for entry in entries]
    unfinished = [(job, status) for job, status in states if status.state != "finished"]
    unfinished.sort(key=lambda job: job[1].state in ENDED)  # the diverged ones last
    for job, status in unfinished[:SHOWN]:
        what, reason = status.state, status.reason
        for ending in ("diverged ", "stopped as hopeless "):
            if reason.startswith(ending):
                what, reason = ending.strip(), reason.removeprefix(ending)
        _notify(f"{what}: {path / job}: {reason}")
    if len(unfinished) > SHOWN:
        _notify(f"and {len(unfinished) - SHOWN} more")
    for line in swept.best:
        print(line)
    _compare(path, entries[0].config["plot"])
    print(f"{counts(path, entries)} of {numbered(len(entries))} in {path}")
    if swept.interrupted is not None:
        _notify(f"{_again(['-m', *overrides], 'sweep.dir', path)} goes on")
        return 128 + swept.interrupted
    return 0 if all(status.state in ENDED for _, status in states) else 1


def _compare(sweep: Path, plot: Mapping[str, Any]) -> None:
    """The sweep's table and figures; whatever goes wrong with them, the sweep is what it was."""
    from ffn_train.commands.compare import present
    from ffn_train.compare import Options, collect
    from ffn_train.compare.discovery import OUT

    formats = plot["formats"] if isinstance(plot["formats"], list) else [plot["formats"]]
    formats = [] if plot["when"] == "never" else formats
    try:
        present(collect([sweep], Options(), _notify), sweep / OUT, formats)
    except KeyboardInterrupt:
        _notify(f"comparison interrupted; {COMPARES} {sweep} draws it")
    except Exception as error:
        _notify(f"no comparison: {first_line(error)}; {COMPARES} {sweep} tries again")


def _again(arguments: Sequence[str], key: str, path: Path | None) -> str:
    """The command that goes on in a directory, which the setting ``key`` names."""
    others = [text for text in arguments if not text.startswith(f"{key}=")]
    return shlex.join(["python", "-m", "ffn_train", *others, f"{key}={path}"])


def _notify(line: str) -> None:
    with suppress(OSError):  # that nobody reads it any more stops nothing
        print(line, file=sys.stderr, flush=True)
