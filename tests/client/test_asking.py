"""Workers that ask a person, and wait for the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import livejobs
from tests.client.fake import Fake
from tests.client.worker import Worker
from tests.support.api import Api
from tests.support.server import LONG_ENOUGH, Server

BOOLEAN = {"type": "boolean"}


@contextmanager
def meanwhile(act: Callable[[], Any]) -> Iterator[None]:
    """Run `act` in a thread; an error in it is raised here."""
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(act)
        yield
        done.result(LONG_ENOUGH)


def answering(api: Api, id: str, value: Any, then: Callable[[], Any] = bool) -> Callable[[], None]:
    """Answer, once the job waits. `then`: a heartbeat, so that the test need not wait for one."""

    def act() -> None:
        with livejobs.Client(api.url) as client, Api(api.url) as own:
            n = own.until(id, lambda job: job["waiting"])["waiting"]["n"]
            assert client.answer(id, value, n)["waiting"] is None
        then()

    return act


def waiting(api: Api, id: str) -> Any:
    return api.job(id)["waiting"]


def test_the_answer_is_returned_and_confirmed(api: Api) -> None:
    with livejobs.job("film") as job:
        job.flush()
        with meanwhile(answering(api, job.id, {"cut": 3}, job.heartbeat)):
            assert job.ask("Which cut?", {"type": "object"}, timeout=LONG_ENOUGH) == {"cut": 3}
        job.flush()
        assert "answer" not in api.report(job.id, {"type": "heartbeat"})
    assert api.job(job.id)["status"] == "succeeded"


def test_when_the_time_is_over_nobody_is_asked_any_more(api: Api) -> None:
    with livejobs.job("film") as job:
        job.flush()
        assert job.ask("Publish?", timeout=0.3) is None
        assert job.ask("Publish?", timeout=0) is None  # before the server has heard of it
        job.flush()
        job.flush()  # what the answer to the first brought about
        assert waiting(api, job.id) is None
        assert job.ask("Publish?", timeout=-1) is None


def test_a_cancel_ends_the_question(api: Api) -> None:
    def cancel() -> None:
        with Api(api.url) as own:
            own.until(job.id, lambda job: job["waiting"])
            own.post(f"/v1/jobs/{job.id}/cancel")
        job.heartbeat()

    with livejobs.job("film") as job:
        job.flush()
        with meanwhile(cancel):
            assert job.ask("Publish?", timeout=LONG_ENOUGH) is None
        assert job.cancelled
        assert job.ask("Publish?") is None
    with livejobs.job("film", raise_on_cancel=True) as job:
        job.flush()
        with meanwhile(cancel):
            job.ask("Publish?", timeout=LONG_ENOUGH)
        raise AssertionError("Cancelled was not raised")
    assert api.job(job.id)["status"] == "cancelled"


def test_a_question_that_the_server_refuses_has_no_answer(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    with livejobs.job("film") as job:
        assert job.ask("Publish?", {"$ref": "http://x/"}, timeout=LONG_ENOUGH) is None
    assert "#/$defs/" in caplog.text
    assert api.job(job.id)["status"] == "succeeded"


def test_a_second_question_ends_the_first(api: Api) -> None:
    found: list[Any] = []
    with livejobs.job("film") as job:
        job.flush()
        with meanwhile(lambda: found.append(job.ask("One?", timeout=LONG_ENOUGH))):
            api.until(job.id, lambda job: job["waiting"])
            with meanwhile(answering_second(api, job)):
                assert job.ask("Two?", timeout=LONG_ENOUGH) == "two"
    assert found == [None]


def answering_second(api: Api, job: livejobs.WorkerJob) -> Callable[[], None]:
    def act() -> None:
        with Api(api.url) as own:
            own.until(job.id, lambda job: job["waiting"] and job["waiting"]["n"] == 2)
            own.post(f"/v1/jobs/{job.id}/answer", json={"value": "two"})
        job.heartbeat()

    return act


async def test_asking_under_asyncio(api: Api) -> None:
    async with livejobs.job("film") as job:
        await job.flush()
        act = asyncio.to_thread(answering(api, job.id, True, job.heartbeat))
        value, _ = await asyncio.gather(job.ask("Publish?", BOOLEAN, timeout=LONG_ENOUGH), act)
        assert value is True
        assert await job.ask("Publish?", timeout=0.1) is None
        task = asyncio.ensure_future(job.ask("Publish?"))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_the_async_client_answers(api: Api) -> None:
    id = api.create()
    api.report(id, {"type": "ask", "prompt": "Publish?", "schema": BOOLEAN})
    client = livejobs.AsyncClient(api.url)
    with pytest.raises(livejobs.Refused, match="does not fit"):
        await client.answer(id, "yes")
    assert (await client.answer(id, True))["waiting"] is None
    with pytest.raises(livejobs.Refused) as found:
        await client.answer(id, True)
    assert found.value.code == "not_waiting"
    await client.close()


def test_without_a_server_there_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIVEJOBS_URL", raising=False)
    with livejobs.job("film") as job:
        assert job.ask("Publish?") is None


def test_a_job_that_ends_elsewhere_gets_no_answer(api: Api) -> None:
    with livejobs.job("film") as job:
        job.flush()

        def end() -> None:
            with Api(api.url) as own:
                own.until(job.id, lambda job: job["waiting"])
                own.report(job.id, {"type": "fail", "message": "enough"})
            job.heartbeat()

        with meanwhile(end):
            assert job.ask("Publish?", timeout=LONG_ENOUGH) is None


def test_what_an_unknown_server_says_is_no_answer(spool: Path) -> None:
    said = [
        (200, {"accepted": 1, "asked": "x", "answer": [1], "waiting": {}}),
        (200, {"accepted": 1, "answer": {"n": None, "value": 1}}),
    ]
    with Fake(said) as fake, livejobs.job("film", url=fake.url, spool=spool) as job:
        assert job.ask("Publish?", timeout=LONG_ENOUGH) is None


ASKER = """
import livejobs
with livejobs.job("film", id="film-1") as job:
    print(job.ask("Publish?", {"type": "boolean"}), flush=True)
