"""The API's page: all that the documents say is on it, and what it tells to type works."""

from __future__ import annotations

import re
import shutil
import subprocess
from html import unescape
from html.parser import HTMLParser
from typing import Any

import httpx2 as httpx
import pytest

from livejobs import Settings
from livejobs.faces.described import describe
from livejobs.faces.registry import chosen
from livejobs.web.documents import asyncapi, docs, openapi
from livejobs.web.pages.assets import static_dir
from tests.support.server import Server

FACES = chosen(Settings())
DOCUMENT = openapi.document("1", describe(FACES))
PAGE = docs.page((static_dir() / "pages" / "docs.html").read_text(), DOCUMENT)
OPERATIONS = [
    (method, path, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]


class Balance(HTMLParser):
    """Ids, and tags that are not closed."""

    VOID = frozenset({"meta", "link"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.targets: set[str] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        said = dict(attributes)
        self.ids += [id for id in [said.get("id")] if id]
        if (said.get("href") or "").startswith("#"):
            self.targets.add(str(said["href"])[1:])
        if tag not in self.VOID and not (self.get_starttag_text() or "").endswith("/>"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("rect", "circle", "path"):
            assert self.open.pop() == tag


def test_it_is_whole_and_its_links_lead_somewhere() -> None:
    parser = Balance()
    parser.feed(PAGE)
    assert parser.open == []
    assert len(parser.ids) == len(set(parser.ids))
    assert parser.targets <= set(parser.ids)
    assert "<!--" not in PAGE


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda it: f"{it[0]} {it[1]}")
def test_every_call_is_on_it_with_its_parameters_and_answers(
    operation: tuple[str, str, dict[str, Any]],
) -> None:
    method, path, said = operation
    article = rf'<article class="operation" id="{said["operationId"]}">.*?</article>'
    (found,) = re.findall(article, PAGE, re.DOTALL)
    text = unescape(re.sub("<[^>]+>", " ", found))
    plain = re.sub("<[^>]+>", "", found)
    assert method.upper() in text
    assert path in plain
    assert str(said["summary"]) in text
    names = {str(it["name"]) for it in said["parameters"] if it["in"] != "path"}
    assert {name for name in names - docs.EVERYWHERE if name not in text} == set()
    assert {status for status in said["responses"] if status not in text} == set()


def test_every_event_and_message_is_on_it() -> None:
    for message in asyncapi.document("1")["components"]["messages"].values():
        assert f"<dt><code>{message['name']}</code></dt>" in PAGE


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_what_it_tells_to_type_works(server: Server) -> None:
    httpx.put(f"{server.url}/v1/jobs/teaser")
    question = {"type": "ask", "prompt": "Publish?"}
    httpx.post(f"{server.url}/v1/jobs/teaser/reports", json=question)
    ours = [it for it in OPERATIONS if it[2]["tags"] != ["Other APIs"]]
    with_body = [it for it in ours if "example" in str(it[2].get("requestBody"))]
    assert len(with_body) >= 5
    keys_last = sorted(with_body, key=lambda it: it[1] == "/v1/keys")  # it closes the door
    for method, path, operation in keys_last:
        command = docs.curl(method, path, operation) + " -s -o /dev/null -w '%{http_code}'"
        variables = {"LIVEJOBS_URL": server.url, "LIVEJOBS_KEY": "none", "ID": "teaser"}
        ran = subprocess.run(
            ["bash", "-c", command], env=variables, capture_output=True, text=True, check=True
        )
        assert ran.stdout in ("200", "201", "202"), (command, ran.stdout)
