"""Tables read from files: every way to write the same numbers, and every way to get it wrong."""

from __future__ import annotations

import csv
import io
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffn_train.config.settings import SettingError
from ffn_train.tasks import Table
from ffn_train.tasks.csv import CSV

PLAIN = "age,bmi,y\n1,2.5,3\n-4,5e-1,6\n7,8,9\n10,11,12\n"


def read(path: Path, content: str | bytes, **chosen: Any) -> Table:
    file = path / "data.csv"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return CSV(**{"path": str(file), "target": "y", **chosen}).table(np.random.default_rng(0))


def refusal(path: Path, content: str | bytes, **chosen: Any) -> str:
    with pytest.raises(SettingError) as error:
        read(path, content, **chosen)
    message = str(error.value)
    assert len(message.splitlines()) == 1
    return message


def test_the_plain_file(tmp_path: Path) -> None:
    table = read(tmp_path, PLAIN)
    assert table.input_names == ("age", "bmi")
    assert table.target_names == ("y",)
    np.testing.assert_array_equal(table.inputs, [[1, 2.5], [-4, 0.5], [7, 8], [10, 11]])
    np.testing.assert_array_equal(table.targets, [[3], [6], [9], [12]])
    assert table.inputs.dtype == np.float64
    assert table.inputs.flags.c_contiguous


SAME = {
    "bom": "\ufeff" + PLAIN,
    "crlf": PLAIN.replace("\n", "\r\n"),
    "bom and crlf": "\ufeff" + PLAIN.replace("\n", "\r\n"),
    "cr": PLAIN.replace("\n", "\r"),
    "tab": PLAIN.replace(",", "\t"),
    "space after the comma": PLAIN.replace(",", ", "),
    "space before the comma": PLAIN.replace(",", " ,"),
    "no last newline": PLAIN.rstrip("\n"),
    "blank lines around": "\n\n" + PLAIN + "\n  \n",
    "blank lines between": PLAIN.replace("\n", "\n\n"),
    "quotes": '"age","bmi","y"\n"1","2.5","3"\n"-4","0.5",6\n7,8,"9"\n"10",11,12\n',
    "quotes after a space": '"age", "bmi", "y"\n1, "2.5", 3\n-4, 0.5, 6\n7, 8, 9\n10, 11, 12\n',
    "exponent": PLAIN.replace("2.5", "+2.50E0"),
}


@pytest.mark.parametrize("content", SAME.values(), ids=SAME.keys())
def test_other_ways_to_write_the_same_table(tmp_path: Path, content: str) -> None:
    plain, other = read(tmp_path, PLAIN), read(tmp_path, content)
    assert other.inputs.tobytes() == plain.inputs.tobytes()
    assert other.targets.tobytes() == plain.targets.tobytes()
    assert (other.input_names, other.target_names) == (plain.input_names, plain.target_names)


def test_the_header_line_decides_the_delimiter_in_spite_of_quoted_names(tmp_path: Path) -> None:
    rows = "".join(f"{i}{{0}}{i * i}\n" for i in range(5))
    commas = read(tmp_path, '"a\tb\tc",y\n' + rows.format(","))
    tabs = read(tmp_path, '"a,b,c"\ty\n' + rows.format("\t"))
    assert commas.input_names == ("a\tb\tc",)
    assert tabs.input_names == ("a,b,c",)
    assert commas.targets.tobytes() == tabs.targets.tobytes()


def test_several_targets_in_the_order_asked_for(tmp_path: Path) -> None:
    table = read(tmp_path, PLAIN, target=["y", "age"])
    assert table.target_names == ("y", "age")
    assert table.input_names == ("bmi",)
    np.testing.assert_array_equal(table.targets[0], [3, 1])


def test_dropped_columns_may_hold_anything(tmp_path: Path) -> None:
    content = "id,,a,y\n" + "".join(f'"x\n{i}",,{i},{i}\n' for i in range(4))
    table = read(tmp_path, content, drop=["id", ""])
    assert table.input_names == ("a",)
    assert "line 10, column 'y'" in refusal(tmp_path, content + "z,,5,six\n", drop=["id", ""])


def test_a_path_is_looked_for_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here.csv").write_text(PLAIN)
    monkeypatch.chdir(tmp_path)
    table = CSV(path="here.csv", target="y").table(np.random.default_rng(0))
    assert table.targets.shape == (4, 1)


