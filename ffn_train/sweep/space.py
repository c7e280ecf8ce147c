"""The jobs of a sweep: every combination of the values, or values that vary together."""

from __future__ import annotations

import copy
import itertools
import math
import re
from collections import ChainMap, Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from ffn_train.config.composition import Composition, Config, composed
from ffn_train.config.keys import PRESET, dotted, read_settings, silent
from ffn_train.config.overrides import CONFIG_DIR, is_literal, quoted, refuse_bytes
from ffn_train.config.registry import build
from ffn_train.config.settings import SettingError, nearest
from ffn_train.sweep.axes import Swept, parse, refuse_many, value_of

LONGEST_NAME = 80


@dataclass(frozen=True)
class Job:
    """A point of the space: the varied settings as written, and the resolved configuration."""

    settings: Mapping[str, str]
    config: Config

    @property
    def name(self) -> str:
        """A readable name that is safe for a directory: ``depth=4,residual=none,seed=0``."""
        words = [f"{_short(key)}={value}" for key, value in self.settings.items()]
        return file_name(",".join(words) or "only")

    def computed_by(self, engine: str) -> Job:
        """The same job, with this engine in the place of engine=auto."""
        automatic = self.config["engine"] == "auto"
        return replace(self, config={**self.config, "engine": engine}) if automatic else self


def file_name(text: str) -> str:
    """The text as a name that is safe for a file or a directory."""
    return re.sub(r"[^A-Za-z0-9=.,+-]+", "_", text).lstrip(".-")[:LONGEST_NAME]


def _short(key: str) -> str:
    return key.lstrip("+~").rpartition(".")[2]


class Space:
    """The points of a sweep, the last setting varying fastest.

    ``key=a,b`` varies a key, and so does an entry of the preset's ``sweep.grid`` unless the command
    line sets that key. All values are combined, except for the keys of ``sweep.zip=[key,key]``,
    whose values go in parallel. ``key=interval(low,high)`` adds no points: it is searched at each.
    Raises SettingError for overrides that cannot be read or combined.
    """

    def __init__(self, overrides: Sequence[str]) -> None:
        to_parse = [text for text in overrides if not text.startswith(CONFIG_DIR)]
        refuse_bytes(to_parse)
        self.notes: list[str] = []
        self.engine = "auto"  # of jobs with engine=auto, once one is decided on for all
        parsed = parse(self._columns_whole(to_parse))
        if any(p.key == PRESET for p in parsed if p.values):
            raise SettingError(
                "experiment=a,b cannot be swept: presets may hold sweeps of their own"
            )
        self.fixed = [text for text in overrides if text not in to_parse]
        self.fixed += [p.text for p in parsed if not p.swept]
        self.base = composed(self.fixed)
        sweep = read_settings(self.base.config).sweep
        keys = [p.key.lstrip("+") for p in parsed]
        for index, p in enumerate(parsed):
            if p.swept and keys[index] in keys[index + 1 :]:
                raise SettingError(f"{p.text}: {p.key} is given again after it")
        preset = [_axis(key, values) for key, values in _grid(self.base).items()]
        # the command line outranks the preset
        parsed += [p for p in preset if p.key.lstrip("+") not in keys]
        swept = {p.key: p.values for p in parsed if p.values}
        for p in parsed:
            if p.swept and silent(key := p.key.lstrip("+")):
                why = "changes no result, so it cannot be varied"
                if key == "parts":
                    why = "names all files of a sweep; what varies is a choice that they declare"
                raise SettingError(f"{p.text}: {key} {why}")
        self.intervals = {p.key: p.interval for p in parsed if p.interval is not None}
        for text in [] if self.intervals else to_parse:
            if text.lstrip("+").startswith(("sweep.search.", "sweep.search=")):
                raise SettingError(f"{text} is for a search: no setting has interval(LOW,HIGH)")
        trials = self.base.config["sweep"]["search"]["trials"] if self.intervals else 1
        self.points = _points(swept, _zipped(sweep.zip, swept), trials)
        # epochs replace a preset's steps
        self._plain = {p.key for p in parsed if p.swept and p.plain} - {"trainer.epochs"}
        known = self._plain <= {*dotted(self.base.config)}  # Hydra words the mistake if not
        shared = known and not _refers(self.base)
        self._composed: dict[tuple[str, ...], Config] = {(): self.base.config} if shared else {}
        self._values: dict[tuple[str, str], Any] = {}  # that are parsed, which jobs share

    def _columns_whole(self, overrides: Sequence[str]) -> list[str]:
        """The overrides; a text with a comma that is one column of the table is quoted."""
        axes = {text: "," in text and parse([text])[0].swept for text in overrides}
        fixed = [text for text in overrides if not axes[text]]
        result = []
        for text in overrides:
            key, _, value = text.partition("=")
            if axes[text] and is_literal(text):
                with suppress(
                    SettingError, AttributeError, LookupError
                ):  # reported when the job is composed
                    task = composed(fixed).config["task"]
                    if value in build("task", {**task, "target": task["target"] or value}).names():
                        text = f"{key}={quoted(value)}"
                        note = f"{key}={value} is the column {value!r} of {task['path']}"
                        self.notes.append(f"{note}, not two values")
            result.append(text)
        return result

    def job(self, point: Mapping[str, str]) -> Job:
        """The job at a point, which has a value for each interval."""
        return Job(point, self._config(point)).computed_by(self.engine)

    def _config(self, point: Mapping[str, str]) -> Config:
        """Jobs that differ only in plain values share one composition, which takes 40 ms, unless
        a setting refers to another (``${model.depth}``), which may vary.
        """
        plain = [(key, value) for key, value in point.items() if key in self._plain]
        whole = tuple(f"{key}={value}" for key, value in point.items() if key not in self._plain)
        if whole not in self._composed:
            texts = [f"{key}={value}" for key, value in plain]
            composition = composed([*self.fixed, *whole, *texts])
            if _refers(composition):
                return composition.config
            self._composed[whole] = composition.config
        config = dict(self._composed[whole])
        for key, text in plain:
            if (key, text) not in self._values:
                self._values[key, text] = value_of(key, text)
            *path, last = key.split(".")
            section = config
            for part in path:  # what does not vary is shared
                section[part] = section = dict(section[part])
            section[last] = copy.copy(self._values[key, text])
        return config

    def jobs(self) -> list[Job]:
        """The jobs at all points; with intervals, those at the ends of each."""
        lows = {key: str(interval.low) for key, interval in self.intervals.items()}
        highs = {key: str(interval.high) for key, interval in self.intervals.items()}
        ends = [lows, highs] if self.intervals else [{}]
        return [self.job({**point, **end}) for point in self.points for end in ends]


