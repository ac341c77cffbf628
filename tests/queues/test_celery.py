"""Celery's tasks as jobs: a real worker, a real Redis, a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.queues.processes import Process, Sender, environment
from tests.support.api import Api
from tests.support.redis import Redis
from tests.support.server import Server

APP = "tests.queues.celery_app"
WORKER = f"-m celery -A {APP} worker --without-gossip --without-mingle --without-heartbeat".split()


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with (
        Server(tmp_path_factory.mktemp("server") / "data") as server,
        Api(server.url) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def send(redis: Redis, api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sender]:
    """With a worker that takes the queue `celery`."""
    env = environment(api.url, tmp_path_factory.mktemp("spool"), BROKER=redis.database())
    with Process(*WORKER, "-c", "2", env=env), Sender(APP, env) as sender:
        yield sender


def sent(send: Sender, task: str, *args: Any, **options: Any) -> str:
    """The id of the task, and of its job."""
    return str(send(f"send(*{(task, *args)!r}, **{options!r})"))


def test_a_task_is_a_job(api: Api, send: Sender) -> None:
    job = api.ended(sent(send, "add", 1, 2))
    assert (job["status"], job["result"], job["attempt"]) == ("succeeded", 3, 1)
    assert (job["type"], job["title"], job["tags"]) == (f"{APP}.add", "add", ["celery"])
    assert job["meta"] == {"library": "celery", "task": job["id"], "queue": "celery"}
    assert {"host", "pid", "queue", "worker"} <= job["worker"].keys()


def test_the_current_job_of_a_task_is_its_own(api: Api, send: Sender) -> None:
    job = api.ended(sent(send, "report", 7))
    assert (job["status"], job["progress"]["current"], job["logs_total"]) == ("succeeded", 7, 1)


def test_a_large_result_is_left_out(api: Api, send: Sender) -> None:
    job = api.ended(sent(send, "large"))
    assert (job["status"], job["result"]) == ("succeeded", None)


def test_a_task_that_raises_cancelled_ends_as_cancelled_and_its_worker_goes_on(
    api: Api, send: Sender
) -> None:
    job = api.ended(sent(send, "stops"))
    assert (job["status"], job["attempt"]) == ("cancelled", 1)
    assert api.ended(sent(send, "add", 1, 2))["result"] == 3


def test_a_task_that_raises_has_failed(api: Api, send: Sender) -> None:
    job = api.ended(sent(send, "broken", "hunter2"))
    assert (job["status"], job["error"]["code"]) == ("failed", "ValueError")
    assert job["error"]["message"] == "ValueError: no such order"
    assert "celery_app.py" in job["error"]["detail"]
    assert "hunter2" not in str(job)


def test_a_retry_is_another_attempt_of_the_same_job(api: Api, send: Sender) -> None:
    job = api.ended(sent(send, "flaky", 2))
    assert (job["status"], job["result"], job["attempt"]) == ("succeeded", "open", 3)


def test_after_the_last_retry_the_job_has_failed(api: Api, send: Sender) -> None:
    job = api.ended(sent(send, "flaky", 9))
    assert (job["status"], job["attempt"], job["error"]["code"]) == ("failed", 4, "ConnectionError")


@pytest.mark.parametrize(("task", "status"), [("ignored", "cancelled"), ("rejected", "failed")])
def test_a_task_that_ends_itself_without_a_result_ends_its_job(
    api: Api, send: Sender, task: str, status: str
) -> None:
    assert api.ended(sent(send, task))["status"] == status


def test_a_task_that_has_expired_is_a_cancelled_job(api: Api, send: Sender) -> None:
    assert api.ended(sent(send, "add", 1, 1, expires=-1))["status"] == "cancelled"


def test_an_excluded_task_is_no_job(api: Api, send: Sender) -> None:
    assert api.get(f"/v1/jobs/{sent(send, 'secret')}").status_code == 404


def test_a_job_that_was_cancelled_in_the_queue_is_not_started(
    api: Api, send: Sender, tmp_path: Path
) -> None:
    id = sent(send, "touch", str(tmp_path / "touched"), queue="cancelled")
    assert api.job(id)["status"] == "queued"
    api.post(f"/v1/jobs/{id}/cancel")
    last = sent(send, "add", 1, 1, queue="cancelled")
    send("consume('cancelled')")
    assert api.ended(last)["status"] == "succeeded"
    assert send(f"state_of({id!r})") == "REVOKED"
    assert not (tmp_path / "touched").exists()
    assert api.job(id)["status"] == "cancelled"


def test_a_running_task_is_terminated_when_its_job_is_cancelled(api: Api, send: Sender) -> None:
    id = sent(send, "endless")
    api.until(id, lambda job: job["progress"]["current"])
    api.post(f"/v1/jobs/{id}/cancel")
    assert api.ended(id)["status"] == "cancelled"
    assert send(f"state_of({id!r})") == "REVOKED"


def test_a_task_that_is_revoked_in_the_queue_is_a_cancelled_job(api: Api, send: Sender) -> None:
    id = sent(send, "add", 1, 1, queue="revoked")
    send(f"app.control.revoke({id!r})")
    send("consume('revoked')")
    assert api.ended(id)["status"] == "cancelled"


def test_the_tasks_of_a_chord_are_children_of_its_body(api: Api, send: Sender) -> None:
    id = api.ended(send("send_chord(20)"))["id"]
    found = api.get("/v1/jobs", params={"parent": id}).json()["jobs"]
    children = [api.ended(child["id"]) for child in found]  # one may report after its body
    job = api.job(id)
    assert (job["status"], job["result"], job["type"]) == ("succeeded", 380, f"{APP}.total")
    assert {(child["type"], child["status"]) for child in children} == {(f"{APP}.add", "succeeded")}
    assert len(children) == job["children"]["succeeded"] == 20


@pytest.mark.parametrize(
    ("ends", "status"), [(["well", "retried", "well"], "succeeded"), (["well", "failed"], "failed")]
)
def test_a_group_is_a_job_that_ends_with_its_last_task(
    api: Api, send: Sender, ends: list[str], status: str
) -> None:
    job = api.ended(send(f"send_group(*{ends!r})"))
    assert (job["type"], job["status"]) == ("group", status)
    assert job["progress"]["total"] == job["children"]["total"] == len(ends)


def test_the_later_tasks_of_a_chain_are_children_of_the_first(api: Api, send: Sender) -> None:
    last = send("send_chain()")
    job = api.ended(last)
    assert (job["status"], job["result"]) == ("succeeded", 4)
    first = api.job(job["parent"])
    assert (first["result"], first["parent"]) == (2, None)


def test_a_task_whose_process_is_killed_has_failed(api: Api, send: Sender) -> None:
    job = api.ended(sent(send, "die"))
    assert (job["status"], job["error"]["code"]) == ("failed", "WorkerLostError")


def test_a_task_that_is_delivered_again_is_another_attempt(
    api: Api, send: Sender, tmp_path: Path
) -> None:
    job = api.ended(sent(send, "die_once", str(tmp_path / "died")))
    assert (job["status"], job["result"], job["attempt"]) == ("succeeded", "done", 2)


def test_a_killed_worker_leaves_a_job_that_is_lost(redis: Redis, tmp_path: Path) -> None:
    with Server(tmp_path / "data", "--lost-after", "3") as server, Api(server.url) as api:
        env = environment(server.url, tmp_path / "spool", BROKER=redis.database())
        with Process(*WORKER, "-c", "1", env=env) as worker, Sender(APP, env) as send:
            lost = sent(send, "hang")
            api.until(lost, lambda job: job["status"] == "running")
            worker.kill()
        assert api.ended(lost)["error"]["code"] == "lost"
