"""A job reported on from this process, at a real server."""

from __future__ import annotations

import json
import logging
import pickle
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import livejobs
from livejobs.client.worker.fields import LINE
from tests.client.worker import Worker, all_logs, all_results
from tests.support.api import Api
from tests.support.desk import eventually


def test_a_block_is_a_job_from_its_start_to_its_end(api: Api) -> None:
    with livejobs.job("render", title="Teaser", total=240, unit="frames", tags=["x"]) as job:
        job.flush()
        running = api.job(job.id)
    ended = api.job(job.id)
    assert (running["type"], running["title"], running["status"]) == ("render", "Teaser", "running")
    assert running["progress"]["total"] == 240
    assert running["worker"]["pid"]
    assert ended["status"] == "succeeded"


def test_the_last_total_that_was_said_counts(api: Api) -> None:
    class Odd:
        def __eq__(self, other: object) -> bool:
            raise ValueError("ambiguous")

        __hash__ = None  # type: ignore[assignment]  # as Python does it

    with livejobs.job("render") as job:
        for said in [(1, 10), (2, 10), (3, 20), (4, 20), (5, 10), (6,)]:
            job.progress(*said)
        job.flush()
        shown = api.job(job.id)["progress"]
        job.progress(7, Odd())  # type: ignore[arg-type]  # on purpose
        job.progress(8, 10.0)
        job.progress(9, 10)
    assert (shown["current"], shown["total"]) == (6, 10)
    assert api.job(job.id)["progress"]["current"] == 9


def test_every_verb_arrives(api: Api) -> None:
    with livejobs.job("render") as job:
        job.progress(5, 10, unit="pages", message="half")
        job.advance(2)
        job.advance()
        job.step("load", title="Load", total=3)
        job.step("load", current=2)
        job.step("load", "succeeded")
        job.log("a line", "warning", source="tests")
        job.result({"page": 1})
        job.item_error("no such page", item=7, detail={"why": "gone"})
        job.count("merged")
        job.count("merged", 2)
        job.count(split=1)
        job.meta(colour="red")
        job.succeed({"pages": 10})
        job.log("after the end")
    state = api.job(job.id)
    assert state["progress"]["current"] == 8
    assert state["progress"]["message"] == "half"
    (step,) = state["steps"]
    assert (step["status"], step["current"], step["title"]) == ("succeeded", 2, "Load")
    assert state["results"][0]["value"] == {"page": 1}
    assert (state["errors"][0]["item"], state["errors"][0]["detail"]) == (7, {"why": "gone"})
    assert state["counters"] == {"merged": 3, "split": 1}
    assert state["meta"] == {"colour": "red"}
    assert state["result"] == {"pages": 10}
    (line,) = api.get(f"/v1/jobs/{job.id}/logs").json()["logs"]
    assert (line["message"], line["level"], line["source"]) == ("a line", "warning", "tests")


def test_an_exception_fails_the_job_with_its_traceback_and_no_local_variables(api: Api) -> None:
    def work() -> None:
        password = "hunter" + "2"
        raise LookupError(f"no {len(password)}")

    with pytest.raises(LookupError), livejobs.job("render") as job:
        work()
    state = api.job(job.id)
    assert state["status"] == "failed"
    assert state["error"]["message"] == "LookupError: no 7"
    assert state["error"]["code"] == "LookupError"
    assert "in work" in state["error"]["detail"]
    assert "hunter2" not in json.dumps(state)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (KeyboardInterrupt(), "cancelled"),
        (SystemExit(0), "cancelled"),
        (SystemExit(3), "failed"),
        (SystemExit("no disk"), "failed"),
    ],
)
def test_what_stops_the_program_ends_the_job_and_passes_on(
    api: Api, error: BaseException, status: str
) -> None:
    with pytest.raises(type(error)), livejobs.job("render") as job:
        raise error
    assert api.job(job.id)["status"] == status


def test_a_job_that_was_asked_to_stop_hears_of_it_and_ends_as_cancelled(api: Api) -> None:
    with livejobs.job("render") as job:
        job.flush()
        assert not job.cancelled
        api.post(f"/v1/jobs/{job.id}/cancel")
        for _ in iter(lambda: job.cancelled, True):
            job.log("still here")
            job.flush()
    assert api.job(job.id)["status"] == "cancelled"


