"""Tables from files: every way to write the same one, and what its columns mean."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ffn_train.config.composition import compose
from ffn_train.config.overrides import as_written, grammar
from ffn_train.config.settings import SettingError
from ffn_train.running.experiment import Experiment, build_experiment
from ffn_train.sweep.axes import parse
from ffn_train.sweep.run import check
from ffn_train.sweep.space import Space
from ffn_train.tasks.tabular import Columns, TableTask
from ffn_train.tasks.tabular.categories import as_words, known_words
from ffn_train.tasks.tabular.columns import Column
from ffn_train.tasks.tabular.numerals import Numerals
from ffn_train.tasks.tabular.reading import unique
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
    parts_of,
    read,
    refusal,
    rng,
    workbook,
)

# The same table, in other words

WITH_COMMA = PLAIN.replace(",", ";").replace(".", ",")
SAME: dict[str, str | bytes | tuple[str | bytes, dict[str, Any]]] = {
    "semicolon": PLAIN.replace(",", ";"),
    "decimal comma": WITH_COMMA,
    "decimal comma and tabs": WITH_COMMA.replace(";", "\t"),
    "tabs, and blanks as often in the header as in dates": (
        WITH_COMMA.replace(";", "\t")
        .replace("\n", "\t03 May 2020\n")
        .replace("03 May 2020", "day of w,z", 1),
        {"drop": ["day of w,z"]},
    ),
    "blanks, and tabs before the target": "".join(
        "   ".join(line.rsplit(",", 1)[0].split(",")) + "\t" + line.rsplit(",", 1)[1] + "\n"
        for line in PLAIN.splitlines()
    ),
    "two tabs in some rows": PLAIN.replace(",", "\t").replace("\t-", "\t\t-"),
    "pipes and quoted names": PLAIN.replace(HEADER, '"a","b","y"').replace(",", "|"),
    "blanks": "".join(f"  {line.replace(',', '   ')} \n" for line in PLAIN.splitlines()),
    "sep=": "sep=;\r\n" + PLAIN.replace(",", ";"),
    "comments": "# exported by a logger\n# m, kg, N\n" + PLAIN,
    "a header behind a #": "# " + PLAIN,
    "a quoted header behind a #, between blanks": (
        "# " + PLAIN.replace(HEADER, '"a" "b" "y"').replace(",", " ")
    ),
    "a row of units": lines(["m,-,N", *ROWS]),
    "lines before": ("Report, of today\n\n\n" + PLAIN, {"skip": 2}),
    "columns without name and cell": lines([row + ",," for row in ROWS], HEADER + ",,"),
    "the advice of before for them": (
        lines([row + ",," for row in ROWS], HEADER + ",,"),
        {"drop": [""]},
    ),
    "rows of empty cells": PLAIN + ",,\n,,\n",
    "two dropped columns of one name": (
        lines([f"x,{row},z" for row in ROWS], f"note,{HEADER},note"),
        {"drop": ["note"]},
    ),
    "an index": lines([f"{i},{row}" for i, row in enumerate(ROWS)], "," + HEADER),
    "names of rows": lines([f"{i},{row}" for i, row in enumerate(ROWS, 1)]),
    "a comma left in the header": PLAIN.replace(",", ";").replace("y\n", "y,\n", 1),
    "thousands": lines(
        [f'{a},{b},"{1000 * float(y):,.1f}"' for a, b, y in (row.split(",") for row in ROWS)]
    ),
    "percent and currency": lines(
        [f"{a}%,$ {b}, {y} €" for a, b, y in (row.split(",") for row in ROWS)]
    ),
    "BOM": "\ufeff" + PLAIN,
    "CRLF": PLAIN.replace("\n", "\r\n"),
    "CR": PLAIN.replace("\n", "\r"),
    "UTF-16": PLAIN.replace(",", "\t").encode("utf-16"),
    "UTF-16 without a mark": PLAIN.encode("utf-16-le"),
    "no last newline": PLAIN.rstrip("\n"),
    "blank lines": "\n\n" + PLAIN.replace("\n", "\n \n"),
    "quotes after blanks": PLAIN.replace(",", '" , "').replace("\n", '"\n"').join('""')[:-2],
    "gzip": gzip.compress(PLAIN.encode()),
    "bz2": bz2.compress(PLAIN.encode()),
    "xz": lzma.compress(PLAIN.encode()),
    "zip": archive(("folder/a.csv", PLAIN), ("__MACOSX/._a.csv", "\0")),
    "minus signs as typeset": PLAIN.replace("-", "\u2212"),
    "npz of the other byte order": arrays(**dict(zip("aby", X.T.astype(">f8"), strict=True))),
    "npz": arrays(a=X[:, 0], b=X[:, 1:2], y=X[:, 2]),
    "Excel": workbook(FRAME),
    "Excel below a title": (
        workbook(
            pd.DataFrame([["Report", None, None], [None] * 3, [*"aby"], *X.tolist()]), header=False
        ),
        {"skip": 2},
    ),
    "inputs by name": (
        lines([f"u{i},{row}" for i, row in enumerate(ROWS)], "id," + HEADER),
        {"inputs": ["a", "b"]},
    ),
    "said in settings": (
        WITH_COMMA,
        {"separator": "semicolon", "decimal": "comma", "thousands": "none", "header": True},
    ),
}


@pytest.mark.parametrize("case", SAME)
def test_the_same_table_however_it_is_written(folder: Path, case: str) -> None:
    given = SAME[case]
    content, chosen = given if isinstance(given, tuple) else (given, {})
    plain, other = read(PLAIN), read(content, **chosen)
    assert (other.input_names, other.target_names) == (("a", "b"), ("y",))
    assert other.inputs.tobytes() == plain.inputs.tobytes()
    np.testing.assert_allclose(other.targets * (1e-3 if case == "thousands" else 1), plain.targets)


def test_the_plain_file(folder: Path) -> None:
    table = read(PLAIN)
    np.testing.assert_array_equal(table.inputs, X[:, :2])
    np.testing.assert_array_equal(table.targets, X[:, 2:])
    assert table.inputs.flags.c_contiguous


@pytest.mark.parametrize("text", ["1e308", "5e-324", "0.1", "123456789.123456789", "+2.50E0"])
def test_numbers_are_the_nearest_ones(folder: Path, text: str) -> None:
    assert read(PLAIN.replace("0.03", text)).inputs[0, 0] == float(text)


@pytest.mark.parametrize(
    "name", ["C6H6(GT)", "price ($)", "#sold", "größe", "2001", "w;z", "y=m", "-1"]
)
def test_names_are_taken_as_they_are(folder: Path, name: str) -> None:
    table = read(PLAIN.replace("y\n", f"{name}\n", 1), target=name)
    assert (table.target_names, table.input_names) == ((name,), ("a", "b"))
    np.testing.assert_array_equal(table.targets, X[:, 2:])
    first = read(PLAIN.replace("a,", f"{name},", 1), inputs=[name])
    assert first.input_names == (name,)


@pytest.mark.parametrize("target", [2, -1, "2", "last", ["2"]])
def test_a_column_by_its_place(folder: Path, target: Any) -> None:
    table = read("\n".join(ROWS), target=target)
    assert table.target_names == ("column2",)
    assert len(table.targets) == 12
    assert read(PLAIN, target=target, drop=0).input_names == ("b",)


def test_two_inputs_of_one_name(folder: Path) -> None:
    table = read(PLAIN.replace("a,b", "a,a", 1))
    assert table.input_names == ("a", "a.1")
    assert "some share a name" in refusal(PLAIN.replace("a,b", "y,a", 1))


# Columns of each kind


def test_a_category_has_a_column_for_each_level(folder: Path) -> None:
    words = ["red", "green", "blue"] * 4
    content = lines(
        [f"{word},{row}" for word, row in zip(words, ROWS, strict=True)], "color," + HEADER
    )
    table = read(content)
    names = ("color=blue", "color=green", "color=red", "color=(other)")
    assert table.input_names == (*names, "a", "b")
    np.testing.assert_array_equal(table.inputs[:3, :4], np.eye(4)[[2, 1, 0]])


def test_levels_and_fills_are_those_of_the_training_rows(folder: Path) -> None:
    rows = [f"{'ab'[i % 2]},{i if i % 4 else ''},{i * i}" for i in range(16)]
    rows += ["new,1000,5", "a,,6", ",7,7", "b,8,8"]
    made = data(lines(rows, "kind,n,y"), split="last")
    assert made.input_names == ("kind=a", "kind=b", "kind=(other)", "n", "n=(missing)")
    x = made.x_validation * made.input_std + made.input_mean
    np.testing.assert_allclose(x[0], [0, 0, 0, 1000, 0])  # no level, which none has taught
    np.testing.assert_allclose(x[1], [1, 0, 0, 8, 1])  # the median
    assert "missing cells in n" in made.notes[-1]


def test_rare_levels_share_a_column_with_all_that_are_unknown(folder: Path) -> None:
    rows = [f"{word},{i * i}" for i, word in enumerate(["a", "b"] * 8 + ["c", "d", "e", "f"])]
    order = [*range(14), 16, 17, 14, 15, 18, 19]
    made = data(lines([rows[i] for i in order], "kind,y"), split="last")
    x = made.x_validation * made.input_std + made.input_mean
    np.testing.assert_allclose(x, [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]], atol=1e-12)


def test_a_level_that_no_row_has_any_more_is_none() -> None:
    cells = pd.Series(pd.Categorical(["v", None, "v", "u"], ["w", "u", "v"]))
    words, places = as_words(cells)
    assert words == ["", "u", "v"]
    assert [words[place] for place in places] == ["v", "", "v", "u"]


@pytest.mark.parametrize("first", [4111111111111111, 9007199254740993])
def test_long_codes_are_told_apart_beside_a_missing_one(folder: Path, first: int) -> None:
    """Numbers beside a missing cell are floating-point ones, which round the longer codes."""
    codes = [*(str(first + i % 4) for i in range(11)), ""]
    content = lines([f"{code},{row}" for code, row in zip(codes, ROWS, strict=True)], "c,a,b,y")
    words = [f"c={first + i}" for i in range(4)]
    made = read(content, categories=["c"])
    assert made.input_names == (*words, "c=(missing)", "c=(other)", "a", "b")
    np.testing.assert_array_equal(made.inputs[:4, :4], np.eye(4))
    assert read(content, target="c", classes=True).target_names == tuple(w[2:] for w in words)
    parts = parts_of(data(content, groups="c", validation=0.4))
    grouped = np.arange(11) % 4
    assert not {*grouped[parts.train[parts.train < 11]]} & {
        *grouped[parts.validation[parts.validation < 11]]
    }
    Path("second.csv").write_text(f"c,a,b,y\n{first + 1},1,2,3\n,1,2,3\n")
    both = data(content, categories=["c"], validation_path="second.csv")
    x = both.x_validation * both.input_std + both.input_mean
    np.testing.assert_allclose(x[:, :6], [[0, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 0]], atol=1e-12)


def test_codes_beside_a_gap_are_those_of_a_second_file_that_has_words(folder: Path) -> None:
    """The gap makes the codes of one file floating-point, and a word those of the other text."""

    def file(last: str) -> str:
        codes = [*"123" * 3, "1", "2", last]
        return lines([f"{c},{row}" for c, row in zip(codes, ROWS, strict=True)], "c,a,b,y")

    for first, second in (("", "A7"), ("A7", "")):
        Path("second.csv").write_text(file(second))
        made = data(file(first), categories=["c"], validation_path="second.csv")
        places = [made.input_names.index(f"c={code}") for code in "123"]
        for x in (made.x_train, made.x_validation):
            codes = (x * made.input_std + made.input_mean)[:, places].round(9)
            assert codes.sum(axis=0).tolist() == [4, 4, 3]


@pytest.mark.parametrize("first", ["-", ""])
def test_row_numbers_without_a_name_may_stand_beside_units(folder: Path, first: str) -> None:
    rows = [f"{first},m,s,N", *(f"{number},{row}" for number, row in enumerate(ROWS))]
    table = read(lines(rows, ",a,b,y"))
    assert table.input_names == ("a", "b")
    assert len(table.inputs) == len(ROWS)


def test_infinity_is_no_long_code() -> None:
    frame = FRAME.assign(c=[1.0, np.inf] * 6)
    made = TableTask(path=None, target="y", categories=["c"], frame=frame).table(rng())
    assert made.input_names[-3:] == ("c=1", "c=inf", "c=(other)")


def test_codes_that_are_rounded_already_are_refused(folder: Path) -> None:
    frame = FRAME.assign(c=[math.nan, *(2.0**53 + 2 * i for i in range(11))])
    path: dict[str, Any] = {"path": None, "target": "y", "frame": frame}
    with pytest.raises(
        SettingError, match=r"^the table: column 'c' has codes among floating-point"
    ):
        TableTask(**path, categories=["c"]).table(rng())
    assert "c" in TableTask(**path).table(rng()).input_names
    marked = TableTask(**path, categories=["c"], missing=[str(2**53 + 2 * i) for i in range(10)])
    with pytest.raises(SettingError, match="column 'c' has codes"):
        marked.table(rng())
    assert (
        "c=(missing)"
        in TableTask(
            **{**path, "frame": frame.assign(c=[2.0**60, *range(11)])},
            categories=["c"],
            missing=[str(2**60)],
        )
        .table(rng())
        .input_names
    )


def test_older_versions_wrote_words_of_bytes_and_long_codes_otherwise() -> None:
    known = ("4.11111111111111e+15", "b'red'", "5")
    cells = pd.Series(["red", "4111111111111111", "5", "blue", None])
    words, index = known_words(cells, known, Numerals())
    assert [words[i] for i in index] == ["b'red'", "4.11111111111111e+15", "5", "blue", ""]


@pytest.mark.parametrize("values", [[3.0, 1.0, 2.0], [4.0, 1.0, 3.0, 2.0], [2.0], [5.0, 5.0]])
def test_the_fill_is_the_median_of_the_present_cells(values: list[float]) -> None:
    cells = pd.Series([*values, math.nan])
    column = Column("a", "number").fitted(cells, np.arange(len(cells)), Numerals())
    assert column.fill == np.median(values)
    assert column.indicator


@pytest.mark.parametrize("words", [("True", "False"), ("yes", "no"), ("Y", "N"), ("t", "f")])
def test_yes_and_no_are_1_and_0(folder: Path, words: tuple[str, str]) -> None:
    rows = [f"{words[i % 2]},{row}" for i, row in enumerate(ROWS)]
    table = read(lines(rows, "new," + HEADER))
    np.testing.assert_array_equal(table.inputs[:, 0], [1, 0] * 6)
    missing = lines(["," + ROWS[0], *rows[1:]], "new," + HEADER)
    assert read(missing).input_names[:2] == ("new", "new=(missing)")


@pytest.mark.parametrize("words", ["nf", "nfyt", "ty", "fNn", ("yes", "N"), ("True", "no")])
def test_words_of_several_pairs_of_yes_and_no_are_a_category(folder: Path, words: Any) -> None:
    rows = [f"{words[i % len(words)]},{row}" for i, row in enumerate(ROWS)]
    names = read(lines(rows, "gill," + HEADER)).input_names
    assert names == (*(f"gill={word}" for word in sorted(words)), "gill=(other)", "a", "b")


@pytest.mark.parametrize(
    ("words", "numbers", "coded"),
    [
        ("fr", "4", ["drive=4", "drive=f", "drive=r"]),
        (["18-29", "30-44"], "7", ["drive=18-29", "drive=30-44", "drive=7"]),
        ("f", "468", None),  # one word may stand for missing cells
        ("fr", "468", None),
    ],
)
def test_words_that_outnumber_the_numbers_beside_them(
    folder: Path, words: Sequence[str], numbers: str, coded: list[str] | None
) -> None:
    cells = [*words, *words, *words, *words, *(numbers * 4)][: len(ROWS)]
    rows = [f"{cell},{row}" for cell, row in zip(cells, ROWS, strict=True)]
    content = lines(rows, "drive," + HEADER)
    if coded is None:
        assert "'task.categories=[drive]'" in refusal(content)
    else:
        assert [*read(content).input_names[:3]] == coded


def test_many_words_among_numbers_are_text_and_damaged_numbers_are_not(folder: Path) -> None:
    rows = [f"{{}}{i},{ROWS[i % len(ROWS)]}" for i in range(36)]
    tickets = [row.format("PC " if i % 3 == 0 else "") for i, row in enumerate(rows)]
    left_out = data(lines(tickets, "ticket," + HEADER)).notes[1]
    assert "ticket left out: its words all differ" in left_out
    damaged = [row.format("<" if i % 3 == 0 else "") for i, row in enumerate(rows)]
    assert "column 'ticket' has 12 cells that are no finite number" in refusal(
        lines(damaged, "ticket," + HEADER)
    )


def test_the_states_of_a_country_are_categories(folder: Path) -> None:
    rows = [f"s{i % 51:02},{ROWS[i % len(ROWS)]}" for i in range(153)]
    assert "state=s50" in read(lines(rows, "state," + HEADER)).input_names


@pytest.mark.parametrize(
    ("words", "rare", "kept"), [(70, 7, True), (70, 8, False), (300, 0, False)]
)
def test_many_words_are_a_category_if_they_are_common(
    folder: Path, words: int, rare: int, kept: bool
) -> None:
    cells = [f"c{i:03}" for i in range(words) for _ in range(1 + 3 * (i >= rare))]
    rows = [f"{cell},{ROWS[i % len(ROWS)]}" for i, cell in enumerate(cells)]
    names = read(lines(rows, "country," + HEADER)).input_names
    assert (f"country=c{words - 1:03}" in names) == kept


def test_the_errors_of_spreadsheets_are_missing_cells(folder: Path) -> None:
    rows = [*ROWS, *(f"1,{error},2" for error in ("#DIV/0!", "#NULL!", "#VALUE!", "<NA>"))]
    assert data(lines(rows)).notes[2].startswith("missing cells in b: ")


def test_what_is_left_out_by_rule_is_said_and_can_be_kept(folder: Path) -> None:
    rows = [f"{i},n{i},Oslo,{i % 2},{row}" for i, row in enumerate(ROWS)]
    content = lines(rows, "No,id,city,code," + HEADER)
    made = data(content)
    assert made.input_names == ("No", "code", "a", "b")
    assert made.notes[0] == "task.path='data.csv': separated by comma, 12 rows"
    assert made.notes[1] == (
        "inputs: numbers No, code, a, b; target y; id left out: its words all differ; "
        "city left out: it is one word in all rows; "
        "No: it counts the rows ('task.drop=[No]' leaves it out)"
    )
    assert len(made.notes) == 2
    kept = read(content, categories=["id", "code"])
    assert "id=(other)" in kept.input_names  # as no word is there twice
    assert "code=1" in kept.input_names
    assert read(content, inputs=["city", "a"]).input_names == ("city=Oslo", "city=(other)", "a")


def test_an_array_of_rows_has_numbered_columns(folder: Path) -> None:
    table = read(arrays(x=X[:, :2], y=X[:, 2]), "data.npz")
    assert table.input_names == ("x0", "x1")
    np.testing.assert_array_equal(table.inputs, X[:, :2])
    np.save("data.npy", X)
    alone = TableTask(path="data.npy", target="column2").table(rng())
    np.testing.assert_array_equal(alone.inputs, X[:, :2])


@excel
def test_empty_rows_of_a_workbook_count_as_those_of_text_do(folder: Path) -> None:
    blank = [None] * 3
    rows = [blank, [*"aby"], ["m", "-", "N"], *X[:2].tolist(), blank, *X[2:].tolist(), blank]
    below_title = workbook(pd.DataFrame([blank, ["Report", None, None], *rows]), header=False)
    made = data(below_title, "data.xlsx", skip=2, split="last")
    assert made.notes[0].endswith("13 rows; 1 row without any cell left out")
    rows_of = made.to_json()["rows"]
    assert [*rows_of["train"], *rows_of["validation"]] == [0, 1, *range(3, 13)]
    assert made.to_json()["reading"]["units"]
    text = lines([*ROWS[:2], ",,", *ROWS[2:]])
    assert made.digest == data(text, split="last").digest
    wrong = workbook(pd.DataFrame([*rows[1:], ["x", 1, 2]]), header=False)
    assert "such as 'x' in row 15" in refusal(wrong, "data.xlsx")
    headless = workbook(pd.DataFrame(rows[3:]), header=False)
    assert read(headless, "data.xlsx", target=-1).inputs.shape == (12, 2)


@excel
def test_a_year_above_numbers_with_fractions_is_a_name_as_in_text(folder: Path) -> None:
    rows = [["y", 2019, 2020], *([n, n / 2, n] for n in range(12))]
    table = read(workbook(pd.DataFrame(rows), header=False), "data.xlsx", inputs=[2019, 2020])
    assert table.input_names == ("2019", "2020")


@excel
def test_a_workbook_without_cells_is_empty(folder: Path) -> None:
    assert "is empty" in refusal(workbook(pd.DataFrame()), "data.xlsx")


def test_parquet_keeps_its_kinds(folder: Path) -> None:
    pytest.importorskip("pyarrow", reason="parquet files need pyarrow")
    days = pd.date_range("2021-01-01", periods=12)
    whole = pd.array([1, None, *range(10)], dtype="Int64")
    kinds = FRAME.assign(day=days, n=whole, kind=pd.Categorical(["u", "v"] * 6), list=[[1, 2]] * 12)
    kinds.set_index("a").to_parquet("data.parquet")
    table = TableTask(path="data.parquet", target="y").table(rng())
    assert table.input_names[:5] == ("a", "b", "day", "n", "n=(missing)")
    assert table.inputs[1, 2:5].tolist() == [18629, 4, 1]
    with pytest.raises(SettingError, match="column 'list' is a target of text"):
        TableTask(path="data.parquet", target=["y", "list"]).table(rng())


@pytest.mark.parametrize("codes", [[3, 1, 20], ["3", "1", "20"], [3.0, 1.0, None]])
def test_codes_that_are_categorical_in_memory_are_no_numbers(codes: list[Any]) -> None:
    cells = pd.Categorical([codes[i % 3] for i in range(12)])
    path: dict[str, Any] = {"path": None, "target": "y"}
    made = TableTask(**path, frame=FRAME.assign(c=cells)).table(rng())
    asked = TableTask(**path, frame=FRAME.assign(c=[*cells]), categories=["c"]).table(rng())
    assert made.inputs[:].tolist() == asked.inputs[:].tolist()
    many = TableTask(**path, frame=FRAME.assign(c=pd.Categorical(range(12)))).table(rng())
    assert "c" not in " ".join(many.input_names)
    days = pd.Categorical(pd.date_range("2021-01-01", periods=12))
    assert "c" in TableTask(**path, frame=FRAME.assign(c=days)).table(rng()).input_names


# Missing cells and rows that are left out


def test_missing_cells(folder: Path) -> None:
    cells = ["NA", "?", "", "-", "NaN", "-200"]
    rows = [f"{cell},{i},{i}" for i, cell in enumerate([*cells, *"123456"])]
    content = lines(rows, "a,b,y")
    table = read(content, missing=["-200"])
    assert table.input_names == ("a", "a=(missing)", "b")
    np.testing.assert_array_equal(table.inputs[:6, :2], [[3.5, 1]] * 6)
    dropped = data(content, missing=-200, fill="drop")
    assert len(dropped.x_train) + len(dropped.x_validation) == 6
    assert "6 rows without an input left out" in dropped.notes[0]


def test_missing_cells_are_named_as_the_file_writes_its_numbers(folder: Path) -> None:
    cells = ["-200,0", "-200", "0,0", *"1234567"]
    rows = [f"{cell};{i};{i % 5 + 1}" for i, cell in enumerate(cells, 1)]
    for word in ("-200,0", "-200", -200.0):
        made = data(lines(rows, "a;b;y"), missing=[word, "0,0"], decimal="comma")
        assert made.input_names == ("a", "a=(missing)", "b")
        assert (made.x_train[:, 1] > 0).sum() + (made.x_validation[:, 1] > 0).sum() == 3
        assert len(made.notes) == 3  # of which the last is on the fill
    unseen = data(lines(rows, "a;b;y"), missing=["-200.00", "-999", "n.a.", "NA"])
    said = "task.path='data.csv': no cell is '-999' or 'n.a.' (task.missing)"
    assert unseen.notes[2] == said


@pytest.mark.parametrize("name", ["data.csv", pytest.param("data.xlsx", marks=excel)])
def test_blanks_around_a_word_for_a_missing_cell_change_nothing(folder: Path, name: str) -> None:
    columns = {
        "k": ["NA ", "u ", "?  ", *"vuvuvuvuv"],
        "on": [" None ", "yes", "no", *["yes "] * 9],
        "day": ["2021-02-03 ", "- ", *[f"2021-03-{10 + i}" for i in range(10)]],
    }
    frame = pd.DataFrame(columns | FRAME.to_dict("list"))
    bare = frame.map(lambda cell: cell.strip() if isinstance(cell, str) else cell)
    kinds = workbook if name.endswith("xlsx") else lambda frame: frame.to_csv(index=False).encode()
    padded = data(kinds(frame), name)
    assert {"k=(missing)", "on=(missing)", "day=(missing)"} <= {*padded.input_names}
    assert padded.digest == data(kinds(bare), name).digest
    assert "3 rows without an input left out" in data(kinds(frame), name, fill="drop").notes[0]
    classes = data(kinds(frame), name, target="k")
    assert classes.target_names == ("u", "v")
    assert "2 rows without a target left out" in classes.notes[0]


def test_words_for_missing_cells_are_so_in_every_kind_of_table(folder: Path) -> None:
    words = ["u", "?", "v", "NA", "u", "v", "-", "u", "v", "", "u", "v"]
    frame = FRAME.assign(kind=words)
    columns = dict(zip("aby", X.T, strict=True))
    tables = {"data.npz": arrays(**columns, kind=np.array(words))}
    tables["data.csv"] = frame.to_csv(index=False).encode()
    for name, content in tables.items():
        table = read(content, name)
        levels = {"kind=u", "kind=v", "kind=(missing)", "kind=(other)"}
        assert {*table.input_names} == {"a", "b", *levels}
    path: dict[str, Any] = {"path": None, "target": "y", "frame": frame}
    assert {*TableTask(**path).table(rng()).input_names} == {"a", "b", *levels}


def test_bytes_are_the_text_that_they_stand_for(folder: Path) -> None:
    words = ["größe", "?", "v", "NA", "v", "größe", "v", "", "v", "größe", "v", "v"]
    numbers = [row.split(",")[0] for row in ROWS]
    columns = dict(zip("by", X.T[1:], strict=True))
    table = FRAME[["b", "y"]].assign(kind=words, a=numbers)
    plain = read(table.to_csv(index=False))
    as_bytes = {name: np.array([c.encode() for c in table[name]]) for name in ("kind", "a")}
    packed = read(arrays(**columns, **as_bytes), "data.npz")
    frame = table.assign(**{name: [*cells] for name, cells in as_bytes.items()})
    levels = frame.astype({"kind": "category"})
    frames = (TableTask(path=None, target="y", frame=f).table(rng()) for f in (frame, levels))
    for made in (packed, *frames):
        assert made.input_names == plain.input_names
        np.testing.assert_array_equal(made.inputs, plain.inputs)
    latin = arrays(**columns, a=np.array([word.encode("latin-1") for word in words]))
    message = "task.path='data.npz' column 'a' has bytes that are not UTF-8 text"
    assert refusal(latin, "data.npz") == message


def test_arrays_of_one_name_are_two_columns(folder: Path) -> None:
    table = read(arrays(x=X[:, :2], x0=X[:, 0] ** 2, y=X[:, 2]), "data.npz")
    assert table.input_names == ("x0", "x1", "x0.1")
    np.testing.assert_array_equal(table.inputs[:, [0, 2]], np.column_stack([X[:, 0], X[:, 0] ** 2]))


def test_a_cell_may_be_long(folder: Path) -> None:
    long = "z" * 140_000  # csv's limit is 131,072
    cells = [(long if i % 2 else "b", "" if i < 2 else i % 3) for i in range(len(ROWS))]
    rows = [f'{row},"{word}",{last}' for row, (word, last) in zip(ROWS, cells, strict=True)]
    table = read(lines(rows, HEADER + ",word,last"))
    words = ("word=b", f"word={long}", "word=(other)")
    assert table.input_names == ("a", "b", *words, "last", "last=(missing)")
    short = lines([*rows, "1,2,3"], HEADER + ",word,last")
    assert "has 3 fields in row 13 where there are 5 columns" in refusal(short)


def test_many_columns_of_one_name_are_told_apart() -> None:
    names, unnamed, renamed = unique(["a", " a", "", "column2", "a.1", "", "a"])
    assert names == ["a", "a.2", "column2.1", "column2", "a.1", "column5", "a.3"]
    assert unnamed == ("column2.1", "column5")
    assert renamed == {"a.2": "a", "a.3": "a"}
    assert unique(["a"] * 60_000)[0][-1] == "a.59999"


def test_rows_without_a_target_are_left_out_and_counted(folder: Path) -> None:
    content = PLAIN.replace("9.17", "NA").replace("6.77", "") + ",,\n"
    made = data(content)
    assert made.notes[0].endswith(
        "13 rows; 1 row without any cell left out; 2 rows without a target left out"
    )
    rows = made.to_json()["rows"]
    assert sorted([*rows["train"], *rows["validation"]]) == [0, 2, *range(4, 12)]


# What a run is and what it knows of its data


def test_the_digest_is_of_the_rows_and_not_of_how_they_are_written(folder: Path) -> None:
    plain = data(PLAIN).digest
    assert data(WITH_COMMA, "other.csv").digest == plain
    assert data(lines([row + ",x" for row in ROWS], HEADER + ",z"), drop="z").digest == plain
    assert data(PLAIN.replace("0.03", "0.04")).digest != plain
    assert data(PLAIN, split="last").digest != plain
    assert data(PLAIN.replace("a,", "c,", 1)).digest != plain


def test_columns_encode_new_rows_after_a_round_trip_through_json(folder: Path) -> None:
    days = [f"20{20 + i}-03-0{i % 9 + 1}" for i in range(12)]
    rows = [
        f"{'red' if i % 2 else 'blue'},{'' if i == 3 else i},{day},{'yes' if i % 3 else 'no'},{i}"
        for i, day in enumerate(days)
    ]
    content = lines(rows, "color,n,day,flag,y")
    made = data(content, split="last", validation=0.25)
    columns = Columns.from_json(json.loads(json.dumps(made.to_json()["columns"])))
    assert columns.names == made.input_names
    frame = pd.read_csv("data.csv")
    coded = (columns.encode(frame[::-1])[::-1] - made.input_mean) / made.input_std
    np.testing.assert_allclose(coded[:9], made.x_train)
    np.testing.assert_allclose(coded[9:], made.x_validation)
    columns.check(frame, "new.csv")
    needed = (
        r"^new.csv: column 'day' has '1.2.21' in row 1, where a date such as 2020-01-31 is needed$"
    )
    with pytest.raises(SettingError, match=needed):
        columns.check(frame.assign(day=["1.2.21"] * 12), "new.csv")
    with pytest.raises(SettingError, match=r"^new.csv: it has no column 'day'; column 'n' has 'x'"):
        columns.check(frame.drop(columns="day").assign(n=["x"] * 12), "new.csv")


def test_a_small_table_has_small_batches_and_may_count_epochs(folder: Path) -> None:
    Path("data.csv").write_text(PLAIN)
    config = compose(["task=csv", "task.path=data.csv", "task.target=y", "model.width=8"])

    def built(**trainer: Any) -> Experiment:
        return build_experiment({**config, "trainer": {**config["trainer"], **trainer}})

    experiment = built(epochs=7)
    assert experiment.trainer.batches.size == 10
    reduced = "is more than the 10 training rows: a batch is all of them"
    assert experiment.notes[-1] == f"trainer.batch_size=128 {reduced}"
    assert experiment.trainer.steps == experiment.config["trainer"]["steps"] == 7
    assert built(epochs=7, batch_size=2).trainer.steps == 35
    assert built().trainer.steps == 500
    assert built(steps=3).trainer.steps == 3
    assert built(batch_size=11).trainer.batches.size == 10
    assert built(batch_size=11).notes[-1] == f"trainer.batch_size=11 {reduced}"
    assert "batch" not in built(batch_size=10).notes[-1]
    with pytest.raises(SettingError, match=r"trainer.epochs=7 and trainer.steps=5: give only one"):
        built(epochs=7, steps=5)


@pytest.mark.parametrize(
    ("rows", "asked", "doing"),
    [
        ("1,1\n", ("experiment=table",), "trainer.keep=best and trainer.early_stopping=40 do"),
        ("1,1\n2,1\n", ("trainer.early_stopping=3",), "trainer.early_stopping=3 does"),
        ("1,1\n2,2\n", ("experiment=table",), ""),
        ("1,1\n", (), ""),
    ],
)
def test_a_setting_that_needs_a_score_says_where_there_is_none(
    rows: str, asked: tuple[str, ...], doing: str, folder: Path
) -> None:
    Path("data.csv").write_text("a,y\n" + "".join(f"{i},{i * i}\n" for i in range(9)))
    Path("new.csv").write_text(f"a,y\n{rows}")
    files = ("task.path=data.csv", "task.target=y", "task.validation_path=new.csv")
    experiment = build_experiment(compose(["task=table", *asked, *files]))
    there = "there is one row" if rows.count("\n") == 1 else "there are 2 alike"
    assert experiment.warnings == (
        [
            f"{doing} nothing: R² takes two validation rows with different targets, and {there} "
            "(task.validation is their share)"
        ]
        if doing
        else []
    )


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("task.target=price ($)", "target", "price ($)"),
        ("task.target=C6H6(GT)", "target", "C6H6(GT)"),
        ("task.target=größe", "target", "größe"),
        ("task.target=#sold", "target", "#sold"),
        ("task.target=2001", "target", "2001"),
        ("task.target=1e5", "target", "1e5"),
        ("task.target=w,z", "target", "w,z"),
        ("task.target=-1", "target", "-1"),
        ("task.target='it is'", "target", "it is"),
        ("task.target=null", "target", None),
        ("task.drop=[C6H6(GT),größe,'w,z',2001]", "drop", ["C6H6(GT)", "größe", "w,z", "2001"]),
        ("task.drop=[]", "drop", []),
        ("task.drop=['']", "drop", [""]),
        ("task.path=data (1).csv", "path", "data (1).csv"),
        ("task.path=a=b.csv", "path", "a=b.csv"),
        ("task.path=-", "path", "-"),
        ("++task.path=a,b.csv", "path", "a,b.csv"),
        ("task.missing=[-200,x]", "missing", ["-200", "x"]),
    ],
)
def test_names_on_the_command_line_need_no_second_pair_of_quotes(
    text: str, key: str, value: Any
) -> None:
    assert grammar(as_written(text)).value() == value
    assert parse([text])[0].value == (None if parse([text])[0].swept else value)


def test_in_a_sweep_a_column_with_a_comma_wins_over_two_values(folder: Path) -> None:
    base = ["task=table", "task.path=data.csv", "model.depth=2", "model.width=8"]
    Path("data.csv").write_text(lines(ROWS, 'a,b,"w,z"'))
    space = Space([*base, "task.target=w,z"])
    (job,) = space.jobs()
    assert job.config["task"]["target"] == "w,z"
    assert space.notes == ["task.target=w,z is the column 'w,z' of data.csv, not two values"]
    searched = Space([*base, "task.target=w,z", "optimizer.lr=interval(0.125,0.25)"])
    assert {job.config["task"]["target"] for job in searched.jobs()} == {"w,z"}
    several = Space([*base, "task.target=a,b"])
    assert [point["task.target"] for point in several.points] == ["a", "b"]
    assert not several.notes
    assert parse(["task.target=C6H6(GT),größe"])[0].values == ["'C6H6(GT)'", "'größe'"]
    with pytest.raises(SettingError, match=r"task.path=- can be read once"):
        check([*base, "task.path=-", "task.target=y"])
    for part in ("validation", "test"):
        with pytest.raises(SettingError, match=f"task.{part}_path=- can be read once"):
            check([*base, "task.path=data.csv", "task.target=a", f"task.{part}_path=-"])
