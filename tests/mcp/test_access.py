"""Who may use which tool, from where, and with which credential."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx2 as httpx
import pytest

from livejobs.core.access import LADDER
from tests.support.agent import LEGACY, Agent, error
from tests.support.api import problem
from tests.support.server import Server

ADMIN = "the-first-admin-key"

# Each tool, with the least scope that is enough, and arguments that reach the job.
TOOLS: dict[str, tuple[str, dict[str, Any]]] = {
    "list_jobs": ("view", {}),
    "get_job": ("view", {"id": "j"}),
    "get_logs": ("view", {"id": "j"}),
    "wait_for_job": ("view", {"id": "j", "timeout_seconds": 0}),
    "cancel_job": ("cancel", {"id": "j"}),
    "answer": ("cancel", {"id": "j", "value": 1}),
    "report": ("report", {"id": "j", "reports": [{"type": "heartbeat"}]}),
    "create_job": ("report", {}),
}


class World(NamedTuple):
    server: Server
    keys: dict[str, str]

    def agent(self, key: str | None, **more: Any) -> Agent:
        return Agent(self.server.url, None if key is None else self.keys.get(key, key), **more)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    data = tmp_path_factory.mktemp("data")
    with (
        Server(data, env={"LIVEJOBS_ADMIN_KEY": ADMIN}) as server,
        httpx.Client(base_url=server.url, headers={"x-api-key": ADMIN}) as admin,
    ):
        keys = {"admin": ADMIN}
        for scope in LADDER:
            for project in ("mine", "other"):
                asked = {"name": f"{project}-{scope}", "scopes": [scope], "projects": [project]}
                keys[f"{project}-{scope}"] = admin.post("/v1/keys", json=asked).json()["key"]
        both = {"name": "both", "scopes": ["view"], "projects": ["mine", "other"]}
        keys["both"] = admin.post("/v1/keys", json=both).json()["key"]
        admin.put("/v1/jobs/j", json={"project": "mine"}).raise_for_status()
        admin.post("/v1/jobs/j/reports", json={"type": "start"}).raise_for_status()
        limited = admin.post("/v1/tokens", json={"jobs": ["j"], "scopes": ["view"]})
        keys["token"] = limited.json()["token"]
        yield World(server, keys)


@pytest.mark.parametrize("scope", LADDER)
def test_a_key_has_the_tools_of_its_scope(world: World, scope: str) -> None:
    with world.agent(f"mine-{scope}") as agent:
        names = {tool["name"] for tool in agent.result("tools/list")["tools"]}
    allowed = LADDER[: LADDER.index(scope) + 1]
    assert names == {name for name, (least, _) in TOOLS.items() if least in allowed}


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_beyond_the_scope_does_not_exist(world: World, name: str) -> None:
    least, arguments = TOOLS[name]
    for scope in LADDER:
        with world.agent(f"mine-{scope}") as agent:
            answer = agent.ask("tools/call", {"name": name, "arguments": arguments})
        if LADDER.index(scope) < LADDER.index(least):
            assert "There is no tool" in error(answer, 400, -32602)["message"]
        else:
            assert answer.status_code == 200


@pytest.mark.parametrize("name", [name for name in TOOLS if "id" in TOOLS[name][1]])
def test_a_job_of_another_project_does_not_exist(world: World, name: str) -> None:
    with world.agent("other-admin") as agent:
        assert agent.failed(name, **TOOLS[name][1]) == "There is no job 'j'."


def test_lists_and_resources_hold_only_what_a_key_may_see(world: World) -> None:
    with world.agent("other-view") as other, world.agent("mine-view") as mine:
        assert other.good("list_jobs")["jobs"] == []
        assert other.result("resources/list")["resources"] == []
        found = error(other.ask("resources/read", {"uri": "livejob://j"}), 400, -32602)
        assert found["data"] == {"uri": "livejob://j"}
        assert "project" in other.failed("list_jobs", project="mine")
        assert "livejob://j" in [it["uri"] for it in mine.result("resources/list")["resources"]]


def test_a_key_of_several_projects_lists_all_of_them(world: World) -> None:
    with world.agent("both") as agent:
        assert "j" in [job["id"] for job in agent.good("list_jobs")["jobs"]]
        assert agent.result("resources/list")["resources"]


def test_a_token_for_one_job_sees_that_job(world: World) -> None:
    with world.agent("token") as agent:
        assert [job["id"] for job in agent.good("list_jobs", project="mine")["jobs"]] == ["j"]
        assert agent.good("get_job", id="j")["id"] == "j"


@pytest.mark.parametrize("key", [None, "wrong", "lj_aaaaaaaa_" + "b" * 43])
def test_without_a_good_key_is_401(world: World, key: str | None) -> None:
    with world.agent(key) as agent:
        answer = agent.ask("tools/list")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert "resource_metadata" not in answer.headers["www-authenticate"]


def test_a_credential_in_the_address_or_a_cookie_is_401(world: World) -> None:
    with world.agent(None, version=LEGACY) as agent:
        message, token = agent.message("tools/list"), world.keys["token"]
        problem(agent.post(f"/mcp?token={token}", json=message), 401, "unauthorized")
        cookie = {"cookie": f"livejobs_token={token}"}
        problem(agent.post("/mcp", json=message, headers=cookie), 401, "unauthorized")


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
@pytest.mark.parametrize("key", ["admin", None])
def test_a_page_of_another_site_is_403(
    world: World, shared: Server, origin: str, key: str | None
) -> None:
    with Agent(shared.url) if key is None else world.agent(key) as agent:
        message = agent.message("tools/list")
        headers = agent.headers_of(message)
        answer = agent.post("/mcp", json=message, headers={**headers, "origin": origin})
        problem(answer, 403, "foreign_origin")
        own = {**headers, "origin": str(agent.base_url).rstrip("/")}
        assert agent.post("/mcp", json=message, headers=own).status_code == 200


def test_an_allowed_origin_may_send_the_headers_of_the_protocol(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    origin = "https://app.example"
    with (
        Server(tmp_path_factory.mktemp("cors") / "data", "--cors-origins", origin) as server,
        Agent(server.url) as agent,
    ):
        message = agent.message("tools/call", {"name": "list_jobs"})
        headers = {**agent.headers_of(message), "origin": origin}
        names = ", ".join(name for name in headers if name.startswith("mcp-"))
        asked = {
            "origin": origin,
            "access-control-request-method": "POST",
            "access-control-request-headers": f"content-type, {names}",
        }
        assert agent.options("/mcp", headers=asked).status_code == 200
        answer = agent.post("/mcp", json=message, headers=headers)
        assert answer.headers["access-control-allow-origin"] == origin


def test_a_call_that_changes_counts_as_a_report_and_every_call_as_a_read(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Each credential has a bucket of one second, so only a rate of one call can be seen to end."""
    data = tmp_path_factory.mktemp("rates") / "data"
    with Server(data, "--rate-report", "1/s") as server, Agent(server.url) as agent:
        results = [agent.tool("create_job") for _ in range(5)]
        assert any("Try again in" in result["content"][0]["text"] for result in results)
        agent.good("list_jobs")
    with Server(data, "--rate-read", "1/s") as server, Agent(server.url) as agent:
        refused = [it for it in (agent.ask("tools/list") for _ in range(5)) if it.is_error]
        problem(refused[0], 429, "rate_limited")
        assert int(refused[0].headers["retry-after"]) > 0
