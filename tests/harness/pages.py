"""Damaged pages in a browser: what ``tests.harness.damage`` tries of ``page.html``.

A page is truncated, zeroed in part, altered by a bit, or its packed arrays change places; then
Chromium opens it. Right is what the sound page shows, or a line and nothing drawn.
"""

from __future__ import annotations

import atexit
import hashlib
import importlib.util
import random
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from tests.harness.campaign import Outcome

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
WAIT = "One moment."
PATIENCE = 3.0  # seconds after which a page that neither fails nor is ready will not be

# whether the page is drawn, or cannot be since its script is not there, or not the one admitted
DECIDED = "document.body?.dataset.ready || typeof Data === 'undefined'"
SHOWN = """async () => {
  const frame = () => new Promise(requestAnimationFrame);
  await frame(); await frame();
  const body = document.body?.cloneNode(true);
  for (const each of body?.querySelectorAll("script, style") ?? []) each.remove();
  return {
    ready: Boolean(document.body?.dataset.ready),
    styled: document.styleSheets.length > 0,
    text: body?.textContent ?? "",
    drawn: document.querySelectorAll("canvas, main, table").length,
    pictures: Array.from(document.querySelectorAll("canvas"), (each) => each.toDataURL()),
  };
}"""


class Shown(NamedTuple):
    """What a browser shows of a page; ``pictures``: a digest of its charts."""

    ready: bool
    styled: bool
    text: str
    drawn: int
    pictures: str


def executable() -> str | None:
    """The path of Chromium; None if there is none, or nothing to drive it with."""
    driven = importlib.util.find_spec("playwright")
    return next(filter(None, map(shutil.which, CHROMIUM)), None) if driven else None


def chromium() -> Any:
    """A page of headless Chromium, for which no name but this machine's can be resolved.

    It ends with this process.
    """
    from playwright.sync_api import sync_playwright

    started = sync_playwright().start()
    atexit.register(started.stop)
    arguments = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
    browser = started.chromium.launch(executable_path=executable(), args=arguments)
    return browser.new_page(viewport={"width": 1300, "height": 900})


def look(page: Any, path: Path) -> Shown:
    failed: list[str] = []

    def note(error: object) -> None:
        failed.append(str(error))

    page.on("pageerror", note)
    page.goto(path.as_uri())
    end = time.monotonic() + PATIENCE
    while not failed and not page.evaluate(DECIDED) and time.monotonic() < end:
        page.wait_for_timeout(20)
    page.remove_listener("pageerror", note)
    shown = page.evaluate(SHOWN)
    shown["pictures"] = hashlib.sha256("".join(shown["pictures"]).encode()).hexdigest()
    return Shown(**shown)


# How it is damaged: the content, and from which byte on it is another one


def truncated(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.randrange(len(content))]


def zeroed(content: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(content))
    end = min(len(content), start + draw.choice((1, 16, 512, 4096)))
    return content[:start] + bytes(end - start) + content[end:]


def flipped(content: bytes, draw: random.Random) -> bytes:
    changed = bytearray(content)
    place = draw.randrange(8 * len(content))
    changed[place // 8] ^= 1 << place % 8
    return bytes(changed)


PACKED = re.compile(rb'(?<=octet-stream">)[^<]*')
LETTER = re.compile(rb"[A-Za-z0-9]")


def another_digit(content: bytes, draw: random.Random) -> bytes:
    """A letter or digit of the data is another one, as markup would survive."""
    start, end = content.index(b'id="header">'), content.rindex(b"octet-stream")
    place = draw.choice([m.start() for m in LETTER.finditer(content, start, end)])
    new = draw.choice([c for c in b"0123456789abcXYZ" if c != content[place]])
    return content[:place] + bytes([new]) + content[place + 1 :]


def exchanged(content: bytes, draw: random.Random) -> bytes:
    """Two of its packed arrays have changed places."""
    texts = PACKED.findall(content)
    first, second = draw.sample(range(len(texts)), 2)
    texts[first], texts[second] = texts[second], texts[first]
    rest = iter(texts)
    return PACKED.sub(lambda _: next(rest), content)


Damage = Callable[[bytes, random.Random], bytes]
DAMAGES: tuple[Damage, ...] = (
    truncated,
    zeroed,
    flipped,
    another_digit,
    exchanged,
)


def trouble(sound: Shown, now: Shown, whole: bool) -> str:
    """What is wrong with what a damaged page shows; ``whole``: the line that waits is undamaged."""
    if now.ready:  # the data are undamaged; of damaged markup some may stand beside the text
        words, shown = (f" {' '.join(page.text.split())} " for page in (sound, now))
        if words not in shown:
            return "another text"
        return "" if now.pictures == sound.pictures or not now.styled else "another picture"
    if now.drawn:
        return "something is drawn of what is damaged"
    return "" if WAIT in now.text or not whole else "no line"


def opening(
    pages: Mapping[str, Path], place: Path, page: Any, damages: Sequence[Damage] = DAMAGES
) -> Callable[[random.Random], Outcome]:
    """A case: one of the pages, damaged as drawn, opened in the browser's page."""

    @cache
    def sound(name: str) -> Shown:
        shown = look(page, pages[name])
        assert shown.ready, f"{name}: {shown.text[:300]}"
        return shown

    def case(draw: random.Random) -> Outcome:
        name, damage = draw.choice(sorted(pages)), draw.choice(damages)
        content = pages[name].read_bytes()
        damaged = damage(content, draw)
        same = [a == b for a, b in zip(content, damaged, strict=False)]
        first = same.index(False) if False in same else len(damaged)
        path = place / "page.html"
        path.write_bytes(damaged)
        now = look(page, path)
        line_ends = content.index(b"</p>", content.index(b'id="wait"'))
        wrong = trouble(sound(name), now, first > line_ends)
        words = f"{name} in a browser, {damage.__name__} at byte {first} of {len(content)}"
        covered = [f"{name} in a browser", f"page {damage.__name__}", "page refused"]
        covered[2] = "page shown" if now.ready else covered[2]
        return Outcome(covered, wrong and f"{wrong}: {name}\n  {words}\n  {now.text[:300]!r}")

    return case
