"""Crashes at every file operation: ``python -m tests.harness.crash --minutes 10 --seed 1``.

Each command is executed once while its file operations are recorded. Then, for every operation, the
directory is made as the end of the process before it would have left it, and as a power loss could
have: unsynced bytes lost or zeros, names lost or reordered as no sync forbids; of each write also
its first byte, its half, and all but its last byte. The same command must then end with the bytes
of the straight run. After a power loss it may instead refuse a directory in which no run has begun,
in a line. Readers may read what is left or refuse; they never read other numbers.

``--strace`` records with strace, too, and says where the two lists of operations differ.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ffn_train.commands import export, predict
from ffn_train.config.composition import compose
from ffn_train.config.settings import SettingError
from ffn_train.interop.export import NAMES as EXPORTS
from ffn_train.interop.export import NEEDS
from ffn_train.running.execution import execute
from ffn_train.running.experiment import build_experiment
from ffn_train.runs import RunError, files, load_run
from ffn_train.runs.status import ENDED, status
from ffn_train.sweep.manifest import MANIFEST
from ffn_train.sweep.run import Plan, check, run_sweep
from tests.harness.campaign import Case, Outcome, campaign, limited, wrong
from tests.harness.operations import (
    CHANGING,
    STRACE,
    Content,
    Disk,
    Operation,
    of_strace,
    read_directory,
    recorded,
    write_directory,
)

TINY = (
    *("model.depth=2", "model.width=4", "model.expansion=2", "trainer.batch_size=8"),
    *("measure.every=3", "evaluate.every=2", "schedule=constant", "optimizer.lr=0.01"),
    *("task.rows=40", "plot.when=never", "threads=1"),
)
Cadence = tuple[int | None, int]
CADENCES: list[Cadence] = [(every, steps) for every in (None, 1, 2, 3) for steps in (1, 4, 7)]
# what has times, what the summary overrules, and half-written files that nobody takes for others
UNLIKE: tuple[str, ...] = (files.PROVENANCE, files.LOCK, files.STATUS, MANIFEST)
UNLIKE += (f".{files.STATUS}.", ".out.csv.", ".model.", ".records.", ".events.")


EMPTY = "is not empty and holds no run"  # all that may be wrong after a power loss


@dataclass
class Scenario:
    """A command in a directory that holds ``start``; ``operations``: all that it does to files."""

    name: str
    command: Callable[[], object]
    start: Content
    operations: list[Operation] = field(default_factory=list)
    straight: Content = field(default_factory=dict)

    def record(self, root: Path) -> Scenario:
        write_directory(root, self.start)
        with chdir(root), recorded(root) as self.operations:
            self.command()
        self.straight = read_directory(root)
        return self

    def disk(self, index: int, kept: int | None = None) -> Disk:
        """The disk before an operation; ``kept``: so many bytes of it, a write, have arrived."""
        disk = Disk(self.start)
        for operation in self.operations[:index]:
            disk.apply(operation)
        if kept is not None:
            disk.apply(self.operations[index], kept)
        return disk


def results(content: Content) -> dict[str, bytes]:
    """The files that a crash must not change in the end."""
    return {
        path: data
        for path, data in content.items()
        if data is not None
        and not {"checkpoints", "logs"} & set(path.split("/"))
        and not path.rpartition("/")[2].startswith(UNLIKE)
    }


def train(*overrides: str) -> Callable[[], object]:
    config = compose([*TINY, "run.dir=run", *overrides])
    return lambda: execute(build_experiment(config), print)


def sweep(plan: Plan) -> None:
    """Run a sweep's jobs; refused if one of them is."""
    done = run_sweep(plan, print)
    for job in done.entries:
        status = job.status(done.path)
        if status.state != "finished":
            raise SettingError(status.reason)


def scenarios(scratch: Path, cadences: Sequence[Cadence] = CADENCES) -> Iterator[Scenario]:
    """Each with its operations; ``cadences``: checkpoint.every and steps of its runs."""

    def made(name: str, command: Callable[[], object], start: Content | None = None) -> Scenario:
        return Scenario(name, command, start or {}).record(scratch / "case")

    for every, steps in cadences:
        cadence = f"checkpoint.every={'null' if every is None else every}"
        straight = made(f"run, {cadence}, steps {steps}", train(cadence, f"trainer.steps={steps}"))
        yield straight
        if every is not None and steps == 7:
            saved = [f"step-{every:09d}" in o.target for o in straight.operations].index(True)
            half = straight.disk(saved + 5).content()
            yield made(f"resume, {cadence}", straight.command, half)
            longer = train(cadence, "trainer.steps=9")
            yield made(f"extension, {cadence}", longer, straight.straight)
    stopping = train("trainer.early_stopping=1", "optimizer.lr=1", "trainer.steps=9")
    yield made("early stopping", stopping)
    swept = ["seed=0,1", "sweep.dir=sweep", "hydra/launcher=serial", "trainer.steps=3"]
    yield made("sweep", partial(sweep, check([*TINY, *swept])))
    predicting = partial(predict.main, ["run", "new.csv", "--out", "out.csv"])
    trained = straight.straight
    columns = json.loads(trained["run/data.json"] or b"")["inputs"]
    rows = [columns, *([f"0.{(3 * i + j) % 10}" for j, _ in enumerate(columns)] for i in range(4))]
    table = "".join(f"{','.join(row)}\n" for row in rows)
    yield made("predict", predicting, {**trained, "new.csv": table.encode()})
    for to in EXPORTS:
        if to in NEEDS and find_spec(NEEDS[to]) is None:
            print(f"not tried: export to {to}, whose extra is not installed")
            continue
        yield made(f"export to {to}", partial(export.main, ["run", "--to", to]), trained)


