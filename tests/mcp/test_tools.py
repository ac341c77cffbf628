"""The tools from outside: what they take, what they give, and what a model reads when it errs."""

from __future__ import annotations

import json
import uuid
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it has no types
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.agent import Agent, error
from tests.support.api import Api
from tests.support.examples import examples
from tests.support.server import Server

READING = {"list_jobs", "get_job", "get_logs", "wait_for_job"}
CHANGING = {"create_job", "report", "cancel_job", "answer"}


def new(api: Api, *reports: dict[str, Any], **fields: Any) -> str:
    id = api.create(id=f"j{uuid.uuid4().hex}", **fields)
    if reports:
        api.report(id, *reports)
    return id


# Their list


def test_each_tool_says_what_it_takes_gives_and_does(either: Agent) -> None:
    tools = {tool["name"]: tool for tool in either.result("tools/list")["tools"]}
    assert set(tools) == READING | CHANGING
    for name, tool in tools.items():
        assert tool["annotations"]["readOnlyHint"] == (name in READING)
        assert tool["annotations"]["openWorldHint"] is False
        for schema in (tool["inputSchema"], tool["outputSchema"]):
            jsonschema.Draft202012Validator.check_schema(schema)
            assert schema["type"] == "object"
            assert "$ref" not in json.dumps(schema)
            assert r"\\Z" not in json.dumps(schema)  # JavaScript has no such pattern
        assert tool["title"]
        assert tool["description"].endswith(".")
    hints = {name: tools[name]["annotations"] for name in CHANGING}
    assert {name for name in hints if hints[name]["destructiveHint"]} == {"report", "cancel_job"}
    assert {name for name in hints if hints[name]["idempotentHint"]} == {"cancel_job"}


def test_the_schema_of_a_report_has_each_type_of_report(agent: Agent) -> None:
    tools = {tool["name"]: tool for tool in agent.result("tools/list")["tools"]}
    item = tools["report"]["inputSchema"]["properties"]["reports"]["items"]
    assert len(item["properties"]["type"]["enum"]) == 14
    assert {"percent", "message", "value", "producer", "n", "answered"} <= set(item["properties"])


# Each of them


def test_a_job_is_created_reported_on_and_read(either: Agent) -> None:
    job = either.good("create_job", type="render", title="Teaser", total=3, tags=["a"])
    id = job["id"]
    assert (job["status"], job["title"], job["owner"]) == ("queued", "Teaser", "anonymous")
    receipt = either.good(
        "report",
        id=id,
        reports=[
            {"type": "progress", "current": 1, "message": "ä"},
            {"type": "log", "message": "line"},
            {"type": "result", "value": {"x": 1}},
            {"type": "error", "message": "bad item", "item": 7},
        ],
    )
    assert (receipt["accepted"], receipt["status"]) == (4, "running")
    job = either.good("get_job", id=id)
    assert job["progress"]["message"] == "ä"
    assert [it["value"] for it in job["results"]] == [{"x": 1}]
    assert [it["item"] for it in job["errors"]] == [7]
    log = either.good("get_logs", id=id)
    assert ([line["message"] for line in log["logs"]], log["total"]) == (["line"], 1)
    listed = either.good("list_jobs", type="render", limit=1)
    assert listed["jobs"][0]["id"] == id
    assert listed["jobs"][0]["message"] == "ä"


def test_each_result_fits_the_schema_of_its_tool(agent: Agent, api: Api) -> None:
    tools = {tool["name"]: tool for tool in agent.result("tools/list")["tools"]}
    id = new(api, {"type": "ask", "prompt": "Go?"})
    calls: dict[str, dict[str, Any]] = {
        "list_jobs": {},
        "get_job": {"id": id},
        "get_logs": {"id": id},
        "wait_for_job": {"id": id},
        "create_job": {},
        "report": {"id": id, "reports": [{"type": "log", "message": "x"}]},
        "answer": {"id": id, "value": True},
        "cancel_job": {"id": id},
    }
    assert set(calls) == set(tools)
    for name, arguments in calls.items():
        jsonschema.validate(arguments, tools[name]["inputSchema"])
        jsonschema.validate(agent.good(name, **arguments), tools[name]["outputSchema"])


