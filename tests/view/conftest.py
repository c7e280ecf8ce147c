"""A browser that the tests of this folder share, and what it is asked of a page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ffn_train.runs import Run, load_run
from ffn_train.view import run_page
from tests.support.small_runs import config, run_in

Opened = Callable[..., Any]


def lacking(what: str) -> None:
    """Skip a test for what is not installed; where nothing may be skipped, fail it."""
    if os.environ.get("FFN_TRAIN_SKIP_NOTHING"):
        pytest.fail(f"{what} is not installed")
    pytest.skip(f"{what} is not installed")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Headless Chromium, for which no name but this machine's can be resolved."""
    names = ("chromium", "chromium-browser", "google-chrome")
    executable = next(filter(None, map(shutil.which, names)), None)
    if executable is None:
        lacking("Chromium (apt install chromium)")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        lacking("playwright (extra 'test')")
    with sync_playwright() as started:
        rules = "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
        arguments = ["--no-sandbox", f"--host-resolver-rules={rules}"]
        yield started.chromium.launch(executable_path=executable, args=arguments)


def visit(browser: Any, content: str, folder: Path, **options: Any) -> tuple[Any, list[str]]:
    """A page of this content or address that shows its data, and a list of all that goes wrong."""
    wrong: list[str] = []
    address = content
    if not content.startswith("http"):
        (folder / "page.html").write_text(content, encoding="utf-8")
        address = (folder / "page.html").as_uri()
    page = browser.new_context(viewport={"width": 1300, "height": 900}, **options).new_page()

    def said(message: Any) -> None:
        if "Multiple readback operations" not in message.text:  # the tests' own, of pixels
            wrong.append(f"console: {message.text}")

    def asked(request: Any) -> None:
        if not request.url.startswith((address.rpartition("/")[0], "blob:", "data:")):
            wrong.append(f"asked for {request.url}")

    page.on("console", said)
    page.on("request", asked)
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))
    page.goto(address)
    page.wait_for_selector("body[data-ready]")
    return page, wrong


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Opened]:
    """Opens a page of this content or address, and waits until it shows its data.

    At the end it has asked for nothing else, and nothing went wrong in it.
    """
    visits = []

    def show(content: str, **options: Any) -> Any:
        visits.append(visit(browser, content, tmp_path, **options))
        return visits[-1][0]

    yield show
    for page, wrong in visits:
        page.context.close()
        assert not wrong


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of three blocks with measurements at four steps, not to be changed."""
    return run_in(tmp_path_factory.mktemp("runs") / "small", config(measure={"every": 3}))


@pytest.fixture(scope="session")
def old_run() -> Callable[[str], Run]:
    """A run of the version before, by its name."""
    folder = Path(__file__).parents[1] / "old_runs" / "runs"
    return lambda name: load_run(folder / name)


@pytest.fixture(scope="session")
def visited(browser: Any, small_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return visit(browser, run_page(small_run), tmp_path_factory.mktemp("page"))


@pytest.fixture
def small_page(visited: Any) -> Iterator[Any]:
    """The page of the small run as it is when it is opened."""
    page, wrong = visited
    page.evaluate("""async () => {
      runPage.steps.go(Infinity);
      await runPage.choose("layer_gradient_norm");
      runPage.find("blocks.0");
      document.activeElement.blur();
    }""")
    yield page
    assert not wrong


PIXELS = """name => {
  const canvas = document.querySelector(`[data-chart="${name}"] .plot canvas`);
  if (!canvas) return null;
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let drawn = 0, sum = 0;
  for (let at = 0; at < data.length; at += 4) {
    if (data[at + 3] > 128) drawn += 1;
    sum = (sum * 31 + data[at] + 3 * data[at + 1] + 7 * data[at + 2] + 11 * data[at + 3]) % 1e9;
  }
  return [drawn, sum];
}"""


def pixels(page: Any, chart: str) -> tuple[int, int]:
    """How many pixels of a chart are drawn, and a number that tells pictures apart."""
    page.wait_for_timeout(60)  # uPlot draws in the frame after
    drawn, total = page.evaluate(PIXELS, chart)
    return drawn, total


def fits(page: Any, width: int) -> bool:
    """Whether the page comes to fit a window of this width.

    It is asked repeatedly: its policy forbids the evaluation by which Playwright waits.
    """
    page.set_viewport_size({"width": width, "height": 900})
    for _ in range(50):
        if page.evaluate("document.documentElement.scrollWidth") == width:
            return True
        page.wait_for_timeout(100)
    return False


def text(page: Any, selector: str) -> str:
    return str(page.inner_text(selector))
