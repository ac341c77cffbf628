"""The job over REST, on a real server: sections 3, 4, 5 and 10 of the contract."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx2 as httpx
import pytest

from livejobs import LiveJobs, Settings, create_app
from livejobs.core.errors import StorageUnavailable
from livejobs.store.memory import MemoryStore
from tests.support.api import NDJSON, Api, Socket, problem
from tests.support.server import LONG_ENOUGH, Server

LOG = {"type": "log", "message": "x"}
SUCCEED = {"type": "succeed"}
NOWHERE = "/v1/jobs/nowhere"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server for all tests here; each makes jobs of its own."""
    with Server(tmp_path_factory.mktemp("server") / "data") as server:
        yield server.url


@pytest.fixture
def api(url: str) -> Iterator[Api]:
    with Api(url) as api:
        yield api


@pytest.fixture
def id(api: Api) -> str:
    """A queued job."""
    return api.create()


def lines(*reports: Any, end: str = "\n") -> str:
    return "".join(json.dumps(report) + end for report in reports)


def numbers(page: Any, kind: str = "logs") -> list[int]:
    return [entry["n"] for entry in page[kind]]


def ids(answer: httpx.Response) -> list[str]:
    return [job["id"] for job in answer.json()["jobs"]]


# Creating


def test_creating_needs_no_body(api: Api) -> None:
    answer = api.post("/v1/jobs")
    job = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (201, "application/json")
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f-]{16}", job["id"])
    assert (job["status"], job["project"], job["owner"]) == ("queued", "default", "anonymous")
    assert job == api.get(answer.headers["location"]).json()


def test_a_job_is_what_it_was_created_to_be(api: Api) -> None:
    fields = {
        "id": "teaser.1:a~b-c_d", "project": "films", "type": "render", "title": "Teaser",
        "meta": {"k": [None, 1.5]}, "tags": ["nightly", "4k"], "owner": "key:ci",
    }  # fmt: skip
    job = api.post("/v1/jobs", json={**fields, "total": 1000, "unit": "frames"}).json()
    assert {name: job[name] for name in fields} == fields
    assert job["progress"]["total"] == 1000
    assert job["progress"]["unit"] == "frames"
    assert job["links"] == {
        "self": "/v1/jobs/teaser.1:a~b-c_d",
        "events": "/v1/jobs/teaser.1:a~b-c_d/events",
        "logs": "/v1/jobs/teaser.1:a~b-c_d/logs",
        "page": "/jobs/teaser.1:a~b-c_d",
    }


def test_an_id_that_exists_is_a_conflict_whatever_the_project(api: Api, id: str) -> None:
    problem(api.post("/v1/jobs", json={"id": id}), 409, "job_exists")
    problem(api.post("/v1/jobs", json={"id": id, "project": "other"}), 409, "job_exists")


def test_put_creates_what_is_absent_and_answers_with_what_is_there(api: Api) -> None:
    made = api.put("/v1/jobs/put-1", json={"title": "first"})
    again = api.put("/v1/jobs/put-1", json={"title": "second"})
    assert (made.status_code, again.status_code) == (201, 200)
    assert made.headers["location"] == "/v1/jobs/put-1"
    assert again.json() == made.json()
    assert api.put("/v1/jobs/put-1").status_code == 200
    problem(api.put("/v1/jobs/put-1", json={"project": "other"}), 409, "job_exists")
    problem(api.put("/v1/jobs/put-1", json={"id": "put-2"}), 422, "invalid", "/id")


def test_of_many_who_put_at_once_one_creates(api: Api) -> None:
    def put(_: int) -> int:
        return api.put("/v1/jobs/put-race", json={}).status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(put, range(8))) == [200] * 7 + [201]


def test_an_idempotency_key_gives_the_same_job_again(api: Api) -> None:
    key = {"idempotency-key": "k-1"}
    first = api.post("/v1/jobs", json={"title": "x"}, headers=key)
    api.report(first.json()["id"], SUCCEED)
    again = api.post("/v1/jobs", json={"title": "x"}, headers=key)
    other = api.post("/v1/jobs", json={"title": "x"}, headers={"idempotency-key": "k-2"})
    assert [r.status_code for r in (first, again, other)] == [201, 200, 201]
    assert (again.json()["id"], again.json()["status"]) == (first.json()["id"], "succeeded")
    assert other.json()["id"] != first.json()["id"]
    mismatch = api.post("/v1/jobs", json={"title": "y"}, headers=key)
    problem(mismatch, 422, "idempotency_mismatch")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (
            '{"title":"x","meta":{"a":1,"b":[1,2]}}',
            '{ "meta" : {"b":[1, 2],\n"a":1}, "title":"x" }',
        ),
        ('{"title":"\\u00e9"}', '{"title":"é"}'),
        ('{"total":1,"meta":{"a":[2.0]}}', '{"total":1.0,"meta":{"a":[2]}}'),
        ("", "{}"),
        ("{}", '{"title":null,"tags":[],"project":"default"}'),
    ],
)
def test_an_idempotency_key_is_for_values_not_for_how_they_are_written(
    api: Api, first: str, second: str
) -> None:
    said = first.encode().hex()
    key = {"idempotency-key": f"value-{said}", "content-type": "application/json"}
    made = api.post("/v1/jobs", content=first, headers=key)
    again = api.post("/v1/jobs", content=second, headers=key)
    assert (made.status_code, again.status_code) == (201, 200), again.text
    assert again.json()["id"] == made.json()["id"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ('{"meta":{"a":[1,2]}}', '{"meta":{"a":[2,1]}}'),
        ('{"meta":{"a":1}}', '{"meta":{"a":"1"}}'),
        ('{"meta":{"a":1}}', '{"meta":{"a":true}}'),
        ('{"meta":{"a":null}}', '{"meta":{}}'),
        ('{"meta":{"a":9007199254740993}}', '{"meta":{"a":9007199254740992.0}}'),
        ('{"total":0}', "{}"),
        ('{"project":"another"}', "{}"),
    ],
)
def test_an_idempotency_key_with_another_value_is_refused(
    api: Api, first: str, second: str
) -> None:
    said = (first + second).encode().hex()
    key = {"idempotency-key": f"other-{said}", "content-type": "application/json"}
    assert api.post("/v1/jobs", content=first, headers=key).status_code == 201
    mismatch = api.post("/v1/jobs", content=second, headers=key)
    problem(mismatch, 422, "idempotency_mismatch")


