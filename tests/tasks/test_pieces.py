"""A large text file is read in pieces only where that gives what one piece gives."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ffn_train.config.settings import SettingError
from ffn_train.tasks.tabular import read
from ffn_train.tasks.tabular.cells import handy
from ffn_train.tasks.tabular.dialect import Given
from ffn_train.tasks.tabular.pieces import fast_and_exact, in_pieces
from ffn_train.tasks.tabular.text import text

MANY, FEW = 300_000, 100_000  # rows, more than pandas takes for a piece
LONG = "123456789012345678901234"


def write(path: Path, first: str, then: str, header: str = "a,b,c\n") -> Path:
    """A table whose second column has two kinds of cells, each in pieces of its own."""
    path.write_text(header + f"1.25,{first},0.625\n" * MANY + f"1.25,{then},0.625\n" * FEW)
    return path


def cells(frame: Any) -> list[Any]:
    """The columns' types, cells and order, with the sign of zeros."""
    columns = []
    for name, column in frame.items():
        column, words = handy(column), []
        if isinstance(column.dtype, pd.CategoricalDtype):
            column, words = column.cat.codes, column.cat.categories.tolist()
        values = column.to_numpy()
        content = list(map(repr, values)) if values.dtype == object else values.tobytes()
        columns.append((name, column.dtype, words, content))
    return columns


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("0.0", "0.5"),
        ("7", "0.5"),
        ("007", "word"),
        ("-0", "0.5"),
        ("5", str(2**63)),
        ("5", f"-{LONG}"),
        (f"NA,1\n1.25,{LONG}", "word"),
        (f"NA,1\n1.25,{2**63}", "word"),
        ("NA", "word"),
        ("True", "word"),
        ("True", "NA"),
        ("red", "blue"),
        ("NA", "0"),
    ],
)
def test_pieces_of_different_kinds_give_what_one_piece_gives(
    tmp_path: Path, first: str, then: str
) -> None:
    path = write(tmp_path / "t.csv", first, then)
    whole = text(lambda: io.BytesIO(path.read_bytes()), "utf-8", "", Given())
    frame, reading = read(str(path), Given())
    assert reading == whole[1]
    assert cells(frame) == cells(whole[0])


@pytest.mark.parametrize(
    "header",
    [
        "a,b,c\n",
        "\ufeffa,b,c\n",
        "a,b,c\r\n",
        '# a comment, and a "quote"\n"a",b,c\n',
        '# half a "quote\na,b,c\n',
        '"a\nz",b,c\n',
        "\nsep=,\na,b,c\n",
        "",
    ],
)
def test_the_first_row_is_the_one_below_the_header(tmp_path: Path, header: str) -> None:
    path = write(tmp_path / "t.csv", "7", "8", header)
    frame, _ = read(str(path), Given())
    assert len(frame) == MANY + FEW
    assert frame.iloc[[0, -1], 1].tolist() == [7, 8]


def test_an_ordinary_table_is_read_in_pieces(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "0.0", "red")
    options = {"header": None, "names": range(3), "index_col": False, "decimal": "."}
    assert in_pieces(str(path), "a,b,c\n", options) is None
    path = write(tmp_path / "t.csv", "0.0", "0.5")
    assert (in_pieces(str(path), "a,b,c\n", options) is not None) == fast_and_exact()


@pytest.mark.parametrize("zero", ["0.0", "0", "-0.0", "-0"])
@pytest.mark.parametrize("place", [0, 1, MANY // 2, MANY - 1])
def test_the_sign_of_a_zero_among_fractions_is_kept(tmp_path: Path, place: int, zero: str) -> None:
    rows = ["1.25,0.5,0.625\n"] * MANY
    rows[place] = f"1.25,{zero},0.625\n"
    path = tmp_path / "t.csv"
    path.write_text("a,b,c\n" + "".join(rows))
    signs = np.signbit(read(str(path), Given())[0]["b"].to_numpy())
    assert np.flatnonzero(signs).tolist() == [place] * zero.startswith("-")


def test_a_row_that_does_not_fit_is_named_by_its_number_in_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "0.5", "7,8")
    with pytest.raises(SettingError, match=f"has 4 fields in row {MANY + 1} where there are 3 col"):
        read(str(path), Given())
