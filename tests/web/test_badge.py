"""The badge and the embedded page: what they show, to whom, and that no text becomes markup."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from urllib.parse import quote
from xml.etree import ElementTree as ET

import httpx2 as httpx
import pytest

from tests.support.keyed import KEYED, client, make_token
from tests.support.server import Server

HOSTILE = [
    '"><script>alert(1)</script>',
    "</title></svg><img src=x onerror=alert(1)>",
    "'{word}' {0} %s &amp; ]]>",
    "a\u202eb\x00\x1b[31m\u2066c\n\td",
    "\U0001f3ac 日本語のタイトル",
    "x" * 100_000,
]


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("data"), env=KEYED) as server:
        yield server


@pytest.fixture(scope="module")
def admin(closed: Server) -> Iterator[httpx.Client]:
    with client(closed) as admin:
        yield admin


def texts(answer: httpx.Response) -> list[str]:
    """What the picture shows."""
    assert answer.headers["content-type"].startswith("image/svg+xml")
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    root = ET.fromstring(answer.text)
    names = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert names == {"svg", "title", "clipPath", "rect", "g", "text"}
    assert not any("on" in name[:2] for element in root.iter() for name in element.attrib)
    return [element.text or "" for element in root.iter() if element.tag.endswith("}text")]


def badge(asker: httpx.Client, id: str, **query: str) -> list[str]:
    answer = asker.get(f"/jobs/{id}/badge.svg", params=query)
    assert answer.status_code == 200, answer.text
    return texts(answer)


def test_the_badge_shows_the_state_and_its_percent(admin: httpx.Client) -> None:
    admin.put("/v1/jobs/j", json={"title": "Teaser"})

    def report(**fields: object) -> None:
        assert admin.post("/v1/jobs/j/reports", json=fields).status_code == 200

    assert badge(admin, "j") == ["Teaser", "queued"]
    report(type="start")
    assert badge(admin, "j") == ["Teaser", "running"]
    report(type="progress", percent=42)
    assert badge(admin, "j") == ["Teaser", "running 42 %"]
    assert badge(admin, "j", label="build", style="square") == ["build", "running 42 %"]
    admin.post("/v1/jobs/j/cancel")
    assert badge(admin, "j") == ["Teaser", "cancelling 42 %"]
    report(type="cancelled")
    assert badge(admin, "j") == ["Teaser", "cancelled"]
    assert badge(admin, "j", label="") == ["Teaser", "cancelled"]


def test_a_badge_is_asked_for_again_but_sent_only_if_it_changed(admin: httpx.Client) -> None:
    admin.put("/v1/jobs/tag")
    first = admin.get("/jobs/tag/badge.svg")
    assert first.headers["cache-control"] == "no-cache"
    assert first.headers["cross-origin-resource-policy"] == "cross-origin"
    known = {"if-none-match": first.headers["etag"]}
    assert admin.get("/jobs/tag/badge.svg", headers=known).status_code == 304
    admin.post("/v1/jobs/tag/cancel")
    again = admin.get("/jobs/tag/badge.svg", headers=known)
    assert texts(again) == ["tag", "cancelled"]
    head = admin.head("/jobs/tag/badge.svg")
    assert (head.content, head.headers["etag"]) == (b"", again.headers["etag"])


def test_a_refusal_is_a_picture_too(closed: Server, admin: httpx.Client) -> None:
    admin.put("/v1/jobs/a")
    admin.put("/v1/jobs/b")
    token = make_token(admin, jobs=["a"])

    def ask(path: str, **query: str) -> tuple[int, str]:
        answer = httpx.get(f"{closed.url}{path}", params=query)
        [_, word] = texts(answer)
        assert answer.status_code == 200 or answer.headers["cache-control"] == "no-store"
        return answer.status_code, word

    assert ask("/jobs/a/badge.svg", token=token) == (200, "queued")
    assert ask("/jobs/a/badge.svg") == (401, "no access")
    assert ask("/jobs/a/badge.svg", token="a.b.c") == (401, "no access")
    assert ask("/jobs/b/badge.svg", token=token) == (404, "not found")
    assert ask("/jobs/none/badge.svg", token=make_token(admin)) == (404, "not found")
    assert ask("/jobs/a/badge.svg", token=token, style="odd") == (422, "bad address")


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_no_text_becomes_markup(admin: httpx.Client, text: str) -> None:
    admin.put("/v1/jobs/hostile")
    shown = badge(admin, "hostile", label=text[:4000])[0]
    assert 0 < len(shown) <= 60
    assert shown.isprintable()
    id = admin.post("/v1/jobs", json={"title": text[:200].replace("\0", "")}).json()["id"]
    label, word = badge(admin, id)
    assert (0 < len(label) <= 60, word) == (True, "queued")
    page = Page(admin.get(f"/jobs/{id}/embed"))
    assert page.text.endswith(": queued")
    assert set(page.tags) <= KNOWN_TAGS
    assert page.element["job"] == id


KNOWN_TAGS = {"html", "meta", "title", "noscript", "link", "script", "live-job", "p"}


class Page(HTMLParser):
    """An embedded page."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.element: dict[str, str | None] = {}
        self.text = ""
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        policy = answer.headers["content-security-policy"]
        assert "frame-ancestors *" in policy
        assert "unsafe" not in policy
        self.feed(answer.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not any(name == "style" or name.startswith("on") for name, _ in attrs)
        if tag == "live-job":
            self.element = dict(attrs)

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] in ("live-job", "p") and data.strip():
            self.text = data