@dataclass(frozen=True)
class Point:
    """Where a scenario is cut. ``loss``: the number of one of the losses of power, None without."""

    scenario: Scenario
    index: int
    kept: int | None
    loss: int | None


def points(scenario: Scenario) -> Iterator[Point]:
    for index, operation in enumerate(scenario.operations):
        if operation.kind not in CHANGING:
            continue
        size = len(operation.data)
        for kept in sorted({1, size // 2, size - 1} - {0, size}) if size > 1 else ():
            yield Point(scenario, index, kept, None)
        yield Point(scenario, index, None, None)
        for loss, _ in enumerate(scenario.disk(index).losses()):
            yield Point(scenario, index, None, loss)


def prepare(seed: int, scratch: Path, cadences: Sequence[Cadence] = CADENCES) -> Case:
    every = [point for scenario in scenarios(scratch, cadences) for point in points(scenario)]
    random.Random(seed).shuffle(every)
    every.sort(key=lambda point: point.loss is not None)  # the ends of the process are tried first
    seen: set[Any] = set()
    print(f"{len(every):,} points")

    def case(number: int) -> Outcome | None:
        if number >= len(every):
            return None
        point = every[number]
        scenario, disk = point.scenario, point.scenario.disk(point.index, point.kept)
        content, words = disk.content(), "the process ends"
        if point.loss is not None:
            words, make = list(disk.losses())[point.loss]
            content, words = make(), f"the power fails: {words}"
        operation = scenario.operations[point.index]
        torn = "" if point.kept is None else f" after {point.kept} bytes of it"
        covered = [f"{scenario.name}", f"before or amid: {operation.kind}"]
        covered += [f"{words.partition(':')[0]}{' amid a write' if torn else ''}"]
        state = scenario.name, tuple(content.items())
        if state in seen:
            return Outcome([*covered, "a state that was tried already"])
        seen.add(state)
        root = scratch / "case"
        write_directory(root, content)
        done = limited(partial(recover, scenario, killed=point.loss is None), root)
        trouble = wrong(done, (0,) if point.loss is None else (0, 1, 2))
        if not trouble and done.returncode == 0:
            trouble = differing(results(read_directory(root)), results(scenario.straight))
        elif not trouble:
            line = done.stderr.strip().rpartition("\n")[2]
            covered.append(f"refused: {EMPTY}")
            trouble = "" if EMPTY in line else f"refused: {line}"
        if trouble:
            trouble += (
                f"\n  {scenario.name}: {words}{torn}, at operation {point.index}: {operation}"
            )
        return Outcome(covered, trouble)

    return case


def recover(scenario: Scenario, *, killed: bool) -> None:
    """Read what is left, then give the command again."""
    for path in Path().rglob(files.SCALARS):
        results_there = path.with_name(files.SUMMARY).exists()
        if killed and not results_there and status(path.parent).state in ENDED:
            raise AssertionError("a run has ended without results")
        read_rows(path, scenario)
    try:
        scenario.command()
    except (SettingError, RunError, OSError) as error:
        print(f"refused: {error}", file=sys.stderr)
        sys.exit(2)


def read_rows(path: Path, scenario: Scenario) -> None:
    """A run's rows are those of the straight run, or of the one before it, or it is refused."""
    try:
        read = dict(load_run(path.parent).scalars)
    except RunError:
        return
    cells = (["" if value != value else repr(float(value)) for value in c] for c in read.values())
    rows = {",".join(cells) for cells in zip(*cells, strict=True)}
    logs = [content.get(str(path)) or b"" for content in (scenario.start, scenario.straight)]
    known = {line for log in logs for line in log.decode().splitlines()}
    known = {
        ",".join(repr(float(cell)) if cell else "" for cell in line.split(","))
        for line in known
        if line[:1].isdigit()
    }
    assert rows <= known, f"{path} is read with the rows {rows - known}"


def differing(now: dict[str, bytes], straight: dict[str, bytes]) -> str:
    names = [name for name in {**now, **straight} if now.get(name) != straight.get(name)]
    kinds = {
        name: "missing" if name not in now else "left over" if name not in straight else "other"
        for name in names
    }
    return "; ".join(f"{kind} {name.rpartition('/')[2]}" for name, kind in kinds.items())


def with_strace(scratch: Path) -> bool:
    """Whether strace sees the operations that the recorder sees, in all scenarios."""
    log, known, root = scratch / "log", scratch / "known", scratch / "case"
    alone = [sys.executable, "-m", "tests.harness.crash", "--recorded", str(scratch)]
    with known.open("w") as out:
        subprocess.run([*STRACE, "-o", str(log), *alone], check=True, stdout=out)
    operations = of_strace(log.read_text(), root)
    seen = [str(operation.comparable()) for operation in operations if operation.kind in CHANGING]
    recorded = [line for line in known.read_text().splitlines() if line.startswith("(")]
    print(f"{len(recorded)} operations by the recorder, {len(seen)} by strace")
    for pair in zip([*seen, ""], [*recorded, ""], strict=False):
        if pair[0] != pair[1]:
            print(f"the first that differ: {pair}")
            return False
    return True


def main() -> int:
    """The exit status of the command line."""
    if sys.argv[1:2] == ["--recorded"]:  # under strace
        for scenario in scenarios(Path(sys.argv[2])):
            for operation in scenario.operations:
                if operation.kind in CHANGING:
                    print(operation.comparable())
        return 0
    if sys.argv[1:] == ["--strace"]:
        with tempfile.TemporaryDirectory() as scratch:
            return int(not with_strace(Path(scratch)))
    return int(bool(campaign("tests.harness.crash", prepare)))


if __name__ == "__main__":
    sys.exit(main())
