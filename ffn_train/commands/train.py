"""python -m ffn_train: one run from the command line."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from ffn_train import __version__
from ffn_train.commands.help import help_text
from ffn_train.commands.options import Parser, mention, os_error, say, tell
from ffn_train.config.composition import as_yaml, complete, compose, load_parts
from ffn_train.config.keys import DECLARED
from ffn_train.config.outside import place_in_part
from ffn_train.config.overrides import CONFIG_DIR, command, written
from ffn_train.config.sections import listed
from ffn_train.config.settings import SettingError, UserError, counted, first_line, shortened
from ffn_train.running.interruption import SOON, Interrupted, Interruption
from ffn_train.running.later import later

SHOWN = 10  # unfinished jobs that are named
LATER = 1.0  # seconds until the workers of a sweep are at work


def main() -> None:
    """Run what the command line describes; exits 2 with one line on errors."""
    parser = _parser()
    options = parser.parse(None)
    overrides = [*(f"{CONFIG_DIR}{path}" for path in options.config_dir), *options.overrides]
    try:
        if options.help:
            load_parts(options.overrides)
            say(help_text(options.overrides))
        elif options.version:
            say(f"ffn_train {__version__}")
        elif options.shell_completion:
            complete(options.overrides)
        elif options.cfg:
            if options.multirun:
                raise SettingError("--cfg prints one configuration: not with -m")
            say(as_yaml(overrides, options.cfg, resolve=options.resolve).rstrip("\n"))
        elif options.resolve:
            raise SettingError("--resolve goes with --cfg")
        elif options.multirun:
            sys.exit(sweep(overrides))
        else:
            run(overrides)
    except UserError as error:
        parser.error(str(error))
    except Interrupted as error:
        when, then = "before the first checkpoint", "to start again"
        if error.checkpoint is not None:
            when, then = f"at step {error.checkpoint}", "to go on"
        parser.notify(f"interrupted {when}; {then}: {_again('run.dir', error.path)}")
        sys.exit(128 + error.signal)
    except KeyboardInterrupt:
        parser.notify("interrupted before the training started")
        sys.exit(130)
    except BrokenPipeError:
        raise
    except OSError as error:
        if place_in_part(error):
            raise
        parser.notify("; ".join([os_error(error), *getattr(error, "__notes__", [])]))
        sys.exit(1)


def _parser() -> Parser:
    parser = Parser("", "Train.", add_help=False)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("--version", action="store_true")
    parser.add_argument("-m", "--multirun", action="store_true")
    parser.add_argument("-cd", "--config-dir", action="append", default=[])
    parser.add_argument("-c", "--cfg", choices=("job", "hydra", "all"))
    parser.add_argument("--resolve", action="store_true")
    parser.add_argument("-sc", "--shell-completion", action="store_true")
    return parser


def run(overrides: list[str]) -> None:
    """Build, execute and summarise one run. Raises SettingError."""
    from ffn_train.report.text import report
    from ffn_train.running.execution import execute
    from ffn_train.running.experiment import build_experiment

    config = compose(overrides)
    _refuse_sweeps(overrides)
    experiment = build_experiment(config)
    if config["sweep"]["grid"]:
        varied = ", ".join(config["sweep"]["grid"])
        tell(f"without -m this is one run of the base settings, not the sweep over {varied}")
    if config["dry_run"]:
        from ffn_train.sweep.estimate import estimate
        from ffn_train.sweep.manifest import entry
        from ffn_train.sweep.space import Job

        for note in experiment.notes:
            tell(note)
        say(estimate([entry(Job({}, config))]))
        return
    say(report(execute(experiment, tell, announce=mention)))


def _refuse_sweeps(overrides: list[str]) -> None:
    """Raises SettingError for settings of a sweep, typed for one run; a preset's are for -m."""
    for text in overrides:
        key = text.lstrip("+").partition("=")[0]
        of_sweeps = key in DECLARED and f"{key}.".startswith(("sweep.", "resume.", "fail_fast."))
        if of_sweeps and key != "sweep.grid":  # of which the run tells
            where = "; run.dir=PATH names a run's directory" if key == "sweep.dir" else ""
            raise SettingError(f"{shortened(text)} is for a sweep, with -m{where}")


