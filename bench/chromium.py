"""A page in Chromium under measure: what its main thread does, its heap, its document."""

from __future__ import annotations

import os
import shutil
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from common import need
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

# The page's own frames, while it scrolls `distance` pixels in `seconds`.
SCROLL = """([distance, seconds]) => new Promise((done) => {
  const begun = performance.now(), from = scrollY, frames = [];
  let last = begun;
  const step = (now) => {
    frames.push(now - last);
    last = now;
    const part = Math.min(1, (now - begun) / (seconds * 1000));
    scrollTo(0, from + distance * part);
    if (part < 1) requestAnimationFrame(step);
    else done(frames.slice(1));
  };
  requestAnimationFrame(step);
})"""


# Rows of text that scroll, and no script. Without a GPU, drawing is most of the work.
PLAIN = """<!doctype html>
<style>
  body {{ margin: 0; font: 13px sans-serif; }}
  .log {{ height: 760px; overflow-y: scroll; }}
  p {{ height: {height}px; margin: 0; box-sizing: border-box; border-bottom: 1px solid #ddd; }}
</style>
<div class="{box}">{rows}</div>"""
ROW = "<p>{n} <b>Nightly consolidation</b> training Epoch 5 of 10, loss 0.42 took 12s 3m ago</p>"


class Tab:
    def __init__(self, page: Page, session: CDPSession) -> None:
        self.page = page
        self._session = session
        session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def metrics(self) -> dict[str, float]:
        """Chromium's counters: TaskDuration and the like in seconds of the main thread."""
        found = self._session.send("Performance.getMetrics")["metrics"]
        return {it["name"]: it["value"] for it in found}

    @property
    def heap(self) -> float:
        """MB that the page's objects take, after a collection."""
        self._session.send("HeapProfiler.collectGarbage")
        return self.metrics()["JSHeapUsedSize"] / 1e6

    @property
    def nodes(self) -> int:
        return int(self.page.evaluate("document.getElementsByTagName('*').length"))

    def frames(self, distance: int, seconds: float) -> dict[str, float]:
        """Frames a second while the page scrolls, and what a frame costs its main thread. That cost
        is CPU, so other work of the machine does not count."""
        before = self.metrics()["TaskDuration"]
        taken = self.page.evaluate(SCROLL, [distance, seconds])
        cost = self.metrics()["TaskDuration"] - before
        return {
            "frames/s": 1000 / statistics.mean(taken),
            "CPU a frame, ms": cost * 1000 / len(taken),
            "p99 frame, ms": sorted(taken)[int(len(taken) * 0.99)],
        }


class Chromium:
    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    def tab(self, url: str, width: int = 1440, height: int = 900) -> Tab:
        context = self._browser.new_context(viewport={"width": width, "height": height})
        page = context.new_page()
        page.set_default_timeout(120_000)
        tab = Tab(page, context.new_cdp_session(page))
        page.goto(url)
        return tab

    def plain(self, count: int, height: int, box: str = "") -> Tab:
        """A page of that many rows of text, without a script: the limit of browser and machine."""
        tab = self.tab("about:blank")
        rows = "".join(ROW.format(n=n) for n in range(count))
        tab.page.set_content(PLAIN.format(height=height, box=box, rows=rows))
        return tab


@contextmanager
def chromium() -> Iterator[Chromium]:
    if not (path := shutil.which("chromium")):
        need("chromium")
        path = shutil.which("chromium")
    arguments = ["--disable-gpu", "--enable-precise-memory-info"]
    arguments += ["--no-sandbox"] * (os.geteuid() == 0)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield Chromium(browser)
        browser.close()


def weight(tab: Tab) -> dict[str, Any]:
    """What the page loaded, and when it first painted."""
    return dict(
        tab.page.evaluate(
            """() => {
              const all = performance.getEntriesByType("resource");
              const of = (test) => all.filter((it) => test.test(it.name))
                .reduce((sum, it) => sum + it.encodedBodySize, 0) / 1000;
              const paint = performance.getEntriesByName("first-contentful-paint")[0];
              return { "first paint, ms": paint.startTime, "scripts, KB": of(/\\.js$/),
                       "styles, KB": of(/\\.css$/), "fonts, KB": of(/\\.woff2$/) };
            }"""
        )
    )
