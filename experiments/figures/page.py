"""A picture of a run's interactive page, as a browser shows it.

    python experiments/figures/page.py outputs/plain64 --out experiments/three_residuals/page.png

Needs Chromium and the extra `test`.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from ffn_train import load_run
from ffn_train.view import run_page

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="a run's directory")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.png")
    parser.add_argument("--quantity", default="signal_gradient_rms")
    parser.add_argument("--place", default="x_32", help="the chosen layer, block or boundary")
    parser.add_argument("--below", default="", help="a bound, such as 1e-10")
    parser.add_argument("--step", type=int, help="default: the last one")
    parser.add_argument("--size", type=int, nargs=2, default=(1240, 950), metavar="PIXELS")
    parser.add_argument("--dark", action="store_true")
    options = parser.parse_args()
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as started:
        file = Path(folder) / "page.html"
        file.write_text(run_page(load_run(options.run)), encoding="utf-8")
        browser = started.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        width, height = options.size
        page = browser.new_page(
            viewport={"width": width, "height": height},
            color_scheme="dark" if options.dark else "light",
        )
        page.goto(file.as_uri())
        page.wait_for_selector("body[data-ready]")
        page.evaluate(
            """async ([quantity, place, step]) => {
              await runPage.choose(quantity);
              runPage.find(place);
              document.getElementById("quantity").value = quantity;
              if (step !== null) runPage.steps.near(step);
            }""",
            [options.quantity, options.place, options.step],
        )
        page.locator("#below").fill(options.below)
        page.wait_for_timeout(300)
        page.screenshot(path=options.out)
        browser.close()


if __name__ == "__main__":
    main()