def sweep(overrides: list[str]) -> int:
    """Run a sweep and report its results; returns the exit status, 1 if a job failed, is left or
    is damaged, or the manifest or the comparison could not be written.
    """
    from ffn_train.runs.status import EARLY, ENDED
    from ffn_train.sweep.launcher import end_workers
    from ffn_train.sweep.run import check, counts, run_sweep
    from ffn_train.train import threads

    plan = check(overrides)
    if plan.config["dry_run"]:
        from ffn_train.sweep.estimate import estimate

        say(estimate(plan.entries, plan.trials, plan.sizes))
        return 0
    for warning in threads.warnings(plan.config["threads"]):
        tell(f"warning: {warning}")
    drawn = plan.config["plot"]["when"] != "never"
    with _imported_meanwhile("ffn_train.compare.figures") if drawn else nullcontext():
        swept = run_sweep(plan, tell)
    if plan.launcher[0] == "local":
        end_workers()  # so that the comparison has the cores
    path, entries = swept.path, swept.entries
    states = [(entry.directory, entry.status(path)) for entry in entries]
    unfinished = [
        (job, status) for job, status in states if status.words not in ("finished", EARLY)
    ]
    unfinished.sort(key=lambda job: job[1].state in ENDED)  # those that ended last
    for job, status in unfinished[:SHOWN]:
        reason = status.reason.removeprefix(f"{status.state} ")
        tell(f"{status.state}: {path / job}: {reason}")
    if len(unfinished) > SHOWN:
        tell(f"and {len(unfinished) - SHOWN} more")
    for line in swept.best:
        say(line)
    page, damaged, stopped = _compare(path, plan.config["plot"])
    if damaged:
        tell("to run a damaged job again, remove its directory and repeat the command")
    also = f"; {counted(damaged, 'run')} there damaged" if damaged else ""
    look = f"; to look at: {page}" if page else ""
    say(f"{counts(path, entries)} of {counted(len(entries), 'job')} in {path}{also}{look}")
    if swept.interrupted is not None:
        tell(f"to go on: {_again('sweep.dir', path)}")
        return 128 + swept.interrupted
    if stopped is not None:
        return 128 + stopped
    ended = all(status.state in ENDED for _, status in states)
    return 0 if ended and page and not damaged and not swept.stale else 1


def _imported_meanwhile(module: str) -> AbstractContextManager[None]:
    """A context in which a thread imports a module that takes long, once the jobs have started."""

    def load() -> None:
        with suppress(Exception):  # reported by what needs the module
            import_module(module)

    return later(LATER, load)


def _compare(sweep: Path, plot: Mapping[str, Any]) -> tuple[Path | None, int, int | None]:
    """The sweep's table, figures and page, whose file is returned, with the number of damaged jobs
    and the signal that interrupted this, if any; a failure is reported. There is no page then.
    """
    from ffn_train.commands.compare import present
    from ffn_train.compare import Options, collect
    from ffn_train.compare.discovery import OUT
    from ffn_train.runs.files import make_folder
    from ffn_train.train.threads import allowed_cores

    to_compare = f"to compare: {command(module='ffn_train.compare', path=sweep)}"
    formats = [] if plot["when"] == "never" else listed(plot["formats"])
    try:
        with Interruption(patience=SOON):
            comparison = collect([sweep], Options(), tell, allowed_cores())
            return present(comparison, make_folder(sweep / OUT), formats), comparison.skipped, None
    except Interrupted as error:
        tell(f"comparison interrupted by {error}; {to_compare}")
        return None, 0, error.signal
    except Exception as error:
        tell(f"no comparison: {first_line(error)}; {to_compare}")
        return None, getattr(error, "skipped", 0), None


def _again(key: str, path: Path | None) -> str:
    """The command that continues in the directory of the setting ``key``."""
    overrides = [text for text in sys.argv[1:] if not text.lstrip("+").startswith(f"{key}=")]
    return command(*overrides, written(key, str(path)))
