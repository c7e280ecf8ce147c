"""Dates as days since 1970, times and durations as days, and the formats that they are in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ffn_train.nn.core import Array
from ffn_train.tasks.table import BLOCK
from ffn_train.tasks.tabular.categories import as_words
from ffn_train.tasks.tabular.cells import TEXT, Mask, factorized
from ffn_train.tasks.tabular.numerals import BLANKS

ANY_ISO = "ISO8601"  # pandas' name, by which a year or a month alone is its first day
FULL_ISO = "ISO8601 day"
_ISO = re.compile(r"\d{4}-\d{1,2}-\d{1,2}([T ].*)?")
_DAY_FIRST = ("%d/%m/%Y", "%d.%m.%Y", "%d-%m-%Y", "%d/%m/%y", "%d.%m.%y")
_MONTH_FIRST = ("%m/%d/%Y", "%m.%d.%Y", "%m-%d-%Y", "%m/%d/%y", "%m.%d.%y")
_WORDED = ("%Y/%m/%d", "%d %b %Y", "%d-%b-%Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%d-%b-%y")
_MONTHS = ("%Y-%m", "%Y/%m", "%b %Y", "%b-%Y", "%B %Y", "%B-%Y", "%Y %b", "%b-%y")
_SPANS = ("%Y Q1", "%Y-Q1", "%YQ1", "Q1 %Y", "%G W%V", "%G-W%V")  # quarters and weeks
COMPACT = "%Y%m%d"
_DAY = datetime(2020, 1, 31)
CLOCKS = ("%H:%M", "%H:%M:%S", "%I:%M %p", "%I:%M:%S %p")
DURATION = "duration"
_LASTING = (  # 1:02:03, 1 day 2:03:04, 2h 50m, PT2H50M
    r"P\S+|([-+]?\d+ days?,? ?)?[-+]?\d+:\d\d:\d\d(\.\d+)?|"
    r"(\d+(\.\d+)? ?(days?|h|hrs?|hours?|m|mins?|minutes?|s|secs?|seconds?)[ ,]*)+"
)
_TIMES = ("", *(f" {clock}" for clock in CLOCKS))


def as_days(cells: Any, form: str) -> tuple[Array, Mask]:
    """Days since 1970 or, of times, since midnight, or of a duration, NaN where missing, and a mask
    of cells that are not of this format.
    """
    import pandas as pd

    codes, uniques = factorized(cells)
    blank, of_clock = np.zeros(len(uniques), bool), form in CLOCKS
    if uniques.dtype.kind == "f":
        uniques = uniques.map("{:.15g}".format)
    if uniques.dtype.kind == "M" and form != DURATION:
        form = ANY_ISO  # however the training table writes dates
    else:
        words = uniques.astype(str).str.strip()
        blank = words.isin(BLANKS).to_numpy(bool)
        shortest = len("2020-1-1") if form == FULL_ISO else 0
        # pandas takes the time from the clock for two words
        uniques = words.mask(words.isin(("now", "today")) | (words.str.len() < shortest))
        if "Q1" in form:  # which pandas does not know
            first = {f"Q{quarter}": f"M{3 * quarter - 2:02}" for quarter in (1, 2, 3, 4)}
            uniques = uniques.str.replace(r"Q[1-4]", lambda q: first[q[0]], regex=True)
            form = form.replace("Q1", "M%m")
        elif "%V" in form:
            uniques, form = uniques + " 1", form + " %u"  # Monday
    form = ANY_ISO if form == FULL_ISO else form
    if form == DURATION:
        lasting = uniques.where(uniques.str.fullmatch(_LASTING, case=False).eq(True), "none")
        iso_or_lower = lasting.where(lasting.str.startswith("P"), lasting.str.lower())
        stamps = spans = pd.to_timedelta(iso_or_lower, errors="coerce")
    else:
        stamps = pd.to_datetime(uniques, format=form, errors="coerce", utc=True)
        spans = stamps - pd.Timestamp("1970-01-01", tz="UTC")
    days = np.append((spans / pd.Timedelta(days=1)).to_numpy(dtype=np.float64), np.nan)
    days = days % 1 if of_clock else days
    wrong = np.append(stamps.isna().to_numpy() & ~blank, False)
    return days.take(codes), wrong.take(codes)


def example(form: str) -> str:
    """A date or time in this format, in words."""
    if form == DURATION:
        return "a duration such as 2h 50m or 1:02:03"
    day = _DAY.strftime("%Y-%m-%d" if form in (ANY_ISO, FULL_ISO) else form)
    return f"a {'time' if form in CLOCKS else 'date'} such as {day}"


def iso(version: int) -> str:
    """The format of 2020-01-31 by the rules of a version."""
    return FULL_ISO if version > 1 else ANY_ISO


def _dates(days: Array) -> NDArray[np.datetime64]:
    """Days since 1970 as dates, without their times and missing ones."""
    return np.floor(days[~np.isnan(days)]).astype("M8[D]")


def _firsts(dates: NDArray[np.datetime64]) -> bool:
    return bool((dates == dates.astype("M8[M]")).all())


def are_compact(cells: Any, values: Array) -> bool:
    """Whether these cells, with these ``values`` (N,), are numbers such as 20010601 that are all
    dates, from 1800 to 2100 and in three months or more, which the numbers of a counter are not.
    """
    for some in (values[:BLOCK], values):  # most columns are told by their first rows
        if np.fmin.reduce(some) < 18000101 or np.fmax.reduce(some) > 21001231:
            return False
    days, wrong = as_days(cells, COMPACT)
    return not wrong.any() and len(np.unique(_dates(days).astype("M8[M]"))) > 2


def doubts(cells: Any, form: str, order: str | None) -> list[str]:
    """What is to be said of dates in this format that may be meant otherwise."""
    if form == COMPACT:
        return ["whole numbers of eight digits, as in 20010601, are dates"]
    numeric, remarks = re.match("%([dm]).%[dm]", form), []
    dates = _dates(as_days(cells, form)[0])
    if "%y" in form:
        years = dates.astype("M8[Y]")
        ends = dict.fromkeys(map(str, (years.min(), years.max())))
        remarks.append(f"years of two digits are {' to '.join(ends)}")
    if numeric and order is None and _firsts(dates):
        other = "month_first" if numeric[1] == "d" else "day_first"
        remarks.append(f"each date is the first of a month (task.dates={other}: in January)")
    return remarks


def _are_spans(words: Sequence[str]) -> bool:
    """Whether words such as 2010-11 are seasons of years, or numbers, not months."""
    pairs = [tuple(map(int, re.findall(r"\d+", word)[:2])) for word in words]
    pairs = [pair for pair in pairs if len(pair) == 2]
    apart = {month - year % 100 for year, month in pairs}
    return len(apart) == 1 or any(not 1800 <= year <= 2100 for year, _ in pairs)


def _look(word: str) -> str:
    """The word with a 0 for each number and an a for each word in it."""
    return re.sub(r"[^\W\d]+", "a", re.sub(r"\d+", "0", " ".join(word.split())))


def date_forms(cells: Any, order: str | None, version: int) -> list[str]:
    """The formats in which the most cells are dates, at least the share ``TEXT`` of the distinct
    ones; several if day and month could be swapped, unless this makes first days of months those of
    January in several years. ``version``: as in ``Columns``.
    """
    months = version > 2
    words = [word for word in as_words(cells)[0] if word]
    if sum(map(bool, map(_ISO.fullmatch, words[:20]))) > len(words[:20]) / 2:
        forms: tuple[str, ...] = (iso(version),)
    else:
        by_order = {"day_first": _DAY_FIRST, "month_first": _MONTH_FIRST}
        dates = (*by_order.get(order or "", (*_DAY_FIRST, *_MONTH_FIRST)), *_WORDED)
        dates += (*_MONTHS, *_SPANS) if months else ()
        whole = ("%Y%m%dT%H%M%S", *CLOCKS) if months else ()
        looks = {_look(word) for word in words[:20]}
        forms = tuple(
            form
            for form in (*(date + time for date in dates for time in _TIMES), *whole)
            if _look(_DAY.strftime(form)) in looks
        )
    import pandas as pd

    probe = pd.Series(words[:20])
    fitting = [form for form in forms if as_days(probe, form)[1].mean() <= 0.5]
    marks = np.array([version < 3 and word in BLANKS for word in words])
    wrong = {form: (as_days(pd.Series(words), form)[1] | marks).mean() for form in fitting}
    best = [form for form in fitting if wrong[form] == min(wrong.values()) <= 1 - TEXT]
    if months and not best and words:
        last = all(not as_days(some, DURATION)[1].any() for some in (probe, pd.Series(words)))
        return [DURATION] if last else []
    if best and best[0] in ("%Y-%m", "%Y/%m") and _are_spans(words):
        return []
    if best and best[0] in CLOCKS and wrong[best[0]]:
        return []  # minutes and seconds, of which some are beyond a day's hours
    if best == ["%b-%y"] and (wrong["%b-%y"] or max(word[-2:] for word in words) <= "31"):
        return []  # Jun-15 may be a day of June
    if months and len(best) > 1:
        dated = {form: _dates(as_days(pd.Series(words), form)[0]) for form in best}
        firsts = [form for form in best if _firsts(dated[form])]
        if len(firsts) == 1 and len(np.unique(dated[firsts[0]].astype("M8[Y]"))) > 1:
            best = firsts
    return [*{form.replace("%B", "%b"): form for form in best}.values()]  # May has one name
