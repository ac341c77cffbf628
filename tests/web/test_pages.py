"""The pages as files: their headers, their addresses, and what they may load."""

from __future__ import annotations

import re

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from livejobs import LiveJobs, create_app
from livejobs.store.memory import MemoryStore
from livejobs.web.documents import openapi
from livejobs.web.pages import routes as pages
from livejobs.web.pages.assets import static_dir

FILES = [f"/static/{path.relative_to(static_dir())}" for path in pages.files(static_dir())]
PAGES = ["/", "/jobs/teaser", "/login", "/keys", "/webhooks", "/docs"]


@pytest.fixture(scope="module")
def browser() -> TestClient:
    return TestClient(Starlette(routes=pages.routes(lambda: openapi.document("1"))))


def links(html: str) -> list[str]:
    """What the page's own markup loads or leads to."""
    found = re.findall(r'(?:href|src)="([^"]*)"', html)
    return [link for link in found if not link.startswith(("#", "data:"))]


@pytest.mark.parametrize("paths", [PAGES, FILES], ids=["pages", "files"])
def test_what_a_browser_has_is_not_sent_again(browser: TestClient, paths: list[str]) -> None:
    for path in paths:
        first = browser.get(path)
        assert (first.status_code, first.headers["cache-control"]) == (200, "no-cache"), path
        assert first.headers["x-content-type-options"] == "nosniff", path
        again = browser.get(path, headers={"if-none-match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b""), path
        assert again.headers["etag"] == first.headers["etag"], path
        other = browser.get(path, headers={"if-none-match": '"other"'})
        assert other.content == first.content, path


@pytest.mark.parametrize("path", PAGES)
def test_a_page_may_load_only_what_is_its_own(browser: TestClient, path: str) -> None:
    answer = browser.get(path)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["referrer-policy"] == "no-referrer"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert not re.search(r"<script(?! type=\"module\" src=)|<style|\son\w+=|\sstyle=", answer.text)


@pytest.mark.parametrize("prefix", ["", "/ops/jobs"])
@pytest.mark.parametrize("path", PAGES)
def test_every_link_of_a_page_leads_somewhere_below_where_it_is_mounted(
    prefix: str, path: str
) -> None:
    app = create_app(LiveJobs(store=MemoryStore()))
    browser = TestClient(Starlette(routes=[Mount(prefix, app)]))
    page = browser.get(prefix + path)
    assert links(page.text)
    for link in links(page.text):
        target = page.url.join(link)
        assert target.path.startswith(prefix + "/")
        assert browser.get(str(target)).status_code == 200, link


@pytest.mark.parametrize("path", PAGES[:4])
def test_every_module_of_a_page_is_loaded_ahead(browser: TestClient, path: str) -> None:
    """Without that, a browser finds a module only after it has the one that imports it."""
    page = browser.get(path)
    ahead = {page.url.join(link).path for link in links(page.text) if link.endswith(".js")}
    for module in ahead:
        for name in re.findall(r'from "(\.[^"]+)"', browser.get(module).text):
            assert page.url.join(module).join(name).path in ahead, (module, name)


@pytest.mark.parametrize("path", ["/static/", "/static/package.json", "/static/../pyproject.toml"])
def test_only_what_a_browser_needs_is_served(browser: TestClient, path: str) -> None:
    assert browser.get(path).status_code == 404


def test_a_page_is_only_read(browser: TestClient) -> None:
    refused = browser.post("/")
    assert refused.status_code == 405
    assert {*refused.headers["allow"].split(", ")} == {"GET", "HEAD"}


def test_a_head_has_the_headers_of_a_get(browser: TestClient) -> None:
    head, get = browser.head("/"), browser.get("/")
    assert (head.content, head.headers) == (b"", get.headers)
