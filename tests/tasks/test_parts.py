"""The rows of a table for training, validation and test: shares of it, or files of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ffn_train.tasks.tabular import Columns
from tests.tasks.written import (
    HEADER,
    PLAIN,
    ROWS,
    X,
    data,
    lines,
    parts_of,
    refusal,
)


def grouped() -> str:
    return lines([f"{i},{i % 7},{'uvwxyz'[i % 6]},{i * i % 11}" for i in range(30)], "a,b,who,y")


def test_the_split_by_order_and_by_groups(folder: Path) -> None:
    assert parts_of(data(grouped(), split="last")).validation.tolist() == [*range(24, 30)]
    made = data(grouped(), groups="who")
    parts = parts_of(made)
    assert not {*(parts.train % 6)} & {*(parts.validation % 6)}
    assert len(parts.validation) == 5
    assert made.input_names == ("a", "b")
    assert parts_of(data(grouped(), groups="who")).validation.tolist() == parts.validation.tolist()
    assert "one group" not in made.notes[1]
    lacking = data(grouped().replace("v,", "NA,"), groups="who").notes[1]
    assert "; who: 5 rows without it are one group;" in lacking
    text = grouped().replace("v,", "u,").replace("x,", "u,")
    assert "has 1 group only" in refusal(lines(["1,2,u,3"] * 5, "a,b,who,y"), groups="who")
    assert len(parts_of(data(text, groups="who", validation=0.9)).train) > 0


def test_outliers_are_told_of_the_file_that_is_trained_on(folder: Path) -> None:
    """Their numbers are those of its rows; a second file's are of other ones."""
    Path("second.csv").write_text("a,b,y\n1,2,3\n1,2,30000\n")
    assert data(PLAIN, validation_path="second.csv").outliers is None
    typed = lines([*ROWS[:3], "1,2,3000", *ROWS[3:]])
    found = data(typed, validation_path="second.csv").outliers
    assert found is not None
    assert (found.rows, found.of, found.target) == ((4,), 13, "y")
    Path("second.csv").write_text("a,b,y\n" + "1,2,90000\n1,2,-90000\n" * 50)  # all vary more
    hidden = data(typed, validation_path="second.csv").outliers
    assert hidden == found


def test_a_yes_in_all_rows_is_told(folder: Path) -> None:
    rows = [f"yes,{row}" for row in ROWS]
    made = data(lines(rows, "on,a,b,y"))
    assert made.input_names[0] == "on"
    assert any("; on: the same in all rows" in note for note in made.notes)
    gaps = data(lines([",1,2,3", *rows], "on,a,b,y"))
    assert not any("the same in all rows" in note for note in gaps.notes)
    more = data(lines([f"{row},yes,7,8" for row in ROWS], HEADER + ",on,seven,eight"))
    assert more.notes[1].endswith("; on, seven, eight: the same in all rows")


def test_a_second_file_is_for_validation(folder: Path) -> None:
    Path("second.csv").write_text("y,b,a,more\n1,2,3,x\n4,5,6,x\n,,,\n")
    made = data(PLAIN, validation_path="second.csv")
    assert (len(made.x_train), len(made.x_validation)) == (12, 2)
    x = made.x_validation * made.input_std + made.input_mean
    np.testing.assert_allclose(x, [[3, 2], [6, 5]])
    np.testing.assert_allclose(made.input_mean, X[:, :2].mean(axis=0))
    assert made.notes[-1] == (
        "task.validation_path='second.csv': separated by comma, 3 rows; "
        "1 row without any cell left out; in place of the share task.validation=0.2"
    )
    Path("second.csv").write_text("y,a\n1,2\n4,x\n")
    assert refusal(PLAIN, validation_path="second.csv") == (
        "task.validation_path='second.csv': it has no column 'b'; "
        "column 'a' has 'x' in row 2, where a number is needed"
    )


