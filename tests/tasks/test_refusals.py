"""Tables that are refused: what is wrong, and what to paste."""

from __future__ import annotations

import gzip
import io
import os
import re
import shlex
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ffn_train.config.composition import compose
from ffn_train.config.settings import SettingError
from ffn_train.running.experiment import build_experiment
from ffn_train.tasks.tabular import TableTask
from tests.tasks.written import (
    FRAME,
    HEADER,
    PLAIN,
    ROWS,
    X,
    archive,
    arrays,
    data,
    excel,
    lines,
    parquet,
    read,
    refusal,
    rng,
    workbook,
)


@pytest.mark.parametrize(
    ("encoding", "word"),
    [
        ("cp949", "서울특별시"),
        ("gbk", "上海市"),
        ("shift_jis", "テスト"),
        ("big5", "台北市"),
        ("cp1251", "Москва"),
        ("cp1252", "Größe in m²"),
    ],
)
def test_an_encoding_is_advised_by_what_decodes(folder: Path, encoding: str, word: str) -> None:
    content = lines([f"{row},{word}" for row in ROWS], f"{HEADER},{word}").encode(encoding)
    ways = refusal(content).partition("task.encoding=")[2].split(" or ")
    assert encoding in ways
    assert len(ways) < 6
    assert len(read(content, encoding=encoding).inputs) == len(ROWS)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({}, "task.path is missing: name a file (task.path=data.csv)"),
        ({"path": "???"}, "task.path is missing"),
        ({"path": 3, "target": "y"}, "task.path must be the path of a file, got 3"),
        ({"path": "a"}, "task.target is missing: name the column to predict (task.target=y)"),
        ({"path": "a", "target": []}, "task.target is missing"),
        ({"path": "a", "target": ["y", None]}, "task.target must be a column's name or a list"),
        ({"path": "a", "target": ["y", " y"]}, "task.target has 'y' twice"),
        ({"path": "a", "target": "y", "drop": {"y": 1}}, "task.drop must be a column's name"),
        ({"path": "a", "target": "y", "drop": ["y"]}, "task.drop has 'y', which is a target too"),
        ({"path": "a", "target": "y", "validation": 0}, "task.validation must be a number > 0"),
        ({"path": "a", "target": "y", "separator": "semi"}, "task.separator must be one of comma,"),
        ({"path": "a", "target": "y", "encoding": "klingon"}, "task.encoding must be an encoding"),
        ({"path": "a", "target": "y", "header": "no"}, "task.header must be true or false"),
        (
            {"path": "a", "target": "y", "split": "ordered"},
            "task.split must be one of random, last",
        ),
        ({"path": "a", "target": "y", "dates": "us"}, "task.dates must be one of day_first,"),
        ({"path": "a", "target": "y", "groups": "g", "split": "last"}, "task.groups draws groups"),
        (
            {"path": "a", "target": "y", "decimal": "point", "thousands": "point"},
            "task.decimal and task.thousands are both point",
        ),
        (
            {"path": "a", "target": "y", "groups": "g", "validation_path": "b"},
            "task.validation_path",
        ),
    ],
)
def test_settings_are_checked(chosen: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError) as error:
        TableTask(**chosen)
    assert str(error.value).startswith(message)


