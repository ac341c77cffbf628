"""The pictures of docs/images: pages of the demo, light and dark, on a desk and on a phone."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import httpx2 as httpx
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.chat import chat
from tests.support.server import BIN, Running

IMAGES: Final = Path(__file__).parents[1] / "docs" / "images"
SCHEMES: Final = ("light", "dark")
SIZES: Final = {"1440": (1440, 900), "390": (390, 844)}
FILM: Final = (1000, 620)
A_SECOND: Final = 4  # pictures
SECONDS: Final = 12
END: Final = 6  # pictures after the job has ended
# One palette for all frames, and only what changes in each: a page is mostly still.
GIF: Final = (
    "split[a][b];[a]palettegen=max_colors=96:stats_mode=full[p];"
    "[b][p]paletteuse=dither=none:diff_mode=rectangle"
)
COLOURS: Final = "split[a][b];[a]palettegen=max_colors=160[p];[b][p]paletteuse=dither=none"
Job = dict[str, Any]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        command = [str(BIN / "livejobs"), "demo", "--data", f"{folder}/data", "--pace", "1.5"]
        with chat() as host, sync_playwright() as playwright:
            command += ["--cors-origins", host.origin]
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"),
                args=["--disable-gpu"] + ["--no-sandbox"] * (os.geteuid() == 0),
            )
            with Running(*command) as demo:
                take_all(browser, demo.url, Path(folder))
                take_chat(browser, demo.url, host.origin)


def take_all(browser: Browser, url: str, folder: Path) -> None:
    IMAGES.mkdir(exist_ok=True)
    found(url, lambda job: job["status"] == "failed")  # then there is something to see
    while not film(browser, url, folder):
        pass  # the job failed: a traceback names paths of this machine
    for scheme in SCHEMES:
        for size in SIZES:
            take(browser, url, f"dashboard-{size}-{scheme}", scheme, size, ".row >> nth=5")
            job = found(url, is_worth_seeing)["links"]["page"]
            take(browser, job, f"job-{size}-{scheme}", scheme, size, ".line >> nth=3")
        asks = found(url, lambda job: job["waiting"])["links"]["page"]
        take(browser, asks, f"waiting-1440-{scheme}", scheme, "1440", ".question >> visible=true")
        embed = f"{found(url, is_worth_seeing)['links']['page']}/embed?theme={scheme}"
        take(browser, embed, f"element-{scheme}", scheme, "390", "live-job")


def take_chat(browser: Browser, url: str, host: str) -> None:
    """A job as an MCP App."""
    for scheme in SCHEMES:
        page = opened(browser, host, scheme, (720, 480))
        page.wait_for_function("() => Boolean(window.show)")
        id = found(url, is_worth_seeing)["id"]
        how = {"url": f"{url}/mcp", "id": id, "context": {"theme": scheme}}
        page.evaluate("(how) => show(how)", how)
        page.frame_locator("iframe").get_by_role("progressbar").wait_for(timeout=120_000)
        page.wait_for_timeout(1500)  # for the height of the frame
        raw = page.locator("iframe").screenshot()
        page.context.close()
        convert(["-f", "png_pipe", "-i", "-"], COLOURS, IMAGES / f"chat-{scheme}.png", raw)


def is_worth_seeing(job: Job) -> bool:
    return is_film(job) and job["logs_total"] > 4 and is_between(job, 25, 60)


def is_film(job: Job) -> bool:
    """Its title is in letters of our own font."""
    runs = job["status"] == "running" and not job["stalled"] and job["attempt"] == 1
    return runs and job["type"] == "render" and all(ord(char) < 0x250 for char in job["title"])


def is_between(job: Job, least: float, most: float) -> bool:
    return least <= (job["progress"]["percent"] or 0) <= most


def found(url: str, wanted: Callable[[Job], bool]) -> Job:
    """The first job that is as wanted, once there is one."""
    while True:
        jobs = httpx.get(f"{url}/v1/jobs?limit=200").json()["jobs"]
        for job in jobs:
            if wanted(job):
                return {**job, "links": {**job["links"], "page": f"{url}/jobs/{job['id']}"}}
        time.sleep(0.3)


def opened(browser: Browser, url: str, scheme: str, size: tuple[int, int]) -> Page:
    width, height = size
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,  # type: ignore[arg-type]  # light or dark
        locale="en-GB",
        reduced_motion="reduce",  # so that no picture shows a movement half-way
    )
    page = context.new_page()
    page.goto(url)
    page.evaluate("document.documentElement.style.scrollbarGutter = 'auto'")  # there is no bar
    return page


def take(browser: Browser, url: str, name: str, scheme: str, size: str, shown: str) -> None:
    page = opened(browser, url, scheme, SIZES[size])
    page.locator(shown).wait_for(timeout=120_000)
    page.evaluate("document.fonts.ready")
    page.wait_for_timeout(1500)  # for charts and pictures; nobody waits for a picture of it
    raw = page.screenshot()
    page.context.close()
    convert(["-f", "png_pipe", "-i", "-"], COLOURS, IMAGES / f"{name}.png", raw)


def film(browser: Browser, url: str, folder: Path) -> bool:
    """One job in both schemes, from its begin on. Return whether it went well. On a busy machine
    the pictures are further apart, and the film is faster than the job."""
    job = found(url, lambda it: is_film(it) and is_between(it, 0, 15))
    address = job["links"]["page"]
    pages = {scheme: opened(browser, address, scheme, FILM) for scheme in SCHEMES}
    for page in pages.values():
        page.locator(".line").first.wait_for()
    for old in folder.glob("*.png"):  # of a job that failed
        old.unlink()
    left = SECONDS * A_SECOND
    for n in range(left):
        due = time.monotonic() + 1 / A_SECOND
        for scheme, page in pages.items():
            page.screenshot(path=folder / f"{scheme}-{n:03}.png")
        now = httpx.get(f"{url}/v1/jobs/{job['id']}").json()
        left = min(left - 1, END) if now["completed_at"] else left - 1
        if left < 0:
            break
        time.sleep(max(0.0, due - time.monotonic()))
    for page in pages.values():
        page.context.close()
    if now["status"] not in ("running", "succeeded") or now["attempt"] > job["attempt"]:
        return False
    for scheme in SCHEMES:
        frames = ["-framerate", str(A_SECOND), "-i", f"{folder}/{scheme}-%03d.png"]
        convert(frames, GIF, IMAGES / f"job-{scheme}.gif")
    return True


def convert(source: list[str], filters: str, target: Path, data: bytes | None = None) -> None:
    command = [
        "ffmpeg",
        "-loglevel",
        "error",
        "-y",
        *source,
        "-filter_complex",
        filters,
        str(target),
    ]
    subprocess.run(command, input=data, check=True)  # noqa: S603 - our own command


if __name__ == "__main__":
    main()
