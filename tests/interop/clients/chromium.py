"""Clients in a page of Chromium: its own EventSource, or @microsoft/fetch-event-source.

The page and its module come from files, everything else from the server.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Route, sync_playwright

HERE = Path(__file__).parent
LIB = HERE.parent / "node_modules/@microsoft/fetch-event-source/lib/esm"


def serve(route: Route) -> None:
    name = urlsplit(route.request.url).path.removeprefix("/interop/")
    if name.startswith("lib/"):  # its modules import each other without their ending
        path = (LIB / name.removeprefix("lib/")).with_suffix(".js")
        route.fulfill(path=path, content_type="text/javascript")
    else:
        route.fulfill(path=HERE / name, content_type="text/html")


def main(client: str, url: str, job: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"], timeout=0
        )
        page = browser.new_page()
        page.set_default_timeout(0)  # how long all may take is for the test to say
        page.expose_function("say", lambda fact: print(json.dumps(fact), flush=True))
        page.route("**/interop/**", serve)
        page.goto(f"{url}/interop/page.html?client={client}&job={job}")
        page.wait_for_function("document.title === 'over'")
        browser.close()


main(*sys.argv[1:])
