"""Headers and cursors of streams, at a real server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.support.api import Api, hear
from tests.support.server import Server

FRIENDS = ("https://one.example", "https://two.example")


def test_no_viewer_gets_headers_that_were_made_for_another(tmp_path: Path) -> None:
    with (
        Server(tmp_path / "data", "--cors-origins", ",".join(FRIENDS)) as server,
        Api(server.url) as api,
    ):
        path = f"/v1/jobs/{api.create()}/events"
        for origin in (*FRIENDS, None, FRIENDS[0]):
            asked = {} if origin is None else {"origin": origin}
            with api.stream("GET", path, headers=asked) as stream:
                got = stream.headers
                assert got.get("access-control-allow-origin") == origin
                assert got["vary"].count("Origin") == 2


def read_stream(api: Api, path: str) -> str:
    """A stream that ends by itself."""
    answer = api.get(path, headers={"accept": "text/event-stream"})
    assert answer.status_code == 200
    return answer.text


@pytest.mark.parametrize("name", ["since", "lastEventId"])
@pytest.mark.parametrize("door", ["events?logs=1&", "logs?"])
def test_a_client_may_give_its_cursor_in_the_query(shared: Server, name: str, door: str) -> None:
    with Api(shared.url) as api:
        job = api.create()
        first = api.report(job, {"type": "log", "message": "one"})["cursor"]
        api.report(job, {"type": "log", "message": "two"})
        last = api.report(job, {"type": "succeed"})["cursor"]
        path = f"/v1/jobs/{job}/{door}"
        assert '"one"' in read_stream(api, path)
        text = read_stream(api, f"{path}{name}={first}")
        assert '"two"' in text
        assert '"one"' not in text
        end = api.get(f"{path}{name}={last}", headers={"accept": "text/event-stream"})
        assert end.status_code == 204


def test_the_last_event_id_wins_over_since(shared: Server) -> None:
    with Api(shared.url) as api:
        job = api.create()
        first = api.report(job, {"type": "log", "message": "one"})["cursor"]
        last = api.report(job, {"type": "succeed"})["cursor"]
        path = f"/v1/jobs/{job}/events?since={first}&lastEventId={last}"
        assert api.get(path).status_code == 204
        assert api.get(path, headers={"last-event-id": first}).status_code == 200


def test_a_feed_resumes_from_the_last_event_id_in_the_query(shared: Server) -> None:
    with Api(shared.url) as api:
        job = api.create()
        seen = api.report(job, {"type": "start"})["cursor"]
        with api.stream("GET", f"/v1/events?lastEventId={seen}") as feed:
            lines = feed.iter_lines()
            api.report(job, {"type": "progress", "percent": 50})
            state = next(line for line in lines if line.startswith('data: {"id"'))
            assert json.loads(state[6:])["progress"]["percent"] == 50


def test_the_socket_of_a_job_resumes_from_the_last_event_id_too(shared: Server) -> None:
    address = shared.url.replace("http", "ws", 1)
    with Api(shared.url) as api:
        job = api.create()
        seen = api.report(job, {"type": "progress", "percent": 1})["cursor"]
        with connect(f"{address}/v1/jobs/{job}?lastEventId={seen}") as socket:
            assert hear(socket)["op"] == "ack"
            api.report(job, {"type": "progress", "percent": 2})
            assert hear(socket)["op"] == "delta"


def test_a_followed_log_is_a_connection_like_any_stream(tmp_path: Path) -> None:
    with (
        Server(tmp_path / "data", "--max-connections-per-key", "1") as server,
        Api(server.url) as api,
    ):
        path = f"/v1/jobs/{api.create()}/logs"
        with api.stream("GET", f"{path}?follow=1", headers={"accept": "text/plain"}) as text:
            assert text.status_code == 200
            refused = api.get(path, headers={"accept": "text/event-stream"})
            assert (refused.status_code, refused.json()["code"]) == (429, "too_many_connections")


def test_a_followed_log_has_no_limit_of_lines(shared: Server) -> None:
    text = {"accept": "text/plain"}
    with Api(shared.url) as api:
        job = api.create()
        api.report(job, {"type": "log", "message": "one"}, {"type": "log", "message": "two"})
        api.report(job, {"type": "succeed"})
        path = f"/v1/jobs/{job}/logs?limit=1"
        assert api.get(path, headers=text).text == "one\n"
        assert api.get(f"{path}&follow=1", headers=text).text == "one\ntwo\n"
