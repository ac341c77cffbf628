"""Resources and `subscriptions/listen` from outside."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import pytest

from tests.mcp.test_tools import new
from tests.mcp.test_waiting import streams
from tests.support.agent import PREFIX, Agent, error
from tests.support.api import Api
from tests.support.desk import eventually
from tests.support.server import Server

LISTEN = "subscriptions/listen"


def uri_of(id: str) -> str:
    return f"livejob://{id}"


def wanted(*ids: str) -> dict[str, Any]:
    return {"notifications": {"resourceSubscriptions": [uri_of(id) for id in ids]}}


# Reading


def test_a_job_is_read_as_get_job_gives_it(either: Agent, api: Api) -> None:
    id = new(api, {"type": "result", "value": "ä"}, title="T")
    (content,) = either.result("resources/read", {"uri": uri_of(id)})["contents"]
    assert (content["uri"], content["mimeType"]) == (uri_of(id), "application/json")
    assert json.loads(content["text"]) == either.good("get_job", id=id)


def test_an_id_may_be_escaped_as_in_any_address(either: Agent, api: Api) -> None:
    id = api.create(id=f"a:b~c.{uuid.uuid4().hex}")
    for written in (id, id.replace(":", "%3A").replace("~", "%7E")):
        assert either.result("resources/read", {"uri": uri_of(written)})["contents"]


@pytest.mark.parametrize(
    "uri", ["livejob://nope", "livejob://", "livejob:///", "livejob://a/b", "livejob://%00",
            "livejob://%ff", "LIVEJOB://j", "file:///etc/passwd", "ui://x/none", "", "\u2028"]
)  # fmt: skip
def test_what_is_not_there_is_not_found(legacy: Agent, uri: str) -> None:
    found = error(legacy.ask("resources/read", {"uri": uri}), 200, -32602)
    assert found["data"] == {"uri": uri}


def test_the_template_leads_to_jobs(either: Agent) -> None:
    (template,) = either.result("resources/templates/list")["resourceTemplates"]
    assert template["uriTemplate"] == "livejob://{id}"


def test_all_jobs_are_listed_newest_first_page_by_page(either: Agent, api: Api) -> None:
    made = [new(api, title="T") for _ in range(60)]
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while len(seen) < 60:
        page = either.result("resources/list", cursor)
        assert len(page["resources"]) <= 50
        seen += [resource["uri"] for resource in page["resources"]]
        cursor = {"cursor": page.get("nextCursor", "none")}
    assert seen[:60] == [uri_of(id) for id in made[::-1]]


def test_a_cursor_of_nothing_is_refused(legacy: Agent) -> None:
    error(legacy.ask("resources/list", {"cursor": "zzz"}), 200, -32602)


# Listening


def test_it_tells_of_each_change_of_the_jobs_that_were_asked_for(agent: Agent, api: Api) -> None:
    one, two, other = (new(api, {"type": "start"}) for _ in range(3))
    with agent.streamed(LISTEN, wanted(one, two), id="s") as told:
        first = next(told)
        assert first["method"] == "notifications/subscriptions/acknowledged"
        assert first["params"]["notifications"] == wanted(one, two)["notifications"]
        assert first["params"]["_meta"] == {f"{PREFIX}subscriptionId": "s"}
        for id in (one, two):
            api.report(other, {"type": "progress", "percent": 5})
            api.report(id, {"type": "progress", "percent": 5})
            update = next(told)
            assert update["method"] == "notifications/resources/updated"
            assert update["params"]["uri"] == uri_of(id)
            assert update["params"]["_meta"] == {f"{PREFIX}subscriptionId": "s"}


def test_it_goes_on_when_a_job_has_ended(agent: Agent, api: Api) -> None:
    one, two = new(api, {"type": "start"}), new(api, {"type": "start"})
    done = new(api, {"type": "succeed"})
    with agent.streamed(LISTEN, wanted(one, done, two)) as told:
        next(told)
        api.report(one, {"type": "succeed"})
        assert next(told)["params"]["uri"] == uri_of(one)
        api.report(two, {"type": "succeed"})
        assert next(told)["params"]["uri"] == uri_of(two)


def test_what_is_unknown_or_not_to_be_seen_is_not_acknowledged(agent: Agent, api: Api) -> None:
    id = new(api)
    asked = wanted(id, "nope", id)
    asked["notifications"] |= {"toolsListChanged": True, "new": 1}
    with agent.streamed(LISTEN, asked) as told:
        assert next(told)["params"]["notifications"]["resourceSubscriptions"] == [uri_of(id)]
    with agent.streamed(LISTEN, {"notifications": {"toolsListChanged": True}}) as told:
        assert next(told)["params"]["notifications"] == {}


@pytest.mark.parametrize(
    "params", [{}, {"notifications": None}, {"notifications": []},
               {"notifications": {"resourceSubscriptions": "x"}},
               {"notifications": {"resourceSubscriptions": [1]}},
               {"notifications": {"resourceSubscriptions": [f"livejob://{n}" for n in range(101)]}}]
)  # fmt: skip
def test_a_wrong_subscription_is_refused(agent: Agent, params: dict[str, Any]) -> None:
    error(agent.ask(LISTEN, params), 400, -32602)


def test_a_client_that_leaves_frees_its_connection(agent: Agent, api: Api) -> None:
    eventually(lambda: streams(api) == 0)  # of the tests before
    with agent.streamed(LISTEN, wanted(*[new(api) for _ in range(3)])) as told:
        next(told)
        assert streams(api) == 1
    eventually(lambda: streams(api) == 0)


def test_it_tells_once_a_second_and_ends_with_a_result_when_the_server_stops(
    server: Server,
) -> None:
    with Api(server.url) as api, Agent(server.url) as agent:
        id = new(api)
        with agent.streamed(LISTEN, wanted(id), id=9) as told:
            next(told)
            began = time.monotonic()
            for percent in range(100):
                api.report(id, {"type": "progress", "percent": percent})
            assert server.stop() == 0
            *updates, last = told
            seconds = time.monotonic() - began
    assert 1 <= len(updates) <= seconds + 2
    assert last["id"] == 9
    assert last["result"]["resultType"] == "complete"
    assert last["result"]["_meta"][f"{PREFIX}subscriptionId"] == 9
