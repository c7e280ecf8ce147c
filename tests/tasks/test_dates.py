"""Dates in tables: their formats, and the seasons, weeks and days that they tell."""

from __future__ import annotations

import math
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ffn_train.tasks.tabular.dates import DURATION, as_days
from tests.tasks.written import (
    HEADER,
    ROWS,
    data,
    lines,
    parquet,
    read,
    refusal,
)


@pytest.mark.parametrize(
    ("form", "chosen"),
    [
        ("%Y-%m-%d", {}),
        ("%Y-%m-%dT%H:%M:%SZ", {}),
        ("%d.%m.%Y", {}),
        ("%m/%d/%Y", {}),
        ("%d %b %Y", {}),
        ("%d/%m/%Y %H:%M", {"dates": "day_first"}),
        ("%d.%m.%y", {}),
        ("%m/%d/%Y %I:%M %p", {}),
    ],
)
def test_dates_are_days_with_the_season_of_more_than_a_year(
    folder: Path, form: str, chosen: dict[str, Any]
) -> None:
    days = pd.date_range("2021-01-15", periods=12, freq="45D")
    rows = [f"{day.strftime(form)},{row}" for day, row in zip(days, ROWS, strict=True)]
    table = read(lines(rows, "day," + HEADER), **chosen)
    assert table.input_names[:3] == ("day", "day sine", "day cosine")
    np.testing.assert_allclose(table.inputs[:, 0], 18642 + 45 * np.arange(12))
    short = read(lines(rows[:8], "day," + HEADER), **chosen)
    assert short.input_names[:2] == ("day", "a")


@pytest.mark.parametrize(
    ("apart", "waves"),
    [("31h", ["week", "day"]), ("2D", ["week"]), ("5h", ["day"]), ("3D", []), ("1h", [])],
)
def test_dates_tell_the_time_of_the_week_and_of_the_day(
    folder: Path, apart: str, waves: list[str]
) -> None:
    days = pd.date_range("2021-01-15 09:10", periods=12, freq=apart)
    table = read(
        lines([f"{day},{row}" for day, row in zip(days, ROWS, strict=True)], f"t,{HEADER}")
    )
    names = [f"t {wave} {part}" for wave in waves for part in ("sine", "cosine")]
    assert table.input_names == ("t", *names, "a", "b")
    if "day" in waves:
        turn = 2 * np.pi * (days.hour + days.minute / 60) / 24
        np.testing.assert_allclose(table.inputs[:, len(waves) * 2 - 1], np.sin(turn), atol=1e-9)


def test_dates_that_can_be_read_in_two_ways_are_refused(folder: Path) -> None:
    rows = [f"0{i % 9 + 1}/02/2021,{row}" for i, row in enumerate(ROWS)]
    content = lines(rows, "day," + HEADER)
    assert "task.dates=day_first or task.dates=month_first" in refusal(content)
    assert np.diff(read(content, dates="month_first").inputs[:2, 0]) == 28 + 3
    firsts = lines([f"01/{i:02}/2021,{row}" for i, row in enumerate(ROWS, 1)], f"day,{HEADER}")
    assert "in which day or month may come first" in refusal(firsts)


@pytest.mark.parametrize(("form", "other"), [("%d/%m/%Y", "month"), ("%m/%d/%Y", "day")])
def test_the_firsts_of_months_in_several_years_are_no_days_of_january(
    folder: Path, form: str, other: str
) -> None:
    months = pd.date_range("2021-05-01", periods=12, freq="MS").strftime(form)
    content = lines([f"{day},{row}" for day, row in zip(months, ROWS, strict=True)], f"t,{HEADER}")
    assert np.diff(read(content).inputs[:4, 0]).tolist() == [31, 30, 31]
    remark = f"t: each date is the first of a month (task.dates={other}_first: in January)"
    assert remark in data(content).notes[1]
    assert np.diff(read(content, dates=f"{other}_first").inputs[:4, 0]).tolist() == [1] * 3


@pytest.mark.parametrize("form", ["%Y%m%d", "%Y%m%dT%H%M%S"])
def test_dates_without_marks(folder: Path, form: str) -> None:
    days = pd.date_range("2021-05-02", periods=12, freq="9D").strftime(form)
    content = lines([f"{day},{row}" for day, row in zip(days, ROWS, strict=True)], f"t,{HEADER}")
    assert np.diff(read(content).inputs[:, 0]).tolist() == [9] * 11
    said = "t: whole numbers of eight digits, as in 20010601, are dates" in data(content).notes[1]
    assert said == (form == "%Y%m%d")


