"""What the harnesses share: numbered cases within limits, coverage, findings, going on later."""

from __future__ import annotations

import argparse
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from tests.support.command import Forked

SECONDS = 20  # of processor time
PATIENCE = 60.0  # seconds on the clock: what waits for ever takes no processor time
MEMORY = 2**31  # bytes
LARGEST = 2**28  # bytes of a file that is written
LATE = 124  # the status of a child that did not end, as of the program `timeout`


class Outcome(NamedTuple):
    """``covered``: the names of what a case has tried. ``finding``: what is wrong, "" if nothing;
    its first line is its kind."""

    covered: Sequence[str]
    finding: str = ""


Case = Callable[[int], Outcome | None]  # a number's case; None after the last one
Prepare = Callable[[int, Path], Case]  # of a seed and a scratch directory


def campaign(module: str, prepare: Prepare, arguments: Sequence[str] | None = None) -> list[str]:
    """Try the cases that the command line asks for, print what was covered, return the findings."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", allow_abbrev=False)
    parser.add_argument("--minutes", type=float, default=1.0, help="default: 1")
    parser.add_argument("--seed", type=int, default=0, help="the same seed tries the same cases")
    parser.add_argument("--start", type=int, default=0, help="the first case, to go on from")
    parser.add_argument("--cases", type=int, default=sys.maxsize, help="end after so many")
    options = parser.parse_args(arguments)
    again = f"python -m {module} --seed {options.seed}"
    end, number = time.monotonic() + 60 * options.minutes, options.start
    covered: Counter[str] = Counter()
    findings = []
    with tempfile.TemporaryDirectory(prefix="harness-", dir=in_memory()) as scratch:
        case = prepare(options.seed, Path(scratch))
        with suppress(KeyboardInterrupt):  # as when the time is over
            while number < options.start + options.cases and time.monotonic() < end:
                outcome = case(number)
                if outcome is None:
                    print("that was the last case")
                    break
                covered.update(outcome.covered)
                if outcome.finding:
                    findings.append(outcome.finding)
                    print(f"{outcome.finding}\n  {again} --start {number} --cases 1", flush=True)
                number += 1
    for name, count in sorted(covered.items()):
        print(f"{count:7}  {name}")
    print(f"{number - options.start} cases, {len(findings)} findings")
    for kind, count in Counter(text.partition("\n")[0] for text in findings).most_common():
        print(f"{count:7}  {kind}")
    print(f"to go on: {again} --start {number} --minutes {options.minutes:g}")
    return findings


def in_memory() -> str | None:
    """Where the syncs of thousands of runs wait for no disk; None if there is no such place."""
    shared = Path("/dev/shm")
    return str(shared) if shared.is_dir() and shutil.disk_usage(shared).free > 2**30 else None


def limited(
    task: Callable[[], object], cwd: Path, seconds: int = SECONDS, patience: float = PATIENCE
) -> subprocess.CompletedProcess[str]:
    """The status and output of a task in a forked child, which may not use more than the limits."""

    def confined() -> None:
        limit()
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
        task()

    child = Forked(confined, cwd=cwd, session=True)
    try:
        return child.wait(timeout=patience)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess([], LATE, "", f"no end within {patience:g} s")


def limit() -> None:
    """Limit this process, and those that it starts; what a forked one began with does not count."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    memory = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST, LARGEST))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def wrong(done: subprocess.CompletedProcess[str], allowed: Sequence[int]) -> str:
    """What is wrong with the end of a command; "" if it ended with one of the statuses, in a line.

    A refusal is the last line of the messages: notes may stand before it.
    """
    last = done.stderr.rstrip("\n").rpartition("\n")[2]
    if done.returncode not in allowed:
        return f"exit status {done.returncode}: {last}\n{done.stderr[-1500:]}"
    if "Traceback (most recent call last)" in done.stderr:
        return f"a traceback: {last}\n{done.stderr[-1500:]}"
    if done.returncode not in (0, 130, 141, 143) and not last.strip():
        return f"exit status {done.returncode} without a line"
    return ""


def shown(words: Sequence[str]) -> str:
    """A command line as it can be pasted."""
    return shlex.join(words)
