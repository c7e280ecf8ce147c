"""The command line: in a child forked from the tests' process, or in an interpreter of its own."""

from __future__ import annotations

import gc
import importlib
import os
import pkgutil
import runpy
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, NoReturn

import ffn_train
from ffn_train.config import outside
from ffn_train.config.composition import compose
from tests.support import parts

PATIENCE = 120.0  # seconds
NOBODY = 65534
NOT_WARMED = ("torch", "sklearn", "compiled", "__main__")  # seconds to import, or run when imported


@cache
def warm() -> None:
    """Import and compose once what each child would import and compose for itself."""
    for module in pkgutil.walk_packages(ffn_train.__path__, "ffn_train."):
        if not {*NOT_WARMED} & {*module.name.split(".")}:
            with suppress(ImportError):  # of an extra
                importlib.import_module(module.name)
    for late in ("matplotlib.backends.backend_agg", "pandas"):
        importlib.import_module(late)
    compose()
    gc.collect()
    gc.freeze()  # or each child's collections copy all pages


class Forked:
    """A child forked from this process: a command that need not import anything first.

    It calls ``task`` in the directory ``cwd`` and ends as an interpreter would, with the status and
    the output that an exception gives it. ``session``: in a process group of its own, as a
    terminal's commands are.
    """

    def __init__(self, task: Callable[[], object], *, cwd: Path, session: bool = False) -> None:
        warm()
        self._files = [tempfile.TemporaryFile() for _ in ("out", "err")]  # noqa: SIM115 closed by _end
        self._ended: subprocess.CompletedProcess[str] | None = None
        sys.stdout.flush()
        sys.stderr.flush()
        with warnings.catch_warnings():
            # xdist has a thread beside this one, and JAX has some where a test has imported it
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.filterwarnings("ignore", r"os\.fork\(\) was called", RuntimeWarning)
            self.pid = os.fork()
        if self.pid == 0:
            if session:
                os.setsid()
            _become(task, cwd, *self._files)

    def running(self) -> bool:
        """Whether it has not ended yet."""
        if self._ended is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._end(status)
        return self._ended is None

    def send_signal(self, number: int) -> None:
        """Send it a signal if it has not ended yet."""
        if self.running():
            os.kill(self.pid, number)

    def wait(self, timeout: float = PATIENCE) -> subprocess.CompletedProcess[str]:
        """Its status and output. Raises TimeoutExpired, with the child killed."""
        end, pause = time.monotonic() + timeout, 0.001
        while self.running():
            if time.monotonic() > end:
                os.kill(self.pid, signal.SIGKILL)
                self._end(os.waitpid(self.pid, 0)[1])
                raise subprocess.TimeoutExpired([], timeout)
            time.sleep(min(pause, max(0.0, end - time.monotonic())))
            pause = min(1.2 * pause, 0.02)
        assert self._ended is not None
        return self._ended

    def _end(self, status: int) -> None:
        out, err = map(_content, self._files)
        code = os.waitstatus_to_exitcode(status)
        self._ended = subprocess.CompletedProcess([], code, out, err)


def _become(task: Callable[[], object], cwd: Path, out: IO[bytes], err: IO[bytes]) -> NoReturn:
    """Do the task and end the process, whatever happens."""
    status = 1
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", encoding="utf-8") for number in (1, 2))
        signal.signal(signal.SIGINT, signal.default_int_handler)
        warnings.simplefilter("error")
        os.chdir(cwd)
        try:
            task()
            status = 0
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


def _content(file: IO[bytes]) -> str:
    with file:
        file.seek(0)
        return file.read().decode()


def as_nobody(task: Callable[[], object], cwd: Path) -> subprocess.CompletedProcess[str]:
    """What a task says in a process that may not write what is not its own."""

    def run() -> None:
        if os.getuid() == 0:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        task()

    return Forked(run, cwd=cwd).wait()


def start(*arguments: str, cwd: Path, module: str = "ffn_train", session: bool = False) -> Forked:
    """``python -m MODULE ARGUMENTS`` in a forked child."""

    def run() -> None:
        parts.forget(outside._loaded)  # an interpreter of its own knows none
        outside._loaded.clear()
        sys.argv = [module, *arguments]
        runpy.run_module(module, run_name="__main__", alter_sys=True)

    return Forked(run, cwd=cwd, session=session)


def command(
    *arguments: str, cwd: Path, module: str = "ffn_train"
) -> subprocess.CompletedProcess[str]:
    """What ``python -m MODULE ARGUMENTS`` answers, in a forked child."""
    return start(*arguments, cwd=cwd, module=module).wait()


def process(
    *arguments: str, cwd: Path, module: str = "ffn_train"
) -> subprocess.CompletedProcess[str]:
    """The same in an interpreter of its own, with its imports and its exit."""
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONWARNINGS": "error"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
