"""What kinds of columns a table has, and what is said of them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ffn_train.tasks.tabular import TableTask
from ffn_train.tasks.tabular.columns import Columns
from tests.tasks.written import HEADER, ROWS, data, lines, read, refusal, rng, task

MANY = [*ROWS, *(f"{i},{-i},{i * i % 7}" for i in range(90))]


def beside(cells: list[str], rows: list[str] = ROWS) -> str:
    """A table with these cells, over and over, in a first column c."""
    shown = [f"{cells[i % len(cells)]},{row}" for i, row in enumerate(rows)]
    return lines(shown, f"c,{HEADER}")


@pytest.mark.parametrize("unit", [" kmpl", "kg", " °C", " µg/m3", " m^2"])
def test_numbers_with_a_unit_are_numbers(folder: Path, unit: str) -> None:
    cells = [*(f"{i / 2}{unit}" for i in range(10)), unit, "0"]
    made = data(beside(cells))
    assert made.notes[1].endswith(f"c in {unit.strip()}")
    table = read(beside(cells))
    assert table.input_names == ("c", "c=(missing)", "a", "b")
    assert table.inputs[[1, 10, 11], 0].tolist() == [0.5, 2, 0]
    assert len(read(beside(cells), fill="drop").inputs) == len(ROWS) - 1
    columns = Columns.from_json(json.loads(json.dumps(made.to_json()["columns"])))
    other = pd.DataFrame({"c": [f"7.5{unit}", "3", unit], "a": 1, "b": 2, "y": 3})
    columns.check(other, "the table")
    assert columns.encode(other)[:, 0].tolist() == [7.5, 3, 2]


def test_a_target_has_a_unit_and_so_has_a_second_file(folder: Path) -> None:
    rows = [f"{row} kg" for row in ROWS]
    Path("second.csv").write_text(lines(rows[:2]))
    made = data(lines(rows), validation_path="second.csv")
    assert read(lines(rows)).targets[:2, 0].tolist() == [3.73, 9.17]
    np.testing.assert_allclose(made.y_validation, made.y_train[:2])


@pytest.mark.parametrize(
    "cells",
    [
        [f"{i}{'AB'[i % 2]}" for i in range(12)],  # codes
        [*(f"{i} kmpl" for i in range(11)), "3 km/kg"],
        [f"{i % 5}th" for i in range(12)],  # few numbers
        [f"2014{i:04}T000000" for i in range(12)],
    ],
)
def test_words_that_begin_with_a_number_are_words(folder: Path, cells: list[str]) -> None:
    assert "c" not in data(beside(cells)).input_names


def test_older_runs_have_no_units_and_no_points_for_missing_cells(folder: Path) -> None:
    for cells in ([f"{i} kg" for i in range(12)], [*".*.*1", *".*.*2"]):
        old = replace(task(beside(cells)), version=2)
        assert "c" not in old.table(rng()).input_names
        assert "c" in read(beside(cells)).input_names


def test_marks_are_missing_cells_of_numbers_and_words_of_categories(folder: Path) -> None:
    cells = [".", "*", "**", "***", *map(str, range(8))]
    assert read(beside(cells)).input_names[:2] == ("c", "c=(missing)")
    assert len(read(beside(cells), fill="drop").inputs) == 8
    assert read(beside([*"..uv"])).input_names[:2] == ("c=.", "c=u")


@pytest.mark.parametrize("cells", [["0", "1", "2", "3+"], ["<5", "5", "6", "> 10"]])
def test_the_last_of_few_levels_may_be_open(folder: Path, cells: list[str]) -> None:
    assert read(beside(cells)).input_names[:4] == tuple(f"c={cell}" for cell in sorted(cells))
    many = [*map(str, range(11)), cells[-1]]
    assert "c=" not in str(refusal(beside(many)))


def test_codes_with_a_letter_are_advised_to_be_a_category(folder: Path) -> None:
    helps = "what helps: 'task.categories=[c]' or 'task.missing=[136A]'"
    assert helps in refusal(beside([*map(str, range(130, 141)), "136A"]))
    assert "what helps: 'task.missing" in refusal(beside([*map(str, range(130, 141)), "rotary"]))


def test_marks_that_other_numbers_contradict_are_not_advised(folder: Path) -> None:
    whole = [f"{i},{i % 5},{i * i % 7}" for i in range(12)]
    cells = [*(f"0.{i}75" for i in range(1, 12)), "23.799.999.900"]
    for rows in (ROWS, whole):
        assert "task.decimal" not in refusal(beside(cells, rows))
    cells[:-1] = map(str, range(11))
    assert "task.decimal" in refusal(beside(cells, whole))


def test_a_column_whose_words_all_differ_is_no_category(folder: Path) -> None:
    unique = "\n".join(["month,y", *(f"m{i},{i * i % 7}" for i in range(12))])
    refused = refusal(unique)
    assert "'month': its words all differ" in refused
    assert "categories" not in refused
    assert refusal(unique, categories=["month"]) == (
        "no input differs between the 10 training rows (month=(other)): there is nothing to learn "
        "from"
    )


@pytest.mark.parametrize("value", ["-200", "-99.99", "9999"])
def test_a_number_far_from_all_others_is_remarked(folder: Path, value: str) -> None:
    cells = [*map(str, range(20, 50)), value]
    note = data(beside(cells, MANY)).notes[1]
    assert f"c: {value} in 3 rows, far from the rest ('task.missing=[{value}]')" in note
    assert data(beside(cells, MANY), target="c").notes[1].count(value) == 2
    for ordinary in (["0", *cells[:-1]], [*cells[:-1], "-9"], [*cells[:-1], "1500"]):
        assert "far from" not in data(beside(ordinary, MANY)).notes[1]


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%d.%m.%Y 00:00"])
@pytest.mark.parametrize("year", [1900, 9999])
def test_a_date_far_from_all_others_is_remarked(year: int, form: str, folder: Path) -> None:
    days = [date(2020, 1, 1 + i) for i in range(20)]
    word = date(year, 12, 31).strftime(form)
    content = beside([*(day.strftime(form) for day in days), word], MANY)
    said = f"c: {word} in 4 rows, far from the rest ('task.missing=[{word}]')"
    assert said in data(content).notes[1]
    assert "far from" not in data(content, missing=[word]).notes[1]
    ordinary = data(beside([*map(str, days), "2020-02-08"], MANY))
    assert "far from" not in ordinary.notes[1]


def test_a_date_far_from_all_others_is_remarked_in_a_frame(folder: Path) -> None:
    days = pd.date_range("2020-01-01", periods=40).where(np.arange(40) % 4 > 0, "1900-01-01")
    frame = pd.DataFrame({"c": days, "y": np.arange(40) % 7})

    def note(**chosen: Any) -> str:
        return TableTask(target="y", frame=frame, **chosen).data(rng(), rng(1)).notes[1]

    assert "1900-01-01 in 10 rows, far from the rest ('task.missing=[1900-01-01]')" in note()
    assert "far from" not in note(missing=["1900-01-01"])


@pytest.mark.parametrize("name", ["id", "user_id", "userID", "No.", "Unnamed: 0"])
def test_a_column_that_tells_the_rows_apart_is_remarked(folder: Path, name: str) -> None:
    content = beside([str(7 * i % 101) for i in range(50)]).replace("c,", f"{name},", 1)
    assert (
        f"{name}: it may only tell the rows apart ('task.drop=[{name}]'" in data(content).notes[1]
    )
    assert "apart" not in data(content.replace(name, "idea", 1)).notes[1]


def test_row_numbers_in_another_order_are_remarked(folder: Path) -> None:
    content = beside([str(7 * i % 101) for i in range(50)])
    said = "column0: it may only tell the rows apart ('task.drop=[column0]' leaves it out)"
    assert said in data(content.removeprefix("c")).notes[1]
    headless = data(content.partition("\n")[2], target="-1").notes[1]
    assert "apart" not in headless


@pytest.mark.parametrize(
    ("cells", "levels"), [(["*", "**", "***"], 3), (["ns", "*", "**"], 3), ([".", ".", "x"], 2)]
)
def test_points_and_asterisks_without_numbers_are_words(
    folder: Path, cells: list[str], levels: int
) -> None:
    rows = [f"{cells[i % len(cells)]},{row}" for i, row in enumerate(ROWS * 2)]
    content = lines(rows, "stars," + HEADER)
    assert sum(name.startswith("stars=") for name in read(content).input_names) >= levels - 1
    assert len(data(content, target="stars").target_names) == levels


@pytest.mark.parametrize("form", ["20{0:02}-{1:02}", "20{0:02}/{1:02}"])
def test_seasons_are_no_months(folder: Path, form: str) -> None:
    rows = [f"{form.format(i % 4, i % 4 + 1)},{row}" for i, row in enumerate(ROWS * 2)]
    assert read(lines(rows, "season," + HEADER)).input_names[0].startswith("season=")


def test_names_sorted_as_text_are_a_header_and_a_row_with_a_gap_is_none(folder: Path) -> None:
    rows = [f"s{chr(97 + i)},{i},{row}" for i, row in enumerate(ROWS)]
    assert read(lines(rows, "store,1,10,2,3"), target="3").input_names[:3] == ("1", "10", "2")
    numbers = "\n".join([",0,1", *("5,6,7", "1,2,3", "4,8,1", "2,2,9") * 3])
    assert len(read(numbers, target=-1).inputs) == 13


def test_marks_are_words_where_there_is_no_header(folder: Path) -> None:
    rows = ["\t".join(["|;,"[i % 3], row.replace(",", "\t")]) for i, row in enumerate(ROWS * 2)]
    names = read("\n".join(rows), target=-1).input_names
    assert "column0=;" in names


def test_points_among_dates_are_missing(folder: Path) -> None:
    compact = [*(f"20{i:02}0{i % 9 + 1}01" for i in range(11)), "."]
    for cells in (compact, [*(f"20{i:02}-0{i % 9 + 1}-01" for i in range(11)), "*"]):
        names = read(beside(cells)).input_names
        assert names[:4] == ("c", "c sine", "c cosine", "c=(missing)")
        assert len(read(beside(cells), fill="drop").inputs) == len(ROWS) - 1


@pytest.mark.parametrize("mark", [".", "*", "0", "0.0"])
def test_zeros_and_marks_of_missing_cells_need_no_unit(folder: Path, mark: str) -> None:
    table = read(beside([mark, *(f"{i} km" for i in range(1, 12))]))
    assert table.inputs[:2, 0].tolist() == [0 if "0" in mark else 6, 1]


@pytest.mark.parametrize("cell", ["-200 m", "-200.0 m", "-200"])
def test_a_number_is_missing_whatever_its_unit(folder: Path, cell: str) -> None:
    """In training as in other rows, of a file or in memory."""
    cells = [cell, *(f"{i} m" for i in range(1, 12))]
    made = data(beside(cells), missing=[-200])
    assert "no cell is" not in " ".join(made.notes)
    assert made.input_names[:2] == ("c", "c=(missing)")
    columns = Columns.from_json(json.loads(json.dumps(made.to_json()["columns"])))
    other = pd.DataFrame({"c": ["7 m", cell], "a": 1, "b": 2, "y": 3})
    assert columns.encode(columns.numbered(other))[:, 1].tolist() == [0, 1]


@pytest.mark.parametrize("zone", ["+02:00", "Z"])
def test_summer_time_is_no_time_of_the_day(folder: Path, zone: str) -> None:
    """Midnight there is at 22 or 23 o'clock in UTC, or at 23 or 0."""
    summer, winter = (zone, "+01:00") if zone != "Z" else ("+01:00", "Z")
    cells = [f"2020-{m:02}-01T00:00:00{summer if 4 <= m <= 10 else winter}" for m in range(1, 13)]
    assert not any("day" in name for name in read(beside(cells)).input_names)
    assert (
        "c day sine"
        in read(beside([cells[0].replace("00:00:00", "12:00:00"), *cells[1:]])).input_names
    )


