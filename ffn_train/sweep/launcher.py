"""Runs jobs through one of Hydra's launchers: in this process, on all cores, or on a cluster.

The launcher only starts processes: each job is one short override that names an entry of the
sweep's manifest, or several, and no process composes a configuration.
"""

from __future__ import annotations

import atexit
import copy
import importlib.util
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from ffn_train.config.composition import hydra_defaults
from ffn_train.config.kept import kept_in_turn
from ffn_train.config.mistakes import EXTRAS, one_line_errors
from ffn_train.config.overrides import written
from ffn_train.config.places import CONF
from ffn_train.config.settings import SettingError
from ffn_train.train.threads import allowed_cores

Launcher = tuple[str, Mapping[str, Any]]  # its name and the settings that differ from its defaults

DEFAULT = "local"
NEEDS = {
    "local": "hydra_plugins.hydra_joblib_launcher",
    "slurm": "hydra_plugins.hydra_submitit_launcher",
    "ray_cluster": "hydra_plugins.hydra_ray_launcher",
}
LOCAL = ("local", "serial")  # launchers whose workers are on this machine
SHARE = 2 / 3  # of the short jobs that are left for a core: its next batch
MOST = 64  # jobs in a batch
GRACE = 3  # seconds in which an orphaned worker's job can write a checkpoint
EXTRA = dict(EXTRAS.values())  # launcher -> the extra that brings it


def available(name: str) -> bool:
    """Whether the packages of a launcher are installed."""
    module = NEEDS.get(name)
    try:
        return module is None or importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def check(name: str, settings: Mapping[str, Any]) -> None:
    """Raises SettingError if a launcher lacks one of the settings or a setting names a class."""
    from omegaconf import OmegaConf

    config = _composed("sweep=none", name, settings)
    with one_line_errors():
        OmegaConf.to_container(config.hydra.launcher, resolve=True)


def _instructions(settings: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The keys with a leading underscore, which Hydra reads as instructions, and their values."""
    if isinstance(settings, list):
        settings = dict(enumerate(settings))
    if isinstance(settings, Mapping):
        for key, value in settings.items():
            if str(key).startswith("_"):
                yield f"{path}.{key}", value
            else:
                yield from _instructions(value, f"{path}.{key}")


def launch(
    sweep: Path, digests: Sequence[str], name: str, settings: Mapping[str, Any], short: bool
) -> None:
    """Run the jobs with these digests under a launcher; without ``settings``, with its defaults.

    On this machine several ``short`` ones go to a worker at a time, as dispatching each takes about
    as long. Returns when all have ended in some state. If its processes are lost, or a job cannot
    write down why it failed, that exception is raised.
    """
    from hydra._internal.callbacks import Callbacks
    from hydra.core.plugins import Plugins
    from hydra.core.utils import JobStatus
    from hydra.types import HydraContext

    loader: Any = _Loader()
    launcher = Plugins.instance().instantiate_launcher(
        hydra_context=HydraContext(config_loader=loader, callbacks=Callbacks()),
        task_function=_task,
        config=_composed(written("sweep", str(sweep.resolve())), name, settings),
    )
    if hasattr(launcher, "joblib"):  # its arguments of joblib.Parallel
        launcher.joblib |= {"initializer": _end_with_parent, "initargs": (os.getpid(),)}
    most = MOST if short and name in LOCAL else 1
    jobs = [[f"job=job_{'_'.join(batch)}"] for batch in _batches(digests, most)]
    for done in launcher.launch(jobs, initial_job_idx=0):
        if done.status is JobStatus.FAILED:  # Hydra keeps exceptions, and would print them itself
            raise done._return_value


def end_workers() -> None:
    """Have the idle workers of the launcher ``local`` end, without waiting for them."""
    if loky := sys.modules.get("joblib.externals.loky"):
        loky.get_reusable_executor(reuse=True).shutdown(wait=False)


def _batches(digests: Sequence[str], most: int) -> Iterator[Sequence[str]]:
    """The jobs in batches of at most ``most``, ever smaller, so that the cores end together."""
    while digests:
        several = min(max(int(SHARE * len(digests) / allowed_cores()), 1), most)
        yield digests[:several]
        digests = digests[several:]


class _Loader:
    """In the place of Hydra's: a job's configuration is the launch configuration with its name.

    Composing it would take longer than a short job.
    """

    def load_sweep_config(self, config: Any, overrides: Sequence[str]) -> Any:
        config = copy.deepcopy(config)
        config.job = overrides[0].partition("=")[2]
        return config


def _end_with_parent(parent: int) -> None:
    """In a new worker: end soon after the parent process has ended for any reason, and at once when
    it is told to: taking the interpreter apart would take half a second of a core.

    A running job is interrupted and writes a checkpoint if it can within ``GRACE``.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE)
        os._exit(128 + signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
    atexit.register(os._exit, 0)


def _composed(where: str, name: str, settings: Mapping[str, Any]) -> Any:
    """The launch configuration with a launcher and its settings, if it has any of its own."""
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.types import RunMode
    from omegaconf import OmegaConf, open_dict

    with initialize_config_dir(str(CONF), job_name="sweep", **hydra_defaults()):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        with one_line_errors():
            config = hydra.compose_config(
                config_name="launch",
                overrides=[where, "job=none", f"hydra/launcher={name}"],
                run_mode=RunMode.MULTIRUN,
            )
    if settings:
        shipped = OmegaConf.to_container(config.hydra.launcher, resolve=False)
        if dict(_instructions(settings)) != dict(_instructions(shipped)):
            raise SettingError(
                f"hydra/launcher={name}: its settings are plain values, without _target_"
            )
        with one_line_errors(), open_dict(config):
            config.hydra.launcher = dict(settings)
    return config


def _task(config: Any) -> str:
    from ffn_train.sweep.job import run_job

    digests = str(config.job).removeprefix("job_").split("_")
    # the table of one job alone is freed while it trains
    with kept_in_turn() if len(digests) > 1 else nullcontext():
        return ", ".join(run_job(str(config.sweep), digest) for digest in digests)