QUOTED_TABS = [f'"{row}"'.replace(",", '"\t"') + '\t"a;b"\t"two words"' for row in ROWS]
BROKEN: dict[str | bytes, str] = {
    "": "is empty",
    b"\xef\xbb\xbf": "is empty",
    "\n \n": "is empty",
    "a,b,y\n": "has 0 rows that can be used; at least 4 are needed",
    "a,y\n1,2\n3,4\n5,6\n": "has 3 rows that can be used",
    "a\n1\n2\n": "has only one column, 'a'; inputs and target are needed, separated by comma, tab,",
    lines([*ROWS, "7,8"]): "has 2 fields in row 13 where there are 3 columns",
    lines([*ROWS, "7,8,9,10"]): "has 4 fields in row 13 where there are 3 columns",
    lines(["7,8,9,10", *ROWS]): "has more fields in its first row than the 3 columns",
    lines([*ROWS, '7,"8,9']): "has a quote in row 13 that is not closed",
    f"Report\n{PLAIN}": (
        "has more fields in its first row than the 1 columns; task.skip leaves out lines above"
    ),
    f"Report\nby someone\n\n{PLAIN}": (
        "has 3 fields in row 2 where there are 1 columns; task.skip leaves out lines above the name"
    ),
    f"Report,,\n{PLAIN}": "has a first line with fewer cells than the second: set task.skip=1 if",
    f"# of today\nReport,,\n{PLAIN}": "than the second: set task.skip=1 if",
    lines(  # as often divided by blanks
        [f"{row},3 May".replace(",", "\t") for row in [*ROWS, "7,8,9,10"]],
        HEADER.replace(",", "\t") + "\tday w,z",
    ): "has 5 fields in row 13 where there are 4 columns",
    lines(  # divided by blanks, each row has three
        [row.replace(",", "\t") for row in [*ROWS, "7,,8,9"]], HEADER.replace(",", "\t")
    ): "has 4 fields in row 13 where there are 3 columns",
    lines(
        ["m\t-\tN\t-\t-", *QUOTED_TABS, '"1\t2'], f"{HEADER},c,d".replace(",", "\t")
    ): "has a quote in row 13 that is not closed",
    lines([*ROWS, "7,\0,9"]): "is not text: line 14 has a null byte",
    lines(ROWS).encode() + b"1,\xe9,3\n": "is not UTF-8 text (invalid continuation byte): set its",
    lines([*ROWS, "7,eight,9"]): (
        "column 'b' has a cell that is no finite number, such as 'eight' in row 13; what helps: "
        "'task.missing=[eight]' or 'task.categories=[b]' or 'task.drop=[b]'"
    ),
    lines([*ROWS, "7,eight,9", "x,nine,9", "x,eight,9"]): (
        "'task.missing=[x,eight,nine]' or 'task.categories=[a,b]' or 'task.drop=[a,b]'"
    ),
    lines([*ROWS, *(f"7,{word},9" for word in "abcdefghijk"), "x,1,2"]): (  # of 11 none is named
        "such as 'x' in row 24; what helps: 'task.missing=[x]' or 'task.categories=[a]' or"
    ),
    lines([*ROWS, "7,1e999,9"]): "column 'b' has a cell that is no finite number, such as '",
    lines([*ROWS, "7,8_0,9"]): "such as '8_0' in row 13",
    lines([*ROWS, "7,٨,9"]): "such as '٨' in row 13",
    lines([*ROWS, '7,"8,5",9']): "what helps: 'task.missing=[\"8,5\"]' or",  # others have points
    lines([*ROWS, f"7,{'z' * 999},9"]): f"such as '{'z' * 37}...' in row 13",
    lines([*ROWS, "7,8,-inf"]): (
        "column 'y' has a cell that is no finite number, such as '-inf' in row 13; what helps: "
        "'task.missing=[-inf]'"
    ),
    lines(
        [f"{row}x{i}" for i, row in enumerate(ROWS)]
    ): "column 'y' is a target of text, such as '3.73x0'",
    lines([row.rpartition(",")[0] + "," for row in ROWS]): "column 'y' is a target without a value",
    lines(['1,2,"1,234"', '3,4,"5,678"'] * 3): "may be 1234 or 1.234: set task.thousands=comma or",
    archive(): "is an empty archive",
    archive(("a.csv.gz", gzip.compress(PLAIN.encode()))): "is compressed twice: unpack it",
    archive(("a.csv", PLAIN), ("b.csv", PLAIN)): "is an archive of 2 files: unpack it",
    archive(("mimetype", "x"), ("content.xml", "x")): "is an OpenDocument file",
    archive(("xl/workbook.xml", "x"), ("a", "b")): "is an Excel workbook that cannot be read",
    arrays(a=np.arange(4), y=np.arange(5)): "has arrays of different lengths: a has 4, y has 5",
    arrays(a=np.array([{}], dtype=object)): "Python objects, which are not read",
    arrays(a=np.zeros((2, 2, 2))): "has an array 'a' of shape (2, 2, 2)",
    arrays(a=np.zeros(5, [("b", float, 2)])): "has arrays of different lengths",
    gzip.compress(PLAIN.encode())[:-9]: "cannot be read",
    gzip.compress(PLAIN.encode())[:20] + b"x" * 40: "cannot be read",
    b"PAR1" + b"x" * 40: "is a parquet file",
    b"\xd0\xcf\x11\xe0\xa1": "is an Excel workbook of before 2007",
    b"%PDF-1.7": "is a PDF document",
    b"a.csv".ljust(257, b"\0") + b"ustar": "is a tar archive: unpack it",
    b"\x80\x04\x95": "is a Python pickle, which is not read",
    b"<stata_dta><header><release>118</release>": "is a data set of Stata: save it as CSV",
    b"r\x02\x01\0\x03\0": "is a data set of Stata",  # of before 2013
    b"\0" * 12 + b"\xc2\xea\x81\x60\xb3\x14\x11\xcf": "is a data set of SAS",
    b"$FL2@(#) SPSS DATA FILE": "is a data set of SPSS",
    gzip.compress(b"X\n\0\0\0\x03\0\x04\x01\x02"): "is R's own format",
    b"RDX3\nX\n\0\0\0\x03": "is R's own format",
    b"MATLAB 5.0 MAT-file Platform: posix": "is MATLAB's own format",
    "<!DOCTYPE html>": "is a web page",
    '<table border="1" class="dataframe">': "is a web page",
    '[{"a": 1}]': "is JSON",
    "% made up\n@relation r\n@attribute a numeric\n@data\n1\n": "is ARFF, Weka's format",
}


