"""The forms of the API page send real calls, with the login of the browser."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import FilePayload, Locator, Page, expect

from tests.browser.axe import severe
from tests.browser.conftest import Opener
from tests.support.api import Api
from tests.support.server import Server

ADMIN = "the-first-admin-key"
LOGIN = {"authorization": f"Bearer {ADMIN}"}


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("tryout") / "data"
    with Server(data, env={"LIVEJOBS_ADMIN_KEY": ADMIN}) as server:
        yield server


@pytest.fixture(scope="module")
def api(closed: Server) -> Iterator[Api]:
    with Api(closed.url) as api:
        api.headers.update(LOGIN)
        yield api


@pytest.fixture
def page(closed: Server, visit: Opener) -> Page:
    page = visit("about:blank")
    page.request.post(f"{closed.url}/v1/session", headers=LOGIN)
    page.goto(f"{closed.url}/docs")
    return page


def opened(page: Page, operation: str) -> Locator:
    article = page.locator(f"#{operation}")
    article.get_by_role("button", name="Try it").click()
    return article


def send(article: Locator) -> None:
    article.get_by_role("button", name=re.compile("^Send")).click()


def test_a_form_creates_a_job_and_another_finds_it(page: Page, api: Api) -> None:
    create = opened(page, "post_v1_jobs")
    create.get_by_label("Body").fill('{"id": "tried", "title": "Tried out", "tags": ["tried"]}')
    send(create)
    expect(create.get_by_role("status")).to_contain_text("201")
    assert api.job("tried")["title"] == "Tried out"

    find = opened(page, "get_v1_jobs")
    find.get_by_label("tag").fill("tried")
    find.get_by_label("limit").fill("1")
    send(find)
    expect(find.get_by_label("Response")).to_contain_text('"title": "Tried out"')
    assert severe(page) == []


def test_the_examples_name_this_server(page: Page, closed: Server) -> None:
    expect(page.locator(".intro pre")).to_contain_text(f"LIVEJOBS_URL={closed.url}\n")


def test_a_refusal_is_shown_and_the_form_stays(page: Page) -> None:
    create = opened(page, "post_v1_jobs")
    create.get_by_label("Body").fill("{nonsense")
    send(create)
    expect(create.get_by_role("status")).to_contain_text("400")
    expect(create.get_by_label("Response")).to_contain_text('"code"')
    create.get_by_label("Body").fill("{}")
    send(create)
    expect(create.get_by_role("status")).to_contain_text("201")


def test_a_name_in_the_path_is_encoded_and_markup_stays_text(page: Page, api: Api) -> None:
    api.create(id="marked", title="<img src=x onerror=alert(1)>")
    get = opened(page, "get_v1_jobs_id")
    get.get_by_label("id", exact=True).fill("marked/../../healthz?a=b#c")
    send(get)
    expect(get.get_by_role("status")).to_contain_text("404")
    get.get_by_label("id", exact=True).fill("marked")
    send(get)
    expect(get.get_by_label("Response")).to_contain_text("<img src=x")


def test_a_stream_is_shown_as_it_arrives_until_it_is_stopped(page: Page, api: Api) -> None:
    job = api.create(title="Streamed")
    stream = opened(page, "get_v1_jobs_id_events")
    stream.get_by_label("id", exact=True).fill(job)
    send(stream)
    shown = stream.get_by_label("Response")
    expect(shown).to_contain_text('"status":"queued"')
    api.report(job, {"type": "progress", "percent": 42})
    expect(shown).to_contain_text('"percent":42')
    stream.get_by_role("button", name="Stop").click()
    expect(stream.get_by_role("alert")).to_have_text("Stopped.")
    expect(stream.get_by_role("button", name="Send GET")).to_be_enabled()


def test_without_a_login_the_answer_leads_to_it(closed: Server, visit: Opener) -> None:
    page = visit(f"{closed.url}/docs", width=390, height=844)
    find = opened(page, "get_v1_jobs")
    send(find)
    expect(find.get_by_role("status")).to_contain_text("401")
    find.get_by_role("link", name="Log in").click()
    page.get_by_label("key").fill(ADMIN)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{closed.url}/docs")


def test_a_file_is_sent_as_it_is(page: Page, api: Api) -> None:
    job = api.create(title="With a file")
    upload = opened(page, "put_v1_jobs_id_files_name")
    upload.get_by_label("id", exact=True).fill(job)
    upload.get_by_label("name", exact=True).fill("né.bin")
    file = FilePayload(name="any", mimeType="application/octet-stream", buffer=b"\0\1\2")
    upload.locator("input[type=file]").set_input_files([file])
    send(upload)
    expect(upload.get_by_role("status")).to_contain_text("201")
    assert api.job(job)["files"][0]["size"] == 3
