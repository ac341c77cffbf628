"""arq's jobs as jobs: a real worker, a real Redis, a real server."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.queues.alike import check_failure, check_killed
from tests.queues.processes import ROOT, Process, Sender
from tests.queues.waiting import ended
from tests.support.api import Api
from tests.support.redis import Redis

APP = "tests.queues.arq_app"
WORKER = f"-m arq {APP}.WorkerSettings".split()

CANCELLED = "The job was cancelled."


def newest(env: dict[str, str]) -> dict[str, str]:
    """With the newest arq, which scripts/test installs for itself: it needs an older redis than the
    other queues take. Else with the arq that they let us have."""
    return env | {"PYTHONPATH": os.pathsep.join((f"{sys.prefix}/arq", str(ROOT)))}


@pytest.fixture(scope="module")
def send(env: dict[str, str]) -> Iterator[Sender]:
    """With a worker."""
    env = newest(env)
    with Process(*WORKER, env=env), Sender(APP, env) as sender:
        yield sender


def test_a_job_of_arq_is_a_job(api: Api, send: Sender) -> None:
    job = api.ended(send("sent('add', 1, 2)"))
    assert (job["status"], job["result"], job["attempt"]) == ("succeeded", 3, 1)
    assert (job["type"], job["title"], job["tags"]) == ("add", "add", ["arq:queue"])
    assert job["meta"] == {"library": "arq", "task": job["id"], "queue": "arq:queue"}
    assert {"host", "pid", "queue"} <= job["worker"].keys()


def test_the_hook_that_was_there_is_called(api: Api, send: Sender) -> None:
    assert api.ended(send("sent('was_started')"))["result"] is True


def test_a_job_that_is_excluded_is_not_shown(api: Api, send: Sender) -> None:
    hidden = send("sent('secret')")
    assert send(f"outcome({hidden!r})") == "None"
    assert api.get(f"/v1/jobs/{hidden}").status_code == 404


def test_a_failure_has_the_traceback_without_local_variables(api: Api, send: Sender) -> None:
    check_failure(api.ended(send("sent('broken', 'hunter2')")))


def test_retries_are_attempts_of_one_job(api: Api, send: Sender) -> None:
    job = api.ended(send("sent('flaky')"))
    assert (job["status"], job["result"], job["attempt"]) == ("succeeded", "open", 3)


def test_after_the_last_try_the_job_has_failed(api: Api, send: Sender) -> None:
    job = api.ended(send("sent('hopeless')"))
    assert (job["status"], job["attempt"]) == ("failed", 3)
    assert job["error"]["message"] == "JobExecutionFailed: max 2 retries exceeded"


def test_a_function_that_is_not_there_has_failed(api: Api, send: Sender) -> None:
    job = api.ended(send("sent('missing')"))
    assert job["error"]["message"] == "JobExecutionFailed: function 'missing' not found"


def test_a_job_that_was_cancelled_is_left_out(api: Api, send: Sender, tmp_path: Path) -> None:
    id = api.create(id="cancelled")
    api.post(f"/v1/jobs/{id}/cancel")
    send(f"sent('touch', {str(tmp_path / 'it')!r}, id={id!r})")
    assert send(f"outcome({id!r})") == CANCELLED
    assert not (tmp_path / "it").exists()
    assert api.job(id)["status"] == "cancelled"


def test_a_running_job_sees_that_it_is_cancelled(api: Api, send: Sender) -> None:
    id = send("sent('endless')")
    api.until(id, lambda job: job["progress"]["current"])
    api.post(f"/v1/jobs/{id}/cancel")
    assert api.ended(id)["status"] == "cancelled"


def test_a_job_that_is_aborted_while_it_runs_is_cancelled(api: Api, send: Sender) -> None:
    id = send("sent('endless')")
    api.until(id, lambda job: job["progress"]["current"])
    assert send(f"abort({id!r})")
    assert api.ended(id)["status"] == "cancelled"


def test_a_function_may_raise_cancelled(api: Api, send: Sender) -> None:
    id = send("sent('raises_cancelled')")
    assert send(f"outcome({id!r})") == CANCELLED
    assert api.ended(id)["status"] == "cancelled"


def test_a_job_that_takes_too_long_has_failed(api: Api, send: Sender) -> None:
    job = api.ended(send("sent('short')"))
    assert (job["status"], job["error"]["code"]) == ("failed", "TimeoutError")


def test_a_cron_job_is_a_job(api: Api, send: Sender) -> None:
    assert ended(api, "tick")["type"] == "cron:tick"


def test_what_a_job_enqueues_is_its_child(api: Api, send: Sender) -> None:
    job = api.ended(send("sent('send_another')"))
    assert ended(api, job["result"])["parent"] == job["id"]


def test_a_worker_that_stops_hands_its_jobs_on(api: Api, env: dict[str, str], redis: Redis) -> None:
    """The second one starts with a job that was aborted before, and stops what is cancelled."""
    env = newest(env) | {"TERMINATE": "1", "BROKER": redis.database()}
    with Sender(APP, env) as send:
        running = send("sent('endless')")
        with Process(*WORKER, env=env) as worker:
            api.until(running, lambda job: job["progress"]["current"])
            worker.process.send_signal(signal.SIGTERM)
            worker.process.wait()
        assert api.job(running)["status"] == "queued"
        aborted = send("sent('touch', '/nowhere/at/all')")
        send(f"abort({aborted!r}, wait=False)")
        with Process(*WORKER, env=env):
            job = api.until(running, lambda job: job["progress"]["current"])
            assert job["attempt"] == 2
            assert api.ended(aborted)["status"] == "cancelled"
            api.post(f"/v1/jobs/{running}/cancel")
            assert api.ended(running)["status"] == "cancelled"
            assert send(f"outcome({running!r})") == CANCELLED


def test_the_job_of_a_worker_that_is_killed_stalls_and_is_lost(
    hasty: Api, hasty_env: dict[str, str]
) -> None:
    check_killed(hasty, newest(hasty_env), WORKER, APP, "sent('endless')")