@pytest.mark.parametrize("content", BROKEN, ids=lambda content: BROKEN[content][:40])
def test_a_broken_file_is_refused_with_what_is_wrong(folder: Path, content: str | bytes) -> None:
    refused = refusal(content)
    assert refused.startswith("task.path='data.csv'")
    assert BROKEN[content] in refused


@pytest.mark.parametrize(
    ("first", "words"),
    [
        ("1,2", "has 2 fields in row 1 where there are 3"),
        ("1,2,3,4", "has more fields in its first row than the 3"),
    ],
)
def test_without_a_header_the_other_rows_say_how_many_columns_there_are(
    first: str, words: str, folder: Path
) -> None:
    assert words in refusal("\n".join([first, *ROWS]), target=-1)


def test_a_title_above_the_names_is_left_out_by_the_setting_that_is_named(folder: Path) -> None:
    content = f"Report,,\nUnit 5,,\n{PLAIN}"
    assert "task.skip=2 if it is a title" in refusal(content, skip=1)
    assert read(content, skip=2).input_names == ("a", "b")
    named = read(lines(["m,-,N", *ROWS], "a,,y"), header=True)  # whose second column has no name
    assert named.input_names == ("a", "column1")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("7,8,9,10", "has 4 fields in row 15 where there are 3 columns"),
        ("7,8", "has 2 fields in row 15 where there are 3 columns"),
        ('7,8,"9', "has a quote in row 15 that is not closed"),
        ("bad,8,9", "such as 'bad' in row 15"),
    ],
)
def test_rows_of_empty_cells_are_counted_and_blank_lines_are_not(
    folder: Path, wrong: str, words: str
) -> None:
    rows = ["", ",,", ROWS[0], '"1\n\n",2,3', *ROWS[1:5], " ", "", *ROWS[5:]]
    assert words in refusal(lines([*rows, wrong]))


def test_all_that_is_wrong_is_in_one_message(folder: Path) -> None:
    rows = [f"{i if i % 3 else 'x'},{i if i % 4 else 'z'},{row}" for i, row in enumerate(ROWS)]
    refused = refusal(lines(rows, "p,q q," + HEADER))
    assert "column 'p' has 4 cells" in refused
    assert "column 'q q' has 3 cells" in refused
    assert "'task.drop=[p,q q]'" in refused
    read(lines(rows, "p,q q," + HEADER), drop=["p", "q q"])


