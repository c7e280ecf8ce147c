"""A run on a table goes on with the header and the yes and no that it was begun with."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ffn_train import fit
from ffn_train.config.composition import compose
from ffn_train.config.settings import SettingError
from ffn_train.running.execution import execute
from ffn_train.running.experiment import build_experiment
from ffn_train.runs import Run
from ffn_train.tasks.tabular import TableTask
from ffn_train.using.run import load_run
from tests.support.small_runs import NOTES, SMALL
from tests.support.unsealed import unseal
from tests.tasks.written import FRAME, ROWS, X, data, excel, lines, workbook

ALL_WORDS = "\n".join(["u,p,no", *("u,q,yes" if i % 2 else "v,p,no" for i in range(14))])


def run(*overrides: str, name: str = "run") -> Run:
    small = [text for text in SMALL if not text.startswith(("task.rows", "trainer.batch_size"))]
    table = ("task=table", "task.path=data.csv", "trainer.batch_size=4", f"run.dir={name}")
    return execute(build_experiment(compose([*small, *table, *overrides])), NOTES.append)


def with_codes(words: str) -> str:
    rows = [f"{words[i % len(words)]},{row}" for i, row in enumerate(ROWS)]
    return lines(rows, "code,a,b,y")


@pytest.mark.parametrize("kind", ["npy", "frame"])
def test_a_table_without_a_header_line_goes_on(folder: Path, kind: str) -> None:
    np.save("data.npy", X)
    small = [text for text in SMALL if not text.startswith(("task.rows", "trainer.steps"))]
    more = [*small, "run.dir=run", "trainer.batch_size=4"]
    for steps in (4, 6):
        chosen = [*more, f"trainer.steps={steps}"]
        if kind == "frame":
            fit(FRAME, target="y", overrides=chosen)
        else:
            table = ["task=table", "task.path=data.npy", "task.target=-1"]
            execute(build_experiment(compose([*table, *chosen])), NOTES.append)
        assert load_run("run").scalars["step"][-1] == steps


def test_words_of_several_pairs_that_a_run_took_for_yes_and_no(folder: Path) -> None:
    """Older versions took f and n for the same."""
    Path("data.csv").write_text(with_codes("fftt"))
    run("task.target=y")
    record = json.loads(Path("run/data.json").read_text())
    assert record["columns"]["inputs"][0].pop("levels") == ["t", "f"]
    record["columns"]["inputs"][0]["levels"] = []
    Path("run/data.json").write_text(json.dumps(record))
    assert "code=f" in data(with_codes("fnty")).input_names
    went_on = run("task.target=y", "trainer.steps=12")
    assert NOTES[-1] == "run was finished at step 8, now goes on to 12"
    assert went_on.summary is not None
    assert went_on.summary.steps == 12
    assert json.loads(Path("run/data.json").read_text()) == record
    Path("data.csv").write_text(with_codes("fnno"))
    with pytest.raises(SettingError, match=r"run.dir=run holds another run: rows with the digest"):
        run("task.target=y", "trainer.steps=12")


@pytest.mark.parametrize(
    ("version", "cells", "coded"),
    [
        (1, [*"uvuvuvuvuvu", "NA "], [0, 1, 0]),  # of the last three
        (1, [*(f"2021-02-{day}" for day in range(10, 21)), "2019"], [18677, 18678, 17897]),
        (2, [f"2021{month:02}01" for month in range(1, 13)], [20211001, 20211101, 20211201]),
        (
            2,
            [f"2021-02-{day:02} {day // 2 % 2 * 12:02}:00" for day in range(4, 28, 2)],
            [18680.5, 18682, 18684.5],
        ),
        (2, [*(f"2021-02-{day}" for day in range(10, 15)), "."], [0, 0, 1]),
    ],
)
def test_cells_that_a_run_of_an_older_version_has_read_otherwise(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    version: int,
    cells: list[str],
    coded: list[float],
) -> None:
    rows = [f"{cells[i % len(cells)]},{row}" for i, row in enumerate(ROWS)]
    Path("data.csv").write_text(lines(rows, "code,a,b,y"))
    with monkeypatch.context() as older:
        older.setattr(TableTask, "going_on", lambda task, _: replace(task, version=version))
        run("task.target=y")
    record = json.loads(Path("run/data.json").read_text())
    assert record["columns"]["version"] == version
    if version == 1:  # which was not recorded
        del record["columns"]["version"]
        Path("run/data.json").write_text(json.dumps(record))
        unseal(Path("run"))
    model = load_run("run").model()
    assert not {"code week sine", "code day sine"} & {*model.columns.names}
    assert model.columns.encode(model.read("data.csv"))[-3:, 0].tolist() == coded
    run("task.target=y", "trainer.steps=12")
    assert NOTES[-1] == "run was finished at step 8, now goes on to 12"
    assert json.loads(Path("run/data.json").read_text())["columns"]["version"] == version


def test_what_newer_versions_take_for_missing_or_as_constant(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Errors of spreadsheets were words, and the sd of a constant input was 1."""
    rows = [f"{('#REF!', 'u', 'NaT')[i % 3]},{i // 11},{row}" for i, row in enumerate(ROWS)]
    Path("data.csv").write_text(lines(rows, "code,same,a,b,y"))
    chosen = ("task.target=y", "task.split=last", "task.validation=0.1")
    with monkeypatch.context() as older:
        older.setattr(TableTask, "going_on", lambda task, _: replace(task, version=2))
        run(*chosen)
    model = load_run("run").model()
    assert model.columns.names[:3] == ("code=#REF!", "code=NaT", "code=u")
    assert model.scale.input_std[4] == 1
    for frame in (model.read("data.csv"), pd.read_csv("data.csv", keep_default_na=False)):
        coded = model.columns.encode(model.framed(frame))
        assert coded[:3, :3].tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 0]]
    run(*chosen, "trainer.steps=12")
    assert load_run("run").model().scale.input_std[4] == 1