def test_a_job_that_succeeds_in_spite_of_a_cancel_may_say_so(api: Api) -> None:
    with livejobs.job("render") as job:
        job.flush()
        api.post(f"/v1/jobs/{job.id}/cancel")
        job.log("x")
        job.flush()
        assert job.cancelled
        job.succeed()
    assert api.job(job.id)["status"] == "succeeded"


def test_raise_on_cancel_ends_the_block_and_not_the_program(api: Api) -> None:
    done = 0
    with livejobs.job("render", raise_on_cancel=True) as job:
        job.flush()
        api.post(f"/v1/jobs/{job.id}/cancel")
        for _ in job.track(range(10**9)):
            try:
                done += 1
                job.progress(done)
            except Exception:  # noqa: BLE001 - as programs do around an item
                raise AssertionError from None
        raise AssertionError("the loop went on")
    assert api.job(job.id)["status"] == "cancelled"


def test_a_silent_worker_hears_of_a_cancel_by_its_heartbeat(api: Api) -> None:
    with livejobs.job("render") as job:
        job.flush()
        api.post(f"/v1/jobs/{job.id}/cancel")
        eventually(lambda: job._channel.cancelled)  # type: ignore[union-attr]  # says nothing itself
    assert api.job(job.id)["heartbeat_at"]


def test_a_loop_reports_and_loops_within_it_are_steps(api: Api) -> None:
    with livejobs.job("render") as job:
        for chapter in job.track(["a", "b"], unit="chapters"):
            for _ in job.track(range(3), name=chapter, title=f"Chapter {chapter}"):
                pass
            for _ in job.track(iter("xyz"), total=3):
                pass
    state = api.job(job.id)
    assert (state["progress"]["current"], state["progress"]["total"]) == (2, 2)
    assert state["progress"]["unit"] == "chapters"
    steps = {
        step["name"]: (step["current"], step["total"], step["status"]) for step in state["steps"]
    }
    assert steps == dict.fromkeys(("a", "Level 2", "b"), (3, 3, "succeeded"))


def test_a_loop_that_is_left_early_has_come_as_far_as_it_came(api: Api) -> None:
    with livejobs.job("render") as job:
        for number in job.track(range(10)):
            if number == 4:
                break
        job.flush()
        assert api.job(job.id)["progress"]["current"] == 4


def test_a_long_line_becomes_several(api: Api) -> None:
    with livejobs.job("render") as job:
        job.log("é" * LINE)
    assert "".join(all_logs(api, job.id)) == "é" * LINE
    assert len(all_logs(api, job.id)) == 2


def test_values_that_json_cannot_hold_are_sent_as_what_comes_nearest(api: Api) -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    with livejobs.job("render") as job:
        for value in (float("nan"), {1, 2}, Path("/x"), {("a", 1): b"y"}, cycle, "\ud800"):
            job.result(value)
        job.log("\udcff")
        job.progress(float("inf"))
    assert all_results(api, job.id) == [None, [1, 2], "/x", {"('a', 1)": "b'y'"}, ["<list>"], "?"]
    assert api.job(job.id)["status"] == "succeeded"