@pytest.mark.parametrize("part", ["validation", "test"])
@pytest.mark.parametrize(
    ("second", "chosen", "words"),
    [
        ("a,b,y\n", {}, "separated by comma, 0 rows"),
        ("a,b,y\n1,2,\n,,\n", {}, "1 row without any cell left out; 1 row without a target left"),
        ("a,b,y\n1,,3\n", {"fill": "drop"}, "1 row; 1 row without an input left out"),
    ],
)
def test_a_second_file_without_a_row_is_refused(
    folder: Path, part: str, second: str, chosen: dict[str, Any], words: str
) -> None:
    Path("second.csv").write_text(second)
    refused = refusal(PLAIN, **{f"{part}_path": "second.csv"}, **chosen)
    assert refused.startswith(f"task.{part}_path='second.csv': ")
    assert words in refused
    assert refused.endswith(": it has no row that can be used")


def test_what_a_second_file_leaves_out_is_said(folder: Path) -> None:
    Path("second.csv").write_text("a,b,y\n1,2,3\n1,2,\n,,\n")
    made = data(PLAIN, test_path="second.csv")
    assert (
        "task.test_path='second.csv': separated by comma, 3 rows; 1 row without any cell left out; "
        "1 row without a target left out"
    ) in made.notes


@pytest.mark.parametrize("path", ["data.csv", "./data.csv", "link.csv"])
def test_the_rows_of_the_test_are_not_those_of_another_part(path: str, folder: Path) -> None:
    (folder / "link.csv").symlink_to("data.csv")
    start = f"task.test_path={path!r} is the file of task."
    assert refusal(PLAIN, test_path=path).startswith(f"{start}path: the test's rows must be others")
    (folder / "train.csv").write_text(PLAIN)
    refused = refusal(PLAIN, path="train.csv", validation_path="data.csv", test_path=path)
    assert refused.startswith(f"{start}validation_path")
    refused = refusal(PLAIN, test_path="-", path="-")
    assert refused.startswith("task.test_path='-' is the file of task.path")


@pytest.mark.parametrize("part", ["validation", "test"])
def test_a_second_file_has_a_row_of_units_only_if_the_first_had_one(
    folder: Path, part: str
) -> None:
    Path("second.csv").write_text(lines(["m,-,N", *ROWS]))
    second = {f"{part}_path": "second.csv"}
    assert "column 'a' has 'm' in row 1, where a number is needed" in refusal(PLAIN, **second)
    assert len(getattr(data(lines(["m,-,N", *ROWS]), **second), f"x_{part}")) == len(ROWS)


def test_a_number_where_yes_or_no_is_needed(folder: Path) -> None:
    Path("second.csv").write_text("new,a,b,y\nTRUE,2,3,4\n1,2,3,4\n")
    start = "task.validation_path='second.csv': column 'new' has '1' in row 2, where true or false,"
    for words, needed in (
        (("yes", "no"), "yes or no, y or n, t or f"),
        (("Y", "N"), "yes or no, y or n"),
        (("t", "f"), "yes or no, t or f"),
    ):
        content = lines([f"{words[i % 2]},{row}" for i, row in enumerate(ROWS)], "new,a,b,y")
        refused = refusal(content, validation_path="second.csv")
        assert refused == f"{start} {needed} is needed"


def test_letters_of_another_pair_are_refused_in_a_second_file(folder: Path) -> None:
    content = lines([f"{'tf'[i % 2]},{row}" for i, row in enumerate(ROWS)], "gill,a,b,y")
    Path("second.csv").write_text("gill,a,b,y\nF,1,2,3\nyes,1,2,3\nn,1,2,3\n")
    refused = refusal(content, test_path="second.csv")
    assert "column 'gill' has 'n' in row 3, where true or false, yes or no, t or f" in refused
    made = data(content).to_json()["columns"]
    columns = Columns.from_json(json.loads(json.dumps(made)))
    frame = pd.DataFrame({"gill": ["t", "no", None], "a": 1, "b": 2})
    columns.check(frame, "new.csv", targets=False)
    assert columns.encode(frame)[:2, 0].tolist() == [1, 0]
    made["inputs"][0]["levels"] = ()  # as older versions have it, which take any words
    older = Columns.from_json(made)
    assert older.encode(frame.assign(gill=["y", "n", "f"]))[:, 0].tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("first", "second", "value"),
    [
        ("1.234,5", "a;b;y\n1.234;2.500;3\n4;5;6\n", 1234),  # as the first file has them
        ("1.234,5", "a;b;y\n1.234;2.5;3\n4;5;6\n", 1.234),
        ("1.234,5", "a,b,y\n1234.5,2,3\n4,5,6\n", 1234.5),
        ("1234,5", "a;b;y\n1.234,5;2;3\n4;5;6\n", 1234.5),
        ("1234.5", "a;b;y\n1,5;2;3\n4;5;6\n", 1.5),
    ],
)
def test_numbers_of_a_second_file_mean_what_they_do_in_the_first(
    folder: Path, first: str, second: str, value: float
) -> None:
    Path("second.csv").write_text(second)
    rows = [f"{first};{i};{i * i % 7}" for i in range(4)]
    rows += [f"{i};{i};{i * i % 5}" for i in range(4)]
    for part in ("validation", "test"):
        chosen = {f"{part}_path": "second.csv"}
        made = data(lines(rows, "a;b;y"), **chosen)
        x = getattr(made, f"x_{part}") * made.input_std + made.input_mean
        assert x[0, 0] == pytest.approx(value)
        trained = made.x_train * made.input_std + made.input_mean
        assert trained.max() == pytest.approx(1234.5)