def test_an_idempotency_key_of_a_job_that_was_deleted_makes_another(api: Api) -> None:
    key = {"idempotency-key": "k-deleted"}
    first = api.post("/v1/jobs", headers=key).json()
    api.post(f"/v1/jobs/{first['id']}/cancel")
    assert api.delete(f"/v1/jobs/{first['id']}").status_code == 204
    second = api.post("/v1/jobs", headers=key)
    assert (second.status_code, second.json()["id"] == first["id"]) == (201, False)
    assert api.post("/v1/jobs", headers=key).json()["id"] == second.json()["id"]


def test_an_idempotency_key_sent_many_times_at_once_makes_one_job(api: Api) -> None:
    def post(_: int) -> httpx.Response:
        return api.post("/v1/jobs", json={}, headers={"idempotency-key": "race"})

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(post, range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1


@pytest.mark.parametrize("key", ["", "k" * 256])
def test_an_idempotency_key_has_1_to_255_characters(api: Api, key: str) -> None:
    answer = api.post("/v1/jobs", headers={"idempotency-key": key})
    problem(answer, 422, "invalid", "/Idempotency-Key")


def test_a_full_queue_says_when_to_come_again(tmp_path: Path) -> None:
    with Server(tmp_path / "data", "--max-queued", "1") as server, Api(server.url) as api:
        api.create()
        answer = api.post("/v1/jobs")
        problem(answer, 429, "queue_full")
        assert int(answer.headers["retry-after"]) > 0


def test_a_project_with_too_many_unfinished_jobs_says_when_to_come_again(tmp_path: Path) -> None:
    with Server(tmp_path / "data", "--max-unfinished", "1") as server, Api(server.url) as api:
        id = api.create()
        for answer in (api.post("/v1/jobs"), api.put("/v1/jobs/another")):
            problem(answer, 429, "too_many_unfinished")
            assert int(answer.headers["retry-after"]) > 0
        assert api.put(f"/v1/jobs/{id}").status_code == 200  # it is there already
        api.report(id, {"type": "succeed"})
        assert api.put("/v1/jobs/another").status_code == 201


def test_a_crowd_that_creates_at_once_does_not_pass_the_bound_together(tmp_path: Path) -> None:
    with (
        Server(tmp_path / "data", "--max-unfinished", "5") as server,
        Api(server.url) as api,
        ThreadPoolExecutor(20) as pool,
    ):
        answers = pool.map(lambda _: api.post("/v1/jobs").status_code, range(40))
        assert sorted(answers) == [201] * 5 + [429] * 35


# Reporting


def test_a_report_is_acknowledged_with_a_receipt(api: Api, id: str) -> None:
    answer = api.post(f"/v1/jobs/{id}/reports", json={"type": "progress", "percent": 42})
    assert answer.status_code == 200
    assert answer.json() == {
        "cursor": api.job(id)["cursor"],
        "status": "running",
        "accepted": 1,
        "cancel_requested": False,
    }
    assert api.job(id)["progress"]["percent"] == 42


def test_an_array_is_applied_wholly_or_not_at_all(api: Api, id: str) -> None:
    assert api.report(id, LOG, LOG)["accepted"] == 2
    before = api.job(id)
    answer = api.post(f"/v1/jobs/{id}/reports", json=[LOG, SUCCEED, LOG])
    problem(answer, 409, "job_finished")
    assert api.job(id) == before


def test_a_finished_job_takes_no_report_and_no_cancel(api: Api, id: str) -> None:
    api.report(id, SUCCEED)
    before = api.job(id)
    problem(api.post(f"/v1/jobs/{id}/reports", json=LOG), 409, "job_finished")
    problem(api.post(f"/v1/jobs/{id}/reports", json={"type": "heartbeat"}), 409, "job_finished")
    problem(api.post(f"/v1/jobs/{id}/cancel"), 409, "job_finished")
    problem(api.post(f"/v1/jobs/{id}/cancel?force=true"), 409, "job_finished")
    assert api.job(id) == before


def test_a_number_already_seen_is_acknowledged_and_skipped(api: Api, id: str) -> None:
    numbered = [{**LOG, "producer": "w", "n": n} for n in (1, 2, 3)]
    assert api.report(id, *numbered[:2])["accepted"] == 2
    assert api.report(id, *numbered)["accepted"] == 1
    again = api.report(id, *numbered)
    assert (again["accepted"], again["cursor"]) == (0, api.job(id)["cursor"])
    assert api.job(id)["logs_total"] == 3
    assert api.report(id, {**LOG, "producer": "v", "n": 1})["accepted"] == 1


def test_a_skipped_number_is_acknowledged_even_after_the_end(api: Api, id: str) -> None:
    end = {**SUCCEED, "producer": "w", "n": 9}
    api.report(id, end)
    assert api.report(id, end, {**LOG, "producer": "w", "n": 1})["accepted"] == 0


def test_a_heartbeat_moves_its_time_and_not_the_cursor(api: Api, id: str) -> None:
    api.report(id, {"type": "start"})
    before = api.job(id)
    receipt = api.report(id, {"type": "heartbeat"})
    after = api.job(id)
    assert receipt["cursor"] == before["cursor"] == after["cursor"]
    assert after["heartbeat_at"] > before["heartbeat_at"]
    assert after["updated_at"] == before["updated_at"]


def test_a_worker_is_told_that_a_cancel_was_asked_for(api: Api, id: str) -> None:
    api.report(id, {"type": "start"})
    answer = api.post(f"/v1/jobs/{id}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (202, "running")
    assert api.report(id, LOG)["cancel_requested"]
    assert api.report(id, {"type": "cancelled"})["status"] == "cancelled"


def test_a_job_sent_back_is_queued_again(api: Api) -> None:
    id = api.create(total=10, steps=["a"])
    api.report(id, {"type": "progress", "current": 5}, {"type": "step", "name": "a"}, LOG)
    api.report(id, {"type": "retry", "error": "flaky"})
    job = api.job(id)
    assert (job["status"], job["attempt"], job["logs_total"]) == ("queued", 2, 1)
    assert job["error"] == {"message": "flaky", "code": None, "detail": None}
    assert (job["progress"]["current"], job["progress"]["total"]) == (None, 10)
    assert job["steps"][0]["status"] == "pending"


def test_steps_counters_and_meta_are_shown(api: Api) -> None:
    id = api.create(steps=["a", {"name": "b", "weight": 3}], meta={"x": 1, "y": 2})
    api.report(
        id,
        {"type": "step", "name": "a", "status": "succeeded"},
        {"type": "count", "counters": {"merged": 2}},
        {"type": "count", "counters": {"merged": 1, "kept": 5}},
        {"type": "meta", "set": {"x": None, "z": True}},
    )
    job = api.job(id)
    assert job["progress"]["percent"] == 25
    assert (job["counters"], job["meta"]) == ({"merged": 3, "kept": 5}, {"y": 2, "z": True})


def test_a_parent_counts_its_children_and_moves_with_them(api: Api) -> None:
    parent = api.create()
    child = api.create(parent=parent)
    seen = api.job(parent)
    api.report(child, SUCCEED)
    moved = api.job(parent)
    assert (seen["children"]["queued"], moved["children"]["succeeded"]) == (1, 1)
    assert moved["cursor"] != seen["cursor"]
    problem(api.post("/v1/jobs", json={"parent": "nowhere"}), 422, "invalid", "/parent")


# Reporting line by line


def test_lines_are_taken_with_or_without_a_last_line_break(api: Api, id: str) -> None:
    body = lines(LOG, LOG, end="\r\n") + "\n \n" + json.dumps(LOG)
    answer = api.post(f"/v1/jobs/{id}/reports", content=body, headers=NDJSON)
    assert answer.json() == {
        "cursor": api.job(id)["cursor"],
        "status": "running",
        "accepted": 3,
        "cancel_requested": False,
    }


def test_lines_are_kept_as_they_arrive(api: Api, id: str, url: str) -> None:
    with Socket(url) as worker:
        worker.post(f"/v1/jobs/{id}/reports", "content-type: application/x-ndjson; charset=utf-8")
        worker.chunk(lines(LOG, LOG) + '{"type":"log",')
        assert api.until(id, lambda job: job["logs_total"])["logs_total"] == 2
        worker.chunk('"message":"the rest"}\n')
        assert api.until(id, lambda job: job["logs_total"] > 2)["logs_total"] == 3
        worker.chunk(json.dumps(SUCCEED))
        worker.end()
        status, _, receipt = worker.answer()
    assert (status, receipt["status"], receipt["accepted"]) == (200, "succeeded", 4)
    assert receipt["cursor"] == api.job(id)["cursor"]


def test_a_bad_line_ends_the_call_and_what_came_before_is_kept(api: Api, id: str) -> None:
    body = lines(LOG) + "\n" + lines(LOG, {"type": "log"}, LOG)
    answer = api.post(f"/v1/jobs/{id}/reports", content=body, headers=NDJSON)
    said = problem(answer, 422, "invalid", "/message")
    assert (said["line"], said["kept"]) == (4, 2)
    assert api.job(id)["logs_total"] == 2


def test_a_line_after_the_end_is_refused_and_the_end_is_kept(api: Api, id: str) -> None:
    body = lines(LOG, SUCCEED, LOG)
    answer = api.post(f"/v1/jobs/{id}/reports", content=body, headers=NDJSON)
    said = problem(answer, 409, "job_finished")
    assert (said["line"], said["kept"]) == (3, 2)
    assert (api.job(id)["status"], api.job(id)["logs_total"]) == ("succeeded", 1)


def test_a_bad_line_is_answered_while_the_worker_still_sends(api: Api, id: str, url: str) -> None:
    with Socket(url) as worker:
        worker.post(f"/v1/jobs/{id}/reports", "content-type: application/x-ndjson")
        worker.chunk(lines(LOG, LOG))
        api.until(id, lambda job: job["logs_total"] == 2)
        worker.chunk("nonsense\n")
        status, headers, said = worker.answer()
    assert (status, said["code"], said["line"], said["kept"]) == (400, "bad_json", 3, 2)
    assert headers["connection"] == "close"


def test_the_limit_of_a_body_applies_to_each_line_not_to_all(api: Api, id: str) -> None:
    line = lines({"type": "result", "value": "x" * 500_000})
    answer = api.post(f"/v1/jobs/{id}/reports", content=line * 4, headers=NDJSON)
    assert answer.json()["accepted"] == 4
    long = lines(LOG, {"type": "result", "value": "x" * (1 << 20)})
    answer = api.post(f"/v1/jobs/{id}/reports", content=long, headers=NDJSON)
    said = problem(answer, 413, "body_too_large", "")
    assert (said["line"], said["kept"]) == (2, 1)


def test_a_line_without_end_is_refused_before_it_ends(api: Api, id: str, url: str) -> None:
    with Socket(url) as worker:
        worker.post(f"/v1/jobs/{id}/reports", "content-type: application/x-ndjson")
        worker.chunk(lines(LOG) + "x" * (1 << 20) + "xx")
        status, _, said = worker.answer()
    assert (status, said["line"], said["kept"]) == (413, 2, 1)


def test_when_a_worker_dies_its_complete_lines_are_kept(api: Api, url: str) -> None:
    for size in [1, 10, 1000] * 4:
        id = api.create()
        with Socket(url) as worker:
            worker.post(f"/v1/jobs/{id}/reports", "content-type: application/x-ndjson")
            for _ in range(3):
                worker.chunk(lines(*[LOG] * size))
            worker.chunk('{"type":"log","mess')
        sent = 3 * size
        assert api.until(id, lambda job, sent=sent: job["logs_total"] >= sent)["logs_total"] == sent


def test_no_line_is_no_report(api: Api, id: str) -> None:
    answer = api.post(f"/v1/jobs/{id}/reports", content="\n \n", headers=NDJSON)
    problem(answer, 422, "invalid", "")
    assert api.job(id)["status"] == "queued"


def test_numbered_lines_sent_again_count_once(api: Api, id: str) -> None:
    body = lines(*[{**LOG, "producer": "w", "n": n} for n in range(1, 101)])
    first = api.post(f"/v1/jobs/{id}/reports", content=body[:3000], headers=NDJSON)
    said = problem(first, 400, "bad_json")
    again = api.post(f"/v1/jobs/{id}/reports", content=body, headers=NDJSON)
    assert said["kept"] + again.json()["accepted"] == api.job(id)["logs_total"] == 100


# Ending


def test_a_queued_job_is_cancelled_at_once(api: Api, id: str) -> None:
    answer = api.post(f"/v1/jobs/{id}/cancel")
    job = answer.json()
    assert (answer.status_code, job["status"], job["cancel_requested"]) == (202, "cancelled", True)
    assert job["completed_at"] is not None


def test_a_running_job_is_ended_by_force(api: Api, id: str) -> None:
    api.report(id, {"type": "start"})
    answer = api.post(f"/v1/jobs/{id}/cancel?force=true")
    assert (answer.status_code, answer.json()["status"]) == (202, "cancelled")


def test_a_finished_job_is_removed_and_another_may_have_its_id(api: Api, id: str) -> None:
    problem(api.delete(f"/v1/jobs/{id}"), 409, "job_not_finished")
    api.report(id, LOG, SUCCEED)
    answer = api.delete(f"/v1/jobs/{id}")
    assert (answer.status_code, answer.content) == (204, b"")
    problem(api.get(f"/v1/jobs/{id}"), 404, "job_not_found")
    problem(api.delete(f"/v1/jobs/{id}"), 404, "job_not_found")
    api.create(id=id)
    assert api.get(f"/v1/jobs/{id}/logs").json() == {"logs": [], "next": None}


# The snapshot


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


# Waiting


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


# Lists


@pytest.fixture(scope="module")
def listed(url: str) -> str:
    """A project of ten jobs: two succeeded, one runs, seven wait."""
    with Api(url) as api:
        api.create(id="l-parent", project="list")
        for n in range(9):
            api.create(
                id=f"l-{n}", project="list", type="even" if n % 2 == 0 else "odd",
                title=f"Title {n}", tags=["all", f"tag{n}"], owner=f"key:{n % 3}",
                parent="l-parent" if n < 2 else None,
            )  # fmt: skip
        api.report("l-3", SUCCEED)
        api.report("l-5", SUCCEED)
        api.report("l-6", {"type": "start"})
    return "list"


@pytest.mark.parametrize(
    ("filter", "found"),
    [
        ("", ["l-8", "l-7", "l-6", "l-5", "l-4", "l-3", "l-2", "l-1", "l-0", "l-parent"]),
        ("&status=succeeded", ["l-5", "l-3"]),
        ("&status=succeeded,running", ["l-6", "l-5", "l-3"]),
        ("&status=succeeded&status=running", ["l-6", "l-5", "l-3"]),
        ("&type=odd", ["l-7", "l-5", "l-3", "l-1"]),
        ("&type=odd&status=queued", ["l-7", "l-1"]),
        ("&tag=tag4", ["l-4"]),
        ("&parent=l-parent", ["l-1", "l-0"]),
        ("&owner=key:1", ["l-7", "l-4", "l-1"]),
        ("&q=title%207", ["l-7"]),
        ("&q=L-PAR", ["l-parent"]),
        ("&q=%25%25%25", []),
        ("&q=%22%22%22", []),
        ("&q=%00%00%00", []),
        ("&type=even&tag=all&owner=key:0&status=running", ["l-6"]),
        ("&type=none", []),
        ("&tag=%00", []),
    ],
)
def test_a_list_has_what_fits_newest_first(
    api: Api, listed: str, filter: str, found: list[str]
) -> None:
    answer = api.get(f"/v1/jobs?project={listed}{filter}")
    assert ids(answer) == found
    assert answer.json()["next"] is None
    assert "link" not in answer.headers


def test_counts_ignore_the_status_filter_and_no_other(api: Api, listed: str) -> None:
    counts = api.get(f"/v1/jobs?project={listed}&status=succeeded&type=odd").json()["counts"]
    assert counts == {"queued": 2, "running": 0, "succeeded": 2, "failed": 0, "cancelled": 0}


def test_pages_follow_each_other_without_gap_or_repeat(api: Api, listed: str) -> None:
    found, target = [], f"/v1/jobs?project={listed}&limit=4&type=even&tag=all"
    sizes = []
    while target:
        answer = api.get(target)
        found += ids(answer)
        sizes.append(len(ids(answer)))
        target = answer.links.get("next", {}).get("url", "")
        assert bool(target) == (answer.json()["next"] is not None)
    assert found == ["l-8", "l-6", "l-4", "l-2", "l-0"]
    assert sizes == [4, 1]


def test_a_page_stays_where_it_was_while_new_jobs_come(api: Api) -> None:
    made = [api.create(project="paged") for _ in range(3)]
    first = api.get("/v1/jobs?project=paged&limit=2")
    api.create(project="paged")
    rest = api.get(f"/v1/jobs?project=paged&after={first.json()['next']}")
    assert [*ids(first), *ids(rest)] == made[::-1]


def test_a_list_is_of_one_project_unless_all_are_asked_for(api: Api, listed: str, id: str) -> None:
    assert "l-0" not in ids(api.get("/v1/jobs?limit=1000"))
    everything = ids(api.get("/v1/jobs?project=*&limit=1000"))
    assert {"l-0", id} <= set(everything)
    assert ids(api.get("/v1/jobs?project=nowhere")) == []


def test_a_list_shows_heads_without_entries(api: Api, id: str) -> None:
    api.report(id, {"type": "result", "value": 1})
    [listed] = [job for job in api.get("/v1/jobs?limit=1000").json()["jobs"] if job["id"] == id]
    job = api.job(id)
    assert listed == {k: v for k, v in job.items() if k not in ("results", "errors")}


# Entries


@pytest.fixture(scope="module")
def spoken(url: str) -> str:
    """A finished job with 250 of each kind of entry."""
    levels = ["debug", "info", "warning", "error"]
    with Api(url) as api:
        id = api.create()
        for n in range(1, 251):
            api.report(
                id,
                {**LOG, "message": f"line {n}", "level": levels[n % 4], "source": "s"},
                {"type": "result", "value": {"n": n}},
                {"type": "error", "message": f"bad {n}", "item": n},
            )
        api.report(id, SUCCEED)
    return id


@pytest.mark.parametrize("kind", ["logs", "results", "errors"])
def test_entries_are_paged_through_to_the_last(api: Api, spoken: str, kind: str) -> None:
    found: list[int] = []
    after: int | None = 0
    while after is not None:
        page = api.get(f"/v1/jobs/{spoken}/{kind}?after={after}").json()
        found += numbers(page, kind)
        assert page["next"] == (found[-1] if len(found) < 250 else None)
        after = page["next"]
    assert found == [*range(1, 251)]
    page = api.get(f"/v1/jobs/{spoken}/{kind}?after=240&limit=10").json()
    assert (numbers(page, kind), page["next"]) == ([*range(241, 251)], None)


@pytest.mark.parametrize("after", [250, 2**30 - 1, 2**30, 2**32, 2**53])
def test_past_the_last_entry_there_is_nothing_not_another_kind(
    api: Api, spoken: str, after: int
) -> None:
    for kind in ("logs", "results", "errors"):
        page = api.get(f"/v1/jobs/{spoken}/{kind}?after={after}").json()
        assert page == {kind: [], "next": None}


def test_an_entry_has_its_names(api: Api, spoken: str) -> None:
    entries = {
        kind: api.get(f"/v1/jobs/{spoken}/{kind}?limit=1").json()[kind][0]
        for kind in ("logs", "results", "errors")
    }
    assert {entry.pop("at")[-1] for entry in entries.values()} == {"Z"}
    assert entries == {
        "logs": {"n": 1, "level": "info", "source": "s", "message": "line 1"},
        "results": {"n": 1, "value": {"n": 1}},
        "errors": {"n": 1, "message": "bad 1", "item": 1, "detail": None},
    }


@pytest.mark.parametrize(
    ("level", "share"), [("debug", 250), ("info", 188), ("warning", 125), ("error", 62)]
)
def test_a_level_is_the_least_that_is_shown(api: Api, spoken: str, level: str, share: int) -> None:
    page = api.get(f"/v1/jobs/{spoken}/logs?level={level}&limit=1000").json()
    assert len(page["logs"]) == share


def test_a_tail_is_the_last_lines_in_order(api: Api, spoken: str) -> None:
    page = api.get(f"/v1/jobs/{spoken}/logs?tail=3").json()
    assert (numbers(page), page["next"]) == ([248, 249, 250], None)
    page = api.get(f"/v1/jobs/{spoken}/logs?tail=2&level=error").json()
    assert numbers(page) == [243, 247]


TEXT = {"accept": "text/plain"}


def test_logs_are_lines_for_clients_that_accept_text(api: Api, spoken: str) -> None:
    answer = api.get(f"/v1/jobs/{spoken}/logs", headers=TEXT)
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text == "".join(f"line {n}\n" for n in range(1, 251))
    answer = api.get(f"/v1/jobs/{spoken}/logs?after=2&limit=3&level=warning", headers=TEXT)
    assert answer.text == "line 3\nline 6\nline 7\n"
    answer = api.get(f"/v1/jobs/{spoken}/logs?tail=2", headers=TEXT)
    assert answer.text == "line 249\nline 250\n"


def test_text_moves_no_terminal(api: Api, id: str) -> None:
    nasty = "a\x1b[31mred\x07\r\tb\x9b2J\u202etxt.exe\u2066\x00"
    api.report(id, {**LOG, "message": nasty}, SUCCEED)
    answer = api.get(f"/v1/jobs/{id}/logs", headers=TEXT)
    assert answer.text == "a\\x1b[31mred\\x07\\x0d\tb\\x9b2J\\u202etxt.exe\\u2066\\x00\n"
    assert api.get(f"/v1/jobs/{id}/logs").json()["logs"][0]["message"] == nasty


def test_a_message_forges_no_second_line_and_no_order(api: Api, id: str) -> None:
    api.report(id, {**LOG, "message": "a\u2028b\u2029c\x85d\u200ee\u200ff\u061cg"}, SUCCEED)
    answer = api.get(f"/v1/jobs/{id}/logs", headers=TEXT)
    assert answer.text == "a\\u2028b\\u2029c\\x85d\\u200ee\\u200ff\\u061cg\n"


def test_text_is_followed_until_the_job_ends(api: Api, id: str) -> None:
    api.report(id, {**LOG, "message": "first"})
    with api.stream("GET", f"/v1/jobs/{id}/logs?follow=1", headers=TEXT) as answer:
        lines = answer.iter_lines()
        assert next(lines) == "first"
        api.report(id, {**LOG, "message": "second"})
        assert next(lines) == "second"
        api.report(id, {**LOG, "message": "last"}, SUCCEED)
        assert [*lines] == ["last"]


class Event(NamedTuple):
    event: str
    id: str
    data: str


def log_events(api: Api, id: str, query: str = "", **headers: str) -> Iterator[Event]:
    headers = {"accept": "text/event-stream"} | headers
    with api.stream("GET", f"/v1/jobs/{id}/logs{query}", headers=headers) as answer:
        said: dict[str, str] = {}
        for line in answer.iter_lines():
            if line:
                name, _, value = line.partition(": ")
                said[name] = value
            else:
                yield Event(said["event"], said.get("id", ""), said["data"])
                said = {}


def messages(event: Event) -> list[str]:
    return [line["message"] for line in json.loads(event.data)]


def test_logs_come_as_events_until_the_job_ends(api: Api, id: str) -> None:
    api.report(id, {**LOG, "message": "first"}, {**LOG, "message": "second"})
    events = log_events(api, id)
    told = next(events)
    assert (told.event, messages(told)) == ("logs", ["first", "second"])
    assert told.id == api.job(id)["cursor"]
    api.report(id, {**LOG, "message": "third"})
    assert messages(next(events)) == ["third"]
    api.report(id, {**LOG, "message": "last"}, SUCCEED)
    rest = list(events)
    assert [line for event in rest[:-1] for line in messages(event)] == ["last"]
    assert (rest[-1].event, rest[-1].id) == ("end", api.job(id)["cursor"])
    again = api.get(
        f"/v1/jobs/{id}/logs",
        headers={"accept": "text/event-stream", "last-event-id": rest[-1].id},
    )
    assert again.status_code == 204


def test_a_full_page_of_log_lines_is_sent_at_once(api: Api, id: str) -> None:
    events = log_events(api, id)
    api.report(id, {**LOG, "message": "first"})
    assert messages(next(events)) == ["first"]
    api.report(id, *[{**LOG, "message": str(n)} for n in range(1000)])
    assert len(messages(next(events))) == 1000
    assert len(messages(next(log_events(api, id, "?tail=1000")))) == 1000


def test_log_events_go_on_after_any_of_their_ids(api: Api, id: str) -> None:
    for n in range(20):  # some changes larger than what is read at once
        api.report(id, *[{**LOG, "message": f"{n}.{at}"} for at in range(1 + 333 * (n % 3))])
    api.report(id, SUCCEED)
    events = list(log_events(api, id))[:-1]
    lines = [line for event in events for line in messages(event)]
    assert len(lines) == len(set(lines)) == api.job(id)["logs_total"]
    sofar = 0
    for event in events:
        sofar += len(messages(event))
        headers = {"last-event-id": event.id}
        rest = list(log_events(api, id, **headers))
        assert [line for one in rest[:-1] for line in messages(one)] == lines[sofar:]


def test_log_events_are_filtered_begun_at_the_end_and_reset(api: Api, spoken: str) -> None:
    last = next(log_events(api, spoken, "?tail=2"))
    assert messages(last) == ["line 249", "line 250"]
    warned = next(log_events(api, spoken, "?level=warning&after=2"))
    assert messages(warned)[:2] == ["line 3", "line 6"]
    foreign = log_events(api, spoken, **{"last-event-id": "other.3"})
    assert [next(foreign).event, next(foreign).event] == ["reset", "logs"]


# Time


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A server that takes a second's silence for the end."""
    data = tmp_path_factory.mktemp("impatient") / "data"
    with Server(data, "--lost-after", "1") as server, Api(server.url) as api:
        yield api


def test_a_silent_job_is_stalled_then_lost(impatient: Api) -> None:
    id = impatient.create(heartbeat_timeout=0.001)
    impatient.report(id, {"type": "start"})
    stalled = impatient.until(id, lambda job: job["stalled"] or job["completed_at"])
    lost = impatient.ended(id)
    assert (stalled["stalled"], stalled["status"]) in ((True, "running"), (False, "failed"))
    assert (lost["status"], lost["stalled"], lost["error"]["code"]) == ("failed", False, "lost")
    problem(impatient.post(f"/v1/jobs/{id}/reports", json=LOG), 409, "job_finished")


def test_a_queued_job_is_not_lost(impatient: Api) -> None:
    queued, running = impatient.create(), impatient.create()
    impatient.report(running, {"type": "start"})
    assert impatient.ended(running)["status"] == "failed"
    assert impatient.job(queued)["status"] == "queued"


def test_a_restart_keeps_all(tmp_path: Path) -> None:
    with Server(tmp_path / "data") as server:
        with Api(server.url) as api:
            made = [api.create(id=f"j{n}", tags=["t"], meta={"n": n}) for n in range(4)]
            api.report("j0", LOG, {"type": "result", "value": {"x": 1}}, SUCCEED)
            api.report("j1", {**LOG, "producer": "w", "n": 5}, {"type": "error", "message": "e"})
            api.report("j2", {"type": "retry"})
            key = {"idempotency-key": "k"}
            repeated = api.post("/v1/jobs", json={}, headers=key).json()["id"]
            paths = [f"/v1/jobs/{id}" for id in made]
            paths += [f"{path}/{kind}" for path in paths for kind in ("logs", "results", "errors")]
            paths += ["/v1/jobs", "/v1/jobs?tag=t&status=running,succeeded"]
            before = {path: api.get(path).json() for path in paths}
            tags = [api.get(f"/v1/jobs/{id}").headers["etag"] for id in made]
        server.restart()
        with Api(server.url) as api:
            assert {path: api.get(path).json() for path in paths} == before
            assert [api.get(f"/v1/jobs/{id}").headers["etag"] for id in made] == tags
            assert api.report("j1", {**LOG, "producer": "w", "n": 5})["accepted"] == 0
            again = api.post("/v1/jobs", json={}, headers=key)
            assert (again.status_code, again.json()["id"]) == (200, repeated)


# Errors of all kinds


@pytest.mark.parametrize("path", ["", "/reports", "/cancel", "/logs", "/results", "/errors"])
def test_a_job_that_is_not_there_is_said_so(api: Api, path: str) -> None:
    method = "POST" if path in ("/reports", "/cancel") else "GET"
    answer = api.request(method, NOWHERE + path, json=LOG if method == "POST" else None)
    said = problem(answer, 404, "job_not_found")
    assert "nowhere" in said["detail"]
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "path", ["/v1", "/v1/nothing", "/v1/jobs/a/b", "/v1/jobs/a/reports/1", "/x"]
)
def test_an_unknown_address_is_404(api: Api, path: str) -> None:
    problem(api.get(path), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("DELETE", "/v1/jobs", "GET, HEAD, POST"),
        ("PATCH", NOWHERE, "DELETE, GET, HEAD, PUT"),
        ("GET", f"{NOWHERE}/reports", "POST"),
        ("GET", f"{NOWHERE}/cancel", "POST"),
        ("POST", f"{NOWHERE}/logs", "GET, HEAD"),
        ("PUT", "/healthz", "GET, HEAD"),
    ],
)
def test_a_wrong_method_is_405_with_the_right_ones(
    api: Api, method: str, path: str, allow: str
) -> None:
    answer = api.request(method, path)
    problem(answer, 405, "method_not_allowed")
    assert ", ".join(sorted(answer.headers["allow"].split(", "))) == allow


