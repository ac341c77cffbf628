"""A stream ends with its credential."""

from __future__ import annotations

import json
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import httpx2 as httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.support.api import Socket, hear
from tests.support.keyed import EVENTS, TEXT, Client, client, events, make_key, make_token, socket
from tests.support.server import Server


def test_a_stream_ends_with_its_token_and_goes_on_with_another(
    closed: Server, admin: Client
) -> None:
    admin.put("/v1/jobs/j")
    lines: list[str] = []
    seen = ""

    def follow(token: str, since: str) -> tuple[str, str]:
        """Read until the stream ends: the last cursor and the last event."""
        with (
            client(closed, token) as viewer,
            viewer.stream(
                "GET",
                "/v1/jobs/j/events",
                params={"view": "delta", "logs": "1"},
                headers={"last-event-id": since} if since else {},
            ) as answer,
        ):
            last: dict[str, str] = {}
            for last in events(answer):
                since = last.get("id", since)
                data = json.loads(last["data"])
                new = data.get("append", {}).get("logs", ()) or data.get("logs", ())
                lines.extend(line["message"] for line in new)
            return since, last["event"] + ": " + json.loads(last["data"]).get("reason", "")

    stop = threading.Event()

    def work() -> None:
        for n in range(3000):
            if stop.wait(0.03):
                break
            admin.post("/v1/jobs/j/reports", json={"type": "log", "message": str(n)})
        admin.post("/v1/jobs/j/reports", json={"type": "succeed"})

    worker = threading.Thread(target=work)
    worker.start()
    with client(closed, make_key(admin, "page", "view")["key"]) as page:
        try:
            seen, word = follow(make_token(page, ttl_seconds=10), seen)
        finally:
            stop.set()
            worker.join()
        assert word == "bye: The credential has expired."
        seen, word = follow(make_token(page), seen)
        assert word == "end: "
    assert lines == [str(n) for n in range(len(lines))]
    assert len(lines) == admin.get("/v1/jobs/j").json()["logs_total"]


def test_a_revoked_key_ends_its_streams_within_five_seconds(closed: Server, admin: Client) -> None:
    admin.put("/v1/jobs/j")
    made = make_key(admin, "ci")
    with client(closed, made["key"]) as ci:
        token = make_token(ci)
        with (
            ci.stream("GET", "/v1/jobs/j/events") as by_key,
            ci.stream("GET", "/v1/jobs/j/logs", headers=EVENTS) as logs_by_key,
            ci.stream("GET", "/v1/jobs/j/logs?follow=1", headers=TEXT) as text_by_key,
            client(closed, token) as page,
            page.stream("GET", "/v1/jobs/j/events") as by_token,
            admin.stream("GET", "/v1/jobs/j/events") as other,
            socket(closed, made["key"]) as ws,
        ):
            streams = [events(answer) for answer in (by_key, by_token, other)]
            assert all("status" in next(stream)["data"] for stream in streams)
            since = time.monotonic()
            admin.delete(f"/v1/keys/{made['id']}")
            for stream in streams[:2]:
                bye = list(stream)[-1]
                assert bye["event"] == "bye"
                assert "revoked" in bye["data"]
            assert "revoked" in list(events(logs_by_key))[-1]["data"]
            assert list(text_by_key.iter_lines()) == []
            assert hear(ws)["op"] == "bye"
            with pytest.raises(ConnectionClosed) as gone:
                hear(ws)
            assert gone.value.rcvd is not None
            assert gone.value.rcvd.code == 4401
            assert time.monotonic() - since < 30  # the promise is 5 s; tests do not measure time
            admin.post("/v1/jobs/j/reports", json={"type": "succeed"})
            assert list(streams[2])[-1]["event"] == "end"  # the stream of another key goes on


def test_a_stream_that_is_never_idle_ends_too(closed: Server, admin: Client) -> None:
    """It always has news to send, so the credential is also checked when news is sent."""
    admin.put("/v1/jobs/j")
    made = make_key(admin, "ci")
    url = f"{closed.url}/v1/jobs/j/reports"
    with client(closed, made["key"]) as ci, Socket(closed.url) as open_line:
        headers = ("content-type: application/x-ndjson", f"authorization: Bearer {made['key']}")
        open_line.post("/v1/jobs/j/reports", *headers)
        open_line.chunk('{"type": "log", "message": "0"}\n')
        stop = threading.Event()

        def busy() -> None:
            while not stop.wait(0.05):
                admin.post(url, json={"type": "log", "message": "busy"})

        worker = threading.Thread(target=busy)
        with (
            ci.stream("GET", "/v1/jobs/j/logs?follow=1", headers=EVENTS) as as_events,
            ci.stream("GET", "/v1/jobs/j/logs?follow=1", headers=TEXT) as as_text,
        ):
            heard, lines = events(as_events), as_text.iter_lines()
            next(heard), next(lines)
            worker.start()
            try:
                admin.delete(f"/v1/keys/{made['id']}")
                assert "revoked" in list(heard)[-1]["data"]
                assert set(lines) <= {"0", "busy"}
            finally:
                stop.set()
                worker.join()
        open_line.chunk('{"type": "log", "message": "from the grave"}\n')
        status, _, body = open_line.answer()
        assert (status, body["code"], body["kept"]) == (401, "expired", 1)


def test_the_first_key_ends_streams_that_were_opened_without_one(tmp_path: Path) -> None:
    with Server(tmp_path / "data") as server, client(server, None) as anyone:
        anyone.put("/v1/jobs/j")
        token = make_token(anyone)
        with (
            socket(server, None) as ws,
            anyone.stream("GET", "/v1/jobs/j/events") as answer,
        ):
            stream = events(answer)
            assert "status" in next(stream)["data"]
            make_key(anyone, "first", "admin")
            assert "keys now" in list(stream)[-1]["data"]
            assert "keys now" in hear(ws)["reason"]
        assert httpx.get(f"{server.url}/v1/jobs?token={token}").status_code == 401


def test_a_socket_goes_on_with_a_fresh_token(closed: Server, admin: Client) -> None:
    admin.put("/v1/jobs/j")
    token = make_token(admin, ttl_seconds=10)
    with ExitStack() as stack:
        # Connections are checked in turns, each third one in the same second as the first.
        ws, *others = [stack.enter_context(socket(closed, token)) for _ in range(4)]
        ws.send(json.dumps({"op": "subscribe", "id": 1, "job": "j"}))
        assert [hear(ws)["op"] for _ in range(2)] == ["ack", "snapshot"]
        ws.send(json.dumps({"op": "auth", "id": 2, "token": make_token(admin)}))
        assert hear(ws) == {"op": "ack", "id": 2}
        for other in others:
            assert hear(other)["op"] == "bye"
        admin.post("/v1/jobs/j/reports", json={"type": "start"})
        assert hear(ws)["op"] == "delta"
