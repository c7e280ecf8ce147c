"""How a text file is read: its separator, header, units and the marks in its numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ffn_train.config.settings import SettingError
from ffn_train.tasks.tabular import TableTask
from ffn_train.tasks.tabular.dialect import Given, find
from ffn_train.tasks.tabular.numerals import Numerals
from ffn_train.tasks.tabular.text import SAMPLE
from tests.tasks.written import (
    HEADER,
    PLAIN,
    ROWS,
    X,
    data,
    lines,
    read,
    refusal,
    rng,
)


def test_a_first_line_that_goes_on_below_is_no_header(folder: Path) -> None:
    rows = [f"{i % 3},{i if i % 5 else '?'},{'gas' if i % 2 else 'diesel'},{i}" for i in range(12)]
    assert read("\n".join(rows), target=-1).inputs.shape[0] == 12
    assert read(lines(rows, "0,2001,fuel,2002"), target="2002").inputs.shape[0] == 12
    assert read("\n".join(rows), target=-1, header=True).inputs.shape[0] == 11


def test_a_first_line_of_words_that_mostly_go_on_below_is_no_header(folder: Path) -> None:
    words = [f"{'uv'[i % 2]},n{i},{'pqr'[i % 3]},{'no' if i % 3 else 'yes'}" for i in range(12)]
    made = data("\n".join(words), target=-1)
    assert made.notes[0].endswith("no header (task.header=true: there is one), 12 rows")
    named = read(lines(words, "kind,p,r,label"), target="label")  # r is a word of its column
    assert (len(named.inputs), named.target_names) == (12, ("no", "yes"))
    unnamed = [f"{'' if i % 2 else 'u'},{row}" for i, row in enumerate(words)]
    assert len(read(lines(unnamed, ",kind,p,r,label"), target="label").inputs) == 12
    counted = [f"{'' if i % 2 else 'u'},{i},{i * i % 7}" for i in range(12)]
    assert len(read(lines(counted, ",2001,y")).inputs) == 12
    gaps = [f"{'' if i % 2 else 'u'},n{i},{i / 7}" for i in range(1, 13)]
    assert len(read("\n".join(gaps), target=-1, categories=["column1"]).inputs) == 12


@pytest.mark.parametrize("date", ["{}.01.2019", "{} January 2019", "2019-01-{}", "1/{}/19 08:00"])
def test_a_first_line_with_a_date_above_dates_is_no_header(folder: Path, date: str) -> None:
    rows = [f"{date.format(i)},{row}" for i, row in enumerate(ROWS, 10)]
    assert len(read("\n".join(rows), target=-1).inputs) == len(ROWS)
    months = [f"{month},{row}" for month, row in zip("ABCDEFGHIJKL", ROWS, strict=True)]
    gaps = [f",{row}" if i % 3 else f"{i}.01.2019,{row}" for i, row in enumerate(ROWS, 10)]
    assert len(read("\n".join(gaps), target=-1).inputs) == len(ROWS)
    years = ",".join(["month", "2001", "2002", "2003"])  # numbers, but no words that go on below
    assert read(lines(months, years), target="2003").input_names[:2] == ("2001", "2002")


def test_a_word_for_missing_cells_is_no_unit_and_no_name(folder: Path) -> None:
    rows = ["n.d.,u,yes", *(f"{i},u,{('yes', 'no')[i % 2]}" for i in range(8))]
    assert len(read(lines(rows)).inputs) == 8  # all but the units
    assert len(read(lines(rows), missing=["n.d."]).inputs) == 9
    assert len(read("\n".join(rows), missing=["n.d."], target=-1).inputs) == 9


def test_a_header_one_name_short_is_told(folder: Path) -> None:
    notes = data(lines([f"{i},{row}" for i, row in enumerate(ROWS)])).notes
    assert "one name fewer than columns: the first has none, 12 rows" in notes[0]
    assert "one name fewer" not in data(PLAIN).notes[0]


def test_a_line_of_quotes_alone_is_a_row_without_cells(folder: Path) -> None:
    for first in ('""', '# ""\n""'):
        table = read("\n".join([first, *ROWS]), target=-1)
        np.testing.assert_array_equal(table.inputs, X[:, :2])


def test_a_first_row_with_a_name_of_its_own_is_no_header(folder: Path) -> None:
    rows = [f"n{chr(97 + i)},{row}" for i, row in enumerate(ROWS)]
    made = data("\n".join(rows), target=-1)
    assert "no header" in made.notes[0]
    assert len(made.x_train) + len(made.x_validation) == len(ROWS)
    for header in ("name,2001,2002,y", "name,650.5,640.5,630.5", "name,1,2,y"):
        assert len(read(lines(rows, header), target=-1).inputs) == len(ROWS)


def test_separators_that_only_the_header_ends_with_are_no_columns(folder: Path) -> None:
    assert read(PLAIN.replace(HEADER, HEADER + ",,")).input_names == ("a", "b")


def test_a_remnant_of_another_separator_is_no_column(folder: Path) -> None:
    ends = (",", ",,", "")
    rows = [f"{row.replace(',', ';')};{ends[i % 3]}" for i, row in enumerate(ROWS)]
    note = data(lines(rows, "a;b;y;,,")).notes[1]
    assert "column3 left out: it is empty" in note


def test_files_put_one_below_the_other_are_one_table(folder: Path) -> None:
    wanted = read(PLAIN)
    rows = [*ROWS[:5], HEADER, *ROWS[5:9], f"{HEADER} ", *ROWS[9:]]
    made = data(lines(rows))
    assert made.notes[0].endswith(f"2 lines with the names again left out, {len(ROWS)} rows")
    for table in (read(lines(rows)), read(lines([*rows, "Source: a file"]))):
        np.testing.assert_array_equal(table.inputs, wanted.inputs)
        np.testing.assert_array_equal(table.targets, wanted.targets)
    measured = ["kg,m,s", *ROWS[:5], HEADER, "kg,m,s", "", *ROWS[5:]]
    np.testing.assert_array_equal(read(lines(measured)).inputs, wanted.inputs)
    late = [*ROWS * 30, HEADER, *ROWS]  # below the lines that are examined
    np.testing.assert_array_equal(read(lines(late)).inputs, np.tile(wanted.inputs, (31, 1)))
    # names that are written otherwise are told as cells
    quoted = refusal(lines([*ROWS[:5], '"a","b","y"', *ROWS[5:]]))
    assert "such as 'y' in row 6" in quoted
    # a row of words that occurs again is a row
    words = [f"{'uvw'[i % 3]},{'pqr'[i % 3]},{'yes' if i % 3 else 'no'}" for i in range(12)]
    assert len(read("\n".join(words), target=-1).inputs) == 12
    assert "again" not in data("\n".join(words), target=-1).notes[0]
    # a version before read such lines as rows
    with pytest.raises(SettingError, match="no finite number"):
        read(lines(late), version=2)


def test_separators_at_the_ends_of_all_lines_make_no_last_column(folder: Path) -> None:
    rows = [f"{row},," for row in ROWS]
    assert read(lines(rows, f"{HEADER},,"), target=-1).target_names == ("y",)
    assert read(lines(rows, f"{HEADER},,"), target=-3, drop=[-1]).target_names == ("a",)
    with pytest.raises(SettingError, match="is a target without a value"):
        read("\n".join(rows), target=-1)  # without names none is a column more than another


def test_the_names_that_pandas_gives_to_columns_are_a_header(folder: Path) -> None:
    Path("data.csv").write_text(pd.DataFrame(X).to_csv())
    assert TableTask(path="data.csv", target="2").table(rng()).input_names == ("0", "1")
    Path("data.csv").write_text(pd.DataFrame(X).to_csv(index=False))  # may be a row
    assert TableTask(path="data.csv", target="2").table(rng()).inputs.shape == (13, 2)


@pytest.mark.parametrize(
    ("numerals", "cell", "value"),
    [
        (Numerals(), "1,234.5", None),
        (Numerals(thousands=","), "1,234.5", 1234.5),
        (Numerals(thousands=","), "12,34", None),
        (Numerals(thousands=","), "1,23,45,678.50", 12345678.5),
        (Numerals(thousands=","), "-12,34,567", -1234567),
        (Numerals(thousands=","), "123,45,678", None),
        (Numerals(",", "."), "1.23.456", None),
        (Numerals(",", "."), "-1.234,5", -1234.5),
        (Numerals(",", "."), "01.02.2021", None),
        (Numerals(",", "."), "0.123", None),
        (Numerals(","), "1.5", None),
        (Numerals(thousands="'"), "1'000", 1000),
        (Numerals(thousands="'"), "1\u2019000", 1000),
        (Numerals(",", " "), "1\u202f234,5", 1234.5),
        (Numerals(), "-$3.50", -3.5),
        (Numerals(), "12 %", 12),
        (Numerals(), "1_0", None),
        (Numerals(), "0x10", None),
    ],
)
def test_numerals(numerals: Numerals, cell: str, value: float | None) -> None:
    assert numerals.value(cell) == value


def test_a_sample_that_ends_amid_a_line(folder: Path) -> None:
    dialect = find("a;b;y\n1,5;2;3\n4;5;6\n7;8", Given(), whole=False)
    assert (dialect.separator, dialect.numerals, dialect.body) == (";", Numerals(","), 6)


def test_a_row_of_numbers_and_dates_is_no_numeral(folder: Path) -> None:
    days = [f"{day} January 2019,{day}.01.2019" for day in range(10, 22)]
    rows = [f"{day},{row}" for day, row in zip(days, ROWS, strict=True)]
    assert read("\n".join(rows), target=-1).inputs[0].tolist() == [17906, 17906, 0.03, 1.36]


def test_a_first_row_with_quoted_words_between_blanks_is_no_header(folder: Path) -> None:
    rows = [f'{row.replace(",", "  ")}\t"a car"\n' for row in ROWS]
    table = read("".join(rows), target=2, drop=["column3"])
    np.testing.assert_array_equal(table.targets, read(PLAIN).targets)


@pytest.mark.parametrize("above", ["", "# wide\n" * 9])
def test_a_header_may_be_longer_than_the_sample(above: str, folder: Path) -> None:
    names = [f"c{place:0500}" for place in range(2200)]
    assert len(",".join(names)) > SAMPLE
    rows = [",".join([str(row), *"1" * 2198, str(row * row)]) for row in range(8)]
    table = read(above + lines(rows, ",".join(names)), target=-1)
    assert table.input_names[-1] == names[-2]
    assert table.targets[-1] == 49


@pytest.mark.parametrize("rows", [["New York"], ["New York", "Rom"], ["a b c d", "e f g", "h i"]])
def test_tabs_separate_few_rows_of_words_with_blanks(rows: list[str]) -> None:
    text = "\n".join(["city\ta\ty", *(f"{row}\t1.5\t2" for row in rows)])
    assert find(text, Given(), whole=True).separator == "\t"


def test_commas_in_numbers_between_blanks_are_not_taken_for_separators() -> None:
    def separator(lines: list[str]) -> str:
        return find("\n".join(lines), Given(), whole=True).separator

    assert separator([f"{n},5 2,{n} 7,25" for n in range(4)]) == " "
    assert separator(["name,size", *(f"Unit {n},2" for n in range(4))]) == ","
    with pytest.raises(SettingError, match="separated by commas, or by blanks with commas"):
        separator([f"{n},5 blue 7,2{n}" for n in range(4)])


@pytest.mark.parametrize("blank", [" ", "\xa0", "\u202f"])
def test_blanks_between_thousands_are_not_taken_for_separators(folder: Path, blank: str) -> None:
    rows = [f"{2001 + i}\t{1 + i}{blank}234\t{i * i % 7}" for i in range(8)]
    content = lines(rows, "year\tpop\ty")
    assert refusal(content).endswith("task.thousands=blank or 'task.drop=[pop]'")
    assert read(content, thousands="blank").inputs[:2].tolist() == [[2001, 1234], [2002, 2234]]


def test_tabs_separate_where_blanks_do_so_in_numbers_by_a_setting() -> None:
    content = "\n".join(["n\tpop\tyear", *(f"{n}\t1 234\t20 0{n}" for n in range(1, 9))])
    assert find(content, Given(), whole=True).separator == " "
    assert find(content, Given(thousands=" "), whole=True).separator == "\t"


@pytest.mark.parametrize(
    ("cell", "decimal", "thousands"),
    [
        ("1 234,50", ",", " "),
        ("1\xa0234,50", ",", " "),
        ("1 234 567,5 €", ",", " "),
        ("1'234.50", ".", "'"),
        ("-12 345.678", ".", " "),
        ("1 234", ".", ""),
        ("0 234,50", ".", ""),
        ("1 234'567,5", ".", ""),
    ],
)
def test_a_decimal_mark_after_thousands_settles_both(
    cell: str, decimal: str, thousands: str
) -> None:
    dialect = find(f"a;y\n{cell};1\n{cell};2\n", Given(), whole=True)
    assert (dialect.separator, dialect.numerals) == (";", Numerals(decimal, thousands))


def test_a_word_that_looks_like_a_number_does_not_outdo_the_marks_of_others(folder: Path) -> None:
    rows = [f"{('u', '12 345,5')[i % 2]};1.234,{i};{i * i % 7}" for i in range(8)]
    assert read(lines(rows, "code;a;y")).inputs[:2, -1].tolist() == [1234, 1234.1]


def test_commas_between_hundreds_of_thousands_settle_those_between_thousands(folder: Path) -> None:
    rows = [f'"{i + 1},23,456","1,456",{i * i % 7}' for i in range(8)]
    assert read(lines(rows, "a,b,y")).inputs[1].tolist() == [223456, 1456]
