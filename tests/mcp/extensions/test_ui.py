"""The page of a job as an MCP App: what hosts read. tests/browser has the page itself."""

from __future__ import annotations

import re
from pathlib import Path

from tests.mcp.extensions.agent import Agent
from tests.support import agent as support
from tests.support.keyed import ADMIN, KEYED, client, make_key
from tests.support.server import Server

URI = "ui://livejobs/job"


def root(agent: Agent) -> str:
    """The first tag of the page."""
    (content,) = agent.result("resources/read", uri=URI)["contents"]
    found = re.search(r"<html[^>]*>", content["text"])
    assert found
    return found[0]


def test_the_page_needs_nothing_from_elsewhere(shared: Server) -> None:
    (content,) = Agent(shared.url).result("resources/read", uri=URI)["contents"]
    assert (content["uri"], content["mimeType"]) == (URI, "text/html;profile=mcp-app")
    assert set(map(tuple, content["_meta"]["ui"]["csp"].values())) == {()}
    page = content["text"].partition("<script")
    assert not re.search(r"(src|href)=", page[0])
    assert not re.search(r"\b(import|fetch|XMLHttpRequest|eval)\b\(", page[2])


def test_tools_that_give_a_job_name_the_page(shared: Server) -> None:
    tools = Agent(shared.url).result("tools/list")["tools"]
    pages = {it["name"]: it["_meta"]["ui"]["resourceUri"] for it in tools if "_meta" in it}
    assert pages == dict.fromkeys(("get_job", "wait_for_job", "create_job"), URI)


def test_an_older_client_gets_the_page_too(legacy: support.Agent) -> None:
    tools = {it["name"]: it for it in legacy.result("tools/list")["tools"]}
    assert tools["get_job"]["_meta"]["ui"]["resourceUri"] == URI
    (content,) = legacy.result("resources/read", {"uri": URI})["contents"]
    assert content["text"].startswith("<!doctype html>")


def test_the_page_knows_what_its_reader_may_do(shared: Server, tmp_path: Path) -> None:
    assert root(Agent(shared.url)) == f'<html lang="en" data-base="{shared.url}/" data-open>'
    public = ("--public-url", "https://jobs.example")
    with Server(tmp_path / "data", *public, env=KEYED) as server, client(server) as admin:
        viewer = make_key(admin, "viewer", "view")["key"]
        base = '<html lang="en" data-base="https://jobs.example/"'
        assert root(Agent(server.url, ADMIN)) == f"{base}>"
        assert root(Agent(server.url, viewer)) == f"{base} data-readonly>"
