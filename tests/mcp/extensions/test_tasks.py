"""Jobs as tasks of MCP, over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.mcp.extensions.agent import TASKS, WITH_TASKS, Agent
from tests.support.api import Api
from tests.support.examples import examples
from tests.support.keyed import KEYED, client, make_key, make_token
from tests.support.server import Server
from tests.support.strategies import json_values

NO_TASK, UNDECLARED, MISMATCH, NO_METHOD, NOT_ALLOWED = -32602, -32021, -32020, -32601, -32600
YES = {"action": "accept", "content": {"answer": True}}


@pytest.fixture
def agent(shared: Server) -> Agent:
    return Agent(shared.url)


def started(api: Api, agent: Agent, **fields: Any) -> tuple[str, str]:
    """A running job, and its task."""
    job = api.create(**fields)
    api.report(job, {"type": "start"})
    return job, agent.wait(job)["taskId"]


@pytest.fixture(scope="module")
def stuck(shared: Server) -> str:
    """The task of a job whose question takes any value."""
    with Api(shared.url) as api:
        job, task = started(api, Agent(shared.url))
        api.report(job, {"type": "ask", "prompt": "Go?"})
    return task


# From the call to the end


def test_a_task_follows_its_job(api: Api, agent: Agent) -> None:
    job = api.create(title="Teaser")
    made = agent.wait(job)
    assert (made["resultType"], made["status"], made["ttlMs"]) == ("task", "working", None)
    assert not {"result", "error", "inputRequests"} & made.keys()
    assert job not in made["taskId"]
    api.report(job, {"type": "progress", "percent": 42, "message": "Pass 2"})
    running = agent.task(made["taskId"])
    assert (running["status"], running["statusMessage"]) == ("working", "Running, 42%: Pass 2")
    assert running["resultType"] == "complete"
    assert running["lastUpdatedAt"] > running["createdAt"] == made["createdAt"]


def test_a_job_that_succeeded_is_a_completed_task_with_its_files(api: Api, agent: Agent) -> None:
    job, task = started(api, agent, ttl_seconds=60)
    api.put(f"/v1/jobs/{job}/files/a b.txt", content=b"123").raise_for_status()
    api.report(job, {"type": "succeed", "result": {"frames": 24}})
    done = agent.task(task)
    assert (done["status"], done["result"]["isError"]) == ("completed", False)
    assert done["result"]["structuredContent"]["result"] == {"frames": 24}
    (link,) = (it for it in done["result"]["content"] if it["type"] == "resource_link")
    assert (link["name"], link["size"], link["mimeType"]) == ("a b.txt", 3, "text/plain")
    assert api.get(link["uri"]).content == b"123"
    assert done["ttlMs"] >= 60_000
    # A task would only cost another request.
    assert agent.wait(job)["resultType"] == "complete"


@pytest.mark.parametrize(
    ("end", "status", "said"),
    [
        ({"type": "fail", "message": "No disk"}, "completed", "Failed: No disk"),
        ({"type": "cancelled"}, "cancelled", "Cancelled"),
    ],
)
def test_an_end_is_what_the_task_says(
    api: Api, agent: Agent, end: Any, status: str, said: str
) -> None:
    job, task = started(api, agent)
    api.report(job, end)
    ended = agent.task(task)
    assert (ended["status"], ended["statusMessage"]) == (status, said)
    assert ended.get("result", {}).get("isError", False) == (end["type"] == "fail")


def test_a_task_outlives_the_server(tmp_path: Path) -> None:
    with Server(tmp_path / "data") as server, Api(server.url) as api:
        job, task = started(api, Agent(server.url))
        server.kill()
        server.restart()
        api.report(job, {"type": "succeed"})
        assert Agent(server.url).task(task)["status"] == "completed"


def test_a_call_without_time_gives_the_state_and_no_task(api: Api, agent: Agent) -> None:
    state = agent.wait(api.create(), timeout_seconds=0)
    assert (state["resultType"], state["structuredContent"]["status"]) == ("complete", "queued")


# Who may


def test_a_client_that_does_not_declare_tasks_gets_none(shared: Server, api: Api) -> None:
    plain = Agent(shared.url, declares={})
    job, task = started(api, Agent(shared.url))
    assert plain.wait(job, timeout_seconds=0.01)["resultType"] == "complete"
    for method in ("tasks/get", "tasks/update", "tasks/cancel"):
        said = plain.ask(method, taskId=task, inputResponses={})
        assert said["error"]["code"] == UNDECLARED
        assert said["error"]["data"] == {"requiredCapabilities": {"extensions": {TASKS: {}}}}
    assert plain.refused("subscriptions/listen", notifications={"taskIds": [task]}) == UNDECLARED


def test_what_is_no_task_of_the_caller_does_not_exist(api: Api, agent: Agent) -> None:
    job, task = started(api, agent)
    for id in ("", job, f"{task}A", f"A{task}", "x.y"):
        assert agent.refused("tasks/get", taskId=id) == NO_TASK
    for odd in (None, 1, [task]):
        assert agent.refused("tasks/get", taskId=odd) == NO_TASK
    assert agent.refused("tasks/get") == NO_TASK
    assert agent.refused("tasks/list") == agent.refused("tasks/result", taskId=task) == NO_METHOD
    api.report(job, {"type": "succeed"})
    api.delete(f"/v1/jobs/{job}").raise_for_status()
    assert agent.refused("tasks/get", taskId=task) == NO_TASK
    api.create(id=job)
    assert agent.refused("tasks/get", taskId=task) == NO_TASK


def test_access_is_checked_with_every_request(tmp_path: Path) -> None:
    with Server(tmp_path / "data", env=KEYED) as server, client(server) as admin:
        keys = {
            name: make_key(admin, name, scope, projects=[project])["key"]
            for name, scope, project in (
                ("worker", "report", "a"), ("viewer", "view", "a"), ("other", "report", "b"),
            )
        }  # fmt: skip
        job = admin.post("/v1/jobs", json={"project": "a"}).json()["id"]
        ask = {"type": "ask", "prompt": "Go?", "schema": {"type": "boolean"}}
        worker = Agent(server.url, keys["worker"])
        task = worker.wait(job)["taskId"]
        admin.post(f"/v1/jobs/{job}/reports", json=ask).raise_for_status()
        assert worker.task(task)["status"] == "input_required"
        # The other project's key learns nothing. A viewer can't answer, so it is not asked.
        assert Agent(server.url, keys["other"]).refused("tasks/get", taskId=task) == NO_TASK
        viewer = Agent(server.url, keys["viewer"])
        assert viewer.task(task)["status"] == "working"
        assert viewer.refused("tasks/cancel", taskId=task) == NOT_ALLOWED
        assert viewer.answered(task, n1=YES)["error"]["code"] == NOT_ALLOWED
        with client(server, keys["worker"]) as own:
            another = own.post("/v1/jobs", json={}).json()["id"]
            narrow = make_token(own, jobs=[another])
        assert Agent(server.url, narrow).refused("tasks/get", taskId=task) == NO_TASK


# Questions


def test_a_question_is_input_that_the_task_needs(api: Api, agent: Agent) -> None:
    job, task = started(api, agent)
    schema = {"type": "object", "properties": {"to": {"enum": ["beta", "all"]}}, "required": ["to"]}
    api.report(job, {"type": "ask", "prompt": "Publish?", "schema": schema})
    asked = agent.task(task)
    assert asked["status"] == "input_required"
    (key,) = asked["inputRequests"]
    request = asked["inputRequests"][key]
    assert request["method"] == "elicitation/create"
    assert (request["params"]["mode"], request["params"]["message"]) == ("form", "Publish?")
    field = request["params"]["requestedSchema"]["properties"]["to"]
    assert field == {"type": "string", "enum": ["beta", "all"]}
    content = {"action": "accept", "content": {"to": "beta"}}
    said = agent.ask("tasks/update", taskId=task, inputResponses={key: content, "old": "odd"})
    assert {*said["result"]} == {"resultType", "_meta"}
    assert agent.task(task)["status"] == "working"
    receipt = api.report(job, {"type": "heartbeat"})
    assert receipt["answer"]["value"] == {"to": "beta"}


def test_a_declined_question_stays_open(api: Api, agent: Agent) -> None:
    job, task = started(api, agent)
    api.report(job, {"type": "ask", "prompt": "Go?", "schema": {"type": "boolean"}})
    for action in ("decline", "cancel"):
        assert "result" in agent.answered(task, n1={"action": action})
        assert agent.task(task)["status"] == "input_required"
    assert "result" in agent.answered(task, n1=YES)
    assert api.report(job, {"type": "heartbeat"})["answer"]["value"] is True


def test_a_wrong_answer_is_refused_and_can_be_given_again(api: Api, agent: Agent) -> None:
    job, task = started(api, agent)
    api.report(job, {"type": "ask", "prompt": "Go?", "schema": {"type": "boolean"}})
    wrong = ({"action": "accept", "content": {"answer": "perhaps"}}, {"action": "accept"},
             {"action": "maybe"}, {"action": "accept", "content": []}, 7, None)  # fmt: skip
    for response in wrong:
        assert agent.answered(task, n1=response)["error"]["code"] == NO_TASK, response
    assert agent.refused("tasks/update", taskId=task, inputResponses=[]) == NO_TASK
    assert agent.refused("tasks/update", taskId=task) == NO_TASK
    assert agent.task(task)["status"] == "input_required"


def test_an_empty_form_is_no_answer_to_a_question_for_anything(api: Api, agent: Agent) -> None:
    job, task = started(api, agent)
    api.report(job, {"type": "ask", "prompt": "What now?"})
    for response in ({"action": "accept"}, {"action": "accept", "content": {"other": 1}}):
        assert agent.answered(task, n1=response)["error"]["code"] == NO_TASK
    assert agent.task(task)["status"] == "input_required"
    agent.answered(task, n1={"action": "accept", "content": {"answer": "go on"}})
    assert api.report(job, {"type": "heartbeat"})["answer"]["value"] == "go on"


def test_an_answer_to_an_earlier_question_is_ignored(api: Api, agent: Agent) -> None:
    job, task = started(api, agent)
    ask = {"type": "ask", "prompt": "Go?", "schema": {"type": "boolean"}}
    api.report(job, ask)
    assert "result" in agent.answered(task, n1=YES)
    api.report(job, {"type": "heartbeat", "answered": 1}, ask)
    assert "result" in agent.answered(task, n1=YES)
    assert list(agent.task(task)["inputRequests"]) == ["2"]
    api.report(job, {"type": "succeed"})
    assert "result" in agent.answered(task, n2=YES)


@pytest.mark.parametrize("elicitation", [None, {"url": {}}, [], True])
def test_a_client_that_shows_no_forms_is_not_asked(
    shared: Server, api: Api, agent: Agent, elicitation: Any
) -> None:
    job, task = started(api, agent)
    api.report(job, {"type": "ask", "prompt": "Go?", "schema": {"type": "boolean"}})
    mute = Agent(shared.url, declares={**WITH_TASKS, "elicitation": elicitation})
    told = mute.task(task)
    assert (told["status"], told["statusMessage"]) == ("working", "Waiting for an answer: Go?")
    # The model can answer, by the tool: so it is given the job.
    assert mute.wait(job)["structuredContent"]["waiting"]["n"] == 1


def test_a_question_that_is_no_flat_form_is_left_to_others(api: Api, agent: Agent) -> None:
    job, task = started(api, agent)
    api.report(job, {"type": "ask", "prompt": "Which?", "schema": {"type": "array"}})
    assert agent.task(task)["status"] == "working"


# Cancelling


@settings(max_examples=examples(30))
@given(
    method=st.sampled_from(["tasks/get", "tasks/update", "tasks/cancel", "subscriptions/listen"]),
    mine=st.booleans(),
    value=json_values,
    other=json_values,
)
def test_no_parameters_make_the_server_fail(
    shared: Server, stuck: str, method: str, mine: bool, value: Any, other: Any
) -> None:
    named = {"taskId": stuck if mine else value, "inputResponses": {"1": other} if mine else other}
    params = {"notifications": {"taskIds": value}} if "listen" in method else named
    if "listen" in method and isinstance(value, list) and all(isinstance(it, str) for it in value):
        return  # a subscription to nothing, which lasts
    said = Agent(shared.url).ask(method, **params)
    assert ("result" in said) != ("error" in said)
    assert said.get("error", {}).get("code", MISMATCH) in (NO_TASK, MISMATCH, -32700)


def test_a_cancelled_task_ends_with_its_worker(api: Api, agent: Agent) -> None:
    job, task = started(api, agent)
    assert {*agent.result("tasks/cancel", taskId=task)} == {"resultType", "_meta"}
    assert agent.task(task)["statusMessage"] == "Cancelling"
    assert api.report(job, {"type": "heartbeat"})["cancel_requested"]
    api.report(job, {"type": "cancelled"})
    assert agent.task(task)["status"] == "cancelled"
    assert agent.result("tasks/cancel", taskId=task)["resultType"] == "complete"


# Listening


def test_a_listener_gets_the_whole_task_whenever_it_changes(api: Api, agent: Agent) -> None:
    job, task = started(api, agent)
    with agent.listening(taskIds=[task, task, "x.y"]) as messages:
        hello = next(messages)
        assert hello["method"] == "notifications/subscriptions/acknowledged"
        assert hello["params"]["notifications"] == {"taskIds": [task]}
        first = next(messages)["params"]
        assert (first["taskId"], first["status"]) == (task, "working")
        api.report(job, {"type": "ask", "prompt": "Go?"})
        assert "1" in next(messages)["params"]["inputRequests"]
        api.post(f"/v1/jobs/{job}/answer", json={"value": "yes"}).raise_for_status()
        api.report(job, {"type": "succeed", "result": 7})
        last = next(it["params"] for it in messages if it["params"]["status"] == "completed")
        assert last["result"]["structuredContent"]["result"] == 7
        assert {*last["_meta"]} == {"io.modelcontextprotocol/subscriptionId"}


def test_a_task_that_has_ended_is_told_to_a_late_listener(api: Api, agent: Agent) -> None:
    job, task = started(api, agent)
    api.report(job, {"type": "succeed"})
    with agent.listening(taskIds=[task]) as messages:
        next(messages)
        assert next(messages)["params"]["status"] == "completed"