def test_a_report_that_is_refused_is_told_once_and_the_rest_goes_on(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    with livejobs.job("render") as job:
        for _ in range(3):
            job.log("fine")
            job.log("bad", "loud")  # type: ignore[arg-type]  # on purpose
        job.progress("far")  # type: ignore[arg-type]  # on purpose
    assert all_logs(api, job.id) == ["fine"] * 3
    assert api.job(job.id)["status"] == "succeeded"
    told = [record.getMessage() for record in caplog.records if record.name == "livejobs.client"]
    assert len(told) == 2
    assert "/level" in told[0]


def test_a_job_that_ended_elsewhere_is_told_once(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    with livejobs.job("render") as job:
        job.flush()
        api.post(f"/v1/jobs/{job.id}/cancel", params={"force": "true"})
        for number in range(3):
            job.log(number)
            job.flush()
        assert job.cancelled
    told = [record for record in caplog.records if record.name == "livejobs.client"]
    assert len(told) == 1
    assert all_logs(api, job.id) == []


def test_a_handle_to_a_job_that_is_there_does_not_end_it(api: Api) -> None:
    id = api.create(title="there")
    with livejobs.job(id=id) as job:
        job.log("hello")
    state = api.job(id)
    assert (state["status"], state["title"]) == ("running", "there")
    assert all_logs(api, id) == ["hello"]


def test_a_block_within_a_command_reports_to_the_commands_job(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = api.create(title="command")
    monkeypatch.setenv("LIVEJOBS_JOB", id)
    livejobs.current().log("outside")
    with livejobs.job("render", title="inside", total=3, meta={"a": 1}) as job:
        livejobs.current().result(1)
        job.succeed({"pages": 3})
    with pytest.raises(ValueError, match="no"), livejobs.job("render"):
        raise ValueError("no")
    state = api.job(id)
    assert (state["status"], state["title"], state["meta"]) == ("running", "command", {"a": 1})
    assert state["progress"]["total"] == 3
    assert all_results(api, id) == [1, {"pages": 3}]
    assert state["errors"][0]["message"] == "ValueError: no"
    assert all_logs(api, id) == ["outside"]


def test_the_current_job_is_found_from_anywhere(api: Api) -> None:
    assert not livejobs.current().id
    with livejobs.job("outer") as outer:
        with livejobs.job("inner", parent=outer) as inner:
            assert livejobs.current() is inner
        assert livejobs.current() is outer
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(livejobs.current).result() is outer
    assert not livejobs.current().id
    assert api.job(inner.id)["parent"] == outer.id


def test_a_task_is_a_job(api: Api) -> None:
    seen: list[str] = []

    @livejobs.task("doubling", tags=["math"])
    def double(number: int) -> int:
        seen.append(livejobs.current().id)
        return number * 2

    @livejobs.task
    def broken() -> None:
        seen.append(livejobs.current().id)
        raise ValueError("no")

    assert double(4) == 8
    with pytest.raises(ValueError, match="no"):
        broken()
    good, bad = (api.job(id) for id in seen)
    assert (good["type"], good["result"], good["tags"]) == ("doubling", 8, ["math"])
    assert (bad["type"], bad["status"]) == ("broken", "failed")


def test_logging_becomes_lines_of_the_current_job(api: Api) -> None:
    handler = livejobs.LogHandler()
    logging.getLogger("tests.sdk").addHandler(handler)
    try:
        with livejobs.job("render") as job:
            logging.getLogger("tests.sdk").error("it %s", "broke")
            handler.handle(logging.makeLogRecord({"name": "livejobs.client", "msg": "own"}))
    finally:
        logging.getLogger("tests.sdk").removeHandler(handler)
    (line,) = api.get(f"/v1/jobs/{job.id}/logs").json()["logs"]
    assert (line["message"], line["level"], line["source"]) == ("it broke", "error", "tests.sdk")


def test_logging_never_raises_a_cancel(api: Api) -> None:
    with livejobs.job("render", raise_on_cancel=True) as job:
        job.flush()
        api.post(f"/v1/jobs/{job.id}/cancel")
        job.heartbeat()
        eventually(lambda: job._channel.cancelled)  # type: ignore[union-attr]  # says nothing itself
        record = logging.makeLogRecord({"name": "x", "msg": "stopping", "levelno": 20})
        assert livejobs.LogHandler(job).handle(record)
        job.result(1)
        raise AssertionError("the result raises")
    assert all_logs(api, job.id) == ["stopping"]
    assert api.job(job.id)["status"] == "cancelled"


def test_a_job_can_be_created_for_another_worker(api: Api) -> None:
    job = livejobs.job("render", title="later")
    job.create()
    job.flush()
    assert api.job(job.id)["status"] == "queued"
    with livejobs.job("render", id=job.id):
        pass
    assert api.job(job.id)["status"] == "succeeded"


def test_files_are_uploaded(api: Api, tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    path.write_bytes(b"x" * 3_000_000)
    with livejobs.job("render") as job:
        uploaded = job.upload(path)
        named = job.upload(b"{}", "facts.json")
        assert job.upload(tmp_path / "absent") is None
        assert job.upload(b"", "a/b") is None
        linked = job.attach(url="https://example.org/film.mp4")
    assert uploaded is not None
    assert named is not None
    assert linked is not None
    assert uploaded["size"] == 3_000_000
    assert named["media_type"] == "application/json"
    assert api.get(f"/v1/jobs/{job.id}/files/out.txt").content == path.read_bytes()


def test_many_threads_report_on_one_job(api: Api) -> None:
    def work(number: int) -> None:
        for line in range(50):
            job.log(f"{number}:{line}")
            job.advance()

    with livejobs.job("render", total=400) as job, ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    lines = all_logs(api, job.id)
    assert len(lines) == len(set(lines)) == 400
    for number in range(8):
        mine = [line for line in lines if line.startswith(f"{number}:")]
        assert mine == [f"{number}:{line}" for line in range(50)]
    assert api.job(job.id)["progress"]["current"] == 400


async def test_the_same_verbs_are_awaitable(api: Api) -> None:
    async def numbers() -> AsyncIterator[int]:
        for number in range(3):
            yield number

    async with livejobs.job("render") as job:
        await job.progress(1, 10)
        await job.advance(2)
        job.log("not awaited")
        await job.result(1)
        async for number in job.track(numbers(), total=3, name="count"):
            await job.count(seen=number)
        assert await job.upload(b"x", "x.txt") is not None
        assert livejobs.current().id == job.id
        assert await job.flush()
    with pytest.raises(ValueError, match="no"):
        async with livejobs.job("render") as failing:
            raise ValueError("no")
    state = api.job(job.id)
    assert (state["status"], state["progress"]["current"]) == ("succeeded", 3)
    assert all_logs(api, job.id) == ["not awaited"]
    assert state["counters"] == {"seen": 3}
    assert api.job(failing.id)["status"] == "failed"


def test_without_a_server_every_call_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIVEJOBS_URL", raising=False)
    before = threading.active_count()
    items = [1, 2]
    with livejobs.job("render", title="x") as job:
        job.progress(1)
        job.advance()
        job.log("x")
        assert list(job.track(items)) == items
        assert job.upload("no such file") is None
        assert not job.cancelled
    assert (job.id, job.page) == ("", None)
    assert threading.active_count() == before
    assert pickle.loads(pickle.dumps(job)).id == ""


def test_a_wrong_url_is_told_once_and_does_not_end_the_worker(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(2):
        with livejobs.job("render", url="localhost:8000") as job:
            job.log("x")
    assert len(caplog.records) == 1
    assert "localhost:8000" in caplog.text


def test_importing_the_sdk_loads_nothing_of_the_server(worker: Worker) -> None:
    out, _ = worker.run("", """
        import sys
        import livejobs
        with livejobs.job("render") as job:
            job.progress(1)
        print(*sorted(sys.modules))
    """)  # fmt: skip
    loaded = set(out.split())
    heavy = {"starlette", "uvicorn", "msgspec", "httpx2", "rich", "asyncio", "http.client", "ssl"}
    assert not loaded & heavy
    assert not [name for name in loaded if name.startswith("livejobs.core")]


def test_reporting_loads_nothing_of_the_server_either(api: Api, worker: Worker) -> None:
    out, _ = worker.run(str(api.base_url), """
        import sys
        import livejobs
        with livejobs.job("render") as job:
            job.progress(1)
        print(*sorted(sys.modules))
    """)  # fmt: skip
    loaded = set(out.split())
    assert "http.client" in loaded
    assert not loaded & {"starlette", "uvicorn", "msgspec", "httpx2", "rich", "asyncio"}


def test_what_the_package_says_it_has_is_there() -> None:
    for name in livejobs.__all__:
        assert getattr(livejobs, name) is not None
    assert set(livejobs.__all__) <= set(dir(livejobs))
    with pytest.raises(AttributeError):
        _ = livejobs.nothing
