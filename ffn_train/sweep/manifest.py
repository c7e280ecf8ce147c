"""A sweep's identity: the manifest of its jobs.

    manifest.json   the command, the space, the code's digest, and for each job its directory,
                    settings, digests of configuration, data and parts; for human readers its state
                    and times when the manifest was written, at the sweep's start and end
    jobs/NAME/      each job's run directory
    logs/NAME.log   each job's messages, and the traceback if it failed
    comparison/     tables and figures over the jobs

The state of a job is always read from its directory, never from the manifest, so that the two
cannot disagree.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from ffn_train.config.keys import differences, dotted, lasting
from ffn_train.config.outside import load, observes
from ffn_train.config.places import find, version_of
from ffn_train.config.sections import STEPS, listed
from ffn_train.config.settings import Changes, SettingError
from ffn_train.runs import RunError, files
from ffn_train.runs.files import damaged, read_json
from ffn_train.runs.identity import STEPS_KEY
from ffn_train.runs.provenance import Provenance, read_provenance
from ffn_train.runs.seal import SEALED, check_digest, with_digest
from ffn_train.runs.status import ENDED, Status, status
from ffn_train.sweep.space import Job

MANIFEST = "manifest.json"
JOBS = "jobs"
DATA = ("task.path", "init.path")  # the settings of files with one digest together
MORE = ("task.validation_path", "task.test_path")  # of further ones, each with its own
_TELLING: tuple[Changes, ...] = ("rounding", "source")


@dataclass(frozen=True)
class Entry:
    """A job in the manifest; ``directory`` is relative to the sweep's.

    ``data``: the digest of the files of ``DATA``, None without any. ``others``: the digests of what
    else its numbers depend on, by setting; empty in a manifest of an older version.
    """

    directory: str
    settings: Mapping[str, str]
    config: Mapping[str, Any]
    digest: str
    data: str | None
    others: Mapping[str, str] = field(default_factory=dict)

    def status(self, sweep: Path) -> Status:
        """The job's state, from its directory; what has ended without a summary has lost it."""
        run = sweep / self.directory
        found = status(run, self.steps)
        lost = found.state in ENDED and not files.there(run / files.SUMMARY)
        return Status("interrupted", f"{files.SUMMARY} is missing") if lost else found

    def grows_to(self, other: Entry) -> bool:
        """Whether another job takes more steps."""
        return self.steps is not None and other.steps is not None and self.steps < other.steps

    @property
    def steps(self) -> int | None:
        """The number of steps; None if it follows from the epochs."""
        trainer: Any = self.config["trainer"]
        return trainer["steps"] or (None if trainer.get("epochs") else STEPS)

    def read_again(self) -> Entry:
        """The same job with the digests of what its configuration names now."""
        return replace(self, data=_data(self.config), others=_others(self.config))

    def changed(self, now: Entry, varied: Collection[str] = ()) -> list[str]:
        """The differences of another job in settings and content, in words; unknown content is not
        compared. ``varied``: settings that may differ.
        """

        def fixed(key: str) -> bool:
            return not any(key == v or key.startswith(f"{v}.") for v in varied)

        lines = []
        if self.config != now.config:
            before, after = (
                {k: v for k, v in lasting(job.config, *_TELLING).items() if fixed(k)}
                for job in (self, now)
            )
            both = {key for key in (*DATA, *MORE) if before.get(key) and after.get(key)}
            after |= {key: before[key] for key in both}  # of which only the content matters
            if self.grows_to(now) and STEPS_KEY in after:
                before[STEPS_KEY] = after[STEPS_KEY]
            lines = differences(before, after)
        if self.data != now.data and all(map(fixed, DATA)):
            digests = f"{_short(self.data)} there, {_short(now.data)} here"
            paths = ", ".join(_files(now.config, DATA).values())
            lines.append(f"the data of {self.directory} ({paths}: {digests})")
        for key, digest in self.others.items():
            if fixed(key) and now.others.get(key, digest) != digest:
                digests = f"{_short(digest)} there, {_short(now.others[key])} here"
                lines.append(f"the content of {key} ({digests})")
        return lines


def entry(job: Job) -> Entry:
    """The manifest's entry of a job; its directory's name ends in the configuration's digest."""
    digest = _digest(job.config, job.settings)
    path = f"{JOBS}/{job.name}-{digest[:8]}"
    return Entry(path, dict(job.settings), job.config, digest, None).read_again()


