"""Where a run's numbers come from: the command, the code, the libraries and the machine."""

from __future__ import annotations

import platform
import subprocess
import sys
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    *("numpy", "hydra-core", "omegaconf", "matplotlib", "safetensors", "threadpoolctl"),
    *("numba", "scipy", "mkl"),
)


def provenance() -> dict[str, Any]:
    """The command, the commit and whether the tree was dirty, versions, and the processor.

    All but the command are looked up once: a process's later runs use the code that it has loaded.
    """
    return {
        "command": sys.argv,
        "code": dict(_code()),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in ("ffn_train", *PACKAGES)},
        "platform": platform.platform(),
        "processor": _processor(),
    }


@cache
def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@cache
def _code() -> dict[str, Any]:
    """The checkout's commit; nulls where the package does not run from a checkout."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return {"commit": None, "dirty": None}
    try:
        commit = _git(root, "rev-parse", "HEAD").strip()
        dirty = bool(_git(root, "status", "--porcelain", "--untracked-files=no").strip())
    except (OSError, subprocess.SubprocessError):
        return {"commit": None, "dirty": None}
    return {"commit": commit, "dirty": dirty}


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True, timeout=10
    ).stdout


@cache
def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
