"""The pages of a server with keys, in Chromium: they ask for a key, use it, and remove a token from
the page's address."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Opener
from tests.support.server import Server

ADMIN = "the-first-admin-key"


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path / "data", env={"LIVEJOBS_ADMIN_KEY": ADMIN}) as server:
        yield server


@pytest.fixture
def admin(closed: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=closed.url, headers={"x-api-key": ADMIN}) as admin:
        admin.put("/v1/jobs/j", json={"title": "Teaser"})
        yield admin


def test_a_page_asks_for_a_key_and_uses_it(
    visit: Opener, closed: Server, admin: httpx.Client
) -> None:
    page = visit(closed.url)
    expect(page.get_by_text("A key is needed")).to_be_visible()
    page.get_by_label("Key").fill("lj_wrong")
    page.get_by_role("button", name="Open").click()
    expect(page.get_by_text("The server does not accept this key.")).to_be_visible()
    page.get_by_label("Key").fill(ADMIN)
    page.get_by_role("button", name="Open").click()
    page.get_by_role("link", name="Teaser").click()
    admin.post("/v1/jobs/j/reports", json={"type": "progress", "percent": 42})
    expect(page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "42")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Really?").click()
    expect(page.get_by_role("button", name="End it now")).to_be_visible()
    assert admin.get("/v1/jobs/j").json()["cancel_requested"]
    assert ADMIN not in page.url


def test_a_link_with_a_token_shows_its_job_and_hides_the_token(
    visit: Opener, closed: Server, admin: httpx.Client
) -> None:
    view = admin.post("/v1/jobs", json={"id": "k", "title": "Handed over"}).json()["view"]
    page = visit(closed.url + view["url"])
    expect(page.get_by_role("heading", name="Handed over")).to_be_visible()
    assert view["token"] not in page.url
    page.reload()
    expect(page.get_by_role("heading", name="Handed over")).to_be_visible()
    page.goto(closed.url + "/jobs/j")
    expect(page.get_by_text("There is no such job")).to_be_visible()


def test_a_token_that_expires_is_renewed_without_a_gap(
    visit: Opener, closed: Server, admin: httpx.Client
) -> None:
    page = visit(closed.url)
    page.get_by_label("Key").fill(ADMIN)
    minted: list[str] = []
    page.on("request", lambda it: minted.append(it.url) if "/v1/tokens" in it.url else None)
    # The first token lasts a second, the next ones as long as usual.
    page.route(
        "**/v1/tokens", lambda route: route.continue_(post_data='{"ttl_seconds":1}'), times=1
    )
    page.get_by_role("button", name="Open").click()
    page.get_by_role("link", name="Teaser").click()
    expect(page.get_by_role("heading", name="Teaser")).to_be_visible()
    for n in range(20):
        admin.post("/v1/jobs/j/reports", json={"type": "log", "message": f"line {n}"})
    while len(minted) < 2:  # the first token expired, and the stream continues with the second
        page.wait_for_timeout(100)
    admin.post("/v1/jobs/j/reports", json={"type": "log", "message": "the last line"})
    expect(page.get_by_text("the last line")).to_be_visible()
    for n in range(20):
        expect(page.get_by_text(f"line {n}", exact=True)).to_have_count(1)
