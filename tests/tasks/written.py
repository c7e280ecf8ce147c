"""A small table as files of all kinds, and what becomes of one as a task."""

from __future__ import annotations

import io
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ffn_train.config.settings import SettingError
from ffn_train.tasks import Data, Table
from ffn_train.tasks.table import Parts
from ffn_train.tasks.tabular import TableTask

HEADER = "a,b,y"
excel = pytest.mark.skipif(not find_spec("openpyxl"), reason="workbooks need openpyxl")
parquet = pytest.mark.skipif(not find_spec("pyarrow"), reason="parquet files need pyarrow")
ROWS = [
    *("0.03,1.36,3.73", "1.22,-0.51,9.17", "-0.3,-0.53,4.63", "0.57,-0.06,6.77"),
    *("0.75,-1.85,9.1", "1.57,-0.1,9.81", "0.68,-0.14,7.18", "-0.38,0.46,3.4"),
    *("-0.65,0.78,2.27", "1.11,2.3,6.03", "-0.2,-0.9,5.3", "0.4,0.24,5.96"),
]
PLAIN = "\n".join([HEADER, *ROWS]) + "\n"
X = np.array([[float(cell) for cell in row.split(",")] for row in ROWS])
FRAME = pd.DataFrame(X, columns=HEADER.split(","))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def task(content: str | bytes, name: str = "data.csv", **chosen: Any) -> TableTask:
    """The task of a file with this content, in the working directory."""
    Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
    return TableTask(**{"path": name, "target": "y", **chosen})


def read(content: str | bytes, name: str = "data.csv", **chosen: Any) -> Table:
    return task(content, name, **chosen).table(rng())


def data(content: str | bytes, name: str = "data.csv", **chosen: Any) -> Data:
    return task(content, name, **chosen).data(rng(), rng(1))


def refusal(content: str | bytes, name: str = "data.csv", **chosen: Any) -> str:
    with pytest.raises(SettingError) as error:
        data(content, name, **chosen)
    message = str(error.value)
    assert message.isprintable()
    return message


def archive(*files: tuple[str, str | bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as opened:
        for name, content in files:
            opened.writestr(name, content)
    return packed.getvalue()


def arrays(**columns: Any) -> bytes:
    packed = io.BytesIO()
    np.savez(packed, **columns)
    return packed.getvalue()


def workbook(frame: pd.DataFrame, **options: Any) -> bytes:
    packed = io.BytesIO()
    frame.to_excel(packed, index=False, **options)
    return packed.getvalue()


def lines(rows: list[str], header: str = HEADER) -> str:
    return "\n".join([header, *rows]) + "\n"


def parts_of(made: Data) -> Parts:
    rows = made.to_json()["rows"]
    return Parts(np.array(rows["train"]), np.array(rows["validation"]))
