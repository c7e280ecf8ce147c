"""Tables drawn from a grammar: ``python -m tests.harness.tables --minutes 5 --seed 1``.

A table of known values is written in one of the ways in which people write tables, and sometimes
damaged. It must be read as those values, or refused in a line that has what is wrong, with the row
and the column.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import random
import sys
import traceback
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ffn_train.config.settings import SettingError
from ffn_train.tasks import Table
from ffn_train.tasks.tabular import TableTask
from tests.harness.campaign import Case, Outcome, campaign

SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|", "blanks": " "}
MISSING = ["", "NA", "n/a", "NaN", "?", "-", "null", "None"]
WORDS = ["red", "blau", "grün", "off", "A1", "x_y"]
TRICKY = ["a,b", "a;b", 'say "hi"', "two words", "a|b", "two\nlines"]  # within quotes
ODD_NAMES = ['say "so"', "two\nlines", "a;b", "#", "=1+1", "null"]  # within quotes
NAMES = ["length", "größe", "C6H6(GT)", "price ($)", "2001", "a b", "x/y", "ω", "w,z", "é"]
DATES = ["%Y-%m-%d", "%d.%m.%Y", "%d %b %Y", "%Y/%m/%d", "%d-%b-%Y"]
ENDS = {"LF": "\n", "CRLF": "\r\n", "CR": "\r"}
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "cp1252"]
UNITS = ["kg", "m/s", "-", "N"]
PACKING: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zip": lambda content: zipped(content),
}
PLAIN: dict[str, Any] = {"path": "table.csv", "target": "y"}
DAMAGES = ["short row", "long row", "open quote", "null byte", "word", "infinity", "cut file"]


def zipped(content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("table.csv", content)
    return packed.getvalue()


@dataclass
class Drawn:
    """A column: its kind, what its cells mean (None: missing), and how they are written."""

    name: str
    kind: str
    values: list[Any]
    cells: list[str]


@dataclass
class Written:
    """A file, the settings by which it is read, and what is right: columns, or words of a line."""

    content: bytes
    settings: dict[str, Any]
    rules: list[str]
    columns: dict[str, list[float | None]]  # None: of a missing cell, whose fill is not compared
    target: list[float]
    refusal: Sequence[str] = ()


def written(draw: random.Random) -> Written:
    rows = draw.randint(8, 20)
    separator = draw.choice([*SEPARATORS])
    packing, encoding = draw.choice([*PACKING]), draw.choice(ENCODINGS)
    quoting: Literal[0, 1] = draw.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
    blanks = separator == "blanks"
    quoted = quoting == csv.QUOTE_ALL and not blanks
    decimal = draw.choice([".", ","]) if quoted or separator not in ("comma",) else "."
    thousands = draw.choice(["", "", {".": ",", ",": "."}[decimal]]) if quoted else ""
    missing = draw.choice(MISSING[1:] if blanks else MISSING)
    head = draw.choice(["header", "header", "none", "units", "comments", "sep=", "lines before"])
    head = "header" if blanks and head == "sep=" else head
    names = [name for name in NAMES if not (blanks and " " in name)]
    names += ODD_NAMES if quoted else []
    names = draw.sample([n for n in names if n.encode(encoding, "ignore").decode(encoding) == n], 4)

    def number(value: float, digits: int) -> str:
        text = f"{value:,.{digits}f}" if thousands else f"{value:.{digits}f}"
        return text.translate({ord(","): thousands or "", ord("."): decimal})

    def holes(cells: list[str], values: list[Any], share: float = 0.15) -> None:
        for place in range(rows):
            if draw.random() < share:
                cells[place], values[place] = missing, None

    def numbers(name: str) -> Drawn:
        digits = draw.choice([0, 1, 2])
        values: list[Any] = [round(draw.uniform(-9000, 9000), digits) for _ in range(rows)]
        cells = [number(value, digits) for value in values]
        if decimal == "." and not thousands and draw.random() < 0.3:  # of any size
            values = [draw.uniform(-9, 9) * 10.0 ** draw.randint(-300, 300) for _ in range(rows)]
            cells = list(map(repr, values))
        if draw.random() < 0.4:
            holes(cells, values)
        return Drawn(name, "number", values, cells)

    def words(name: str) -> Drawn:
        pool = draw.sample(WORDS if not quoted else [*WORDS, *TRICKY], draw.choice([2, 3]))
        pool = [word.encode(encoding, "ignore").decode(encoding) for word in pool]
        values: list[Any] = [pool[place % len(pool)] for place in range(rows)]
        draw.shuffle(values)
        cells = list(values)
        if draw.random() < 0.3:
            holes(cells, values, 0.1)
        return Drawn(name, "category", values, cells)

    def truths(name: str) -> Drawn:
        yes, no = draw.choice([("yes", "no"), ("True", "False"), ("t", "f"), ("Y", "N")])
        values: list[Any] = [float(place % 2) for place in range(rows)]
        draw.shuffle(values)
        return Drawn(name, "boolean", values, [yes if value else no for value in values])

    def days(name: str) -> Drawn:
        form = draw.choice([form for form in DATES if not (blanks and " " in form)])
        first, step = date(2019, 1, 15), draw.choice([1, 9, 40])
        dates = [first + timedelta(days=step * place) for place in range(rows)]
        values: list[Any] = [float((day - date(1970, 1, 1)).days) for day in dates]
        return Drawn(name, "date", values, [day.strftime(form) for day in dates])

    makers = [numbers, *draw.choices([numbers, words, truths, days], k=2)]
    columns = [make(name) for make, name in zip(makers, names, strict=False)]
    goal = [round(draw.uniform(1000, 9000), 2) for _ in range(rows)]
    columns.append(Drawn("y", "target", list(goal), [number(value, 2) for value in goal]))

    heading = [column.name for column in columns]
    lines = [list(cells) for cells in zip(*(column.cells for column in columns), strict=True)]
    damage = draw.choice(DAMAGES) if draw.random() < 0.35 else ""
    row = draw.randrange(rows)
    refusal: Sequence[str] = ()
    if damage == "short row":
        lines[row].pop()
        refusal = (
            f"has {len(heading) - 1} fields in row {row + 1} where there are {len(heading)}",
        )
    elif damage == "long row":
        lines[row].append("1")
        refusal = (
            f"has {len(heading) + 1} fields in row {row + 1} where there are {len(heading)}"
            if row
            else f"has more fields in its first row than the {len(heading)} columns",
        )
    elif damage in ("word", "infinity"):
        lines[row][0] = cell = "oops" if damage == "word" else "inf"
        name = "column0" if head == "none" else heading[0]
        refusal = (
            f"column {name!r} has a cell that is no finite number",
            f"{cell!r} in row {row + 1}",
        )

    text = io.StringIO(newline="")
    end = ENDS[draw.choice([*ENDS])]
    writer = csv.writer(text, delimiter=SEPARATORS[separator], lineterminator=end, quoting=quoting)
    before = ""
    if head == "sep=":
        before = f"sep={SEPARATORS[separator]}{end}"
    elif head == "comments":
        before = f"# exported{end}# by a logger of ours{end}"
    elif head == "lines before":
        before = f"Report{end}of a day{end}"
    above = [] if head == "none" else [heading]
    if head == "units":
        above.append([draw.choice(UNITS[:2]) if c.kind != "category" else "-" for c in columns])
    body = [*above, *lines]
    if blanks:
        text.write("".join(f"{' '.join(line)}{end}" for line in body))
    else:
        writer.writerows(body)
    whole = before + text.getvalue()
    if damage == "open quote" and not blanks:
        whole += f'"1{SEPARATORS[separator]}2{end}'
        refusal = (f"has a quote in row {rows + 1} that is not closed",)
    elif damage == "null byte" and encoding != "utf-16":
        whole += f"\0{end}"
        refusal = ("is not text", "has a null byte")
    elif damage in ("open quote", "null byte"):
        damage = ""
    content = PACKING[packing](whole.encode(encoding))
    if damage == "cut file":
        if packing == "plain":
            damage = ""
        else:
            content, refusal = content[: -len(content) // 3], ("cannot be read",)

    settings: dict[str, Any] = {"path": "table.csv", "target": "y" if head != "none" else -1}
    if head == "none":
        settings["header"] = False
    if head == "lines before":
        settings["skip"] = 2
    if encoding == "cp1252":
        settings["encoding"] = encoding
    if blanks and decimal == ",":  # commas could be the separator as well
        settings["separator"] = "blanks"
    rules = [f"separator: {separator}", f"packing: {packing}", f"encoding: {encoding}"]
    rules += [f"quotes: {'all' if quoted else 'where needed'}", f"decimal: {decimal}"]
    rules += [f"thousands: {thousands or 'none'}", f"missing: {missing!r}", f"head: {head}"]
    rules += [f"line ends: {[*ENDS][[*ENDS.values()].index(end)]}", f"damage: {damage or 'none'}"]
    rules += [f"column: {column.kind}" for column in columns]
    right: dict[str, list[float | None]] = {}
    for place, column in enumerate(columns[:-1]):
        if head == "none":
            column.name = f"column{place}"
        right |= coded(column)
    return Written(content, settings, rules, right, goal, refusal)


def coded(column: Drawn) -> Mapping[str, list[float | None]]:
    """The input columns that stand for it."""
    if column.kind != "category":
        coded = {column.name: column.values}
        if None in column.values:
            marks: list[float | None] = [float(value is None) for value in column.values]
            coded[f"{column.name}=(missing)"] = marks
        return coded
    levels = {value for value in column.values if value is not None}
    often = {level for level in levels if column.values.count(level) > 1 or len(levels) < 3}
    return {
        f"{column.name}={level}": [float(value == level) for value in column.values]
        for level in often
        if len(levels) > 1
    }


def mistake(table: Table, case: Written) -> str:
    """What is wrong with a table that was read; "" if nothing is."""
    if case.refusal:
        return f"not refused: {' '.join(case.refusal)}"
    if table.targets[:, 0].tolist() != case.target:
        return f"another target: {table.targets[:, 0].tolist()} for {case.target}"
    names = list(table.input_names)
    for name, right in case.columns.items():
        if name not in names:
            return f"no column {name!r} among {names}"
        values = table.inputs[:, names.index(name)].tolist()
        for row, (value, true) in enumerate(zip(values, right, strict=True)):
            if true is not None and value != true:
                return f"column {name!r} has {value} for {true} in row {row + 1}"
    return ""


def soup(draw: random.Random) -> bytes:
    """Bytes that nobody would call a table, or a table with some behind it."""
    pieces = [b"a", b"y", b",", b"\t", b"\n", b"\r", b'"', b"1", b"-2.5", b" ", b"\0", b"\xff"]
    table = b"a,b,y\n1,2,3\n2,3,5\n4,5,6\n7,8,8\n" * draw.randint(0, 1)
    return table + b"".join(draw.choices(pieces, k=draw.randint(0, 40)))


def of_soup(content: bytes) -> str:
    """What is wrong with what is made of any bytes: a sound table, or a line."""
    try:
        table = TableTask(path="table.csv", target="y").table(np.random.default_rng(0))  # type: ignore[call-arg]
    except SettingError as error:
        return "" if str(error).isprintable() else f"refused: {error}"
    shape = len(table.targets), len(table.input_names)
    sound = np.isfinite(table.inputs).all() and np.isfinite(table.targets).all()
    return "" if sound and table.inputs.shape == shape else f"no sound table\n  {content!r}"


def prepare(seed: int, scratch: Path) -> Case:
    def case(number: int) -> Outcome:
        draw = random.Random(f"{seed} {number}")
        if draw.random() < 0.1:
            content = soup(draw)
            (scratch / "table.csv").write_bytes(content)
            with chdir(scratch):
                return Outcome(["any bytes"], of_soup(content))
        drawn = written(draw)
        (scratch / "table.csv").write_bytes(drawn.content)
        with chdir(scratch), warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                table = TableTask(**drawn.settings).table(np.random.default_rng(0))
                trouble = mistake(table, drawn)
            except SettingError as error:
                line = str(error)
                fitting = drawn.refusal and all(words in line for words in drawn.refusal)
                trouble = "" if fitting and line.isprintable() else f"refused: {line}"
                if trouble and drawn.refusal:
                    trouble += f"\n  right is: {' ... '.join(drawn.refusal)}"
            except Exception:
                trouble = f"an exception\n{traceback.format_exc()}"
        if trouble:
            trouble += f"\n  {', '.join(drawn.rules)}"
            trouble += "\n  " + repr(drawn.content[:700]) if "packing: plain" in drawn.rules else ""
        return Outcome(drawn.rules, trouble)

    return case


if __name__ == "__main__":
    sys.exit(bool(campaign("tests.harness.tables", prepare)))
