"""A read of a job waits for its next change, or for its end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from livejobs import LiveJobs, Settings, create_app
from livejobs.store.memory import MemoryStore
from tests.support.api import Api, Socket
from tests.support.server import LONG_ENOUGH
from tests.web.sent import LOG


def test_a_wait_ends_with_the_next_change(api: Api, id: str, url: str) -> None:
    tag = api.get(f"/v1/jobs/{id}").headers["etag"]
    with Socket(url) as viewer:
        viewer.send(f"GET /v1/jobs/{id} HTTP/1.1\r\nhost: localhost\r\nprefer: wait=60\r\n")
        viewer.send(f"if-none-match: {tag}\r\n\r\n")
        receipt = api.report(id, LOG)
        status, headers, job = viewer.answer()
    assert (status, headers["preference-applied"]) == (200, "wait=60")
    assert (job["cursor"], job["logs_total"]) == (receipt["cursor"], 1)


def test_a_wait_without_a_change_ends_with_its_time(api: Api, id: str) -> None:
    tag = api.get(f"/v1/jobs/{id}").headers["etag"]
    headers = {"prefer": "respond-async, wait=1", "if-none-match": tag}
    answer = api.get(f"/v1/jobs/{id}", headers=headers)
    assert (answer.status_code, answer.headers["preference-applied"]) == (304, "wait=1")
    assert answer.elapsed.total_seconds() > 0.9  # timers count in whole milliseconds


def test_a_client_with_an_old_state_does_not_wait(api: Api, id: str) -> None:
    tag = api.get(f"/v1/jobs/{id}").headers["etag"]
    api.report(id, LOG)
    headers = {"prefer": "wait=60", "if-none-match": tag}
    assert api.get(f"/v1/jobs/{id}", headers=headers).json()["logs_total"] == 1
    assert api.get(f"/v1/jobs/{id}", headers={"prefer": "wait=60"}).status_code == 200


@pytest.mark.parametrize("prefer", ["wait=90", 'wait="90"', "a=b;c, WAIT = 90;d", "wait=999999999"])
def test_a_wait_is_capped_and_named_in_the_answer(api: Api, id: str, prefer: str) -> None:
    answer = api.get(f"/v1/jobs/{id}", headers={"prefer": prefer})
    assert answer.headers["preference-applied"] == "wait=60"


@pytest.mark.parametrize(
    "prefer", ["wait", "wait=", "wait=x", "wait=-1", "wait=0", "wait=1.5", ","]
)
def test_a_malformed_preference_is_ignored(api: Api, id: str, prefer: str) -> None:
    tag = api.get(f"/v1/jobs/{id}").headers["etag"]
    answer = api.get(f"/v1/jobs/{id}", headers={"prefer": prefer, "if-none-match": tag})
    assert answer.status_code == 304
    assert "preference-applied" not in answer.headers


def test_until_finished_waits_for_the_end_alone(api: Api, id: str, url: str) -> None:
    with Socket(url) as viewer:
        viewer.send(f"GET /v1/jobs/{id}?until=finished HTTP/1.1\r\nhost: localhost\r\n\r\n")
        api.report(id, LOG)
        api.report(id, {"type": "progress", "percent": 99})
        api.report(id, {"type": "fail", "message": "no"})
        status, _, job = viewer.answer()
    assert (status, job["status"]) == (200, "failed")
    assert api.ended(id)["status"] == "failed"


def test_until_finished_answers_with_what_there_is_when_its_time_is_up(api: Api, id: str) -> None:
    answer = api.get(f"/v1/jobs/{id}?until=finished", headers={"prefer": "wait=1"})
    assert (answer.status_code, answer.json()["status"]) == (200, "queued")
    assert answer.headers["preference-applied"] == "wait=1"


async def test_a_client_that_has_gone_is_not_waited_for(tmp_path: Path) -> None:
    async with LiveJobs(Settings(data=tmp_path), store=MemoryStore()) as live:
        slot = await live.find((await live.create(id="j")).id)
        waits, gone = asyncio.Event(), asyncio.Event()
        requests = iter([{"type": "http.request", "body": b"", "more_body": False}])

        async def receive() -> Any:
            for request in requests:
                return request
            waits.set()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            """To nobody."""

        app = await asyncio.to_thread(create_app, live)  # it reads the pages from disk
        scope = {
            "type": "http", "method": "GET", "path": "/v1/jobs/j", "query_string": b"",
            "headers": [(b"prefer", b"wait=60"), (b"if-none-match", f'"{slot.cursor}"'.encode())],
        }  # fmt: skip
        viewer = asyncio.create_task(app(scope, receive, send))
        await waits.wait()
        assert slot.holders
        gone.set()
        async with asyncio.timeout(LONG_ENOUGH):
            await viewer
        assert slot.holders == 0