def test_a_row_of_a_second_file_without_an_input_is_dropped_too(folder: Path) -> None:
    Path("second.csv").write_text("a,b,y\n1,2,3\n-200,5,6\n,5,6\n")
    made = data(PLAIN, validation_path="second.csv", missing=[-200], fill="drop")
    assert len(made.x_validation) == 1


def test_a_test_part_is_drawn_after_the_validation_part_or_is_the_last_rows(folder: Path) -> None:
    plain, tested = data(grouped(), groups="who"), data(grouped(), groups="who", test=0.3)
    rows = tested.to_json()["rows"]
    assert rows["validation"] == plain.to_json()["rows"]["validation"]
    assert sorted(row for part in rows.values() for row in part) == [*range(30)]
    assert not {row % 6 for row in rows["test"]} & {row % 6 for row in rows["train"]}
    assert "test" not in plain.to_json()["rows"]
    last = data(grouped(), split="last", test=0.1, validation=0.2).to_json()["rows"]
    assert (last["validation"], last["test"]) == ([*range(21, 27)], [27, 28, 29])
    drawn = data(grouped(), test=0.1).to_json()["rows"]
    assert [len(drawn[part]) for part in ("train", "validation", "test")] == [21, 6, 3]
    assert drawn["validation"] == data(grouped()).to_json()["rows"]["validation"]
    assert len({data(grouped(), test=share).digest for share in (0.0, 0.1, 0.2)}) == 3
    two = lines(["1,2,u,3", "2,2,v,4"] * 5, "a,b,who,y")
    assert "has 2 groups only; 3 are needed" in refusal(two, groups="who", test=0.2)


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.2, 0.01), (0.01, 0.2)])
def test_each_part_that_is_asked_for_has_a_row(shares: tuple[float, float], folder: Path) -> None:
    validation, test = shares
    text = refusal(PLAIN, validation=validation, test=test)
    assert text.startswith(f"task.validation={validation} and task.test={test} of 12 rows leaves ")
    assert text.endswith("; each needs at least 1")


def test_a_second_file_is_for_the_test_and_a_third_for_validation(folder: Path) -> None:
    Path("test.csv").write_text("y,b,a,more\n1,2,3,x\n4,5,6,x\n")
    made = data(PLAIN, test_path="test.csv")
    parts = [len(getattr(made, f"x_{part}")) for part in ("train", "validation", "test")]
    assert parts == [10, 2, 2]
    np.testing.assert_allclose(made.x_test * made.input_std + made.input_mean, [[3, 2], [6, 5]])
    assert made.to_json()["rows"]["test"] == [0, 1]
    Path("third.csv").write_text("a,b,y\n7,8,9\n")
    made = data(PLAIN, test_path="test.csv", validation_path="third.csv")
    parts = [len(getattr(made, f"x_{part}")) for part in ("train", "validation", "test")]
    assert parts == [12, 1, 2]
    made = data(PLAIN, test=0.25, validation_path="third.csv")
    parts = [len(getattr(made, f"x_{part}")) for part in ("train", "validation", "test")]
    assert parts == [9, 1, 3]
    assert refusal(PLAIN, test_path="test.csv", test=0.2).startswith("task.test_path has the test")
