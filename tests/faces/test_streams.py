"""Durable Streams over HTTP, as any client may ask: reads from every position, waits, streams of
events; and what is refused."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import httpx2 as httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livejobs import LiveJobs, Settings, create_app
from livejobs.faces import streams
from livejobs.store.memory import MemoryStore
from tests.support.api import Api, Socket, problem
from tests.support.examples import examples
from tests.support.server import Server

ADMIN = "the-first-admin-key"
SUCCEED = {"type": "succeed"}
NEXT = "stream-next-offset"
UNLIMITED = ("--rate-read", "100000/s", "--rate-report", "100000/s")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("streams") / "data"
    with Server(data, "--faces", "streams", *UNLIMITED) as server:
        yield server


@pytest.fixture(scope="module")
def api(server: Server) -> Iterator[Api]:
    with Api(server.url) as api:
        yield api


def line(n: int) -> dict[str, Any]:
    return {"type": "log", "message": f"line {n}"}


def read(api: httpx.Client, job: str, offset: str | None = None, **query: str) -> httpx.Response:
    query |= {} if offset is None else {"offset": offset}
    return api.get(f"/streams/{job}/logs", params=query)


def marks(answer: httpx.Response) -> tuple[bool, bool]:
    """Whether the answer reaches the end for now, and the end for ever."""
    return "stream-up-to-date" in answer.headers, "stream-closed" in answer.headers


class Batch(NamedTuple):
    items: list[Any]
    control: Mapping[str, Any]


def batches(answer: httpx.Response) -> Iterator[Batch]:
    """The events of a stream, each with its control event."""
    items: list[Any] = []
    name = ""
    for text in answer.iter_lines():
        if text.startswith("event: "):
            name = text.removeprefix("event: ")
        elif text.startswith("data:"):
            data = json.loads(text.removeprefix("data:"))
            if name == "data":
                items += data
            else:
                yield Batch(items, data)
                items = []


def events_of(
    api: httpx.Client, job: str, offset: str, kind: str = "logs"
) -> Any:  # a context manager
    return api.stream("GET", f"/streams/{job}/{kind}", params={"offset": offset, "live": "sse"})


def until_now(answer: httpx.Response) -> tuple[list[Any], str]:
    """What a stream brings until the client has all, and where it is then."""
    items: list[Any] = []
    for batch in batches(answer):
        items += batch.items
        if batch.control.get("upToDate"):
            return items, batch.control["streamNextOffset"]
    raise AssertionError("the stream ended before the client had all")


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
    monkeypatch.setattr(streams, "LASTS", (0.0, 0.0))
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


# Refusals


@pytest.mark.parametrize(
    "query",
    [
        "offset=",
        "offset=0,1",
        "offset=0+1",
        "offset=-2",
        "offset=NOW",
        "offset=now&offset=now",
        "offset=1&live=sse",
        "offset=%00",
        "offset=a.0_%D9%A3%D9%A3%D9%A3%D9%A3%D9%A3%D9%A3%D9%A3%D9%A3%D9%A3%D9%A3%D9%A3%D9%A3",
        "offset=" + "9" * 5000,
        "live=sse",
        "live=long-poll",
    ],
)
def test_an_offset_that_is_none_is_400(api: Api, query: str) -> None:
    job = api.create()
    answer = api.get(f"/streams/{job}/logs?{query}")
    problem(answer, 400, "bad_cursor")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_another_kind_of_live_is_400(api: Api) -> None:
    problem(read(api, api.create(), "-1", live="websocket"), 400, "bad_request")


def test_what_a_client_adds_to_its_query_does_not_matter(api: Api) -> None:
    job = api.create()
    api.report(job, line(1))
    for known in ("", "x", "-5", "9" * 400, "1e9", "\u0663"):
        answer = read(api, job, "-1", cursor=known, live="long-poll", foo="bar")
        assert (answer.status_code, len(answer.json())) == (200, 1)
        assert answer.headers["stream-cursor"].isdigit()


def test_an_offset_of_a_job_that_had_the_same_id_is_gone(api: Api) -> None:
    api.put("/v1/jobs/again")
    api.report("again", line(1), line(2), SUCCEED)
    old = read(api, "again").headers[NEXT]
    assert api.delete("/v1/jobs/again").status_code == 204
    problem(read(api, "again", old), 404, "job_not_found")
    api.put("/v1/jobs/again")
    api.report("again", *map(line, range(5)))
    problem(read(api, "again", old), 410, "offset_gone")
    problem(read(api, "again", old, live="sse"), 410, "offset_gone")
    problem(read(api, "again", old, live="long-poll"), 410, "offset_gone")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nobody_writes_to_a_stream(api: Api, method: str) -> None:
    answer = api.request(method, f"/streams/{api.create()}/logs", content=b"[]")
    problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", ["", "/", "/j", "/j/", "/j/steps", "/j/logs/", "/j/logs/1"])
def test_other_addresses_below_it_are_404(api: Api, path: str) -> None:
    problem(api.get("/streams" + path), 404, "not_found")


@pytest.mark.parametrize("id", ["none", "%2e%2e", "a%00b", "ä", "x" * 200])
def test_a_job_that_is_not_there_is_404(api: Api, id: str) -> None:
    for query in ("", "?offset=now", "?offset=-1&live=sse", "?offset=-1&live=long-poll"):
        problem(api.get(f"/streams/{id}/logs{query}"), 404, "job_not_found")


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


# Access


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("closed") / "data"
    environment = {"LIVEJOBS_ADMIN_KEY": ADMIN, "LIVEJOBS_FACES": "streams"}
    with Server(data, env=environment) as server:
        yield server


QUERIES = ("", "?offset=-1&live=sse", "?offset=-1&live=long-poll")


@pytest.mark.parametrize("query", QUERIES)
def test_a_stream_is_for_those_who_may_see_the_job(closed: Server, query: str) -> None:
    with (
        httpx.Client(base_url=closed.url, headers={"x-api-key": ADMIN}) as admin,
        httpx.Client(base_url=closed.url) as anyone,
    ):
        job = admin.post("/v1/jobs", json={"project": "mine"}).json()["id"]
        admin.post(f"/v1/jobs/{job}/reports", json=[line(1), SUCCEED])
        keys = {}
        for project in ("mine", "other"):
            name = f"{project}-{job[-12:]}"
            wanted = {"name": name, "scopes": ["view"], "projects": [project]}
            keys[project] = admin.post("/v1/keys", json=wanted).json()["key"]

        def ask(**headers: str) -> httpx.Response:
            return anyone.get(f"/streams/{job}/logs{query}", headers=headers)

        assert ask(authorization=f"Bearer {keys['mine']}").status_code == 200
        problem(ask(**{"x-api-key": keys["other"]}), 404, "job_not_found")
        nobody = ask()
        problem(nobody, 401, "unauthorized")
        assert nobody.headers["www-authenticate"].startswith("Bearer")
        token = admin.post("/v1/tokens", json={"jobs": [job], "scopes": ["view"]}).json()["token"]
        shared = f"/streams/{job}/logs{query}{'&' if query else '?'}token={token}"
        assert anyone.get(shared).status_code == 200


def test_a_stream_ends_with_its_credential(closed: Server) -> None:
    with httpx.Client(base_url=closed.url, headers={"x-api-key": ADMIN}) as admin:
        admin.put("/v1/jobs/k")
        made = admin.post("/v1/keys", json={"name": "brief", "scopes": ["view"]}).json()
        headers = {"x-api-key": made["key"]}
        with httpx.Client(base_url=closed.url, headers=headers) as viewer:
            with events_of(viewer, "k", "-1") as answer:
                heard = batches(answer)
                next(heard)
                admin.delete(f"/v1/keys/{made['id']}")
                assert list(heard) == []
            assert read(viewer, "k").status_code == 401