def test_large_numbers_are_read_as_they_are(tmp_path: Path) -> None:
    assert read(tmp_path, PLAIN.replace("2.5", "1e308")).inputs[0, 1] == 1e308


# Each refusal: where it is, and what is wrong


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({}, "task.path is missing: name a CSV file (task.path=data.csv)"),
        ({"path": "???"}, "task.path is missing: name a CSV file (task.path=data.csv)"),
        ({"path": ""}, "task.path is missing"),
        ({"path": 3, "target": "y"}, "task.path must be the path of a CSV file, got 3"),
        ({"path": "a"}, "task.target is missing: name the column to predict (task.target=y)"),
        ({"path": "a", "target": "???"}, "task.target is missing"),
        ({"path": "a", "target": []}, "task.target is missing"),
        ({"path": "a", "target": 3}, "task.target must be a column's name or a list of names, "),
        ({"path": "a", "target": ["y", 3]}, "task.target must be a column's name or a list"),
        ({"path": "a", "target": ["y", " y"]}, "task.target has 'y' twice"),
        ({"path": "a", "target": "y", "drop": {"y": 1}}, "task.drop must be a column's name"),
        ({"path": "a", "target": "y", "drop": None}, "task.drop must be a column's name"),
        ({"path": "a", "target": "y", "drop": ["y"]}, "task.drop has 'y', which is a target too"),
        ({"path": "a", "target": "y", "validation": 0}, "task.validation must be a number > 0"),
    ],
)
def test_settings_are_checked(chosen: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError) as error:
        CSV(**chosen)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        ("\n \n", "is empty"),
        ("age,bmi,y\n", "has 0 rows below its header; at least 4 are needed"),
        ("a,y\n1,2\n3,4\n5,6\n", "has 3 rows below its header; at least 4 are needed"),
        (PLAIN.replace("7,8,9", "7,8"), "line 4: 2 fields, but the header has 3"),
        (PLAIN.replace("7,8,9", "7,8,9,"), "line 4: 4 fields, but the header has 3"),
        (PLAIN.replace(",8,", ",eight,"), "line 4, column 'bmi': 'eight' is not a number"),
        (PLAIN.replace(",8,", ",,"), "line 4, column 'bmi': the cell is empty"),
        (PLAIN.replace(",8,", ',"  ",'), "line 4, column 'bmi': the cell is empty"),
        (PLAIN.replace(",8,", ",nan,"), "line 4, column 'bmi': 'nan' is not finite"),
        (PLAIN.replace(",9", ",-inf"), "line 4, column 'y': '-inf' is not finite"),
        (PLAIN.replace(",9", ",1e999"), "line 4, column 'y': '1e999' is not finite"),
        (PLAIN.replace(",8,", ",8_0,"), "line 4, column 'bmi': '8_0' is not a number"),
        (PLAIN.replace(",8,", ",٨,"), "line 4, column 'bmi': '٨' is not a number"),
        (PLAIN.replace(",8,", ',"8\n",').replace("10,", "x,"), "line 6, column 'age': 'x' is not"),
        (PLAIN.replace(",8,", f",{'z' * 999},"), f"'bmi': '{'z' * 37}...' is not a number"),
        (PLAIN.replace(",8,", ',"8,'), "line 4: a quote is opened and not closed"),
        (PLAIN.replace(",8,", ',"8,') + "1,2,3\n" * 30000, "line 4: a quote is opened and not"),
        (PLAIN.replace(",8,", ',"8"x,'), "line 4: a closing quote is followed by more text"),
        (PLAIN.replace(",8,", ",\0,"), "line 4: a null byte; this is not a text file"),
        (PLAIN.encode().replace(b",8,", b",\xe9,"), "line 4: not UTF-8 text"),
        (PLAIN.encode("utf-16"), "line 1: not UTF-8 text"),
        (PLAIN.encode("utf-16-le"), "line 1: a null byte"),
        (PLAIN.replace("bmi", "age"), "line 1: two columns are named 'age'"),
        (PLAIN.replace("bmi", ""), "column 2 of the header has no name"),
        (PLAIN.replace(",", ";"), "line 1: one column only, 'age;bmi;y'"),
    ],
)
def test_a_broken_file_is_refused_with_its_place(
    tmp_path: Path, content: str | bytes, message: str
) -> None:
    refused = refusal(tmp_path, content)
    assert refused.startswith(f"task.path={str(tmp_path / 'data.csv')!r}")
    assert message in refused


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    source = repr(str(tmp_path / "data.csv"))
    assert refusal(tmp_path, PLAIN, target="bni") == (
        f"task.target 'bni' is not a column of task.path={source}, which has 'age', 'bmi', 'y'; "
        "did you mean 'bmi'?"
    )
    assert refusal(tmp_path, PLAIN, drop=["agee"]).startswith("task.drop 'agee' is not a column")
    wide = ",".join(f"c{i}" for i in range(500)) + "\n"
    assert "'c19' and 480 more" in refusal(tmp_path, wide)