def test_a_cell_that_is_too_long_to_be_pasted_is_not_advised(folder: Path) -> None:
    for column, helps in ((0, "; what helps: 'task.categories=[a]' or 'task.drop=[a]'"), (2, "")):
        row = ["1", "2", "3"]
        row[column] = "z" * 401
        refused = refusal(lines([*ROWS, ",".join(row)]))
        assert refused.endswith(f"such as '{'z' * 37}...' in row 13{helps}")


@pytest.mark.parametrize("cell", ["${b}", "${", '"', 'a"b', "it's", "1;5,[x]", "Null"])
def test_a_cell_that_is_advised_can_be_pasted(folder: Path, cell: str) -> None:
    content = FRAME.astype({"b": object}).replace({"b": {X[3, 1]: cell}}).to_csv(index=False)
    advice = re.search(r"what helps: (.*) or 'task.cat", refusal(content))
    assert advice is not None
    chosen = ["task=table", "task.path=data.csv", "task.target=y", *shlex.split(advice[1])]
    assert build_experiment(compose(chosen)).exact.input_names[:2] == ("a", "b")


def test_a_cell_that_cannot_be_typed_is_not_advised(folder: Path) -> None:
    assert refusal(lines([*ROWS, "7,a\tb,9"])).endswith(
        "what helps: 'task.categories=[b]' or 'task.drop=[b]'"
    )


def test_another_encoding_is_advised_than_the_one_that_failed(folder: Path) -> None:
    content = lines([*ROWS, "7,\x81,9"]).encode("latin-1")
    assert refusal(content).endswith("for example task.encoding=cp1252")
    assert refusal(content, encoding="utf-8").endswith("for example task.encoding=cp1252")
    assert refusal(content, encoding="windows-1252").endswith("for example task.encoding=latin-1")
    names = lines([f"{row},S\u00cc\u00c1nchez" for row in ROWS], f"{HEADER},{'name' * 50}")
    assert refusal(names.encode("cp1252")).endswith("for example task.encoding=cp1252")
    content = lines([*ROWS, "7,И,9"]).encode()
    for failed in ("cp1251", "ascii"):
        assert refusal(content, encoding=failed).endswith("for example task.encoding=utf-8")
    with pytest.raises(SettingError, match="cannot be read: "):
        TableTask(path="\ud800.csv", target="y").table(rng())


def test_many_columns_that_are_wrong_are_counted(folder: Path) -> None:
    rows = [",".join([f"{i}x" if i % 2 else str(i)] * 30) + f",{row}" for i, row in enumerate(ROWS)]
    header = ",".join(f"p{i}" for i in range(30))
    assert re.search(r"and \d+ more columns", refusal(lines(rows, f"{header},{HEADER}")))


def test_a_column_has_one_role(folder: Path) -> None:
    assert refusal(PLAIN, target=["y", "y"]) == "task.target has 'y' twice"
    assert refusal(PLAIN, drop=["y"]) == "task.drop has 'y', which is a target too"
    assert refusal(PLAIN, inputs=["y"]) == "task.inputs has 'y', which is a target too"


def test_classes_need_a_word(folder: Path) -> None:
    content = lines([f"{row}," for row in ROWS], HEADER + ",kind")
    assert "'kind' is a target without a value" in refusal(content, target="kind", classes=True)


def test_numbers_of_several_groups_show_their_mark(folder: Path) -> None:
    rows = [f'"{i + 1},234,567",{row}' for i, row in enumerate(ROWS)]
    big = read(lines(rows, "big," + HEADER)).inputs[:, 0]
    np.testing.assert_array_equal(big, [(i + 1) * 1e6 + 234567 for i in range(len(ROWS))])
    given = read(lines(rows, "big," + HEADER), thousands="comma").inputs[:, 0]
    np.testing.assert_array_equal(given, big)


def advised(content: str, **chosen: Any) -> list[str]:
    """The settings of numbers that are advised for a file; none if it is read."""
    try:
        read(content, **chosen)
    except SettingError as error:
        return re.findall(r"task\.((?:decimal|thousands)=\w+)", str(error))
    return []


