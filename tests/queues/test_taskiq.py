"""Taskiq's tasks as jobs: a real worker, a real Redis, a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.queues.alike import check_failure, check_killed
from tests.queues.processes import Process, Sender
from tests.queues.waiting import ended
from tests.support.api import Api

APP = "tests.queues.taskiq_app"
WORKER = f"-m taskiq worker {APP}:broker -w 1".split()


@pytest.fixture(scope="module")
def send(env: dict[str, str]) -> Iterator[Sender]:
    """With a worker."""
    with Process(*WORKER, env=env), Sender(APP, env) as sender:
        yield sender


def test_a_task_is_a_job(api: Api, send: Sender) -> None:
    job = api.ended(send("sent(add, 1, 2)"))
    assert (job["status"], job["result"], job["attempt"]) == ("succeeded", 3, 1)
    assert (job["type"], job["title"], job["tags"]) == (f"{APP}:add", "add", ["shop"])
    assert job["meta"] == {"library": "taskiq", "task": job["id"], "queue": "shop"}
    assert {"host", "pid", "queue"} <= job["worker"].keys()


def test_a_plain_function_reports_to_its_job(api: Api, send: Sender) -> None:
    job = api.ended(send("sent(plain, 7)"))
    assert (job["status"], job["progress"]["current"]) == ("succeeded", 7)


def test_a_task_that_is_excluded_is_no_job(api: Api, send: Sender) -> None:
    hidden = send("sent(secret)")
    assert send(f"failure({hidden!r})") == "NoneType"
    assert api.get(f"/v1/jobs/{hidden}").status_code == 404


def test_a_failure_has_the_traceback_without_local_variables(api: Api, send: Sender) -> None:
    check_failure(api.ended(send("sent(broken, 'hunter2')")))


def test_a_task_that_raises_cancelled_ends_as_cancelled_and_its_worker_goes_on(
    api: Api, send: Sender
) -> None:
    job = api.ended(send("sent(stops)"))
    assert (job["status"], job["attempt"]) == ("cancelled", 1)
    assert api.ended(send("sent(add, 1, 2)"))["result"] == 3


def test_retries_are_attempts_of_one_job(api: Api, send: Sender) -> None:
    job = api.ended(send("sent(flaky)"))
    assert (job["status"], job["result"], job["attempt"]) == ("succeeded", "open", 3)


def test_a_task_that_is_requeued_is_another_attempt(api: Api, send: Sender) -> None:
    job = api.ended(send("sent(requeued)"))
    assert (job["status"], job["result"], job["attempt"]) == ("succeeded", "again", 2)


def test_a_task_whose_job_was_cancelled_is_left_out(api: Api, send: Sender, tmp_path: Path) -> None:
    id = api.create(id="cancelled")
    api.post(f"/v1/jobs/{id}/cancel")
    send(f"sent(touch, {str(tmp_path / 'it')!r}, id={id!r})")
    assert send(f"failure({id!r})") == "Cancelled"
    assert not (tmp_path / "it").exists()
    assert api.job(id)["status"] == "cancelled"


@pytest.mark.parametrize("task", ["endless", "endless_plain"])
def test_a_running_task_stops_when_its_job_is_cancelled(task: str, api: Api, send: Sender) -> None:
    """A coroutine is cancelled. A plain function sees that its job is."""
    id = send(f"sent({task})")
    api.until(id, lambda job: job["progress"]["current"])
    api.post(f"/v1/jobs/{id}/cancel")
    assert api.ended(id)["status"] == "cancelled"


def test_a_coroutine_that_takes_too_long_has_failed(api: Api, send: Sender) -> None:
    job = api.ended(send("sent(endless, timeout=0.1)"))
    assert (job["status"], job["error"]["code"]) == ("failed", "TimeoutError")


def test_what_a_task_sends_is_its_child(api: Api, send: Sender) -> None:
    job = api.ended(send("sent(send_another)"))
    assert ended(api, job["result"])["parent"] == job["id"]


def test_the_job_of_a_worker_that_is_killed_stalls_and_is_lost(
    hasty: Api, hasty_env: dict[str, str]
) -> None:
    check_killed(hasty, hasty_env, WORKER, APP, "sent(endless)")