"""


def test_the_server_is_killed_while_a_worker_asks(shared: Server, api: Api, worker: Worker) -> None:
    api.put("/v1/jobs/film-1")
    process = worker.start(shared.url, ASKER)
    api.until("film-1", lambda job: job["waiting"])
    shared.kill()
    shared.restart()
    answering(api, "film-1", False)()
    shared.kill()
    shared.restart()
    out, errors = process.communicate(timeout=LONG_ENOUGH)
    assert (out, process.returncode) == ("False\n", 0), errors
    assert api.job("film-1")["status"] == "succeeded"


def test_a_worker_is_killed_and_its_successor_gets_the_answer(api: Api, worker: Worker) -> None:
    api.put("/v1/jobs/film-2")
    resumes = ASKER.replace('"film", id="film-1"', 'id="film-2"')
    first = worker.start(api.url, resumes)
    api.until("film-2", lambda job: job["waiting"])
    first.kill()
    first.communicate(timeout=LONG_ENOUGH)
    answering(api, "film-2", True)()
    out, _ = worker.run(api.url, resumes)
    assert out == "True\n"
    assert "answer" not in api.report("film-2", {"type": "heartbeat"})


LEAVES = """
import livejobs, os
job = livejobs.job("film", id="film-3")
job.log("before")
job.channel.ask({"type": "ask", "prompt": "Publish?"}, lambda: None)
job.log("after")
job.channel.keep(sync=True)
os._exit(0)
"""


def test_what_a_dead_worker_had_no_time_to_ask_is_not_asked(
    shared: Server, api: Api, worker: Worker
) -> None:
    """Nobody waits for the answer, so the job would wait for ever."""
    shared.kill()
    worker.run(shared.url, LEAVES)
    assert worker.folders
    shared.restart()
    worker.run(shared.url, "import livejobs\nwith livejobs.job('next'):\n    livejobs.flush()\n")
    assert not worker.folders
    assert [line["message"] for line in api.get("/v1/jobs/film-3/logs").json()["logs"]] == [
        "before",
        "after",
    ]
    assert waiting(api, "film-3") is None