def test_durations_were_words(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = FRAME.assign(lasted=pd.to_timedelta(np.arange(len(FRAME)) % 3, unit="h"))
    chosen = [*(text for text in SMALL if not text.startswith("task.rows")), "run.dir=run"]
    with monkeypatch.context() as older:
        older.setattr(TableTask, "going_on", lambda task, _: replace(task, version=2))
        fit(frame, "y", [*chosen, "trainer.batch_size=4"])
    model = load_run("run").model()
    assert model.columns.encode(model.framed(frame))[:3, 2:5].tolist() == np.eye(3).tolist()
    fit(frame, "y", [*chosen, "trainer.batch_size=4", "trainer.steps=12"])
    assert load_run("run").model().columns.names == model.columns.names


@pytest.mark.parametrize("name", ["data.csv", pytest.param("data.xlsx", marks=excel)])
def test_a_first_line_that_a_run_took_for_a_header(folder: Path, name: str) -> None:
    """Older versions took any words above words for one."""
    cells = pd.DataFrame([line.split(",") for line in ALL_WORDS.splitlines()])
    content = ALL_WORDS.encode() if name == "data.csv" else workbook(cells, header=False)
    Path(name).write_bytes(content)
    table = (f"task.path={name}", "task.target=-1")
    run(*table, "task.header=true")
    assert data(content, name, target=-1).to_json()["reading"]["header"] is False
    run(*table, "trainer.steps=12")
    assert NOTES[-1] == "run was finished at step 8, now goes on to 12"


@pytest.mark.parametrize(
    ("first", "chosen"), [("a,b,y\nx,x,x", ["task.missing=[x]"]), ("Report,,\na,b,y", [])]
)
def test_a_row_that_a_run_took_for_units(first: str, chosen: list[str], folder: Path) -> None:
    """Older versions took words of missing cells, and names below a title, for units."""
    Path("data.csv").write_text("\n".join([first, *ROWS]))
    run("task.target=-1", *chosen, "task.header=true", "task.units=true")
    run("task.target=-1", *chosen, "trainer.steps=12")
    assert NOTES[-1] == "run was finished at step 8, now goes on to 12"


def test_the_header_of_another_run_is_not_taken(folder: Path) -> None:
    Path("data.csv").write_text("\n".join(ROWS))
    run("task.target=-1")
    Path("data.csv").write_text(lines(ROWS[:8]))
    with pytest.raises(
        SettingError, match=r"run.dir=run holds another run: task.target=\"-1\" there"
    ):
        run("task.target=y")


def test_a_damaged_record_is_no_help(folder: Path) -> None:
    Path("data.csv").write_text(ALL_WORDS)
    run("task.target=-1", "task.header=true")
    for content in ("{", "[]", '{"columns": 3}', '{"reading": {"header": true}}'):
        Path("run/data.json").write_text(content)
        with pytest.raises(SettingError, match=r"run.dir=run holds another run"):
            run("task.target=-1", "trainer.steps=12")