@pytest.mark.parametrize("sent", ["text/plain", "application/x-www-form-urlencoded", "x"])
def test_a_body_of_another_type_is_refused(api: Api, id: str, sent: str) -> None:
    headers = {"content-type": sent}
    for path in ("/v1/jobs", f"/v1/jobs/{id}/reports"):
        answer = api.post(path, content="{}", headers=headers)
        problem(answer, 415, "unsupported_media_type")
        assert "application/json" in answer.headers["accept-post"]
    assert api.job(id)["status"] == "queued"


def test_a_compressed_body_is_refused(api: Api, id: str) -> None:
    for path in ("/v1/jobs", f"/v1/jobs/{id}/reports"):
        headers = {"content-encoding": "gzip", "content-type": "application/json"}
        answer = api.post(path, content=gzip.compress(b"{}"), headers=headers)
        problem(answer, 415, "unsupported_media_type")
        assert answer.headers["accept-encoding"] == "identity"
    assert api.post("/v1/jobs", headers={"content-encoding": "identity"}).status_code == 201


@pytest.mark.parametrize(
    "sent", ["application/json; charset=utf-8", "application/vnd.x+json", None]
)
def test_json_is_taken_by_all_of_its_names(api: Api, id: str, sent: str | None) -> None:
    headers = {} if sent is None else {"content-type": sent}
    answer = api.post(f"/v1/jobs/{id}/reports", content=json.dumps(LOG), headers=headers)
    assert answer.status_code == 200