@pytest.mark.parametrize(
    ("cell", "chosen", "advice"),
    [
        ("1.234,5", {}, ["decimal=comma"]),
        ("1.234,5", {"decimal": "comma"}, ["thousands=point"]),
        ("1.234", {"decimal": "comma"}, ["decimal=point", "thousands=point"]),
        ("1,234", {"decimal": "point"}, ["decimal=comma", "thousands=comma"]),
        ("1,234.5", {"decimal": "comma"}, ["decimal=point"]),
        ("1 234.5", {}, ["thousands=blank"]),
        ("1'234", {}, ["thousands=apostrophe"]),
        ("1 234,5", {"decimal": "comma"}, ["thousands=blank"]),
    ],
)
def test_what_is_advised_for_numbers_helps(
    folder: Path, cell: str, chosen: dict[str, str], advice: list[str]
) -> None:
    rows = [f"{i};{i};{i * i % 7}" for i in range(220)]  # more than those that are examined
    content = lines([*rows, f"{cell};1;2"], "a;b;y")
    assert advised(content, **chosen) == advice
    for setting in advice:
        settings = {**chosen, **dict([setting.split("=")])}
        further = advised(content, **settings)  # the other mark, if there are two
        assert not advised(content, **settings, **dict(text.split("=") for text in further))


POINTS = ["T0;823;1.234", "T1;1.234;12.345", "T2;12.345;1.234", "T3;-7.123;2.345"]


def test_points_that_may_be_between_thousands_are_refused_beside_smaller_numbers(
    folder: Path,
) -> None:
    content = lines(POINTS, "id;a;y")
    assert refusal(content).endswith(
        "has numbers such as '1.234', which may be 1234 or 1.234: set task.thousands=point or "
        "task.decimal=point"
    )
    assert read(content, thousands="point").inputs[:2, 0].tolist() == [823, 1234]
    assert read(content, decimal="point").inputs[:2, 0].tolist() == [823, 1.234]


def test_points_below_the_lines_that_tell_the_dialect_are_refused_too(folder: Path) -> None:
    small = [f"T{i};{i};{i * i % 7}" for i in range(220)]
    content = lines([*small, *POINTS], "id;a;y")
    assert "has numbers such as '1.234', which may be 1234 or 1.234" in refusal(content)
    assert read(content, thousands="point").inputs[-1, 0] == -7123
    assert read(lines([*small, *POINTS, "T;0.5;1"], "id;a;y")).inputs[-1, 0] == 0.5


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([row.replace("823", "2.823") for row in POINTS], True),
        ([row.replace("823", "823.5") for row in POINTS], False),
        ([row.replace("823", "0.823") for row in POINTS], False),
        ([row.replace(";", ",") for row in POINTS], False),
    ],
)
def test_points_that_are_no_less_likely_decimal_marks_are_so(
    rows: list[str], told: bool, folder: Path
) -> None:
    read_as = data(lines(rows, "id;a;y" if ";" in rows[0] else "id,a,y")).notes[0]
    assert ("2.823 has decimals (task.thousands=point makes it 2823)" in read_as) == told


def test_two_settings_are_advised_together_where_one_does_not_help(folder: Path) -> None:
    rows = [f"{i};{i};{i * i % 7}" for i in range(220)]  # more than those that are examined
    content = lines([*rows, "1 234,5;1;2"], "a;b;y")
    assert "what helps: task.decimal=comma task.thousands=blank or" in refusal(content)
    assert read(content, decimal="comma", thousands="blank").inputs[-1, 0] == 1234.5


@pytest.mark.parametrize(
    ("cells", "chosen", "values"),
    [
        (["1.234,5", "2,5"], {"decimal": "comma"}, [1234.5, 2.5]),
        (["1.234", "2"], {"thousands": "point"}, [1234, 2]),
        (["1.234", "2"], {"decimal": "comma"}, [1234, 2]),
        (['"1,234"', "2.5"], {"decimal": "point"}, [1234, 2.5]),
    ],
)
def test_what_is_not_set_of_numbers_is_detected(
    folder: Path, cells: list[str], chosen: dict[str, Any], values: list[float]
) -> None:
    content = lines([f"{cells[i % 2]};{i};{i * i % 7}" for i in range(8)], "a;b;y")
    assert read(content, **chosen).inputs[:2, 0].tolist() == values


