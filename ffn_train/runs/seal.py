"""The seal of a finished run: its summary has the digests of its files and of its own content.

Readers notice files that were altered since, by a failing disk or by hand. Of config.json only the
settings that change numbers are sealed, so that a run may be moved. Provenance has no results,
figures can be redrawn, and checkpoints have their own checksums: these are not sealed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ffn_train.config.keys import dotted, silent
from ffn_train.runs import files
from ffn_train.runs.files import RunError, damaged

SEALED = "sha256"  # the key of the digest


def sealed(run: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """A summary's content with the digests of the run's files and of the whole."""
    names = (files.CONFIG, files.DATA, files.LAYOUT, files.THEORY, files.SCALARS)
    paths = [run / name for name in (*names, *files.LATE)]
    paths += sorted(run.glob("measures*.npy"))
    digests = {p.name: _digest(p, files.read_bytes(p)) for p in paths if p.is_file()}
    return with_digest({"schema": files.SCHEMA, **content, "files": digests})


def with_digest(content: Mapping[str, Any]) -> dict[str, Any]:
    """A file's content with its own digest."""
    whole = files.finite(content)
    return {**whole, SEALED: _of_content(whole)}


def check_digest(path: Path, content: Mapping[str, Any]) -> None:
    """Raises RunError if the content does not match its digest; without a digest it passes."""
    rest = {key: value for key, value in content.items() if key != SEALED}
    if SEALED in content and content[SEALED] != _of_content(rest):
        raise RunError(f"{path}: it is not what was written (its digest differs)")


def read_file(path: Path, digests: Mapping[str, str]) -> bytes:
    """The content of one of a run's files.

    Raises RunError if it is missing, or does not match the digest of its name, if there is one.
    """
    with damaged(path, OSError):
        content = files.read_bytes(path)
    if path.name in digests and _digest(path, content) != digests[path.name]:
        raise RunError(f"{path}: it is not what the run wrote (its digest differs)")
    return content


def _digest(path: Path, content: bytes) -> str:
    if path.name == files.CONFIG:
        settings = dotted(files.read_json(path, content))
        return _of_content({key: value for key, value in settings.items() if not silent(key)})
    return hashlib.sha256(content).hexdigest()


def _of_content(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
