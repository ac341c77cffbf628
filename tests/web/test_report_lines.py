"""Reports in one request, line by line, as they arrive."""

from __future__ import annotations

import json

from tests.support.api import NDJSON, Api, Socket, problem
from tests.web.sent import LOG, SUCCEED, lines


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
