"""``parts=[my_parts.py]``: choices declared outside the package, in a Python file or a package.

Importing the file runs it with the rights of the user who named it; choices that it declares with
``@choice`` are then like any others. Nothing is loaded unless it is named.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
import traceback
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, ModuleType

from ffn_train.config.places import find
from ffn_train.config.registry import OBSERVING, forget, groups_of
from ffn_train.config.sections import path as check_path
from ffn_train.config.settings import SettingError, described, first_line, nearest

_loaded: dict[str, str] = {}  # name as given -> digest of the content
_roots: dict[str, Path] = {}  # name -> the file, or the package's folder


def load(parts: Sequence[str]) -> dict[str, str]:
    """Import the parts, each content once per process; returns their SHA-256 digests by name.

    The choices of a changed file replace its old ones. Raises SettingError for a part that does not
    exist or cannot be imported.
    """
    digests = {}
    for name in parts:
        path = _source(name)
        sources = sorted(path.parent.rglob("*.py")) if path.name == "__init__.py" else [path]
        try:
            content = [source.read_bytes() for source in sources if source.is_file()]
        except OSError as error:
            raise SettingError(f"parts={name}: {error.strerror}") from None
        digests[name] = digest = hashlib.sha256(b"".join(content)).hexdigest()
        if digest not in _loaded.values():
            _forget(name)
            try:
                if name.endswith(".py"):
                    _run(_module(name, digest), path, content[0])
                else:
                    _import(name)
            except BaseException as error:
                forget(_module(name, digest))
                if isinstance(error, KeyboardInterrupt):
                    raise
                # SystemExit too: a part must not end the program
                raise SettingError(f"parts={name}: {described(error)}") from None
        _loaded[name] = digest
        _roots[name] = path.parent if path.name == "__init__.py" else path
    return digests


def _forget(name: str) -> None:
    """Forget what was loaded under this name, if anything, so that it can be loaded anew."""
    before = _loaded.get(name)
    if not name.endswith(".py") and groups_of(name):
        _drop(name, set())
    forget(_module(name, before))
    for other in [each for each, digest in _loaded.items() if digest == before]:
        del _loaded[other]  # of the same content, whose choices are forgotten with it


def origin(error: BaseException) -> str:
    """An exception's message and where it was raised: the innermost line of a loaded part or, if
    none is involved, the innermost line of all.
    """
    reason = located(error)
    if place_in_part(error):
        return reason
    code, line = _frames(error)[-1]
    parts = ", ".join(_roots)
    return (
        f"{reason} ({Path(code.co_filename).name}, line {line}); a part of {parts} may violate the "
        "contract of its base class in ffn_train.parts"
    )


def located(error: BaseException) -> str:
    """An exception's message, behind the line of a loaded part that it went through, if any."""
    return ": ".join(filter(None, (place_in_part(error), described(error))))


def place_in_part(error: BaseException) -> str:
    """The innermost line of a loaded part through which an exception went; "" if there is none."""
    for code, line in reversed(_frames(error)):
        for name, root in _roots.items():
            if Path(code.co_filename) == root or root in Path(code.co_filename).parents:
                return f"parts={name}, line {line}, in {code.co_name}"
    return ""


def _frames(error: BaseException) -> list[tuple[CodeType, int]]:
    """The code and line of each frame that an exception went through, the innermost last."""
    return [(frame.f_code, line) for frame, line in traceback.walk_tb(error.__traceback__)]


def observes(name: str) -> bool:
    """Whether a loaded part declares only choices that change nothing of a run."""
    groups = groups_of(_module(name, _loaded[name]))
    return bool(groups) and groups <= {*OBSERVING}


def loaded() -> tuple[str, ...]:
    """The digests of the loaded parts, sorted."""
    return tuple(sorted(_loaded.values()))


def digest_of(choice: object) -> str:
    """The digest of the loaded part that declares a choice; "" for the package's own."""
    module = f"{type(choice).__module__}."
    parts = (d for name, d in _loaded.items() if module.startswith(f"{_module(name, d)}."))
    return next(parts, "")


def _module(name: str, digest: str | None) -> str:
    return f"ffn_train_parts_{(digest or '')[:12]}" if name.endswith(".py") else name


def _source(name: str) -> Path:
    """The file of a part's code. Raises SettingError."""
    if name.endswith(".py"):
        check_path("parts", name)
        path = find(name)
        if path.exists() and not path.is_file():
            what = "a directory" if path.is_dir() else "not a regular file"
            raise SettingError(f"parts={name}: it is {what}")
        if not path.exists():
            near = nearest(path.name, [p.name for p in path.parent.glob("*.py")])
            raise SettingError(f"parts={name}: there is no such file{near}")
        return path
    if name.partition(".")[0] == "ffn_train":
        raise SettingError(f"parts={name}: the choices of ffn_train need not be named")
    try:
        spec = find_spec(name)
    except (ImportError, ValueError) as error:
        raise SettingError(f"parts={name}: {first_line(error)}") from None
    if spec is None or spec.origin is None:
        raise SettingError(f"parts={name}: there is no such package; a file's name ends in .py")
    return Path(spec.origin)


def _run(module: str, path: Path, content: bytes) -> None:
    """Run a file's content as a module, without cached bytecode, which could be outdated."""
    code = compile(content, str(path), "exec")
    sys.modules[module] = ModuleType(module)
    sys.modules[module].__file__ = str(path)
    exec(code, vars(sys.modules[module]))


def _import(package: str) -> None:
    """Import a package; if that fails, none of its modules stays behind half imported."""
    before = {*sys.modules}
    importlib.invalidate_caches()  # a module may be younger than the last look into its folder
    try:
        importlib.import_module(package)
    except BaseException:
        _drop(package, before)
        raise


def _drop(package: str, kept: set[str]) -> None:
    """Remove a package's modules from those that are imported, but for those to be kept."""
    for module in {*sys.modules} - kept:
        if f"{module}.".startswith(f"{package}."):
            del sys.modules[module]