def test_points_are_neither_names_nor_units(folder: Path) -> None:
    rows = [".,1,2", *(row.replace("-", "") for row in ROWS)]
    assert len(read("\n".join(rows), target=-1).inputs) == len(rows)
    units = [".,x,1", "m,s,kg", *([".,1,2"] * 2), *ROWS]
    assert len(read("\n".join(["a,b,y", *units[1:]])).inputs) == len(ROWS) + 2


@pytest.mark.parametrize(
    "notes",
    [["Source: WHO, 2010"], ["", "* estimates"], ["Data from: WHO", "Last updated: 1/2/19"]],
)
def test_lines_below_a_table_are_left_out(folder: Path, notes: list[str]) -> None:
    content = lines([*ROWS, *notes])
    many = len([note for note in notes if note])
    first = notes[-many].replace(", ", ",")
    made = data(content)
    assert (
        f"{many} line{'s' * (many > 1)} below the table left out, {first!r}, 12 rows"
        in made.notes[0]
    )
    np.testing.assert_array_equal(made.x_train, data(lines(ROWS)).x_train)
    assert f"row 13 where there are 3 columns: {first!r}" in refusal(lines([*ROWS, *notes, "7,8"]))


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        (["$3", "€4", "£5.5"], "a: $ or £ or € in some cells is ignored"),
        (["45%", "0.5"], "a: % in some cells is ignored"),
        (["45%", "0", "5%"], ""),
        (["$3", "4"], ""),
        (["3 €", "4 €"], ""),
    ],
)
@pytest.mark.parametrize("target", [True, False])
def test_signs_that_only_some_numbers_have_are_told(
    folder: Path, cells: list[str], told: str, target: bool
) -> None:
    rows = [f"{cells[i % len(cells)]},{i * i % 7},{i}" for i in range(8)]
    inputs = data(lines(rows, "a,b,c"), target="a" if target else "b").notes[1]
    assert told in inputs
    assert ("ignored" in inputs) == bool(told)