def jobs(overrides: Sequence[str]) -> list[Job]:
    """The jobs that the overrides describe."""
    return Space(overrides).jobs()


def _refers(composition: Composition) -> bool:
    """Whether a setting may refer to another; an escaped reference counts, too."""
    return "${" in str(composition.written)


def _grid(base: Composition) -> Config:
    """The values of ``sweep.grid`` by key; a reference in a list is left to the jobs."""
    grid, written = base.config["sweep"]["grid"], dotted(base.written)
    lists = {key: written.get(f"sweep.grid.{key}") for key in grid}
    return {key: lists[key] if isinstance(lists[key], list) else grid[key] for key in grid}


def _axis(key: str, values: Any) -> Swept:
    """An entry of ``sweep.grid``, a list or a text as on the command line, as an axis."""
    if isinstance(values, list) and values:
        values = ",".join("null" if value is None else _item(value) for value in values)
    if isinstance(values, (list, dict)) or values is None or not str(values).strip():
        raise SettingError(f"sweep.grid.{key} must be a list of values, got {values!r}")
    axis = parse([f"{key}={values}"])[0]
    return axis if axis.swept else replace(axis, values=[str(values)])


def _item(value: Any) -> str:
    """A value of a list as on the command line, where a comma needs quotes and a key has none."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_item(each)}' for key, each in value.items())}}}"
    if isinstance(value, str) and ("," in value or not value.strip()):
        return quoted(value)
    return str(value)


def _zipped(groups: Any, swept: Mapping[str, list[str]]) -> list[list[str]]:
    if not groups:
        return []
    lists = isinstance(groups, list)
    groups = groups if lists and all(isinstance(group, list) for group in groups) else [groups]
    if not lists or not all(isinstance(key, str) for group in groups for key in group):
        raise SettingError(f"sweep.zip must be a list of keys, got {groups!r}")
    once = Counter(key for group in groups for key in group)
    for group in groups:
        for key in group:
            if once[key] > 1:
                raise SettingError(f"sweep.zip names {key} twice")
            if key not in swept:
                raise SettingError(
                    f"sweep.zip names {key}, which does not vary{nearest(key, swept)}"
                )
        lengths = {key: len(swept[key]) for key in group}
        if len(set(lengths.values())) > 1:
            sizes = ", ".join(f"{key} has {size}" for key, size in lengths.items())
            raise SettingError(f"sweep.zip needs as many values of each key: {sizes}")
    return [list(group) for group in groups]


def _points(
    swept: Mapping[str, list[str]], together: Sequence[Sequence[str]], trials: int
) -> list[dict[str, str]]:
    """Every combination; too many, times ``trials``, are refused before they are made."""
    axes: list[list[dict[str, str]]] = []
    for key in swept:
        group = next((g for g in together if key in g), [key])
        if key == group[0]:
            rows = zip(*(swept[k] for k in group), strict=True)
            axes.append([dict(zip(group, row, strict=True)) for row in rows])
    varied = [*swept, *(["sweep.search.trials"] if trials > 1 else [])]
    refuse_many(
        f"{', '.join(varied)}{' together' if len(varied) > 1 else ''}",
        math.prod(map(len, axes)) * trials,
        "jobs",
    )
    points = (ChainMap(*combination) for combination in itertools.product(*axes))
    return [{key: point[key] for key in swept} for point in points]
