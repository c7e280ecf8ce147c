"""One self-contained HTML file: style, scripts, packed data, and a policy that admits no more."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

from ffn_train.runs.files import finite

Kind = Literal["run", "comparison", "list"]

_HERE = Path(__file__).parent
# what stays where the scripts do not run, or find that the data are damaged
_WAIT = (
    "One moment. If this line stays, the browser runs no scripts, or this file is damaged: "
    "make it again."
)
_COMMON = ("data", "dom", "axes", "frame", "drawing", "chart", "step")
# the scripts of each kind of page, in the order of their use
SCRIPTS: Mapping[Kind, tuple[str, ...]] = {
    "comparison": (*_COMMON, "groups", "table", "map", "pair", "comparison", "live"),
    "list": ("data", "dom", "list"),
    "run": (*_COMMON, "heatmap", "quantities", "run_charts", "run", "live"),
}


def page(kind: Kind, title: str, header: Mapping[str, Any], blocks: Sequence[str]) -> str:
    """A page of this kind; ``header``: its data except the packed arrays, ``blocks``: those.

    Everything in the header is shown as text. The same data give the same page. It shows nothing
    where the data do not fit their checksum.
    """
    style, script = _read("uplot/uPlot.min.css") + _read("page/page.css"), _script(kind)
    policy = (
        f"default-src 'none'; script-src {_digest(script)}; "
        f"style-src {_digest(style)}; img-src blob: data:; base-uri 'none'; form-action 'none'"
    )
    if header.get("live"):
        policy += "; connect-src 'self'"
    data = [_json(header), *blocks]
    parts = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{_encodable(html.escape(title))}</title>",
        '<link rel="icon" href="data:,">',
        f"<style>{style}</style>",
        "</head>",
        f'<body data-adler32="{zlib.adler32("".join(data).encode())}">',
        f'<p id="wait">{_WAIT}</p>',
        f'<script type="application/json" id="header">{data[0]}</script>',
        *(f'<script type="application/octet-stream">{text}</script>' for text in blocks),
        f"<!-- uPlot\n{_read('uplot/LICENSE')}\n-->",
        f"<script>{script}</script>",
        "</body>",
        "</html>",
    ]
    return "\n".join(parts) + "\n"


def _json(content: Any) -> str:
    """JSON that no parser of HTML takes for markup."""
    text = json.dumps(finite(content), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return _encodable(text.replace("<", "\\u003c"))


def _encodable(text: str) -> str:
    """The text as UTF-8 can hold it: the name of a directory may have other bytes."""
    return text.encode(errors="backslashreplace").decode()


def _digest(text: str) -> str:
    """How the policy names the script or style that it admits."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _script(kind: Kind) -> str:
    """uPlot, as it is, and our scripts without comments and indentation.

    They are one element, so that a browser runs all of them or, where one is damaged, none.
    """
    ours = "".join(_APART.sub("", _read(f"page/{name}.js")) for name in SCRIPTS[kind])
    charts = "" if kind == "list" else _read("uplot/uPlot.iife.min.js")
    return f'"use strict";\n{charts}{ours}'


# a comment that has lines to itself, an empty line, what a line begins with, and a type
_APART = re.compile(
    r"^ *(?:(?://[^\n]*|/\*\*(?:(?!\*/).)*\*/|)\n)?|/\*\* @(?:type|param) [^*]*\*/ ", re.M | re.S
)


@cache
def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")