HEADS = ["/v1/jobs", "/healthz", "/readyz", "/v1/jobs/{id}", "/v1/jobs/{id}/logs",
         "/v1/jobs/{id}/results", "/v1/jobs/{id}/errors"]  # fmt: skip


@pytest.mark.parametrize("path", [*HEADS, NOWHERE, "/x"])
def test_head_is_get_without_its_body(api: Api, spoken: str, path: str) -> None:
    path = path.replace("{id}", spoken)
    get, head = api.get(path), api.head(path)
    assert (head.status_code, head.content) == (get.status_code, b"")
    passing = {"date"}
    assert {k: v for k, v in head.headers.items() if k not in passing} == {
        k: v for k, v in get.headers.items() if k not in passing
    }


def test_head_of_logs_that_are_followed_ends_at_once(api: Api, id: str) -> None:
    answer = api.head(f"/v1/jobs/{id}/logs?follow=1", headers=TEXT)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert api.job(id)["id"] == id  # over the same connection


def test_the_probes_answer(api: Api) -> None:
    assert api.get("/healthz").json() == {"status": "ok"}
    found = {"running": {"ok": True}, "store": {"ok": True}, "disk": {"ok": True}}
    assert api.get("/readyz").json() == {"status": "ready", "checks": found}


class Full(MemoryStore):
    """A disk that can fill up, or break in a way nobody thought of."""

    error: Exception | None = None

    async def commit(self, changes: Any, on: Any = None) -> list[int]:
        if self.error is not None:
            raise self.error
        return await super().commit(changes, on)