@pytest.mark.parametrize("step", [1, 99, 10000])  # the last are all 1st of January
def test_numbers_of_eight_digits_that_are_not_all_days_of_months_are_numbers(
    folder: Path, step: int
) -> None:
    first = 20010101 if step < 10000 else 20950101
    content = lines([f"{first + step * i},{row}" for i, row in enumerate(ROWS)], f"n,{HEADER}")
    assert read(content).inputs[:2, 0].tolist() == [first, first + step]


@pytest.mark.parametrize("form", ["%B %d, %Y", "%d %B %Y", "%B %d, %Y %H:%M"])
def test_may_is_no_other_month_where_it_is_short(folder: Path, form: str) -> None:
    days = pd.date_range("2021-05-02", periods=12)
    rows = [f'"{day.strftime(form)}",{row}' for day, row in zip(days, ROWS, strict=True)]
    assert np.diff(read(lines(rows, "day," + HEADER)).inputs[:, 0]).tolist() == [1] * 11


@pytest.mark.parametrize(
    ("form", "cell"),
    [
        *(("%Y-%m-%d", cell) for cell in ("9999", "2021", "2021-02", "today", "now")),
        ("%d.%m.%Y", "today"),
        ("%B %d, %Y", "now"),
    ],
)
def test_what_names_no_day_is_refused_among_dates(folder: Path, form: str, cell: str) -> None:
    days = pd.date_range("2021-02-20", periods=12).strftime(form)
    rows = [f'"{day}",{row}' for day, row in zip([*days[:11], cell], ROWS, strict=True)]
    assert f"a cell that is no date, such as '{cell}' in row 12" in refusal(
        lines(rows, "day," + HEADER)
    )


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M+00:00 "])
def test_full_days_are_dates_with_time_and_zone_or_without(folder: Path, form: str) -> None:
    days = pd.date_range("2021-02-20", periods=12)
    ways = [day.strftime(form) for day in days[:10]] + ["20210302", "2021-3-3"]
    rows = [f"{day},{row}" for day, row in zip(ways, ROWS, strict=True)]
    table = read(lines(rows, "day," + HEADER))
    assert np.diff(table.inputs[:, 0]).tolist() == [1] * 11


@pytest.mark.parametrize("form", ["%Y-%m", "%Y/%m", "%b %Y", "%B-%Y", "%Y %b"])
def test_a_month_is_its_first_day(folder: Path, form: str) -> None:
    months = pd.date_range("2021-05-01", periods=12, freq="MS")
    rows = [f"{day.strftime(form)},{row}" for day, row in zip(months, ROWS, strict=True)]
    table = read(lines(rows, "month," + HEADER))
    assert np.diff(table.inputs[:4, 0]).tolist() == [31, 30, 31]
    assert table.input_names[0] == "month"


