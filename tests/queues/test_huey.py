"""Huey's tasks as jobs: a real consumer, a real Redis, a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.queues.alike import check_failure, check_killed
from tests.queues.processes import Process, Sender
from tests.queues.waiting import ended
from tests.support.api import Api
from tests.support.redis import Redis

APP = "tests.queues.huey_app"
WORKER = f"-m huey.bin.huey_consumer {APP}.huey -n -w".split()


@pytest.fixture(scope="module")
def send(env: dict[str, str]) -> Iterator[Sender]:
    """With a consumer of one thread, which takes one task after another."""
    with Process(*WORKER, "1", env=env), Sender(APP, env) as sender:
        yield sender


def test_a_task_is_a_job(api: Api, send: Sender) -> None:
    job = api.ended(send("sent(add.s(1, 2))"))
    assert (job["status"], job["result"], job["attempt"]) == ("succeeded", 3, 1)
    assert (job["type"], job["title"], job["tags"]) == (f"{APP}.add", "add", ["shop"])
    assert job["meta"] == {"library": "huey", "task": job["id"], "queue": "shop"}
    assert {"host", "pid", "queue"} <= job["worker"].keys()


def test_a_task_that_is_excluded_is_no_job(api: Api, send: Sender) -> None:
    hidden = send("sent(secret.s())")
    api.ended(send("sent(add.s(1, 2))"))
    assert api.get(f"/v1/jobs/{hidden}").status_code == 404


def test_a_failure_has_the_traceback_without_local_variables(api: Api, send: Sender) -> None:
    check_failure(api.ended(send("sent(broken.s('hunter2'))")))


def test_a_task_that_raises_cancelled_ends_as_cancelled_and_its_worker_goes_on(
    api: Api, send: Sender
) -> None:
    job = api.ended(send("sent(stops.s())"))
    assert (job["status"], job["attempt"]) == ("cancelled", 1)
    assert api.ended(send("sent(add.s(1, 2))"))["result"] == 3


def test_retries_are_attempts_of_one_job(api: Api, send: Sender) -> None:
    job = api.ended(send("sent(flaky.s())"))
    assert (job["status"], job["result"], job["attempt"]) == ("succeeded", "open", 3)


def test_a_task_whose_job_was_cancelled_is_left_out(api: Api, send: Sender, tmp_path: Path) -> None:
    id = api.create(id="cancelled")
    api.post(f"/v1/jobs/{id}/cancel")
    send(f"sent(touch.s({str(tmp_path / 'it')!r}, id={id!r}))")
    api.ended(send("sent(add.s(1, 2))"))
    assert not (tmp_path / "it").exists()
    assert api.job(id)["status"] == "cancelled"


def test_a_running_task_sees_that_its_job_is_cancelled(api: Api, send: Sender) -> None:
    id = send("sent(endless.s())")
    api.until(id, lambda job: job["progress"]["current"])
    api.post(f"/v1/jobs/{id}/cancel")
    assert api.ended(id)["status"] == "cancelled"


@pytest.mark.parametrize(
    "expression", ["revoke(add.s(1, 2))", "sent(unwanted.s())", "sent(gives_up.s())"]
)
def test_a_task_that_the_queue_does_not_run_is_a_cancelled_job(
    expression: str, api: Api, send: Sender
) -> None:
    job = api.ended(send(expression))
    assert (job["status"], job["attempt"]) == ("cancelled", 1)


def test_a_chord_of_20_are_children_of_its_callback(api: Api, send: Sender) -> None:
    id = send("fan([add.s(n, n) for n in range(20)], total.s())")
    job = api.ended(id)
    assert (job["status"], job["result"]) == ("succeeded", 380)
    assert (job["children"]["total"], job["children"]["succeeded"]) == (20, 20)


def test_later_tasks_of_a_pipeline_are_children_of_the_first(api: Api, send: Sender) -> None:
    first, *rest = send("chain(add.s(1, 2), add.s(3), add.s(6))")
    jobs = [ended(api, id) for id in (first, *rest)]
    assert [job["result"] for job in jobs] == [3, 6, 12]
    assert [job["parent"] for job in jobs] == [None, first, first]


def test_each_process_of_a_consumer_reports(api: Api, env: dict[str, str], redis: Redis) -> None:
    env = env | {"BROKER": redis.database()}
    with Process(*WORKER, "2", "-k", "process", env=env), Sender(APP, env) as send:
        ids = [send("sent(flaky.s())") for _ in range(4)]
        jobs = [api.ended(id) for id in ids]
    assert [(job["status"], job["attempt"]) for job in jobs] == [("succeeded", 3)] * 4


def test_the_job_of_a_consumer_that_is_killed_stalls_and_is_lost(
    hasty: Api, hasty_env: dict[str, str]
) -> None:
    check_killed(hasty, hasty_env, [*WORKER, "1"], APP, "sent(endless.s())")