def test_on_an_open_server_a_made_up_token_makes_no_button(server: Server) -> None:
    """There everyone is an admin, so a page of another site could lead a visitor to a click."""
    httpx.put(f"{server.url}/v1/jobs/framed")
    for query in ("", "?token=", "?token=x", "?token=a.b.c"):
        element = Page(httpx.get(f"{server.url}/jobs/framed/embed{query}")).element
        assert element == {"src": "../../", "job": "framed", "readonly": None}


def test_an_embedded_page_holds_the_element_and_its_state_as_text(
    closed: Server, admin: httpx.Client
) -> None:
    admin.put("/v1/jobs/e", json={"title": "Teaser"})
    token = make_token(admin, jobs=["e"])
    answer = httpx.get(f"{closed.url}/jobs/e/embed?token={token}&theme=dark&compact=1")
    assert answer.headers["cache-control"] == "no-store"
    page = Page(answer)
    assert page.element == {
        "src": "../../", "job": "e", "token": token, "theme": "dark", "compact": None
    }  # fmt: skip
    assert page.text == "Teaser: queued"
    assert "refresh" in answer.text
    admin.post("/v1/jobs/e/cancel")
    ended = admin.get("/jobs/e/embed")
    assert Page(ended).text == "Teaser: cancelled"
    assert "refresh" not in ended.text
    for link in re.findall(r'href="([^"]+)"', ended.text):
        assert admin.get(str(ended.url.join(link))).status_code == 200


def test_a_frame_has_no_buttons_with_the_visitor_s_own_rights(admin: httpx.Client) -> None:
    admin.put("/v1/jobs/own")
    assert Page(admin.get("/jobs/own/embed")).element == {
        "src": "../../", "job": "own", "readonly": None
    }  # fmt: skip


@pytest.mark.parametrize(
    ("query", "status", "word"),
    [("", 401, "no access"), ("token=x", 401, "no access"), ("theme=odd", 401, "no access")],
)
def test_a_page_that_is_refused_says_so(
    closed: Server, admin: httpx.Client, query: str, status: int, word: str
) -> None:
    admin.put("/v1/jobs/secret", json={"title": "secret title"})
    answer = httpx.get(f"{closed.url}/jobs/secret/embed?{query}")
    assert (answer.status_code, Page(answer).text) == (status, f"job: {word}")
    assert "secret title" not in answer.text
    for path in ("/jobs/none/embed", "/jobs/" + quote('"><b>') + "/embed"):
        missing = admin.get(path)
        assert (missing.status_code, Page(missing).text) == (404, "job: not found")
    assert admin.get("/jobs/secret/embed?theme=odd").status_code == 422
