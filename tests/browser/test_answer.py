"""The form that answers what a job waits for, in Chromium, on a real server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Opener
from tests.support.api import Api
from tests.support.server import Server


@pytest.fixture
def api(shared: Server) -> Iterator[Api]:
    with Api(shared.url) as client:
        yield client


def ask(api: Api, id: str, schema: Any = None, prompt: str = "Publish?") -> None:
    api.report(id, {"type": "ask", "prompt": prompt, "schema": schema})


def answer(api: Api, page: Page, id: str) -> Any:
    """What the worker gets, once the form has gone."""
    expect(page.locator(".question")).to_be_hidden()
    return api.report(id, {"type": "heartbeat"})["answer"]["value"]


def test_each_schema_gets_its_form_and_the_answer_arrives(api: Api, visit: Opener) -> None:
    id = api.create(title="Film")
    page = visit(f"{api.url}/jobs/{id}")
    expect(page.locator(".badge")).to_have_text("Queued")
    expect(page.locator(".question")).to_be_hidden()

    ask(api, id, {"type": "boolean"}, "Publish <b>now</b>?")
    expect(page.locator(".question .prompt")).to_have_text("Publish <b>now</b>?")
    page.get_by_role("button", name="No", exact=True).click()
    assert answer(api, page, id) is False

    ask(api, id, {"enum": ["red", 3, None]})
    page.get_by_role("button", name="3", exact=True).click()
    assert answer(api, page, id) == 3

    ask(api, id, {"type": "string"})
    page.get_by_label("Answer").fill("tomorrow")
    page.keyboard.press("Enter")
    assert answer(api, page, id) == "tomorrow"

    ask(api, id, {"type": "integer"})
    page.get_by_label("Answer").fill("7")
    page.get_by_role("button", name="Send").click()
    assert answer(api, page, id) == 7

    ask(api, id)
    page.get_by_label("Answer").fill('{"any": [')
    page.get_by_role("button", name="Send").click()
    page.get_by_label("Answer").fill('{"any": ["json"]}')
    page.get_by_role("button", name="Send").click()
    assert answer(api, page, id) == {"any": ["json"]}

    properties = {
        "name": {"type": "string", "title": "Your name"},
        "share": {"type": "number", "description": "Between 0 and 1"},
        "public": {"type": "boolean"},
        "colour": {"enum": ["red", "blue"]},
        "left_out": {"type": "string"},
    }
    ask(api, id, {"type": "object", "properties": properties, "required": ["name"]})
    page.get_by_label("Your name").fill("Ann")
    expect(page.get_by_text("Between 0 and 1")).to_be_visible()
    page.get_by_label("share").fill("0.5")
    page.get_by_label("public").check()
    page.get_by_label("colour").select_option("blue")
    page.get_by_role("button", name="Send").click()
    assert answer(api, page, id) == {
        "name": "Ann", "share": 0.5, "public": True, "colour": "blue",
    }  # fmt: skip


def test_an_answer_that_does_not_fit_is_told_and_can_be_mended(api: Api, visit: Opener) -> None:
    id = api.create()
    page = visit(f"{api.url}/jobs/{id}")
    expect(page.locator(".badge")).to_have_text("Queued")
    ask(api, id, {"type": "string", "maxLength": 3})
    page.get_by_label("Answer").fill("tomorrow")
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".question .refused")).to_contain_text("longer than 3")
    page.get_by_label("Answer").fill("now")
    page.get_by_role("button", name="Send").click()
    assert answer(api, page, id) == "now"
