"""RQ's tasks as jobs: real workers, a real Redis, a real server."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.queues.processes import Process, Sender, environment
from tests.support.api import Api
from tests.support.redis import Redis
from tests.support.server import Server

APP = "tests.queues.rq_app"


def work(env: Mapping[str, str], *options: str) -> Process:
    command = "from rq.cli import main; main()"
    return Process("-c", command, "worker", "--url", env["BROKER"], *options, env=env)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("server")
    with Server(folder / "data") as server, Api(server.url) as client:
        yield client


@pytest.fixture(scope="module")
def send(redis: Redis, api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sender]:
    """With two workers. The first one imports the module of the tasks when it runs a task, as
    usual; the second one has imported it before."""
    env = environment(api.url, tmp_path_factory.mktemp("spool"), BROKER=redis.database())
    with (
        work(env, "plain", "unseen"),
        work(env, "--config", APP, "stopping"),
        Sender(APP, env) as sender,
    ):
        yield sender


def sent(send: Sender, task: str, *args: Any, **options: Any) -> str:
    """The id of the task, and of its job."""
    return str(send(f"send(*{(task, *args)!r}, **{options!r})"))


def test_a_task_is_a_job(api: Api, send: Sender) -> None:
    job = api.ended(sent(send, "add", 1, 2))
    assert (job["status"], job["result"], job["attempt"]) == ("succeeded", 3, 1)
    assert (job["type"], job["title"], job["tags"]) == (f"{APP}.add", "add", ["plain"])
    assert {"host", "pid", "queue", "worker"} <= job["worker"].keys()
    assert job["logs_total"] == 1


def test_a_task_that_raises_has_failed(api: Api, send: Sender) -> None:
    job = api.ended(sent(send, "broken", "hunter2"))
    assert (job["status"], job["error"]["code"]) == ("failed", "ValueError")
    assert "rq_app.py" in job["error"]["detail"]
    assert "hunter2" not in str(job)


def test_a_task_that_raises_cancelled_ends_as_cancelled_and_its_worker_goes_on(
    api: Api, send: Sender
) -> None:
    job = api.ended(sent(send, "stops", retries=2))
    assert (job["status"], job["attempt"]) == ("cancelled", 1)
    assert api.ended(sent(send, "add", 1, 2))["result"] == 3


def test_a_retry_is_another_attempt_of_the_same_job(api: Api, send: Sender, tmp_path: Path) -> None:
    job = api.ended(sent(send, "flaky", str(tmp_path), retries=2))
    assert (job["status"], job["result"], job["attempt"]) == ("succeeded", "open", 3)


def test_a_task_that_returns_a_retry_runs_again(api: Api, send: Sender, tmp_path: Path) -> None:
    job = api.ended(sent(send, "again", str(tmp_path / "ran")))
    assert (job["status"], job["result"], job["attempt"]) == ("succeeded", "done", 2)


def test_a_failed_task_that_is_queued_again_is_another_job(
    api: Api, send: Sender, tmp_path: Path
) -> None:
    first = api.ended(sent(send, "flaky", str(tmp_path)))
    api.ended(sent(send, "add", 1, 1))  # RQ stores the failure of the first one before
    send(f"requeue({first['id']!r})")
    last = api.ended(sent(send, "add", 1, 1))  # and runs it again before this one
    second = api.job(f"{first['id']}~2")
    assert first["status"] == second["status"] == "failed"
    assert (second["meta"]["task"], second["attempt"], last["attempt"]) == (first["id"], 1, 1)


@pytest.mark.parametrize(("task", "status"), [("add", "succeeded"), ("broken", "failed")])
def test_a_queue_without_a_worker_shows_its_tasks_too(
    api: Api, send: Sender, task: str, status: str
) -> None:
    args = (1, 2) if task == "add" else ("hunter2",)
    assert api.job(sent(send, task, *args, queue="sync"))["status"] == status


def test_a_queue_that_is_not_installed_has_no_jobs(api: Api, send: Sender) -> None:
    id = sent(send, "add", 1, 2, queue="unseen")
    api.ended(sent(send, "add", 1, 2))
    assert api.get(f"/v1/jobs/{id}").status_code == 404


def test_a_running_task_sees_that_its_job_is_cancelled(api: Api, send: Sender) -> None:
    id = sent(send, "endless")
    api.until(id, lambda job: job["progress"]["current"])
    api.post(f"/v1/jobs/{id}/cancel")
    assert api.ended(id)["status"] == "cancelled"


def test_a_running_task_is_stopped_when_its_job_is_cancelled(api: Api, send: Sender) -> None:
    id = sent(send, "hang", queue="stopping")
    api.until(id, lambda job: job["status"] == "running")
    api.post(f"/v1/jobs/{id}/cancel")
    assert api.ended(id)["status"] == "cancelled"
    last = sent(send, "add", 1, 1, queue="stopping")  # the worker is free again
    assert api.ended(last)["status"] == "succeeded"
    assert send(f"state_of({id!r})") == "stopped"


def test_a_task_whose_process_is_killed_has_failed(api: Api, send: Sender) -> None:
    job = api.ended(sent(send, "die", queue="stopping"))
    assert (job["status"], job["error"]["code"]) == ("failed", "WorkHorseKilled")


def test_a_task_that_was_cancelled_in_the_queue_is_not_started(
    redis: Redis, api: Api, tmp_path: Path
) -> None:
    env = environment(api.url, tmp_path / "spool", BROKER=redis.database())
    with Sender(APP, env) as send:
        here = sent(send, "touch", str(tmp_path / "a"), retries=3)
        there = sent(send, "touch", str(tmp_path / "b"))
        api.post(f"/v1/jobs/{here}/cancel")
        send(f"cancel({there!r})")
        assert api.ended(there)["status"] == "cancelled"
        with work(env, "--burst", "plain") as worker:
            worker.wait()
        assert api.job(here)["status"] == "cancelled"
        assert send(f"state_of({here!r})") == send(f"state_of({there!r})") == "canceled"
    assert not (tmp_path / "a").exists()


def test_a_task_is_a_child_of_the_first_one_that_it_depends_on(api: Api, send: Sender) -> None:
    first = [sent(send, "add", n, n) for n in range(4)]
    job = api.ended(sent(send, "add", 1, 1, after=first))
    assert (job["status"], job["parent"]) == ("succeeded", first[0])


def test_a_killed_worker_leaves_a_job_that_is_lost(redis: Redis, tmp_path: Path) -> None:
    with Server(tmp_path / "data", "--lost-after", "3") as server, Api(server.url) as api:
        env = environment(server.url, tmp_path / "spool", BROKER=redis.database())
        with work(env, "plain") as worker, Sender(APP, env) as send:
            id = sent(send, "hang")
            job = api.until(id, lambda job: job["status"] == "running")
            worker.kill()
            os.kill(job["worker"]["pid"], signal.SIGKILL)  # a process group of its own
        assert api.ended(id)["error"]["code"] == "lost"