def _digest(config: Mapping[str, Any], varied: Iterable[str]) -> str:
    """The digest of the settings that change numbers, and of the rows' source if it varies."""
    content = lasting(config, "rounding")
    if others := {key.lstrip("+~") for key in varied} - {*content}:
        content |= {k: v for k, v in lasting(config, *_TELLING).items() if k in others}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _whatever_steps(job: Entry) -> str:
    """The digest of a job without its number of steps."""
    trainer = {**job.config["trainer"], "steps": None}
    return _digest({**job.config, "trainer": trainer}, job.settings)


def _files(config: Mapping[str, Any], keys: Iterable[str]) -> dict[str, str]:
    """The files that these settings name, by setting."""
    flat = dotted(config)
    named = {key: flat.get(key) for key in keys}
    return {k: p for k, p in named.items() if isinstance(p, str) and os.path.isfile(find(p))}


def _data(config: Mapping[str, Any]) -> str | None:
    """The digest of the files of ``DATA``; None if there is none."""
    paths = _files(config, DATA).values()
    return _digest_of(*paths) if paths else None


def _others(config: Mapping[str, Any]) -> dict[str, str]:
    """The digests of the files of ``MORE`` and of the parts that change numbers, by setting."""
    digests = {key: _digest_of(path) for key, path in _files(config, MORE).items()}
    parts = load(listed(config.get("parts", [])))
    own = sorted(digest for name, digest in parts.items() if not observes(name))
    if own:
        digests["parts"] = hashlib.sha256("".join(own).encode()).hexdigest()
    return digests


def _digest_of(*paths: str) -> str:
    """The digest of the content of files."""
    found = map(find, paths)
    return _remembered(tuple((path, version_of(path)) for path in found))


@lru_cache(16)
def _remembered(read: tuple[tuple[Path, tuple[int, ...]], ...]) -> str:
    """The digest of files, given with their versions, by which it is remembered."""
    return hashlib.sha256(b"".join(path.read_bytes() for path, _ in read)).hexdigest()


