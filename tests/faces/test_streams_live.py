"""Durable Streams over HTTP: waits, and streams of events."""

from __future__ import annotations

import asyncio
import signal
import threading
from pathlib import Path

import httpx2 as httpx
import pytest

from livejobs import LiveJobs, Settings, create_app
from livejobs.faces import streams as face
from livejobs.store.memory import MemoryStore
from tests.faces.streaming import (
    NEXT,
    SUCCEED,
    batches,
    events_of,
    line,
    marks,
    read,
)
from tests.support.api import Api, Socket
from tests.support.server import Server


@pytest.fixture(scope="module")
def api(streams: Api) -> Api:
    return streams


# Waiting


def poll(api: httpx.Client, job: str, offset: str, **headers: str) -> httpx.Response:
    query = {"offset": offset, "live": "long-poll"}
    return api.get(f"/streams/{job}/logs", params=query, headers=headers)


def test_a_wait_ends_with_what_comes_and_not_with_anything_else(api: Api) -> None:
    job = api.create()

    def report() -> None:
        with Api(api.url) as other:
            other.report(job, {"type": "progress", "percent": 5})
            other.report(job, {"type": "result", "value": 1})
            other.report(job, line(1))

    worker = threading.Thread(target=report)
    worker.start()
    answer = poll(api, job, "now" if not api.job(job)["logs_total"] else "-1")
    worker.join()
    assert [it["n"] for it in answer.json()] == [1]
    assert answer.headers["stream-cursor"].isdigit()


def test_a_wait_for_what_is_there_is_none(api: Api) -> None:
    job = api.create()
    api.report(job, line(1))
    answer = poll(api, job, "-1")
    assert ([it["n"] for it in answer.json()], marks(answer)) == ([1], (True, False))
    known = answer.headers["stream-cursor"]
    query = {"offset": "-1", "live": "long-poll", "cursor": known}
    again = api.get(f"/streams/{job}/logs", params=query)
    assert int(again.headers["stream-cursor"]) > int(known)


def test_a_wait_in_vain_is_204_with_where_the_client_is(api: Api) -> None:
    job = api.create()
    answer = poll(api, job, "now", prefer="wait=1")
    assert (answer.status_code, answer.content, marks(answer)) == (204, b"", (True, False))
    assert answer.headers[NEXT] == read(api, job).headers[NEXT]
    assert answer.headers["stream-cursor"].isdigit()
    assert answer.headers["preference-applied"] == "wait=1"


def test_nobody_waits_for_a_closed_stream(api: Api) -> None:
    job = api.create()
    api.report(job, line(1), SUCCEED)
    answer = poll(api, job, "now")
    assert (answer.status_code, marks(answer)) == (204, (True, True))
    assert "stream-cursor" not in answer.headers


# Events


def test_a_stream_of_events_goes_on_to_the_end(api: Api) -> None:
    job = api.create()
    api.report(job, line(1))
    with Api(api.url) as worker, events_of(api, job, "-1") as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        heard = batches(answer)
        assert [it["n"] for it in next(heard).items] == [1]
        worker.report(job, line(2), {"type": "progress", "percent": 5})
        assert [it["n"] for it in next(heard).items] == [2]
        worker.report(job, {"type": "progress", "percent": 6})
        worker.report(job, line(3), SUCCEED)
        rest = list(heard)
    assert [it["n"] for batch in rest for it in batch.items] == [3]
    assert rest[-1].control["streamClosed"] is True
    assert "streamCursor" not in rest[-1].control


def test_a_long_stream_of_events_begins_in_pieces(api: Api) -> None:
    job = api.create()
    for _ in range(4):
        api.report(job, *[{"type": "log", "message": "x" * 10_000}] * 60)
    with events_of(api, job, "-1") as answer:
        found = []
        for batch in batches(answer):
            found.append(batch)
            if batch.control.get("upToDate"):
                break
    assert len(found) > 2
    assert [it["n"] for batch in found for it in batch.items] == list(range(1, 241))
    offsets = [batch.control["streamNextOffset"] for batch in found]
    assert offsets == sorted({*offsets})


def test_a_closed_stream_says_so_at_once(api: Api) -> None:
    job = api.create()
    api.report(job, {"type": "result", "value": 1}, SUCCEED)
    with events_of(api, job, "now") as answer:
        (only,) = batches(answer)
    assert (only.items, only.control["streamClosed"]) == ([], True)


async def test_a_stream_of_events_ends_after_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(face, "LASTS", (0.0, 0.0))
    live = LiveJobs(Settings(data=tmp_path, faces=("streams",)), store=MemoryStore())
    transport = httpx.ASGITransport(await asyncio.to_thread(create_app, live))
    async with live, httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        await live.create(id="j")
        answer = await http.get("/streams/j/logs", params={"offset": "-1", "live": "sse"})
        assert [batch.items for batch in batches(answer)] == [[]]


def test_viewers_that_leave_are_forgotten(api: Api) -> None:
    job = api.create()

    def watchers() -> bool:
        nobody = 'livejobs_watchers{shows="face",transport="sse"} 0.0'
        return nobody not in api.get("/metrics").text

    with Api(api.url) as viewer, events_of(viewer, job, "-1") as answer:
        heard = batches(answer)
        next(heard)
        assert watchers()
    assert not all(watchers() for _ in range(1000))


@pytest.mark.parametrize("live", ["sse", "long-poll"])
def test_a_server_that_stops_ends_what_waits(live: str, tmp_path: Path) -> None:
    with Server(tmp_path / "data", "--faces", "streams") as server, Api(server.url) as api:
        path = f"/streams/{api.create()}/logs?offset=-1&live={live}"
        with Socket(server.url) as waiting:
            waiting.send(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")
            assert api.get("/healthz").status_code == 200  # by now the server has it
            if live == "sse":
                assert waiting.head()[0] == 200
            server.signal(signal.SIGTERM)
            assert server.wait() == 0
            assert live == "sse" or waiting.head()[0] == 204
            assert waiting.file.read().endswith(b"0\r\n\r\n" if live == "sse" else b"")
