"""Dates as days since 1970, and the formats that they are in."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import numpy as np

from ffn_train.nn.core import Array
from ffn_train.tasks.tabular.categories import as_words
from ffn_train.tasks.tabular.cells import TEXT, Mask, factorized

_ISO = re.compile(r"\d{4}-\d{1,2}-\d{1,2}([T ].*)?")
_DAY_FIRST = ("%d/%m/%Y", "%d.%m.%Y", "%d-%m-%Y", "%d/%m/%y", "%d.%m.%y")
_MONTH_FIRST = ("%m/%d/%Y", "%m.%d.%Y", "%m-%d-%Y", "%m/%d/%y", "%m.%d.%y")
_WORDED = ("%Y/%m/%d", "%d %b %Y", "%d-%b-%Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%d-%b-%y")
_DAY = datetime(2001, 2, 3)
_TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")


def as_days(cells: Any, form: str) -> tuple[Array, Mask]:
    """Days since 1970, NaN where missing, and a mask of cells that are not dates of this format."""
    import pandas as pd

    codes, uniques = factorized(cells)
    stamps = pd.to_datetime(uniques, format=form, errors="coerce", utc=True)
    epoch = pd.Timestamp("1970-01-01", tz="UTC")
    days = np.append(((stamps - epoch) / pd.Timedelta(days=1)).to_numpy(dtype=np.float64), np.nan)
    wrong = np.append(stamps.isna().to_numpy(), False)
    return days.take(codes), wrong.take(codes)


def _look(word: str) -> str:
    """The word with a 0 for each number and an a for each word in it."""
    return re.sub(r"[^\W\d]+", "a", re.sub(r"\d+", "0", " ".join(word.split())))


def date_forms(cells: Any, order: str | None) -> list[str]:
    """The formats in which the most cells are dates, at least the share ``TEXT`` of the distinct
    ones; several if day and month could be swapped.
    """
    if cells.dtype.kind == "M":
        return ["ISO8601"]
    words = [word for word in as_words(cells)[0] if word]
    if sum(map(bool, map(_ISO.fullmatch, words[:20]))) > len(words[:20]) / 2:
        forms: tuple[str, ...] = ("ISO8601",)
    else:
        by_order = {"day_first": _DAY_FIRST, "month_first": _MONTH_FIRST}
        dates = (*by_order.get(order or "", (*_DAY_FIRST, *_MONTH_FIRST)), *_WORDED)
        looks = {_look(word) for word in words[:20]}
        forms = tuple(
            form
            for form in (date + time for date in dates for time in _TIMES)
            if _look(_DAY.strftime(form)) in looks
        )
    import pandas as pd

    probe = pd.Series(words[:20])
    fitting = [form for form in forms if as_days(probe, form)[1].mean() <= 0.5]
    wrong = {form: as_days(pd.Series(words), form)[1].mean() for form in fitting}
    return [form for form in fitting if wrong[form] == min(wrong.values()) <= 1 - TEXT]