def code_digest() -> str:
    """The digest of the package's source, which detects a changed line in any checkout."""
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(str(path.relative_to(root)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def write(sweep: Path, command: Sequence[str], entries: Sequence[Entry]) -> None:
    """Write the manifest, atomically."""
    space: dict[str, list[str]] = {}
    for job in entries:
        for key, value in job.settings.items():
            if value not in space.setdefault(key, []):
                space[key].append(value)
    content = {
        "schema": files.SCHEMA,
        "command": list(command),
        "space": space,
        "code": code_digest(),
        "jobs": [{**with_digest(vars(job)), **_seen(sweep, job)} for job in entries],
    }
    files.write_json(sweep / MANIFEST, content)


def _seen(sweep: Path, job: Entry) -> dict[str, Any]:
    """A job's present state, reason and times, from its directory."""
    origin = Provenance()
    with suppress(RunError):  # it is damaged
        origin = read_provenance(sweep / job.directory)
    times = {"started": origin.started, "training_seconds": origin.training_seconds}
    now = job.status(sweep)
    explained = now.state not in ("pending", "running", "finished")
    return {"state": now.state, "reason": now.reason if explained else None, **times}


def read(sweep: Path) -> list[Entry]:
    """The jobs of a sweep's directory.

    Raises RunError, which names the file, if it is damaged or a job in it was altered.
    """
    with _listed(sweep / MANIFEST):
        return [_entry(sweep, job) for job in read_json(sweep / MANIFEST)["jobs"]]


def read_job(sweep: Path, digest: str) -> Entry:
    """The job with this digest; a process parses the manifest once. Raises RunError."""
    path = sweep / MANIFEST
    with damaged(path, OSError):
        version = version_of(path)
    with _listed(path):
        text = _texts(path, version)[digest]
        return _entry(sweep, json.loads(text))


@lru_cache(1)
def _texts(path: Path, _version: tuple[int, ...]) -> dict[str, str]:
    """The jobs by their digests, as texts: objects take several times the memory."""
    return {job["digest"]: json.dumps(job) for job in read_json(path)["jobs"]}


@contextmanager
def _listed(path: Path) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, AttributeError):
        raise RunError(f"{path}: it does not list the jobs") from None


def _entry(sweep: Path, job: Mapping[str, Any]) -> Entry:
    """A job of the manifest, which is checked."""
    if (sweep / JOBS).is_symlink():
        raise RunError(f"{sweep / JOBS}: it is a link, which is not followed")
    written = {*(field.name for field in fields(Entry)), SEALED}
    check_digest(sweep / MANIFEST, {key: job[key] for key in job if key in written})
    return Entry(
        directory=_inside(sweep, job["directory"]),
        settings=job["settings"],
        config=job["config"],
        # the stored digest may be an older version's
        digest=_digest(job["config"], job["settings"]),
        data=job["data"],
        others=job.get("others", {}),
    )


def _inside(sweep: Path, directory: str) -> str:
    """The job's directory. Raises RunError unless it is one of the sweep's jobs."""
    folder, _, name = directory.partition("/")
    if folder != JOBS or name in ("", ".", "..") or set(name) & set("/\\\0"):
        raise RunError(f"{sweep / MANIFEST}: the directory {directory!r} is not in {JOBS}/")
    if (sweep / directory).is_symlink():
        raise RunError(f"{sweep / directory}: it is a link, which is not followed")
    return directory


def merge(
    sweep: Path, entries: Sequence[Entry], *, force: bool, grows: bool = True
) -> tuple[list[Entry], Sequence[str]]:
    """The jobs already in the sweep's directory followed by the new ones, and the differences.

    Differences, in words, of the code, a job's data or a setting that does not vary raise
    SettingError unless ``force``. A job that has not ended takes all other settings anew, and so
    does one that is to take more steps, unless none ``grows``: trials of a search are compared.
    """
    path = sweep / MANIFEST
    if not path.is_file():
        return list(entries), []
    try:
        before = {job.digest: job for job in read(sweep)}
        code = read_json(path).get("code")
    except RunError as error:
        raise SettingError(
            f"sweep.dir={sweep}: {error} (name another sweep.dir; `compare` still reads its runs)"
        ) from None
    ended = {digest for digest, job in before.items() if job.status(sweep).state in ENDED}
    # the others will read further files and parts as they are now
    before = {d: job if d in ended else replace(job, others={}) for d, job in before.items()}
    changed = []
    if code != code_digest():
        changed.append(f"the package's code ({_short(code)} there, {_short(code_digest())} here)")
    if before and entries:
        first = before[min(before, key=lambda digest: digest not in ended)]
        changed += first.changed(entries[0], _varied([*before.values()]) | _varied(entries))
    longer = _longer(before, entries)
    if longer and not grows:
        raise SettingError(
            f"sweep.dir={sweep} holds a search of {first.steps} steps, and its trials are not "
            f"extended to {entries[0].steps}: name another sweep.dir"
        )
    before = {longer.get(digest, digest): job for digest, job in before.items()}
    for job in entries:
        if (old := before.get(job.digest)) is not None:
            changed += old.changed(job)
            if job.digest not in ended:
                before[job.digest] = replace(job, directory=old.directory)
    held = {job.directory: job for job in before.values()}
    for job in entries:
        if job.digest not in before and (old := held.get(job.directory)) is not None:
            raise SettingError(
                f"sweep.dir={sweep}: {job.directory} has gone on to {old.steps} steps, so that it "
                f"is not the job of {job.steps} any more: name another sweep.dir"
            )
    changed = list(dict.fromkeys(changed))
    if changed and not force:
        raise SettingError(
            f"sweep.dir={sweep} was made with something else: {'; '.join(changed)} "
            "(resume=force continues anyway)"
        )
    return [*before.values(), *(job for job in entries if job.digest not in before)], changed


def _longer(before: Mapping[str, Entry], entries: Sequence[Entry]) -> dict[str, str]:
    """The digests of new jobs that continue old ones with more steps, by the old ones' digests."""
    new = [job for job in entries if job.digest not in before]
    if not new or any(STEPS_KEY in job.settings for job in (*new, *before.values())):
        return {}
    known = {_whatever_steps(old): old for old in before.values()}
    pairs = ((known.get(_whatever_steps(job)), job) for job in new)
    return {old.digest: job.digest for old, job in pairs if old is not None and old.grows_to(job)}


def _short(digest: str | None) -> str:
    return str(digest)[:8]


def _varied(jobs: Sequence[Entry]) -> set[str]:
    """The settings that were given several values, and those that differ because they refer to
    one of these; of files the content counts.
    """
    named = {key.lstrip("+~") for job in jobs for key in job.settings}
    if len({job.data for job in jobs}) > 1:
        named |= {*DATA}
    first, differing = lasting(jobs[0].config, *_TELLING), set[str]()
    for job in jobs:
        now = lasting(job.config, *_TELLING)
        differing |= {key for key in now if first.get(key) != now[key]}
    return named | (differing - {*DATA, *MORE})
