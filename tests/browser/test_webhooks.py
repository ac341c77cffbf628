"""The page of webhooks: what was delivered, test, replay and remove."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.axe import severe
from tests.browser.conftest import Opener
from tests.support.api import Api
from tests.support.receiver import Receiver, Reply
from tests.support.server import Server


@pytest.fixture(scope="module")
def allowed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data: Path = tmp_path_factory.mktemp("webhooks") / "data"
    with Server(data, "--webhook-allow-private", "127.0.0.1") as running:
        yield running


def test_an_admin_sees_tests_replays_and_removes(visit: Opener, allowed: Server) -> None:
    with Api(allowed.url) as api, Receiver() as receiver:
        page = visit(f"{api.url}/webhooks")
        expect(page.get_by_text("There are no webhooks yet.")).to_be_visible()
        expect(page.locator(".none .code")).to_contain_text(f"curl {allowed.url}/v1/webhooks")
        api.post("/v1/webhooks", json={"url": f"{receiver.url}/in", "events": ["created"]})
        api.create(id="teaser", title="Teaser")
        receiver.until(lambda got: len(got) == 1)
        page.reload()
        row = page.get_by_role("row", name="created")
        expect(row).to_contain_text("204 in")
        page.get_by_role("button", name="Send a test").click()
        expect(page.get_by_role("status").filter(has_text="took the test")).to_be_visible()
        row.get_by_role("button", name="Replay").click()
        expect(page.get_by_text("created (replay)")).to_be_visible()
        receiver.until(lambda got: len(got) == 3)
        page.emulate_media(color_scheme="light")
        found = severe(page)
        page.emulate_media(color_scheme="dark")
        assert found + severe(page) == []
        receiver.reply = lambda _: Reply(500)
        page.get_by_role("button", name="Send a test").click()
        expect(page.get_by_text("The receiver answered 500.")).to_be_visible()
        page.get_by_role("button", name="Remove").click()
        page.get_by_role("button", name="Really?").click()
        expect(page.get_by_text("There are no webhooks yet.")).to_be_visible()
        assert api.get("/v1/webhooks").json()["webhooks"] == []
