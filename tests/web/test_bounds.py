"""What one answer, one message or one subscription may take: bounds in bytes, from outside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from livejobs.core.wire import LAST_BYTES
from livejobs.store.base import PAGE_BYTES
from tests.support.api import Api, hear
from tests.support.server import Server
from tests.web.test_metrics import numbers

KIB = 1024
MOST = 2 * PAGE_BYTES  # a page ends with the change that fills it


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with Server(tmp_path_factory.mktemp("server") / "data") as server, Api(server.url) as api:
        yield api


def logged(api: Api) -> str:
    """A job with 100 lines of 16 KiB."""
    id = api.create()
    for _ in range(10):
        api.report(id, *[{"type": "log", "message": "x" * 16_000}] * 10)
    return id


def paged(api: Api, path: str, kind: str) -> Iterator[Any]:
    """Each page, to the last."""
    after: Any = 0
    while after is not None:
        answer = api.get(path, params={"after": after, "limit": 1000})
        page = answer.json()
        assert page[kind]
        assert len(answer.content) < MOST or len(page[kind]) == 1
        yield page[kind]
        after = page["next"]


def test_pages_of_long_lines_are_shorter_and_miss_none(api: Api) -> None:
    id = logged(api)
    pages = list(paged(api, f"/v1/jobs/{id}/logs", "logs"))
    assert [line["n"] for page in pages for line in page] == [*range(1, 101)]
    assert len(pages) > 1


def test_a_tail_of_long_lines_is_the_last_of_them(api: Api) -> None:
    id = logged(api)
    answer = api.get(f"/v1/jobs/{id}/logs?tail=1000")
    shown = [line["n"] for line in answer.json()["logs"]]
    assert shown == [*range(101 - len(shown), 101)]
    assert PAGE_BYTES <= len(answer.content) < MOST
    text = api.get(f"/v1/jobs/{id}/logs?tail=1000", headers={"accept": "text/plain"})
    assert len(text.content) < MOST
    whole = api.get(f"/v1/jobs/{id}/logs", headers={"accept": "text/plain"})
    assert len(whole.content) == 100 * 16_001  # it is sent page by page


def test_a_page_of_large_results_has_one_at_least_and_misses_none(api: Api) -> None:
    id = api.create()
    for _ in range(3):
        api.report(id, {"type": "result", "value": "x" * 1000 * KIB})
    api.report(id, {"type": "result", "value": "small"})
    pages = list(paged(api, f"/v1/jobs/{id}/results", "results"))
    assert [[one["n"] for one in page] for page in pages] == [[1], [2], [3], [4]]


def test_lists_of_large_jobs_are_shorter_and_miss_none(api: Api) -> None:
    ids = [api.create(type="large", meta={"m": "x" * 120 * KIB}) for _ in range(12)]
    found: list[str] = []
    pages, after = 0, None
    while not found or after is not None:
        more = "" if after is None else f"&after={after}"
        answer = api.get(f"/v1/jobs?type=large&limit=1000{more}")
        assert len(answer.content) < MOST
        assert answer.json()["counts"]["queued"] == 12
        found += [job["id"] for job in answer.json()["jobs"]]
        after, pages = answer.json()["next"], pages + 1
    assert found == ids[::-1]
    assert pages > 1


def test_a_job_shows_its_last_results_as_far_as_they_are_not_too_large(api: Api) -> None:
    id = api.create()
    for n in range(1, 21):
        api.report(id, {"type": "result", "value": f"{n}" * 50 * KIB})
    job = api.job(id)
    shown = [result["n"] for result in job["results"]]
    assert shown == [*range(21 - len(shown), 21)]
    assert 0 < len(json.dumps(job["results"])) <= LAST_BYTES
    assert job["results_total"] == 20
    api.report(id, {"type": "result", "value": "x" * 900 * KIB})
    assert (api.job(id)["results"], api.job(id)["results_total"]) == ([], 21)
    api.report(id, {"type": "result", "value": 22}, {"type": "error", "message": "m"})
    job = api.job(id)
    assert [result["n"] for result in job["results"]] == [22]
    assert [error["n"] for error in job["errors"]] == [1]


def test_what_a_job_shows_is_the_same_after_a_restart(tmp_path: Path) -> None:
    with Server(tmp_path / "data") as server, Api(server.url) as api:
        id = api.create()
        for n in range(1, 31):
            api.report(id, {"type": "result", "value": f"{n}" * 20 * KIB})
        before = api.job(id)
        assert 0 < len(before["results"]) < 30
        server.restart()
        assert api.job(id) == before


def test_a_small_change_of_a_job_with_large_results_is_a_bounded_message(api: Api) -> None:
    id = api.create()
    for _ in range(8):
        api.report(id, {"type": "result", "value": "x" * 900 * KIB})
    with connect(f"{api.url.replace('http', 'ws')}/v1/ws") as ws:
        ws.send(json.dumps({"op": "subscribe", "id": 1, "job": id, "view": "state"}))
        assert hear(ws)["op"] == "ack"
        assert hear(ws)["job"]["results_total"] == 8
        api.report(id, {"type": "progress", "percent": 5})
        job = hear(ws)["job"]
        assert job["progress"]["percent"] == 5
        assert len(json.dumps(job)) < MOST


def test_a_feed_of_large_jobs_opens_with_all_of_them(api: Api) -> None:
    ids = [api.create(type="opening", meta={"m": "x" * 120 * KIB}) for _ in range(12)]
    with connect(f"{api.url.replace('http', 'ws')}/v1/ws", max_size=None) as ws:
        ws.send(json.dumps({"op": "subscribe", "id": 1, "feed": {"type": "opening"}, "limit": 11}))
        assert hear(ws)["op"] == "ack"
        first = [hear(ws) for _ in range(11)]
        assert [one["job"]["id"] for one in first] == ids[:0:-1]
        assert hear(ws)["op"] == "ready"
        api.report(ids[0], {"type": "progress", "percent": 5})  # it was not among the first
        said = hear(ws)
        assert (said["op"], said["set"]["meta"]) == ("delta", {"m": "x" * 120 * KIB})


def test_a_feed_over_a_socket_takes_a_hundred_names_of_bounded_length(api: Api) -> None:
    with connect(f"{api.url.replace('http', 'ws')}/v1/ws") as ws:

        def ask(**feed: Any) -> Any:
            ws.send(json.dumps({"op": "subscribe", "id": 1, "feed": feed}))
            return hear(ws)

        for field in ("jobs", "type", "tag"):
            for value in ([f"n{n}" for n in range(101)], ["x" * 201], ",".join(["x"] * 101)):
                said = ask(**{field: value})
                assert (said["op"], said["id"]) == ("error", 1)
                assert said["errors"][0]["pointer"] == f"/feed/{field}"
        for field in ("parent", "owner", "project"):
            assert ask(**{field: "x" * 201})["op"] == "error"
        assert ask(jobs=[f"n{n}" for n in range(100)])["op"] == "ack"


def test_subscriptions_of_any_rates_share_a_few_channels(api: Api) -> None:
    id = api.create()
    with connect(f"{api.url.replace('http', 'ws')}/v1/ws") as ws:
        for n in range(100):
            ws.send(json.dumps({"op": "subscribe", "id": n, "job": id, "rate": 0.1 + n * 0.599}))
            assert hear(ws)["op"] in ("ack", "snapshot")
        while numbers(api)["livejobs_subscriptions", ""] < 100:
            hear(ws)
        assert numbers(api)["livejobs_channels", ""] <= 12
