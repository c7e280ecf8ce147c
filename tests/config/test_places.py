"""What is shipped with the package: every study, and the data of every preset."""

from __future__ import annotations

import tomllib

from omegaconf import OmegaConf

from ffn_train.config.places import CONF, EXPERIMENTS
from ffn_train.reproduce.study import SCRIPT, discover

ROOT = EXPERIMENTS.parent


def test_a_wheel_holds_the_studies_and_the_data_of_presets_and_no_more_of_experiments() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["hatch"]["build"]["targets"]["wheel"]["include"]
    shipped = {path for pattern in patterns for path in ROOT.glob(pattern.removeprefix("/"))}
    presets = [OmegaConf.load(path) for path in (CONF / "experiment").glob("*.yaml")]
    data = {ROOT / path for preset in presets if (path := OmegaConf.select(preset, "task.path"))}
    assert data
    sources = {path.with_name("README.md") for path in data}
    studies = {EXPERIMENTS / name / SCRIPT for name in discover()}
    assert {path for path in shipped if EXPERIMENTS in path.parents} == studies | data | sources
    assert {ROOT / "ffn_train", CONF} <= shipped