def test_a_question_is_answered(either: Agent, api: Api) -> None:
    schema = {"type": "boolean"}
    id = new(api, {"type": "ask", "prompt": "Publish?", "schema": schema})
    waiting = either.good("get_job", id=id)["waiting"]
    assert (waiting["prompt"], waiting["schema"]) == ("Publish?", schema)
    said = either.failed("answer", id=id, value="yes")
    assert "schema" in said
    assert "boolean" in said
    assert either.good("answer", id=id, value=True, n=waiting["n"])["waiting"] is None
    assert api.report(id, {"type": "heartbeat"})["answer"]["value"] is True
    assert "not" in either.failed("answer", id=id, value=True)


def test_a_job_is_cancelled(either: Agent, api: Api) -> None:
    queued, running = new(api), new(api, {"type": "start"})
    assert either.good("cancel_job", id=queued)["status"] == "cancelled"
    assert either.good("cancel_job", id=running)["cancel_requested"] is True
    assert either.good("cancel_job", id=running, force=True)["status"] == "cancelled"
    assert "cancelled" in either.failed("cancel_job", id=running)


def test_the_same_key_gives_the_same_job(either: Agent) -> None:
    key = uuid.uuid4().hex
    first = either.good("create_job", title="one", idempotency_key=key)
    assert either.good("create_job", title="one", idempotency_key=key)["id"] == first["id"]
    assert "Idempotency" in either.failed("create_job", title="two", idempotency_key=key)


def test_numbered_reports_count_once(agent: Agent, api: Api) -> None:
    id = new(api)
    report = {"type": "count", "counters": {"x": 1}, "producer": "a", "n": 1}
    for _ in range(2):
        agent.good("report", id=id, reports=[report])
    assert agent.good("get_job", id=id)["counters"] == {"x": 1}


def test_files_come_as_links_to_clients_that_know_links(agent: Agent, api: Api) -> None:
    id = new(api)
    api.put(f"/v1/jobs/{id}/files/a%20b.txt", content=b"hello").raise_for_status()
    _, link = agent.tool("get_job", id=id)["content"]
    assert (link["type"], link["name"], link["size"]) == ("resource_link", "a b.txt", 5)
    assert agent.get(link["uri"]).content == b"hello"
    with Agent(api.url, version="2025-03-26") as old:
        assert len(old.tool("get_job", id=id)["content"]) == 1


# What a model can correct


