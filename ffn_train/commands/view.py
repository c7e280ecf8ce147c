"""python -m ffn_train view: a run or a comparison as one interactive page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ffn_train.commands.options import Parser, mention
from ffn_train.runs.files import write_whole

PAGE = "page.html"


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the page, or serve it; exits 2, with one line, for a mistake in the command."""
    from ffn_train.compare.discovery import is_run, recorded_elsewhere
    from ffn_train.runs import load_run
    from ffn_train.view import run_page

    parser = Parser("view", "Make one interactive page of a run, or of the runs below directories.")
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH", help="a run, a sweep, or what holds some"
    )
    parser.add_argument("--out", type=Path, metavar="FILE.html", help="where to write the page")
    options = parser.parse(arguments)
    with parser.mistakes("; --out FILE.html writes elsewhere"):
        path = options.paths[0]
        page = run_page(load_run(path))
        out = options.out or path / PAGE
        write_whole(out, page.encode(), durable=False)
        mention(f"page in {out}")
