"""A job's state as it is read: its tag, its place in the queue, its memory."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from tests.support.api import Api, Socket
from tests.support.server import Server
from tests.web.sent import LOG, SUCCEED


def test_a_snapshot_may_be_kept_and_must_be_asked_after(api: Api, id: str) -> None:
    answer = api.get(f"/v1/jobs/{id}")
    assert answer.headers["cache-control"] == "private, no-cache"
    assert {"Accept", "Authorization", "Prefer"} <= set(answer.headers["vary"].split(", "))
    assert answer.headers["etag"].startswith('W/"')
    assert int(answer.headers["retry-after"]) > 0
    api.report(id, SUCCEED)
    assert "retry-after" not in api.get(f"/v1/jobs/{id}").headers


def test_requests_in_one_packet_are_answered_in_order(api: Api, id: str, url: str) -> None:
    api.report(id, {"type": "start"})
    poll, log = f"/v1/jobs/{id} HTTP/1.1\r\nhost: localhost\r\n", json.dumps(LOG)
    told = f"POST /v1/jobs/{id}/reports HTTP/1.1\r\nhost: localhost\r\n"
    with Socket(url) as worker:
        worker.send(
            f"GET {poll}\r\n",
            f"{told}content-length: {len(log)}\r\n\r\n{log}",
            f"{told}content-length: 1\r\n\r\n!",
            f"HEAD {poll}\r\n",
            f"GET {poll}connection: close\r\n\r\n",
        )
        assert worker.answer()[2]["logs_total"] == 0
        assert worker.answer()[2]["accepted"] == 1
        assert worker.answer()[2]["code"] == "bad_json"
        status, headers = worker.head()
        assert (status, headers["content-length"] > "0") == (200, True)
        _, headers, job = worker.answer()
        assert (headers["connection"], job["logs_total"]) == ("close", 1)
        assert worker.file.read() == b""


def test_slow_readers_share_one_copy_of_a_large_state(tmp_path: Path) -> None:
    with (
        Server(tmp_path / "data", fresh=True) as server,
        Api(server.url) as api,
        ExitStack() as stack,
    ):
        id = api.create()
        for _ in range(5):  # as large as one can be
            api.report(id, {"type": "result", "value": "x" * 100_000})
            api.report(id, {"type": "error", "message": "m", "detail": "x" * 100_000})
        assert len(api.get(f"/v1/jobs/{id}").content) > 1_000_000
        before = memory(server)
        for _ in range(30):
            reader = stack.enter_context(Socket(server.url, receive_buffer=4096))
            reader.send(f"GET /v1/jobs/{id} HTTP/1.1\r\nhost: localhost\r\n\r\n")
            assert reader.head()[0] == 200  # and of the body, no more than was buffered
        assert memory(server) - before < 15 << 20  # 30 MB if each had one of its own


def memory(server: Server) -> int:
    """Bytes held by its process."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) << 10


@pytest.mark.parametrize("report", [{"type": "start"}, SUCCEED])
def test_a_client_that_has_the_current_state_gets_304(api: Api, id: str, report: Any) -> None:
    api.report(id, report)
    tag = api.get(f"/v1/jobs/{id}").headers["etag"]
    cursor = api.job(id)["cursor"]
    assert tag == f'W/"{cursor}"'
    for known in (tag, tag.removeprefix("W/"), f'"x", {tag}', f'W/"x",{tag}', "*"):
        answer = api.get(f"/v1/jobs/{id}", headers={"if-none-match": known})
        assert (answer.status_code, answer.content) == (304, b""), known
        assert answer.headers["etag"] == tag
        assert answer.headers["cache-control"] == "private, no-cache"
        assert "vary" in answer.headers
    both = httpx.Headers([("if-none-match", '"x"'), ("if-none-match", tag)])
    for method in ("GET", "HEAD"):
        assert api.request(method, f"/v1/jobs/{id}", headers=both).status_code == 304
    for known in ('"x"', 'W/"x"', cursor):
        answer = api.get(f"/v1/jobs/{id}", headers={"if-none-match": known})
        assert answer.status_code == 200, known


def test_a_change_makes_another_tag(api: Api, id: str) -> None:
    tags = [api.get(f"/v1/jobs/{id}").headers["etag"]]
    for report in ({"type": "start"}, LOG, {"type": "result", "value": 1}, SUCCEED):
        api.report(id, report)
        tags.append(api.get(f"/v1/jobs/{id}").headers["etag"])
    assert len(set(tags)) == 5


def test_a_place_in_the_queue_is_part_of_the_tag_and_not_of_the_cursor(api: Api) -> None:
    first, second = api.create(type="place"), api.create(type="place")
    before = api.get(f"/v1/jobs/{second}")
    assert before.json()["queue"] == {"position": 2, "length": 2, "eta_seconds": None}
    api.report(first, {"type": "start"})
    known = {"if-none-match": before.headers["etag"]}
    after = api.get(f"/v1/jobs/{second}", headers=known)
    assert after.status_code == 200
    assert after.json()["queue"] == {"position": 1, "length": 1, "eta_seconds": None}
    assert after.json()["cursor"] == before.json()["cursor"]
    cursor = {"if-none-match": f'"{after.json()["cursor"]}"'}
    assert api.get(f"/v1/jobs/{second}", headers=cursor).status_code == 304
    assert api.job(first)["queue"] is None


def test_the_queue_is_of_one_project_and_type_and_has_an_estimate(api: Api) -> None:
    waiting = [api.create(project="q", type="a") for _ in range(5)]
    api.create(project="q", type="b")
    for id in waiting[:3]:
        api.report(id, {"type": "start"})
    queue = api.job(waiting[4])["queue"]
    assert (queue["position"], queue["length"]) == (2, 2)
    assert queue["eta_seconds"] >= 0