@pytest.mark.parametrize(
    ("name", "arguments", "sentence"),
    [
        ("get_job", {}, "id"),
        ("get_job", {"id": 7}, "id: Expected `str`"),
        ("get_job", {"id": "no such"}, "id: "),
        ("get_job", {"id": "nope"}, "There is no job 'nope'."),
        ("get_job", {"id": "nope", "x": 1}, "x"),
        ("get_logs", {"id": "nope"}, "There is no job 'nope'."),
        ("get_logs", {"id": "nope", "level": "loud"}, "level: "),
        ("wait_for_job", {"id": "nope"}, "There is no job 'nope'."),
        ("wait_for_job", {"id": "nope", "timeout_seconds": 51}, "timeout_seconds: "),
        ("list_jobs", {"status": ["gone"]}, "status/0: "),
        ("list_jobs", {"limit": 0}, "limit: "),
        ("list_jobs", {"after": "zzz"}, "after: "),
        ("list_jobs", {"q": "ab"}, "q: "),
        ("create_job", {"id": "../x"}, "id: "),
        ("create_job", {"total": -1}, "total: "),
        ("report", {"id": "nope", "reports": [{"type": "log", "message": "x"}]}, "no job"),
        ("report", {"id": "nope", "reports": []}, "at least one"),
        ("report", {"id": "nope", "reports": "x"}, "Expected"),
        ("report", {"id": "nope", "reports": [{"type": "log"}]}, "message"),
        ("cancel_job", {"id": "nope"}, "There is no job 'nope'."),
        ("answer", {"id": "nope"}, "value"),
        ("answer", {"id": "nope", "value": 1}, "There is no job 'nope'."),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_wrong_argument_is_a_result_that_says_so(
    agent: Agent, name: str, arguments: dict[str, Any], sentence: str
) -> None:
    assert sentence in agent.failed(name, **arguments).replace("'str'", "`str`")


@pytest.mark.parametrize("name", ["nope", "", "get_job ", "GET_JOB"])
def test_an_unknown_tool_is_an_error(legacy: Agent, name: str) -> None:
    error(legacy.ask("tools/call", {"name": name}), 200, -32602)


def test_a_finished_job_takes_no_reports(agent: Agent, api: Api) -> None:
    id = new(api, {"type": "succeed"})
    sentence = agent.failed("report", id=id, reports=[{"type": "log", "message": "x"}])
    assert "finished" in sentence


# Bounds


def test_a_large_job_comes_in_pieces_that_a_context_can_take(agent: Agent, api: Api) -> None:
    id = new(api, *[{"type": "result", "value": "x" * 2000} for _ in range(100)])
    assert (
        len(agent.ask("tools/call", {"name": "get_job", "arguments": {"id": id}}).content) < 80_000
    )
    job = agent.good("get_job", id=id)
    assert [it["n"] for it in job["results"]][-1] == 100
    assert (len(job["results"]), job["results_total"], job["results_next"]) == (11, 100, None)


@settings(max_examples=examples(10))
@given(st.lists(st.integers(0, 9000), min_size=1, max_size=60))
def test_pages_of_results_miss_nothing_and_repeat_nothing(shared: Server, sizes: list[int]) -> None:
    with Api(shared.url) as api, Agent(shared.url) as agent:
        id = new(api, *[{"type": "result", "value": "x" * size} for size in sizes])
        seen: list[int] = []
        after: int | None = 0
        while after is not None:
            job = agent.good("get_job", id=id, results_after=after)
            seen += [it["n"] for it in job["results"]]
            assert job["results_next"] in (None, seen[-1])
            assert len(job["results"]) <= 20
            after = job["results_next"]
        assert seen == list(range(1, len(sizes) + 1))


@pytest.mark.parametrize("size", [1, 3000, 16_000])
def test_pages_of_a_log_miss_nothing_and_repeat_nothing(agent: Agent, api: Api, size: int) -> None:
    id = new(api, *[{"type": "log", "message": "x" * size} for _ in range(30)])
    seen: list[int] = []
    after: int | None = 0
    while after is not None:
        page = agent.good("get_logs", id=id, after=after, limit=7)
        seen += [line["n"] for line in page["logs"]]
        assert len(json.dumps(page["logs"])) < 64_000
        after = page["next"]
    assert seen == list(range(1, 31))
    assert agent.good("get_logs", id=id, limit=1)["logs"][0]["n"] == 30


def test_lines_of_a_level_are_selected(agent: Agent, api: Api) -> None:
    lines = [{"type": "log", "message": level, "level": level} for level in ("info", "error")]
    id = new(api, *lines)
    found = agent.good("get_logs", id=id, level="warning")
    assert [line["message"] for line in found["logs"]] == ["error"]


def test_jobs_are_listed_page_by_page(agent: Agent, api: Api) -> None:
    type = uuid.uuid4().hex
    made = [new(api, type=type) for _ in range(5)]
    seen: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = agent.good("list_jobs", type=type, limit=2, **after)
        seen += [job["id"] for job in page["jobs"]]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert seen == made[::-1]
