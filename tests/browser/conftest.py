"""Browsers, pages that must log no error, and jobs for them to show."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx2
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright, expect, sync_playwright

from tests.browser.jobs import Jobs
from tests.support.needs import need
from tests.support.server import Server

CHROMIUM = shutil.which("chromium") or ""
# The same engine without windows, for half of the processor time. It has no viewer of PDF.
SHELL = shutil.which("chromium-headless-shell") or CHROMIUM

# Long, so that a slow machine fails no test.
PATIENCE = 90_000  # ms
expect.set_options(timeout=PATIENCE)

# A page waits a random part of up to 30 s before it reconnects; here a small part.
EAGER = "Math.random = () => 0.05"


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """One a module: while its loop runs, tests of other modules can start no loop."""
    with sync_playwright() as playwright:
        yield playwright


@contextmanager
def launched(playwright: Playwright, program: str) -> Iterator[Browser]:
    need(program, "chromium is not installed")
    arguments = ["--disable-gpu"] + ["--no-sandbox"] * (os.geteuid() == 0)
    browser = playwright.chromium.launch(executable_path=program, args=arguments, timeout=PATIENCE)
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    with launched(playwright, SHELL) as browser:
        yield browser


@pytest.fixture(scope="module")
def whole_browser(playwright: Playwright) -> Iterator[Browser]:
    """For pages with a PDF."""
    with launched(playwright, CHROMIUM) as browser:
        yield browser


Opener = Callable[..., Page]


@pytest.fixture
def visit(browser: Browser) -> Iterator[Opener]:
    with opener(browser) as visit:
        yield visit


@pytest.fixture
def visit_whole(whole_browser: Browser) -> Iterator[Opener]:
    with opener(whole_browser) as visit:
        yield visit


@contextmanager
def opener(browser: Browser) -> Iterator[Opener]:
    """Opens an address in its own window. At the end, no page may have thrown or logged an error,
    or violated its policy. Network errors do not count: some tests stop the server."""
    complaints: list[str] = []
    contexts = []

    def heard(message: ConsoleMessage) -> None:
        network = (
            "net::ERR_",
            "the server responded with",
            "WebSocket handshake",
            "WebSocket is closed",
        )
        away = any(words in message.text for words in network)
        if message.type in ("error", "warning") and not away:
            complaints.append(message.text)

    def visit(url: str, width: int = 1280, height: int = 800, **more: str) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height}, locale="en-GB", timezone_id="UTC"
        )
        context.set_default_timeout(PATIENCE)
        context.add_init_script(EAGER)
        contexts.append(context)
        page = context.new_page()
        page.on("console", heard)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(url)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture(scope="module")
def http() -> Iterator[httpx2.Client]:
    """One client for all tests: each new one loads the certificates again."""
    with httpx2.Client() as http:
        yield http


@pytest.fixture
def jobs(shared: Server, http: httpx2.Client) -> Jobs:
    return Jobs(shared.url, http)