@pytest.mark.parametrize(
    ("form", "days"),
    [
        ("{} Q{}", [90, 91, 92]),
        ("{}Q{}", [90, 91, 92]),
        ("Q{1} {0}", [90, 91, 92]),
        ("{} W0{}", [7] * 3),
    ],
)
def test_a_quarter_and_a_week_are_their_first_day(
    folder: Path, form: str, days: list[float]
) -> None:
    spans = [form.format(1981 + i // 4, i % 4 + 1) for i in range(12)]
    rows = [f"{span},{row}" for span, row in zip(spans, ROWS, strict=True)]
    assert np.diff(read(lines(rows, "t," + HEADER)).inputs[:4, 0]).tolist() == days


def test_years_of_two_digits_are_said(folder: Path) -> None:
    days = pd.date_range("2063-11-25", periods=12).strftime("%d/%m/%y")
    months = pd.date_range("1975-10-01", periods=12, freq="MS").strftime("%b-%y")
    for cells, first, years in ((days, 34296, "2063"), (months, 2099, "1975 to 1976")):
        content = lines([f"{t},{row}" for t, row in zip(cells, ROWS, strict=True)], f"t,{HEADER}")
        assert read(content).inputs[0, 0] == first
        assert f"t: years of two digits are {years}" in data(content).notes[1]


def test_a_month_with_a_day_is_no_month_of_a_year(folder: Path) -> None:
    rows = [f"Jun-{i % 2 * 14 + 1:02},{row}" for i, row in enumerate(ROWS)]
    assert read(lines(rows, "t," + HEADER)).input_names[:2] == ("t=Jun-01", "t=Jun-15")


def test_a_season_of_two_years_is_no_month(folder: Path) -> None:
    rows = [f"20{i:02}-{i + 1:02},{row}" for i, row in enumerate(ROWS, 8)]
    note = data(lines(rows, "season," + HEADER)).notes[1]
    assert "season left out: its words all differ" in note


def test_a_cell_that_is_no_date_is_refused_among_dates(folder: Path) -> None:
    rows = [f"{i + 10}.02.2021,{row}" for i, row in enumerate(ROWS[:11])]
    content = lines([*rows, f"00.00.0000,{ROWS[11]}"], "day," + HEADER)
    refused = refusal(content)
    assert "column 'day' has a cell that is no date, such as '00.00.0000' in row 12" in refused
    assert "'task.missing=[00.00.0000]' or 'task.categories=[day]'" in refused
    assert read(content, missing=["00.00.0000"]).input_names[:2] == ("day", "day=(missing)")


@pytest.mark.parametrize(
    ("cells", "last"),
    [
        ([*(f"{i}h {i + 2}m" for i in range(1, 25)), "26h"], 26 / 24),
        ([*(f"0 days 00:{i + 10}:00" for i in range(24)), "1 days 06:00:00"], 1.25),
        ([*(f"{i}:07:30" for i in range(10, 34)), "36:00:00"], 1.5),
        ([*(f"PT{i}M" for i in range(1, 25)), "PT36H"], 1.5),
    ],
)
def test_durations_are_days(folder: Path, cells: list[str], last: float) -> None:
    rows = [f"{cell},{i % 5}" for i, cell in enumerate(cells)]
    table = read(lines([*rows[:3], ".,2", *rows[3:]], "d,y"), target="y")
    assert table.input_names == ("d", "d=(missing)")
    assert table.inputs[-1, 0] == pytest.approx(last)
    few = read(lines([f"{cells[i % 2]},{i % 5}" for i in range(20)], "d,y"), target="y")
    assert few.input_names[0] == f"d={min(cells[:2])}"
    left_out = refusal(lines([*rows[:-1], "3 of 5,2"], "d,y"), target="y")
    assert "'d': its words all differ" in left_out


def test_dates_in_memory_are_no_durations() -> None:
    cells = pd.Series([pd.Timestamp(2020, 1, 31), None])
    assert as_days(cells, DURATION)[1].tolist() == [True, False]


@parquet
@pytest.mark.parametrize("form", ["%G W%V", "%Y Q1", "%d.%m.%Y"])
def test_dates_of_arrow_are_dates_where_words_were(form: str) -> None:
    cells = pd.Series([date(2020, 1, 31), None], dtype="date32[pyarrow]")
    days, wrong = as_days(cells, form)
    assert days[0] == (date(2020, 1, 31) - date(1970, 1, 1)).days
    assert np.isnan(days[1])
    assert not wrong.any()


@pytest.mark.parametrize("span", ["08:00 17:0{}", "8:00 AM 5:0{} PM", "20200131T080000 17:0{}"])
def test_two_times_are_a_word(folder: Path, span: str) -> None:
    rows = [f"{span.format(i % 2)},{row}" for i, row in enumerate(ROWS)]
    assert read(lines(rows, "open,a,b,y")).input_names[0] == f"open={span.format(0)}"


@pytest.mark.parametrize("form", ["%H:%M", "%H:%M:%S", "%I:%M %p"])
def test_times_are_shares_of_a_day_with_its_wave(folder: Path, form: str) -> None:
    hours = [datetime(2020, 1, 1, i, 30) for i in range(24)] + [datetime(2020, 1, 1, 6, 15)]
    text = lines([f"{time.strftime(form)},{i % 5}" for i, time in enumerate(hours)], "t,y")
    table = read(text, target="y")
    assert table.input_names == ("t", "t day sine", "t day cosine")
    turn = 2 * math.pi * 6.25 / 24
    np.testing.assert_allclose(table.inputs[-1], [6.25 / 24, math.sin(turn), math.cos(turn)])
    few = lines([f"{time.strftime(form)},{i % 5}" for i, time in enumerate(hours[:-1])] * 2, "t,y")
    assert f"t={hours[0].strftime(form)}" in read(few, target="y").input_names
    late = "12:00 XM" if form.endswith("p") else "24:30:00"[: len(hours[0].strftime(form))]
    left_out = refusal(text.replace(hours[3].strftime(form), late), target="y")
    assert "'t': its words all differ" in left_out