def test_numbers_as_text_in_a_table_in_memory(folder: Path) -> None:
    frame = FRAME.assign(b=["1.234,5", 2.5, *map(str, range(10))])
    path: dict[str, Any] = {"path": None, "target": "y", "frame": frame}
    helps = r"in row 1; what helps: task\."
    with pytest.raises(SettingError, match=f"{helps}decimal=comma"):
        TableTask(**path).table(rng())
    with pytest.raises(SettingError, match=f"{helps}thousands=point"):
        TableTask(**path, decimal="comma").table(rng())
    table = TableTask(**path, decimal="comma", thousands="point").table(rng())
    assert table.inputs[:3, 1].tolist() == [1234.5, 2.5, 0]


@excel
def test_numbers_as_text_in_a_workbook(folder: Path) -> None:
    content = workbook(FRAME.assign(b=["1,5", 2.5, *map(str, range(10))]))
    assert "what helps: task.decimal=comma" in refusal(content, "data.xlsx")
    assert read(content, "data.xlsx", decimal="comma").inputs[:3, 1].tolist() == [1.5, 2.5, 0]


@parquet
def test_decimal_numbers_are_numbers_whatever_the_mark_in_text(folder: Path) -> None:
    frame = FRAME.assign(b=[Decimal(i) / 4 for i in range(12)], c=[f"{i},5" for i in range(12)])
    content = io.BytesIO()
    frame.to_parquet(content)
    table = read(content.getvalue(), "data.parquet", decimal="comma")
    assert table.inputs[:2, 1:].tolist() == [[0, 0.5], [0.25, 1.5]]


def test_truth_is_no_number(folder: Path) -> None:
    content = lines([f"{row},{i > 5}" for i, row in enumerate(ROWS)], HEADER + ",new")
    assert "'new' is a target of text, such as 'False'" in refusal(content, target=["y", "new"])
    assert "'new' is a target of text" in refusal(content, target="new", classes=False)


def test_a_column_that_is_not_there(folder: Path) -> None:
    assert refusal(PLAIN, target="yy") == (
        "task.target 'yy' is not a column of task.path='data.csv', which has 'a', 'b', 'y'; "
        "-1 is the last one; did you mean 'y'?"
    )
    assert refusal(PLAIN, drop=["bee"]).startswith("task.drop 'bee' is not a column")
    assert "task.header=true" in refusal("\n".join(ROWS), target="3.73")
    assert "task.skip" not in refusal("\n".join([*ROWS, "7,eight,9"]), target=-1)
    titled = refusal(f"Report,,\nby someone,,\n{PLAIN}")
    assert "'column2'; -1 is the last one; task.skip leaves out lines above the names" in titled
    titled = refusal(f"Report,,\nby someone,,\n{PLAIN}", target=-1)
    assert titled.endswith(
        "'task.drop=[Report,column1]'; task.skip leaves out lines above the names"
    )
    assert refusal(PLAIN, target=None) == (
        "task.target is missing: name the column to predict (task.target=y), one of 'a', 'b', 'y'"
    )
    wide = ",".join(f"c{i}" for i in range(500))
    assert "'c19' and 480 more" in refusal(lines([",".join("1" * 500)] * 4, wide))
    message = "has no input left: every column is in task.target or task.drop"
    assert message in refusal(PLAIN, target=["a", "b", "y"])
    assert message in refusal(PLAIN, drop=["a", "b"])


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere.csv", "task.path='nowhere.csv' does not exist: there is no such file"),
        ("a\0b", "task.path='a\\x00b' does not exist: there is no such file"),
        (".", "task.path='.' is a directory; a file is needed"),
        ("https://example.org/a.csv", "task.path='https://example.org/a.csv' is an address"),
        ("~no-such-user/a.csv", "task.path='~no-such-user/a.csv' does not exist"),
        ("x" * 5000, f"task.path='{'x' * 5000}' cannot be read: File name too long"),
        ("/dev/zero", "task.path='/dev/zero' is a pipe or a device, not a file"),
    ],
)
def test_a_file_that_is_not_there(path: str, message: str) -> None:
    with pytest.raises(SettingError) as error:
        TableTask(path=path, target="y").table(rng())
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_a_named_pipe_is_refused_rather_than_waited_for(folder: Path) -> None:
    os.mkfifo("pipe")
    with pytest.raises(SettingError, match="is a pipe or a device"):
        TableTask(path="pipe", target="y").table(rng())


