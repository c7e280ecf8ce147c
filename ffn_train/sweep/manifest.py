"""A sweep's identity: a manifest of its jobs, and what is left to do of them.

    manifest.json   the command, the space, the code's digest, and of each job its directory,
                    settings, configuration's digest and data's digest; for readers also its state
                    and times when the manifest was written, at a sweep's start and at its end
    jobs/NAME/      each job's run directory
    logs/NAME.log   what each job had to say, and the traceback of one that failed
    comparison/     tables and figures over the jobs

What has become of a job is read from its directory each time, never from the manifest, so the two
cannot disagree.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ffn_train.config.keys import differences, lasting
from ffn_train.config.places import find
from ffn_train.config.settings import SettingError
from ffn_train.runs import RunError, files
from ffn_train.runs.files import read_json
from ffn_train.runs.provenance import Provenance, read_provenance
from ffn_train.runs.seal import SEALED, check_digest, with_digest
from ffn_train.runs.status import Status, status
from ffn_train.sweep.space import Job

MANIFEST = "manifest.json"
JOBS = "jobs"


@dataclass(frozen=True)
class Entry:
    """A job as the manifest knows it; ``directory`` is below the sweep's."""

    directory: str
    settings: Mapping[str, str]
    config: Mapping[str, Any]
    digest: str
    data: str | None

    def status(self, sweep: Path) -> Status:
        """What has become of it, as its directory tells."""
        return status(sweep / self.directory)


def entry(job: Job) -> Entry:
    """The manifest's entry of a job; its directory's name ends in the configuration's digest."""
    digest = _digest(job.config, job.settings)
    path = f"{JOBS}/{job.name}-{digest[:8]}"
    return Entry(path, dict(job.settings), job.config, digest, _data(job.config))


def _digest(config: Mapping[str, Any], varied: Iterable[str]) -> str:
    """Of the settings that change numbers, and of where the rows come from, if that varies."""
    content = lasting(config, "rounding")
    content |= {k: v for k, v in lasting(config, "rounding", "source").items() if k in {*varied}}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _data(config: Mapping[str, Any]) -> str | None:
    """The digest of the file that the task reads, if it reads one."""
    path = config["task"].get("path")
    if not isinstance(path, str) or not os.path.isfile(find(path)):
        return None
    return hashlib.sha256(find(path).read_bytes()).hexdigest()


def code_digest() -> str:
    """The digest of the package's own source, so that a changed line is noticed in any checkout."""
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(str(path.relative_to(root)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def write(sweep: Path, command: Sequence[str], entries: Sequence[Entry]) -> None:
    """Write the manifest, whole."""
    space: dict[str, list[str]] = {}
    for one in entries:
        for key, value in one.settings.items():
            if value not in space.setdefault(key, []):
                space[key].append(value)
    content = {
        "schema": files.SCHEMA,
        "command": list(command),
        "space": space,
        "code": code_digest(),
        "jobs": [{**with_digest(vars(one)), **_seen(sweep, one)} for one in entries],
    }
    files.write_json(sweep / MANIFEST, content)


def _seen(sweep: Path, one: Entry) -> dict[str, Any]:
    """What a job's directory tells now."""
    origin = Provenance()
    with suppress(RunError):  # it is damaged
        origin = read_provenance(sweep / one.directory)
    times = {"started": origin.started, "training_seconds": origin.training_seconds}
    now = one.status(sweep)
    told = now.state not in ("pending", "running", "finished")
    return {"state": now.state, "reason": now.reason if told else None, **times}


def read(sweep: Path, only: str | None = None) -> list[Entry]:
    """The jobs of a sweep's directory, or the one that the manifest has under the digest ``only``.

    Raises RunError, in one line that names the file, also for a job that was altered since.
    """
    content = read_json(sweep / MANIFEST)
    written = {*(field.name for field in fields(Entry)), SEALED}
    if (sweep / JOBS).is_symlink():
        raise RunError(f"{sweep / JOBS}: it is a link, which is not followed")
    try:
        jobs = [job for job in content["jobs"] if only in (None, job["digest"])]
        for job in jobs:
            check_digest(sweep / MANIFEST, {key: job[key] for key in job if key in written})
        return [
            Entry(
                directory=_inside(sweep, job["directory"]),
                settings=job["settings"],
                config=job["config"],
                digest=_digest(
                    job["config"], job["settings"]
                ),  # the stored one may be an older version's
                data=job["data"],
            )
            for job in jobs
        ]
    except (KeyError, TypeError, AttributeError):
        raise RunError(f"{sweep / MANIFEST}: it does not list the jobs") from None


def _inside(sweep: Path, directory: str) -> str:
    """A job's directory, which must be one of the sweep's own. Raises RunError."""
    folder, _, name = directory.partition("/")
    if folder != JOBS or name in ("", ".", "..") or set(name) & set("/\\\0"):
        raise RunError(f"{sweep / MANIFEST}: the directory {directory!r} is not in {JOBS}/")
    if (sweep / directory).is_symlink():
        raise RunError(f"{sweep / directory}: it is a link, which is not followed")
    return directory


def merge(
    sweep: Path, entries: Sequence[Entry], *, force: bool
) -> tuple[list[Entry], Sequence[str]]:
    """The jobs that the sweep's directory has already, and those asked for that it has not.

    With them the differences, in words, that were forced. Raises SettingError if the code, a job's
    data or a setting that does not vary have changed since, unless forced.
    """
    path = sweep / MANIFEST
    if not path.is_file():
        return list(entries), []
    try:
        before = {one.digest: one for one in read(sweep)}
        code = read_json(path).get("code")
    except RunError as error:
        raise SettingError(f"sweep.dir={sweep}: {error}") from None
    changed = []
    if code != code_digest():
        changed.append(f"the package's code ({_short(code)} there, {_short(code_digest())} here)")
    for one in entries:
        old = before.get(one.digest)
        if old is not None and old.data != one.data:
            digests = f"{_short(old.data)} there, {_short(one.data)} here"
            changed.append(f"the data of {old.directory} ({one.config['task']['path']}: {digests})")
    changed += _differences(list(before.values()), entries)
    if changed and not force:
        raise SettingError(
            f"sweep.dir={sweep} was made with something else: {'; '.join(changed)} "
            "(resume=force goes on all the same)"
        )
    return [*before.values(), *(one for one in entries if one.digest not in before)], changed


def _short(digest: str | None) -> str:
    return str(digest)[:8]


def _differences(old: Sequence[Entry], new: Sequence[Entry]) -> list[str]:
    """The settings that vary in neither sweep and yet differ between the two."""
    varied = {key.lstrip("+~") for one in (*old, *new) for key in one.settings}

    def fixed(one: Entry) -> dict[str, Any]:
        return {
            key: value
            for key, value in lasting(one.config, "rounding").items()
            if not any(key == v or key.startswith(f"{v}.") for v in varied)
        }

    if not old or not new:
        return []
    return differences(fixed(old[0]), fixed(new[0]))
