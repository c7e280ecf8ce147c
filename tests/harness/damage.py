"""Damaged files: ``python -m tests.harness.damage --minutes 10 --seed 1``.

A file of a finished, interrupted or running run, of a sweep, of a run recorded by another program,
or a table is truncated, deleted, emptied, zeroed, altered by a bit, rewritten with a value that
nobody means, exchanged for another run's, or replaced by a pipe, a device, a link or a folder; a
folder by a link. Then a command reads it. Right is the result of the sound files or a refusal in a
line; wrong is another result, a traceback, a command that does not end, or one that writes
elsewhere. Where Chromium is installed, damaged pages are opened too, see ``tests.harness.pages``.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import math
import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import chdir, redirect_stdout
from dataclasses import fields
from functools import cache, partial
from pathlib import Path
from stat import S_IFCHR
from typing import Any

import numpy as np

import ffn_train
from ffn_train.config.composition import compose
from ffn_train.config.keys import lasting
from ffn_train.config.settings import SettingError
from ffn_train.running.execution import execute
from ffn_train.running.experiment import build_experiment
from ffn_train.runs import RunError, files, load_run
from ffn_train.runs.directory import claim
from ffn_train.runs.seal import SEALED, with_digest
from ffn_train.runs.status import Status
from ffn_train.sweep.job import DAMAGED
from ffn_train.sweep.manifest import Entry
from ffn_train.sweep.run import Plan, check
from tests.harness import pages
from tests.harness.campaign import LATE, Case, Outcome, campaign, limited, wrong
from tests.harness.crash import TINY, Scenario, results, sweep
from tests.harness.operations import Content, read_directory, write_directory

PATIENCE = 30.0  # seconds
ROWS = 40
SETTINGS = (
    *(setting for setting in TINY if setting != "task.rows=40"),
    *("task=table", "task.path=data.csv", "task.target=y", "trainer.keep=best"),
    *("checkpoint.every=2", "trainer.steps=6"),
)
SWEEP = (*SETTINGS, "sweep.dir=it", "hydra/launcher=serial")
# files whose damage a reader need not notice, since they hold no result of an ended run
UNSEALED = (files.PROVENANCE, files.STATUS, files.LOCK, ".log", "page.html")


# What is damaged: each in the folder `it`, with another one of its kind in `other`


@cache
def train(folder: str, *overrides: str) -> Callable[[], object]:
    config = compose([*SETTINGS, f"run.dir={folder}", *overrides])
    return lambda: execute(build_experiment(config), lambda line: None)


@cache
def plan() -> Plan:
    """Of the sweep in `it`; made where the table is."""
    return check([*SWEEP, "seed=0,1"])


def table(seed: int) -> str:
    draw = random.Random(seed)
    words = ("red", "blue", "green")
    rows = [
        f"{draw.gauss(0, 1):.6f},{draw.choice(words)},{draw.randint(1, 9)},{draw.gauss(9, 2):.6f}"
        for _ in range(ROWS)
    ]
    return "\n".join(["a,color,n,y", *rows]) + "\n"


def recorded_run(folder: str, factor: float) -> None:
    """A run of another program."""
    flow, norm = "signal_gradient_rms", "gradient_norm"
    with ffn_train.record(
        folder, tensors={"b.w": (2, 2)}, blocks=["b"], quantities=[flow, norm]
    ) as run:
        for step in range(5):
            run.log(step, {"loss": factor / (step + 1)}, {flow: [step + factor, 1], norm: [factor]})
        run.save_weights({"b.w": np.full((2, 2), factor)})


def cut(scratch: Path, name: str, command: Callable[[], object], mark: str) -> None:
    """Leave what a command leaves that ends soon after it has made the file with this name."""
    scenario = Scenario(name, command, read_directory(scratch)).record(scratch)
    made = [mark in operation.target for operation in scenario.operations].index(True)
    write_directory(scratch, scenario.disk(made + 5).content())


def build(world: Path, subject: str) -> None:
    """Make the folder of a subject, with the tables that it needs."""
    world.mkdir()
    for name, seed in (("data.csv", 0), ("new.csv", 1), ("spare.csv", 2)):
        (world / name).write_text(table(seed))
    with chdir(world):
        if subject == "a recorded run":
            recorded_run("it", 1.0)
            recorded_run("other", 2.0)
        elif subject in ("a sweep", "an unfinished sweep"):
            sweep(check([*SWEEP, "seed=4,5", "sweep.dir=other"]))
            if subject == "a sweep":
                sweep(plan())
            else:
                cut(world, subject, lambda: sweep(plan()), "seed=1")
        else:
            train("other", "seed=1")()
            if subject == "a finished run":
                train("it")()
            else:
                cut(world, subject, train("it"), "step-000000004")
            if subject == "an interrupted run":
                Status("interrupted", "SIGINT").write(Path("it"))
            Path("it/plots").mkdir()


# What reads it, in the world's folder; all that is printed is the result


def loaded() -> None:
    run = load_run("it")
    print(run.state, run.summary, lasting(run.config, "rounding"), run.theory)
    for name, column in run.scalars.items():
        print(name, column.tolist())
    for name, series in run.measures.series.items():
        print(name, series.step.tolist(), series.values.tolist())
    if run.summary is not None and run.config:
        for which in ("last", "best"):
            print({name: array.tolist() for name, array in run.weights(which).items()})
        print(run.outputs())


def command(name: str, *arguments: str) -> None:
    Path("out").mkdir(exist_ok=True)
    importlib.import_module(f"ffn_train.commands.{name}").main(list(arguments))
    for path in sorted(p for p in Path("out").rglob("*") if p.is_file()):
        print(path, digest(path.read_bytes()))


def plots(name: str) -> None:
    command("plots", "it", "--figures", name, "--formats", "svg")
    print(digest(next(Path("it/plots").glob("*.svg")).read_bytes()))


def again(run: Callable[[], object]) -> None:
    """The same command, or one that goes further; what it has set aside is no result."""
    with redirect_stdout(sys.stderr):
        run()
    for name, content in results(read_directory(Path("it"))).items():
        if not {"plots", "comparison", DAMAGED} & {*Path(name).parts}:
            print(name, digest(content))


def swept() -> None:
    again(lambda: sweep(plan()))


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


COMPARE = ("compare", "it", "other", "--out", "out", "--formats", "svg")
LOOKS: dict[str, Callable[[], None]] = {
    "load_run": loaded,
    **{f"plots {name}": partial(plots, name) for name in ("loss", "gradient_flow")},
    "view": partial(command, "view", "it", "--out", "out/page.html"),
    "compare": partial(command, *COMPARE, "--figures", "final"),  # runs of one depth have none
    "compare with figures": partial(command, *COMPARE),
}
DIFF = {"diff": partial(command, "diff", "it", "other")}
ENDED = {
    "plots predictions": partial(plots, "predictions"),
    "predict": partial(command, "predict", "it", "new.csv"),
}
RESUME: dict[str, Callable[[], None]] = {"resume": lambda: again(train("it"))}
EXTEND: dict[str, Callable[[], None]] = {"extend": lambda: again(train("it", "trainer.steps=8"))}
SWEPT = {
    "resume": swept,
    **{name: LOOKS[name] for name in ("view", "compare", "compare with figures")},
}
READERS: Mapping[str, Mapping[str, Callable[[], None]]] = {
    "a finished run": {**LOOKS, **ENDED, **DIFF, **RESUME, **EXTEND},
    "an interrupted run": {**LOOKS, **DIFF, **RESUME},
    "a running run": {**LOOKS, **DIFF, **RESUME},
    "a sweep": SWEPT,
    "an unfinished sweep": SWEPT,
    "a recorded run": LOOKS,
}
OURS = ("it", "out")  # where the commands write
IN_A_BROWSER = 0.2  # the share of cases that open a page
DRAWING = ("plots", "compare with")  # readers that take much longer than the others, and are rarer


# How it is damaged


def truncated(path: Path, draw: random.Random) -> None:
    os.truncate(path, draw.randrange(max(1, path.stat().st_size)))


def deleted(path: Path, draw: random.Random) -> None:
    path.unlink()


def emptied(path: Path, draw: random.Random) -> None:
    os.truncate(path, 0)


def zeroed(path: Path, draw: random.Random) -> None:
    """All of it or a part."""
    content = bytearray(path.read_bytes())
    start, end = sorted(draw.choices(range(len(content) + 1), k=2))
    if draw.random() < 0.5:
        start, end = 0, len(content)
    content[start:end] = bytes(end - start)
    path.write_bytes(content)


def flipped(path: Path, draw: random.Random) -> None:
    content = bytearray(path.read_bytes())
    if content:
        place = draw.randrange(8 * len(content))
        content[place // 8] ^= 1 << place % 8
    path.write_bytes(content)


def rewritten(path: Path, draw: random.Random) -> None:
    """One of its values is another one, under a digest that fits."""
    try:
        content = json.loads(path.read_bytes())
    except ValueError:
        flipped(path, draw)
        return
    places = [*inside(content)]
    if places:
        container, key = draw.choice(places)
        container[key] = draw.choice(HOSTILE)
    for container, key in places:
        if key == SEALED:
            sealed = JOB if "directory" in container else container.keys()
            rest = {k: v for k, v in container.items() if k in sealed and k != SEALED}
            container |= with_digest(rest)
    path.write_text(json.dumps(content))


JOB = [field.name for field in fields(Entry)]  # what a job's digest in a manifest is of
HOSTILE: Sequence[Any] = (
    *("../escape", "/dev/zero", "\x1b[31m", "x" * 999, "", None, [], {}),
    *(True, -1, 0, 0.5, 1e308, math.inf, math.nan, 10**400),
)


def inside(content: Any) -> Iterator[tuple[Any, Any]]:
    """The places of all values in what JSON has told: a container, and a key or an index."""
    if isinstance(content, dict | list):
        for key in content if isinstance(content, dict) else range(len(content)):
            yield content, key
            yield from inside(content[key])


def swapped(path: Path, draw: random.Random) -> None:
    kin = [p for p in Path("other").rglob(path.name) if p.is_file()]
    shutil.copy(draw.choice(sorted(kin)) if kin else Path("spare.csv"), path)


def fifo(path: Path, draw: random.Random) -> None:
    path.unlink()
    os.mkfifo(path)


def device(path: Path, draw: random.Random) -> None:
    path.unlink()
    try:
        os.mknod(path, S_IFCHR | 0o666, os.makedev(1, 5))  # /dev/zero
        os.close(os.open(path, os.O_RDONLY))
    except PermissionError:  # not allowed to this user, or in this file system
        path.unlink(missing_ok=True)
        path.symlink_to("/dev/zero")


def linked(path: Path, draw: random.Random) -> None:
    elsewhere = Path("elsewhere").absolute()  # outside the run, whose files are compared
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def folder(path: Path, draw: random.Random) -> None:
    path.unlink()
    path.mkdir()


Damage = Callable[[Path, random.Random], None]
DAMAGES: tuple[Damage, ...] = (
    truncated,
    deleted,
    emptied,
    zeroed,
    flipped,
    rewritten,
    swapped,
    fifo,
    device,
    linked,
    folder,
)


def unnoticed(subject: str, reader: str, name: str, damage: Damage, ended: bool) -> bool:
    """Whether another result is right: nothing in the files could tell that it is another one.

    ``ended``: whether the file is in the directory of a run that has ended.
    """
    if name.endswith(UNSEALED) or damage is rewritten:
        return True
    if damage is linked and Path(name).name.startswith("."):  # a half-written file: a link is none
        return True
    if name.endswith(files.SUMMARY) and damage is deleted:  # as of a run that has not ended
        return reader not in ("resume", "extend") or subject.endswith("sweep")
    if not name.startswith("it/"):  # the user's own tables; a run knows those of its training
        return name == "new.csv"
    if reader == "resume":  # what has ended is left as it is, and noticed when it is read
        return ended
    return not ended and subject in ("an interrupted run", "a running run", "an unfinished sweep")


def prepare(
    seed: int, scratch: Path, subjects: Sequence[str] = tuple(READERS), browse: bool = True
) -> Case:
    place = scratch / "case"

    @cache
    def world(subject: str) -> Content:
        path = scratch / subject.replace(" ", "-")
        build(path, subject)
        return read_directory(path)

    def copied(subject: str) -> None:
        write_directory(place, world(subject))

    def read(subject: str, reader: str) -> None:
        def task() -> None:
            try:
                READERS[subject][reader]()
            except (SettingError, RunError, OSError) as error:
                print(error, file=sys.stderr)
                sys.exit(2)

        if subject == "a running run":
            try:
                with claim("run.dir", Path("it"), Path()):
                    task()
            except SettingError as error:  # no lock can be taken: nothing runs
                print(error, file=sys.stderr)
                sys.exit(2)
        else:
            task()

    for warm in READERS["a finished run"].values():  # so that no child imports anything
        copied("a finished run")
        with chdir(place), redirect_stdout(io.StringIO()):
            warm()

    @cache
    def right(subject: str, reader: str) -> tuple[int, str]:
        copied(subject)
        done = limited(partial(read, subject, reader), place, patience=PATIENCE)
        busy = (subject, reader) == ("a running run", "resume")
        assert done.returncode == 2 * busy, f"{subject}, {reader}: {done.stderr}"
        return done.returncode, done.stdout

    def case(number: int) -> Outcome:
        draw = random.Random(f"{seed} {number}")
        if browsing and draw.random() < IN_A_BROWSER:
            return browsing(draw)
        subject = draw.choice(subjects)
        readers = list(READERS[subject])
        often = [1 if reader.startswith(DRAWING) else 4 for reader in readers]
        reader = draw.choices(readers, often)[0]
        sound = right(subject, reader)
        copied(subject)
        names = sorted(str(p.relative_to(place)) for p in (place / "it").rglob("*") if p.is_file())
        names += sorted(str(p.relative_to(place)) for p in (place / "it").rglob("*") if p.is_dir())
        names += ["data.csv"] * (reader in ("resume", "extend"))
        names += ["new.csv"] * 2 * (reader == "predict")
        name, damage = draw.choice(names), draw.choice(DAMAGES)
        damage = linked if (place / name).is_dir() else damage
        ended = (place / name).with_name(files.SUMMARY).exists()
        with chdir(place):
            damage(Path(name), draw)
        around = elsewhere(place)
        done = limited(partial(read, subject, reader), place, patience=PATIENCE)
        words = f"{reader} of {subject}, {Path(name).name} {damage.__name__}"
        trouble = wrong(done, (0, 1, 2))
        left_out = reader.startswith(("view", "compare")) and done.stderr.strip()
        if done.returncode == LATE:
            trouble = f"does not end: {words}"
        same = done.returncode != 0 or (0, done.stdout) == sound or left_out
        if not trouble and not same and not unnoticed(subject, reader, name, damage, ended):
            trouble = f"another result: {words}\n{difference(sound[1], done.stdout)}"
        if not trouble and elsewhere(place) != around:
            trouble = f"something is written elsewhere: {words}"
        refused = "refused" if done.returncode else "read"
        covered = [subject, reader, damage.__name__, f"file: {Path(name).name}", refused]
        return Outcome(covered, trouble + f"\n  {words}: {name}" if trouble else "")

    browsing = opened_pages(scratch) if browse and pages.executable() else None
    return case


def opened_pages(scratch: Path) -> Callable[[random.Random], Outcome]:
    """Cases of damaged pages: a run's, and a comparison's."""
    world = scratch / "pages"
    build(world, "a sweep")
    with chdir(world), redirect_stdout(io.StringIO()):
        train("run")()
        for name in ("run", "it"):
            command("view", name, "--out", f"{name}.html")
    found = {"a run's page": world / "run.html", "a comparison's page": world / "it.html"}
    return pages.opening(found, world, pages.chromium())


def elsewhere(place: Path) -> dict[str, bytes | None]:
    """All that the commands may read, and not write."""
    around: dict[str, bytes | None] = {}
    for path in place.iterdir():
        if path.name not in OURS:
            around[path.name] = path.read_bytes() if path.is_file() else None
            around |= {f"{path.name}/{k}": v for k, v in read_directory(path).items()}
    return around


def difference(sound: str, now: str) -> str:
    for pair in zip(sound.splitlines(), now.splitlines(), strict=False):
        if pair[0] != pair[1]:
            return "\n".join(f"    {line[:300]}" for line in pair)
    return f"    {len(sound.splitlines())} lines, now {len(now.splitlines())}"


if __name__ == "__main__":
    sys.exit(bool(campaign("tests.harness.damage", prepare)))
