"""Dramatiq's messages as jobs: a real worker, a real Redis, a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.queues.alike import check_failure, check_killed
from tests.queues.processes import Process, Sender
from tests.queues.waiting import ended
from tests.support.api import Api

APP = "tests.queues.dramatiq_app"
WORKER = f"-m dramatiq {APP} -p 1 -t 4".split()


@pytest.fixture(scope="module")
def send(env: dict[str, str]) -> Iterator[Sender]:
    """With a worker."""
    with Process(*WORKER, env=env), Sender(APP, env) as sender:
        yield sender


def test_a_message_is_a_job(api: Api, send: Sender) -> None:
    job = api.ended(send("sent(add.message(1, 2))"))
    assert (job["status"], job["result"], job["attempt"]) == ("succeeded", 3, 1)
    assert (job["type"], job["title"], job["tags"]) == ("add", "(1, 2)", ["default"])
    assert job["meta"] == {"library": "dramatiq", "task": job["id"], "queue": "default"}
    assert {"host", "pid", "queue"} <= job["worker"].keys()


def test_a_message_that_is_excluded_is_no_job(api: Api, send: Sender) -> None:
    hidden = send("sent(secret.message())")
    send("broker.join('default')")
    assert api.get(f"/v1/jobs/{hidden}").status_code == 404


def test_a_failure_has_the_traceback_without_local_variables(api: Api, send: Sender) -> None:
    check_failure(api.ended(send("sent(broken.message('hunter2'))")))


def test_a_message_that_raises_cancelled_ends_as_cancelled_and_its_worker_goes_on(
    api: Api, send: Sender
) -> None:
    job = api.ended(send("sent(stops.message())"))
    assert (job["status"], job["attempt"]) == ("cancelled", 1)
    assert api.ended(send("sent(add.message(1, 2))"))["result"] == 3


def test_retries_are_attempts_of_one_job(api: Api, send: Sender) -> None:
    job = api.ended(send("sent(flaky.message())"))
    assert (job["status"], job["result"], job["attempt"]) == ("succeeded", "open", 3)


def test_a_message_whose_job_was_cancelled_is_left_out(
    api: Api, send: Sender, tmp_path: Path
) -> None:
    id = api.create(id="cancelled")
    api.post(f"/v1/jobs/{id}/cancel")
    send(f"sent(touch.message({str(tmp_path / 'it')!r}), message_id={id!r})")
    send("broker.join('default')")
    assert not (tmp_path / "it").exists()
    assert api.job(id)["status"] == "cancelled"


def test_an_actor_is_interrupted_when_its_job_is_cancelled(api: Api, send: Sender) -> None:
    id = send("sent(endless.message())")
    api.until(id, lambda job: job["progress"]["current"])
    api.post(f"/v1/jobs/{id}/cancel")
    assert api.ended(id)["status"] == "cancelled"
    send("broker.join('default')")  # and is not retried
    assert api.job(id)["attempt"] == 1


def test_a_message_that_is_too_old_has_failed(api: Api, send: Sender) -> None:
    job = api.ended(send("sent(young.message(), message_timestamp=0)"))
    assert (job["status"], job["error"]["code"]) == ("failed", "SkipMessage")


def test_a_group_of_20_are_children_of_its_callback(api: Api, send: Sender) -> None:
    id = send("fan(*[add.message(n, n) for n in range(20)])")
    job = api.ended(id)
    assert (job["status"], job["type"]) == ("succeeded", "done")
    assert (job["children"]["total"], job["children"]["succeeded"]) == (20, 20)


def test_a_callback_fails_with_a_message_of_its_group(api: Api, send: Sender) -> None:
    job = api.ended(send("fan(add.message(1, 1), add.message(1, 1) | broken.message_with_options("
                         "args=('x',), pipe_ignore=True))"))  # fmt: skip
    assert (job["status"], job["error"]["code"]) == ("failed", "ValueError")


def test_later_messages_of_a_pipeline_are_children_of_the_first(api: Api, send: Sender) -> None:
    first, *rest = send("chain(add.message(1, 2), double.message(), double.message())")
    jobs = [ended(api, id) for id in (first, *rest)]
    assert [job["result"] for job in jobs] == [3, 6, 12]
    assert [job["parent"] for job in jobs] == [None, first, first]


def test_what_an_actor_sends_is_its_child(api: Api, send: Sender) -> None:
    job = api.ended(send("sent(send_another.message())"))
    assert ended(api, job["result"])["parent"] == job["id"]


def test_the_job_of_a_worker_that_is_killed_stalls_and_is_lost(
    hasty: Api, hasty_env: dict[str, str]
) -> None:
    check_killed(hasty, hasty_env, WORKER, APP, "sent(endless.message())")
