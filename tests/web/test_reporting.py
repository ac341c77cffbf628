"""Reports, cancels and deletions over REST, and what they make of a job."""

from __future__ import annotations

from tests.support.api import Api, problem
from tests.web.sent import LOG, SUCCEED

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