async def refused(tmp_path: Path, error: Exception) -> tuple[list[httpx.Response], Any]:
    """What each call that writes answers, and the job before and after."""
    store = Full()
    async with LiveJobs(Settings(data=tmp_path), store=store) as live:
        await live.create(id="j")
        await live.report("j", LOG)
        await live.create(id="ended")
        await live.report("ended", SUCCEED)
        before = [await live.job("j"), await live.job("ended")]
        store.error = error
        transport = httpx.ASGITransport(
            await asyncio.to_thread(create_app, live), raise_app_exceptions=False
        )
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            answers = [
                await client.post("/v1/jobs"),
                await client.put("/v1/jobs/k"),
                await client.post("/v1/jobs/j/reports", json=LOG),
                await client.post("/v1/jobs/j/reports", content=lines(LOG, LOG), headers=NDJSON),
                await client.post("/v1/jobs/j/cancel"),
                await client.delete("/v1/jobs/ended"),
                await client.get("/readyz"),
            ]
            assert [await live.job("j"), await live.job("ended")] == before
            store.error = None
            assert (await client.post("/v1/jobs/j/reports", json=LOG)).status_code == 200
            assert (await client.get("/readyz")).status_code == 200
    return answers[:-1], answers[-1]


async def test_a_full_disk_is_an_error_until_there_is_room_again(tmp_path: Path) -> None:
    answers, ready = await refused(tmp_path, StorageUnavailable("The disk is full."))
    for answer in answers:
        problem(answer, 503, "storage_unavailable")
        assert int(answer.headers["retry-after"]) > 0
    assert ready.status_code == 503


async def test_a_bug_is_a_problem_without_its_traceback(tmp_path: Path) -> None:
    answers, _ = await refused(tmp_path, RuntimeError("secret detail"))
    for answer in answers:
        problem(answer, 500, "internal")
        assert "secret" not in answer.text
        assert "Traceback" not in answer.text
