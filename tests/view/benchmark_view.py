"""Sizes and times of pages: ``python -m tests.view.benchmark_view [RUNS]``.

Of the default run, of a run of 256 blocks with 301 measured rows, and of a comparison of so many
runs: the seconds that the page takes to be made, its size, and the seconds until Chromium shows it.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import sync_playwright

from ffn_train.compare import Options, collect
from ffn_train.compare.page import html
from ffn_train.config.composition import compose
from ffn_train.running.execution import execute
from ffn_train.running.experiment import build_experiment
from ffn_train.view import run_page
from tests.compare.benchmark_compare import make

DEEP = ("model.depth=256", "model.width=8", "trainer.steps=300", "measure.every=1")


def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        runs = {
            name: execute(
                build_experiment(compose([*settings, "plot.when=never", f"run.dir={root / name}"])),
                notify=print,
            )
            for name, settings in {"default": (), "deep": DEEP}.items()
        }
        make(root / "made", root / "many", count)
        comparison = collect([root / "many"], Options(), print)
        made: dict[str, Callable[[], str]] = {
            "default run": lambda: run_page(runs["default"]),
            "256 blocks, 301 rows": lambda: run_page(runs["deep"]),
            f"{count} runs compared": lambda: html(comparison),
        }
        for name, make_page in made.items():
            started = time.perf_counter()
            page = make_page()
            seconds = time.perf_counter() - started
            (root / "page.html").write_text(page, encoding="utf-8")
            shown = min(ready(root / "page.html") for _ in range(3))
            size = len(page.encode()) / 1000
            print(f"{name:24} made in {seconds:.2f} s, {size:6.0f} kB, shown in {shown:.2f} s")


def ready(file: Path) -> float:
    """The seconds from asking a browser that runs for the page until it shows its data."""
    with sync_playwright() as started:
        executable = shutil.which("chromium")
        browser = started.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1300, "height": 900})
        page.goto("about:blank")
        before = time.perf_counter()
        page.goto(file.as_uri())
        page.wait_for_selector("body[data-ready]")
        seconds = time.perf_counter() - before
        browser.close()
    return seconds


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
