"""``--config-dir DIR``: the user's presets, read as data, with limits on size and expansion."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from ffn_train.config.overrides import quoted
from ffn_train.config.sections import path as check_path
from ffn_train.config.settings import SettingError

LARGEST = 2**20  # bytes of a file
MOST = 100_000  # values in a file, anchors expanded
PLAIN = ("map", "seq", "str", "int", "float", "bool", "null")  # the allowed YAML tags


def search_path(directories: Sequence[str]) -> str:
    """The override that makes Hydra search the directories, after the shipped presets; of two
    files with one name the last directory's counts.

    Raises SettingError if one of them is not there.
    """
    places = []
    for directory in reversed(directories):
        check_path("--config-dir", directory)
        path = Path(directory).expanduser().absolute()
        if not path.is_dir():
            raise SettingError(f"--config-dir {directory}: there is no such directory")
        places.append(quoted(f"checked://{path}"))
    _register()
    return f"hydra.searchpath=[{','.join(places)}]"


@cache
def _register() -> None:
    """Register the scheme ``checked://`` with Hydra: files that are checked before loading."""
    from hydra._internal.core_plugins.file_config_source import FileConfigSource
    from hydra._internal.sources_registry import SourcesRegistry
    from hydra.core.plugins import Plugins
    from hydra.plugins.config_source import ConfigResult

    class CheckedConfigSource(FileConfigSource):
        @staticmethod
        def scheme() -> str:
            return "checked"

        def load_config(self, config_path: str) -> ConfigResult:
            name = self._normalize_file_name(config_path)
            _check(Path(os.path.realpath(os.path.join(self.path, name))))
            return super().load_config(config_path)

    Plugins.instance()  # registers Hydra's own sources
    SourcesRegistry.instance().register(CheckedConfigSource)


def _check(path: Path) -> None:
    """Raises SettingError for a file that is not YAML of keys and plain values, or is too large,
    also after its anchors are expanded.
    """
    import yaml
    from omegaconf.basecontainer import get_yaml_loader  # type: ignore[attr-defined]

    kind = get_yaml_loader()  # a new class at each call
    kind.yaml_constructors = {
        tag: construct
        for tag, construct in kind.yaml_constructors.items()
        if tag is None or tag.rpartition(":")[2] in PLAIN
    }
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"it has more than {LARGEST:,} bytes")
        loader = kind(path.read_text(encoding="utf-8"))
        tree = loader.get_single_node()
        size = _size(tree, {}) if tree is not None else 0
        if size > MOST:
            raise ValueError(f"with its anchors it has {size:.3g} values, at most {MOST:,}")
        if tree is not None and not isinstance(loader.construct_document(tree), dict):
            raise ValueError("KEY: VALUE is expected")
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it is not YAML"
        raise SettingError(f"{path}{line}: {problem}") from None
    except (OSError, ValueError) as error:
        raise SettingError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    except RecursionError:
        raise SettingError(f"{path}: it is nested too deeply") from None


def _size(node: object, sizes: dict[int, float]) -> float:
    """The number of values in a YAML node with its anchors expanded; infinite for a cycle."""
    if id(node) not in sizes:
        sizes[id(node)] = float("inf")  # until it is known: an anchor inside itself
        parts = getattr(node, "value", ())
        inner = [] if isinstance(parts, str) else parts
        flat = [part for item in inner for part in (item if isinstance(item, tuple) else (item,))]
        sizes[id(node)] = 1.0 + sum(_size(part, sizes) for part in flat)
    return sizes[id(node)]
