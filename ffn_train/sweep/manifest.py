"""A sweep's identity: the manifest of its jobs.

    manifest.json   the command, the space, the code's digest, and for each job its directory,
                    settings, digests of configuration and data; for human readers also its state
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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from ffn_train.config.keys import differences, lasting
from ffn_train.config.places import find, version_of
from ffn_train.config.settings import SettingError
from ffn_train.runs import RunError, files
from ffn_train.runs.files import damaged, read_json
from ffn_train.runs.provenance import Provenance, read_provenance
from ffn_train.runs.seal import SEALED, check_digest, with_digest
from ffn_train.runs.status import ENDED, Status, status
from ffn_train.sweep.space import Job

MANIFEST = "manifest.json"
JOBS = "jobs"


@dataclass(frozen=True)
class Entry:
    """A job in the manifest; ``directory`` is relative to the sweep's."""

    directory: str
    settings: Mapping[str, str]
    config: Mapping[str, Any]
    digest: str
    data: str | None

    def status(self, sweep: Path) -> Status:
        """The job's state, from its directory."""
        return status(sweep / self.directory)

    def changed_data(self, now: str | None) -> str:
        """The difference, in words, from data with the digest ``now``; "" if there is none."""
        if now == self.data:
            return ""
        digests = f"{_short(self.data)} there, {_short(now)} here"
        return f"the data of {self.directory} ({', '.join(_files(self.config))}: {digests})"


def entry(job: Job) -> Entry:
    """The manifest's entry of a job; its directory's name ends in the configuration's digest."""
    digest = _digest(job.config, job.settings)
    path = f"{JOBS}/{job.name}-{digest[:8]}"
    return Entry(path, dict(job.settings), job.config, digest, data_digest(job.config))


def _digest(config: Mapping[str, Any], varied: Iterable[str]) -> str:
    """The digest of the settings that change numbers, and of the rows' source if it varies."""
    content = lasting(config, "rounding")
    if others := {*varied} - {*content}:
        content |= {k: v for k, v in lasting(config, "rounding", "source").items() if k in others}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _files(config: Mapping[str, Any]) -> list[str]:
    """The files that the task and the initialisation read."""
    paths = [config[group].get("path") for group in ("task", "init")]
    return [path for path in paths if isinstance(path, str) and os.path.isfile(find(path))]


def data_digest(config: Mapping[str, Any]) -> str | None:
    """The digest of the files that a job reads; None if it reads none."""
    paths = [find(path) for path in _files(config)]
    return _digest_of(tuple((path, version_of(path)) for path in paths)) if paths else None


@lru_cache(16)
def _digest_of(read: tuple[tuple[Path, tuple[int, ...]], ...]) -> str:
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
    sweep: Path, entries: Sequence[Entry], *, force: bool
) -> tuple[list[Entry], Sequence[str]]:
    """The jobs already in the sweep's directory followed by the new ones, and the differences.

    Differences, in words, of the code, a job's data or a setting that does not vary raise
    SettingError unless ``force``. A job that has not ended takes all other settings anew.
    """
    path = sweep / MANIFEST
    if not path.is_file():
        return list(entries), []
    try:
        before = {job.digest: job for job in read(sweep)}
        code = read_json(path).get("code")
    except RunError as error:
        raise SettingError(f"sweep.dir={sweep}: {error}") from None
    changed = []
    if code != code_digest():
        changed.append(f"the package's code ({_short(code)} there, {_short(code_digest())} here)")
    for job in entries:
        old = before.get(job.digest)
        if old is None:
            continue
        if difference := old.changed_data(job.data):
            changed.append(difference)
        now = replace(old, config=job.config, data=job.data)
        if now != old and old.status(sweep).state not in ENDED:
            before[job.digest] = now
    changed += _differences(list(before.values()), entries)
    if changed and not force:
        raise SettingError(
            f"sweep.dir={sweep} was made with something else: {'; '.join(changed)} "
            "(resume=force continues anyway)"
        )
    return [*before.values(), *(job for job in entries if job.digest not in before)], changed


def _short(digest: str | None) -> str:
    return str(digest)[:8]


def _differences(old: Sequence[Entry], new: Sequence[Entry]) -> list[str]:
    """The settings that differ between the sweeps although they vary in neither."""
    varied = {key.lstrip("+~") for job in (*old, *new) for key in job.settings}

    def fixed(job: Entry) -> dict[str, Any]:
        return {
            key: value
            for key, value in lasting(job.config, "rounding").items()
            if not any(key == v or key.startswith(f"{v}.") for v in varied)
        }

    if not old or not new:
        return []
    return differences(fixed(old[0]), fixed(new[0]))