def test_no_input_left(tmp_path: Path) -> None:
    message = "has no input left: every column is in task.target or task.drop"
    assert message in refusal(tmp_path, PLAIN, target=["age", "bmi", "y"])
    assert message in refusal(tmp_path, PLAIN, drop=["age", "bmi"])


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere.csv", "task.path='nowhere.csv': there is no such file"),
        ("a\0b", "task.path='a\\x00b': there is no such file"),
        ("a\nb", "task.path='a\\nb': there is no such file"),
        (".", "task.path='.' is a directory; a CSV file is needed"),
        ("~no-such-user/a.csv", "task.path='~no-such-user/a.csv': there is no such file"),
        ("x" * 5000, f"task.path='{'x' * 5000}' cannot be read: File name too long"),
    ],
)
def test_a_file_that_is_not_there(path: str, message: str) -> None:
    with pytest.raises(SettingError) as error:
        CSV(path=path, target="y").table(np.random.default_rng(0))
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_refused_rather_than_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SettingError, match="is not a regular file"):
        CSV(path=str(tmp_path / "pipe"), target="y").table(np.random.default_rng(0))


# Any file at all: a right table or one line


def table_or_line(path: Path, content: bytes, **chosen: Any) -> Table | None:
    table, message = None, "no error"
    try:
        table = read(path, content, **chosen)
    except SettingError as error:
        message = str(error)
    assert len(message.splitlines()) == 1
    assert message.isprintable()
    if table is None:
        return None
    assert np.isfinite(table.inputs).all()
    assert np.isfinite(table.targets).all()
    assert table.inputs.shape == (len(table.targets), len(table.input_names))
    assert table.targets.shape[1] == len(table.target_names)
    return table


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


pieces = st.sampled_from([b"a", b"y", b",", b"\t", b"\n", b"\r", b'"', b"1", b"-2.5", b" ", b"\0"])
soup = st.lists(st.one_of(pieces, st.binary(max_size=3)), max_size=40).map(b"".join)


@settings(deadline=None, max_examples=200)
@given(content=st.one_of(st.binary(max_size=200), soup, soup.map(lambda s: PLAIN.encode() + s)))
def test_any_bytes(folder: Path, content: bytes) -> None:
    table_or_line(folder, content)


numbers = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr), st.integers().map(str)
)
names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8)
grids = st.lists(names, min_size=1, max_size=3, unique_by=str.strip).flatmap(
    lambda header: st.tuples(
        st.just(header),
        st.lists(
            st.lists(
                st.integers(0, 29).flatmap(lambda n: numbers if n else st.one_of(numbers, names)),
                min_size=len(header) + 1,
                max_size=len(header) + 1,
            ),
            min_size=3,
            max_size=6,
        ),
        st.sampled_from(",\t"),
        st.sampled_from(["\n", "\r\n"]),
    )
)


def parsed(cell: str) -> float:
    try:
        return float(cell) if cell.isascii() and "_" not in cell else math.nan
    except ValueError:
        return math.nan


@settings(deadline=None, max_examples=200)
@given(grid=grids)
def test_any_cells(folder: Path, grid: tuple[list[str], list[list[str]], str, str]) -> None:
    header, rows, delimiter, end = grid
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([[*header, "target column"], *rows])
    table = table_or_line(folder, text.getvalue().encode(), target="target column")
    values = np.array([[parsed(cell) for cell in row] for row in rows])
    good = np.isfinite(values).all() and len(rows) >= 4
    good = good and all(name.strip() not in ("", "target column") for name in header)
    assert (table is not None) == good
    if table is not None:
        assert table.input_names == tuple(name.strip() for name in header)
        np.testing.assert_array_equal(table.inputs, values[:, :-1])
        np.testing.assert_array_equal(table.targets, values[:, -1:])
