"""The AsyncAPI document is a valid one, and what is really said is what it describes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import httpx2 as httpx
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it has no types
from websockets.sync.client import ClientConnection, connect

from livejobs.live.frames import Op
from livejobs.web.documents import asyncapi
from livejobs.web.streams.protocol import AnyMessage
from tests.support.api import Api
from tests.support.server import LONG_ENOUGH, Server

INTEROP = Path(__file__).parents[1] / "interop"
DOCUMENT = asyncapi.document("1")


def errors_of(*documents: dict[str, Any]) -> list[list[str]]:
    """What AsyncAPI's own parser finds wrong with each."""
    ran = subprocess.run(
        ["node", "asyncapi.mjs"],
        cwd=INTEROP,
        input=json.dumps(documents),
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[list[str]] = json.loads(ran.stdout)
    return found


def test_the_document_is_a_valid_one_and_a_wrong_one_would_be_noticed() -> None:
    good, bad = errors_of(DOCUMENT, {**DOCUMENT, "operations": {"x": {"action": "sing"}}})
    assert good == []
    assert any("operations" in error for error in bad)


def test_every_kind_of_message_is_in_it() -> None:
    # The first is told as bye, and the other belongs to faces.
    told = set(get_args(Op)) - {"unwelcome", "form"}
    streams_only = {"trimmed"}  # a log alone is no subscription of a WebSocket
    assert set(asyncapi.SERVER_MESSAGES) == told - streams_only | {"ack", "error", "pong"}
    assert set(asyncapi.EVENTS) == told - {"state"} | {"message"}
    heard = {struct.__struct_config__.tag for struct in get_args(AnyMessage)}
    assert set(asyncapi.CLIENT_MESSAGES) == heard


def test_the_server_hands_it_out_to_anyone(server: Server) -> None:
    assert httpx.get(server.url + "/asyncapi.json").json()["asyncapi"] == "3.0.0"


# What is really said


def check(name: str, payload: Any, headers: Any = None) -> str:
    """The message's name, once it has the shape that the document gives it."""
    message = DOCUMENT["components"]["messages"][name]
    shapes = {"components": DOCUMENT["components"]}
    for schema, instance in ((message["payload"], payload), (message.get("headers"), headers)):
        if schema is not None:
            Draft202012Validator({**schema, **shapes}).validate(instance)
    return name


def events(api: Api, path: str, **query: Any) -> Iterator[str]:
    with api.stream("GET", path, params=query) as answer:
        fields: dict[str, str] = {}
        for line in answer.iter_lines():
            if line:
                name, _, value = line.partition(": ")
                assert name in ("event", "id", "data", "retry")
                fields[name] = value
            else:
                headers = {name: fields[name] for name in ("event", "id") if name in fields}
                data = json.loads(fields["data"], object_pairs_hook=no_twins)
                name = check(f"event_{fields.get('event', 'message')}", data, headers)
                if name != "event_ping":  # which comes when its turn is
                    yield name
                fields = {}


def no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len(dict(pairs)) == len(pairs), pairs
    return dict(pairs)


def hear(ws: ClientConnection) -> tuple[str, Any]:
    while True:
        said = json.loads(ws.recv(LONG_ENOUGH), object_pairs_hook=no_twins)
        name = check(f"server_{said['op']}", said)
        described = DOCUMENT["components"]["messages"][name]["payload"]["properties"]
        assert said.keys() <= described.keys(), name
        if name != "server_ping":  # which comes when its turn is
            return name, said


def say(ws: ClientConnection, **message: Any) -> set[str]:
    """Everything heard up to the answer."""
    check(f"client_{message['op']}", message)
    ws.send(json.dumps(message))
    heard = set()
    while True:
        name, said = hear(ws)
        heard.add(name)
        if said.get("id") == message["id"]:
            return heard


@pytest.fixture
def api(server: Server) -> Iterator[Api]:
    with Api(server.url) as api:
        yield api


REPORTS = [
    {"type": "log", "message": "m", "source": "s"},
    {"type": "result", "value": 1},
    {"type": "error", "message": "e"},
]
ASK = [{"type": "ask", "prompt": "Publish?"}]


def test_events_are_as_described(api: Api) -> None:
    job = api.create()
    api.report(job, *REPORTS)
    feed = events(api, "/v1/events", logs="1", since="other.1")
    assert next(feed) == "event_reset"
    assert [next(feed), next(feed)] == ["event_message", "event_ready"]
    live = events(api, f"/v1/jobs/{job}/events", view="delta", logs="1")
    assert next(live) == "event_snapshot"
    api.report(job, *REPORTS)
    assert next(live) == "event_delta"
    assert {next(feed), next(feed)} == {"event_message", "event_logs"}
    api.report(job, {"type": "succeed"})
    assert [*live] == ["event_delta", "event_end"]
    api.delete(f"/v1/jobs/{job}")
    assert next(told for told in feed if told != "event_message") == "event_gone"


def test_a_socket_s_messages_are_as_described(server: Server, api: Api) -> None:
    job = api.create()
    with connect(server.url.replace("http", "ws") + "/v1/ws") as ws:
        heard = say(ws, op="ping", id=1) | say(ws, op="auth", id=2, token="x")
        heard |= say(ws, op="report", id=3, job=job, reports=REPORTS)
        heard |= say(ws, op="report", id=4, job="none", reports=REPORTS)
        assert heard == {"server_pong", "server_ack", "server_error"}
        assert say(ws, op="report", id=5, job=job, reports=ASK) == {"server_ack"}
        assert api.post(f"/v1/jobs/{job}/answer", json={"value": True}).is_success
        assert say(ws, op="report", id=6, job=job, reports=REPORTS) == {"server_ack"}
        heard = say(ws, op="subscribe", id="a", job=job, logs=True, since="other.1")
        heard |= say(ws, op="subscribe", id="b", job=job, logs=True, view="state")
        heard |= say(ws, op="subscribe", id="c", feed={"status": ["running", "succeeded"]})
        while "server_ready" not in heard:
            heard.add(hear(ws)[0])
        api.report(job, *REPORTS, {"type": "succeed"})
        api.delete(f"/v1/jobs/{job}")
        while "server_gone" not in heard:
            heard.add(hear(ws)[0])
        server.process.terminate()
        while "server_bye" not in heard:
            heard.add(hear(ws)[0])
    both = {
        "server_reset",
        "server_snapshot",
        "server_delta",
        "server_state",
        "server_logs",
        "server_end",
    }
    assert both <= heard
