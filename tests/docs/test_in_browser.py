"""The tags and styles that the docs show work in a browser, on a page of the server's origin."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

from tests.browser.conftest import SHELL, launched
from tests.docs.blocks import Block, blocks, texts
from tests.support.server import Server

# django.md's is a template: test_howto.py renders it.
HTML = [it for it in blocks() if it.language == "html" and "{%" not in it.text]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright, launched(playwright, SHELL) as browser:
        yield browser


@pytest.fixture(scope="module")
def filled(shared: Server) -> Server:
    """A server with the jobs that the docs show."""
    for id in ("teaser", "trailer", "ID"):
        httpx2.put(f"{shared.url}/v1/jobs/{id}", json={"title": f"The {id}"}).raise_for_status()
        report = {"type": "progress", "percent": 42}
        httpx2.post(f"{shared.url}/v1/jobs/{id}/reports", json=report).raise_for_status()
    return shared


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page
    page.close()
    assert faults == []


def show(page: Page, server: Server, html: str) -> None:
    """As the page of the server's own origin that holds the block."""
    for address in ("https://jobs.example", "http://127.0.0.1:8000"):
        html = html.replace(address, server.url)
    html = html.replace("token=…&", "")  # the server is open

    def answer(route: Route) -> None:
        route.fulfill(body=f"<!doctype html>{html}", content_type="text/html; charset=utf-8")

    page.route(f"{server.url}/block", answer)
    token = {"token": "", "expires_at": None}
    page.route("**/livejobs-token/*", lambda route: route.fulfill(json=token))
    page.goto(f"{server.url}/block")


@pytest.mark.parametrize("block", HTML, ids=str)
def test_the_tags_show_the_job(block: Block, filled: Server, page: Page) -> None:
    show(page, filled, block.text)
    if "<iframe" in block.text:
        expect(page.frame_locator("iframe").get_by_text("The teaser")).to_be_visible()
    elif "<live-job" in block.text:
        for element in page.locator("live-job").all():
            expect(element.get_by_text("42")).not_to_have_count(0)
    else:
        expect(page.locator("#state")).to_have_text("running, 42 %")


# How many declarations each rule has. A browser leaves out what it does not understand.
DECLARED = """(text) => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(text);
  return [...sheet.cssRules].map((rule) => rule.style.length);
}"""


def test_every_rule_of_the_styles_is_css(page: Page) -> None:
    for text in texts("docs/browser.md", "css"):
        declared = page.evaluate(DECLARED, text)
        assert len(declared) == text.count("{")
        assert sum(declared) == text.count(";")
