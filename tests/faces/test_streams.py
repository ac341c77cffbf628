"""Durable Streams over HTTP: reads from every position."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livejobs import LiveJobs, Settings, create_app
from livejobs.store.memory import MemoryStore
from tests.faces.streaming import (
    NEXT,
    SUCCEED,
    events_of,
    line,
    marks,
    read,
    until_now,
)
from tests.support.api import Api, problem
from tests.support.examples import examples
from tests.support.server import Server


@pytest.fixture(scope="module")
def api(streams: Api) -> Api:
    return streams


# Reading


def test_a_stream_is_open_and_then_closed(api: Api) -> None:
    job = api.create()
    empty = read(api, job)
    assert (empty.status_code, empty.json(), marks(empty)) == (200, [], (True, False))
    api.report(job, line(1), line(2))
    more = read(api, job, empty.headers[NEXT])
    assert [it["message"] for it in more.json()] == ["line 1", "line 2"]
    assert marks(more) == (True, False)
    api.report(job, SUCCEED)
    end = read(api, job, more.headers[NEXT])
    assert (end.json(), marks(end)) == ([], (True, True))
    assert end.headers[NEXT] == more.headers[NEXT] > empty.headers[NEXT]


def test_each_kind_is_a_stream(api: Api) -> None:
    job = api.create()
    value = {"a": [1, None, "\u2028"]}
    api.report(job, line(1), {"type": "result", "value": value}, {"type": "result", "value": 2})
    api.report(job, {"type": "error", "message": "no page", "item": 7})
    native = api.job(job)
    assert api.get(f"/streams/{job}/results").json() == [value, 2]
    assert api.get(f"/streams/{job}/errors").json() == native["errors"]
    assert read(api, job).json() == api.get(f"/v1/jobs/{job}/logs").json()["logs"]


def test_head_gives_the_end_alone(api: Api) -> None:
    job = api.create()
    api.report(job, line(1))
    answer = api.head(f"/streams/{job}/logs", params={"live": "sse"})
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers[NEXT] == read(api, job, "now").headers[NEXT]
    assert answer.headers["cache-control"] == "no-store"
    assert "stream-closed" not in answer.headers
    api.report(job, SUCCEED)
    assert api.head(f"/streams/{job}/logs").headers["stream-closed"] == "true"


def test_now_is_the_end_and_is_not_kept(api: Api) -> None:
    job = api.create()
    api.report(job, line(1))
    answer = read(api, job, "now")
    assert (answer.json(), marks(answer)) == ([], (True, False))
    assert answer.headers["cache-control"] == "no-store"
    api.report(job, line(2))
    assert [it["n"] for it in read(api, job, answer.headers[NEXT]).json()] == [2]


def test_an_answer_that_is_known_is_not_sent_again(api: Api) -> None:
    job = api.create()

    def tag(known: str | None = None) -> httpx.Response:
        headers = {} if known is None else {"if-none-match": known}
        return api.get(f"/streams/{job}/logs", headers=headers)

    tags = [tag().headers["etag"]]
    for report in (line(1), SUCCEED):  # closing changes it too
        api.report(job, report)
        assert tag(tags[-1]).status_code == 200
        tags.append(tag().headers["etag"])
    assert len({*tags}) == 3
    same = tag(tags[-1])
    assert (same.status_code, same.content) == (304, b"")
    assert (same.headers["etag"], same.headers["cache-control"]) == (tags[-1], "private, no-cache")


def test_a_long_log_is_one_answer_and_a_longer_one_several(api: Api) -> None:
    job = api.create()
    long = {"type": "log", "message": "x" * 15_000}
    for _ in range(6):
        api.report(job, *[long] * 60)
    first = read(api, job)
    assert len(first.content) > 4_000_000
    assert marks(first) == (False, False)
    rest = read(api, job, first.headers[NEXT])
    assert marks(rest) == (True, False)
    numbers = [it["n"] for it in first.json() + rest.json()]
    assert numbers == list(range(1, 361))


@settings(max_examples=examples(8))
@given(st.lists(st.integers(1, 5), min_size=1, max_size=5), st.booleans())
def test_every_way_from_every_offset_brings_the_rest_once(
    api: Api, sizes: list[int], finished: bool
) -> None:
    job, total = api.create(), 0
    for size in sizes:  # each is one change
        api.report(job, *map(line, range(total + 1, total + size + 1)))
        total += size
    if finished:
        api.report(job, SUCCEED)
    end = read(api, job, "now").headers[NEXT]
    for n in range(total + 1):
        offset = f"{end[:-16]}{n:016}"
        rest = list(range(n + 1, total + 1))
        plain = read(api, job, offset)
        assert [it["n"] for it in plain.json()] == rest
        assert (marks(plain), plain.headers[NEXT]) == ((True, finished), end)
        with events_of(api, job, offset) as answer:
            items, at = until_now(answer)
        assert ([it["n"] for it in items], at) == (rest, end)


class Gated(MemoryStore):
    """What it has written is published only when the gate is open."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()
        self.written = asyncio.Event()

    async def commit(self, changes: Any, on: Any = None) -> list[int]:
        seqs = await super().commit(changes, on)
        self.written.set()
        await self.gate.wait()
        return seqs


async def test_what_is_written_is_read_once_it_is_published(tmp_path: Path) -> None:
    live = LiveJobs(Settings(data=tmp_path, faces=("streams",)), store=(store := Gated()))
    transport = httpx.ASGITransport(await asyncio.to_thread(create_app, live))
    async with live, httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        job = await live.create(id="j")
        await job.log("line 1")
        store.gate.clear()
        store.written.clear()
        reporting = asyncio.create_task(job.log("line 2"))
        await store.written.wait()
        early = await http.get("/streams/j/logs")
        store.gate.set()
        await reporting
        late = await http.get("/streams/j/logs", params={"offset": early.headers[NEXT]})
    assert [it["n"] for it in early.json()] == [1]
    assert marks(early) == (True, False)
    assert [it["n"] for it in late.json()] == [2]


# What is removed


def test_a_log_that_is_cut_is_read_from_what_is_left(tmp_path: Path) -> None:
    options = ("--faces", "streams", "--keep-log-lines", "100")
    with Server(tmp_path / "data", *options) as server, Api(server.url) as api:
        job = api.create()
        api.report(job, line(1))
        old = read(api, job).headers[NEXT]
        for first in range(2, 1000, 100):
            api.report(job, *map(line, range(first, first + 100)))
        problem(read(api, job, old), 410, "offset_gone")
        problem(read(api, job, old, live="sse"), 410, "offset_gone")
        left = [it["n"] for it in read(api, job).json()]
        assert left == list(range(left[0], 1002))
        assert left[0] > 800
        with events_of(api, job, "-1") as answer:
            assert [it["n"] for it in until_now(answer)[0]] == left
