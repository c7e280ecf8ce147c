"""One self-contained HTML file: style, scripts, packed data, and a policy that admits no more."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

from ffn_train.runs.files import finite

Kind = Literal["run", "comparison", "list"]

_HERE = Path(__file__).parent
_COMMON = ("data", "dom", "axes", "frame", "drawing", "chart", "step")
# the scripts of each kind of page, in the order of their use
SCRIPTS: Mapping[Kind, tuple[str, ...]] = {
    "comparison": (*_COMMON, "groups", "table", "map", "pair", "comparison", "live"),
    "list": ("dom", "list"),
    "run": (*_COMMON, "heatmap", "quantities", "run_charts", "run", "live"),
}


def page(kind: Kind, title: str, header: Mapping[str, Any], blocks: Sequence[str]) -> str:
    """A page of this kind; ``header``: its data but for the packed arrays, ``blocks``: those.

    Everything in the header is shown as text. The same data give the same page.
    """
    style, scripts = _style(), _scripts(kind)
    policy = (
        f"default-src 'none'; script-src {' '.join(map(_digest, scripts))}; "
        f"style-src {_digest(style)}; img-src blob: data:; base-uri 'none'; form-action 'none'"
    )
    if header.get("live"):
        policy += "; connect-src 'self'"
    parts = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{html.escape(title)}</title>",
        '<link rel="icon" href="data:,">',
        f"<style>{style}</style>",
        "</head>",
        "<body>",
        f'<script type="application/json" id="header">{_json(header)}</script>',
        *(
            f'<script type="application/octet-stream" id="block-{number}">{text}</script>'
            for number, text in enumerate(blocks)
        ),
        f"<!-- uPlot\n{_read('uplot/LICENSE')}\n-->",
        *(f"<script>{script}</script>" for script in scripts),
        "</body>",
        "</html>",
    ]
    return "\n".join(parts) + "\n"


def _json(content: Any) -> str:
    """JSON that no parser of HTML takes for markup."""
    text = json.dumps(finite(content), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def _digest(text: str) -> str:
    """How the policy names the script or style that it admits."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _style() -> str:
    return _read("uplot/uPlot.min.css") + _read("page/page.css")


def _scripts(kind: Kind) -> list[str]:
    """uPlot, as it is, and our scripts in one, without comments and indentation."""
    ours = "".join(_APART.sub("", _read(f"page/{name}.js")) for name in SCRIPTS[kind])
    charts = [] if kind == "list" else [_read("uplot/uPlot.iife.min.js")]
    return [*charts, f'"use strict";\n{ours}']


# a comment that has lines to itself, an empty line, what a line begins with, and a type
_APART = re.compile(
    r"^ *(?:(?://[^\n]*|/\*\*(?:(?!\*/).)*\*/|)\n)?|/\*\* @(?:type|param) [^*]*\*/ ", re.M | re.S
)


@cache
def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")