def test_an_open_file_is_read_by_its_number_and_a_link_is_followed(folder: Path) -> None:
    Path("data.csv").write_text(PLAIN)
    out, into = os.pipe()
    os.write(into, PLAIN.encode())
    os.close(into)
    piped = TableTask(path=f"/dev/fd/{out}", target="y")
    os.symlink("data.csv", "link.csv")
    for task_ in (piped, piped, TableTask(path="link.csv", target="y")):  # read once, and kept
        np.testing.assert_array_equal(task_.table(rng()).inputs, X[:, :2])
    os.close(out)


def framed(content: bytes) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(content.replace(b"\n" + HEADER.encode(), b"")))


@pytest.mark.parametrize(
    "pack",
    [
        bytes,
        gzip.compress,
        lambda c: archive(("a", c.decode())),
        pytest.param(lambda c: workbook(framed(c)), marks=excel),
        pytest.param(lambda c: framed(c).to_parquet(), marks=parquet),
    ],
)
def test_the_size_is_limited(folder: Path, pack: Callable[[bytes], bytes]) -> None:
    packed = pack(PLAIN.encode() * 100)
    limit = 2000 / 2**30
    assert "(task.largest is the limit, in GiB)" in refusal(packed, largest=limit)


def test_a_missing_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = workbook(FRAME)
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "pip install 'ffn_train[excel]'" in refusal(content)
    assert "pip install 'ffn_train[parquet]'" in refusal(b"PAR1....PAR1")


def test_rows_are_grouped_by_one_column(folder: Path) -> None:
    assert refusal(PLAIN, groups=["a", "b"]) == "task.groups is one column, got 'a', 'b'"
    twice = PLAIN.replace("a,b,y", "a,a,y")
    assert refusal(twice, groups="a") == "task.groups is one column, got 'a', 'a.1'"
    assert len(data(PLAIN, groups=["a"]).x_train)


@pytest.mark.parametrize(
    ("name", "unused"),
    [
        ("data.npy", {"skip": 1}),
        ("data.npy", {"header": False}),
        ("data.npz", {"units": True}),
        pytest.param("data.parquet", {"separator": "comma"}, marks=parquet),
        pytest.param("data.xlsx", {"encoding": "cp1252"}, marks=excel),
        (None, {"skip": 2}),
    ],
)
def test_a_setting_of_text_is_refused_for_another_table(
    folder: Path, name: str | None, unused: dict[str, Any]
) -> None:
    frame, where = None if name else FRAME, "a table in memory"
    if name:
        kind = name.partition(".")[2]
        if kind == "npy":
            np.save(name, X)
        elif kind == "npz":
            Path(name).write_bytes(arrays(**FRAME))
        elif kind == "parquet":
            FRAME.to_parquet(name)
        else:
            kind = "Excel"
            Path(name).write_bytes(workbook(FRAME))
        where = f"task.path={name!r}, which is {kind}"
    chosen: dict[str, Any] = {"path": name, "target": -1, "frame": frame}
    TableTask(**chosen).table(rng())
    with pytest.raises(SettingError) as error:
        TableTask(**chosen, **unused).table(rng())
    ((key, value),) = unused.items()
    written = str(value).lower() if isinstance(value, bool) else value
    assert str(error.value) == f"task.{key}={written} has no effect on {where}; leave it out"
    Path("second.csv").write_text(PLAIN)  # which the setting may be for
    if name not in (None, "data.npy") and key != "units":
        TableTask(**{**chosen, "target": "y"}, **unused, validation_path="second.csv")
