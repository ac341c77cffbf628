"""What all integrations share, with a real server, in this process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import livejobs
from livejobs.client.plain import encode
from livejobs.core.reports import NewJob, decode_new_job
from livejobs.queues import base
from livejobs.queues.base import Bridge
from livejobs.queues.run import is_small
from livejobs.queues.task import Task, creation, job_id
from tests.queues.processes import environment
from tests.support.api import Api
from tests.support.server import Server, hold_port

any_text = st.text() | st.text(st.characters(categories=["Cs", "Lu", "Nd"]))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server") / "data") as running:
        yield running


@pytest.fixture
def api(shared: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setenv("LIVEJOBS_URL", shared.url)
    monkeypatch.setenv("LIVEJOBS_SPOOL", str(tmp_path / "spool"))
    with Api(shared.url) as client:
        yield client


def run_python(script: str, env: Mapping[str, str] | None = None) -> str:
    command = [sys.executable, "-c", script]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout


@given(any_text)
def test_any_id_of_a_task_gives_an_id_that_the_server_takes(id: str) -> None:
    assert decode_new_job(encode({"id": job_id(id)})).id == job_id(id)


@given(st.uuids().map(str) | st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:~-]{0,127}", fullmatch=True))
def test_an_id_that_the_server_takes_stays_as_it_is(id: str) -> None:
    assert job_id(id) == id


@given(any_text, any_text)
def test_different_tasks_are_different_jobs(one: str, other: str) -> None:
    assert (job_id(one) == job_id(other)) == (one == other)


@given(any_text, any_text, any_text, st.lists(any_text, max_size=3))
def test_the_server_takes_how_any_task_begins(
    name: str, queue: str, title: str, tags: list[str]
) -> None:
    task = Task("1", name * 50, queue * 50, parent="é", tags=tags)
    said = {key: value for key, value in creation(task, "x", title * 300).items() if value}
    assert isinstance(decode_new_job(encode(said)), NewJob)


def test_only_tasks_that_are_wanted_are_shown(api: Api) -> None:
    bridge = Bridge("x", include=["app.*", "tick"], exclude=["app.secret*"])
    wanted = ["app.render", "app.secrets", "tick", "tock"]
    assert [name for name in wanted if bridge.wants(name)] == ["app.render", "tick"]
    bridge.sent(Task("unwanted", "tock"))
    assert bridge.begin(Task("unwanted", "tock")).job.id == ""


def test_a_title_is_made_of_the_arguments_of_the_task(api: Api) -> None:
    bridge = Bridge("x", title=lambda film, **_: f"Render {film}")
    bridge.sent(Task("titled", "app.render", args=("Teaser",), kwargs={"fps": 25}))
    bridge.sent(Task("untitled", "app.render"))  # it raises, since the argument is missing
    livejobs.flush()
    titles = api.job("titled")["title"], api.job("untitled")["title"]
    assert titles == ("Render Teaser", "render")


def test_a_task_that_began_elsewhere_and_begins_again_is_another_attempt(api: Api) -> None:
    api.create(id="lost-worker")
    api.report("lost-worker", {"type": "start"})
    run = Bridge("x").begin(Task("lost-worker", "app.render"), queue="fast")
    run.succeed(1)
    run.close()
    job = api.job("lost-worker")
    assert (job["status"], job["attempt"], job["worker"]["queue"]) == ("succeeded", 2, "fast")


def test_a_child_of_a_cancelled_parent_is_not_started(api: Api) -> None:
    bridge = Bridge("x")
    task = Task("child", "app.part", parent=Task("cancelled-parent", "app.whole"))
    bridge.sent(task)
    livejobs.flush()
    assert api.job("child")["parent"] == "cancelled-parent"
    api.post("/v1/jobs/cancelled-parent/cancel")
    assert bridge.begin(task).refused
    livejobs.flush()
    assert api.job("child")["status"] == "cancelled"


def test_a_task_that_saw_the_cancel_and_returned_nothing_is_cancelled(api: Api) -> None:
    run = Bridge("x").begin(Task("seen", "app.render"))
    api.post("/v1/jobs/seen/cancel")
    livejobs.current().log("The answer to this line tells of the cancel.")
    livejobs.flush()
    assert livejobs.current().cancelled
    run.succeed(None)
    run.close()
    assert api.job("seen")["status"] == "cancelled"
    assert livejobs.current().id == ""


def test_a_loop_left_by_an_exception_does_not_start_a_retried_job_again(api: Api) -> None:
    run = Bridge("x").begin(Task("looped", "app.render"))
    loop = livejobs.current().track(range(9))
    assert [next(iter(loop)) for _ in range(1)] == [0]  # as a frame of a traceback keeps it
    run.retry(ValueError("no"))
    run.close()
    livejobs.flush()
    assert (api.job("looped")["status"], api.job("looped")["attempt"]) == ("queued", 2)


async def test_an_async_worker_begins_and_ends_without_blocking_its_loop(api: Api) -> None:
    run = await Bridge("x").begin_async(Task("async", "app.render"))
    assert livejobs.current().id == "async"
    run.fail(ValueError("no"))
    await run.close_async()
    assert api.job("async")["error"]["code"] == "ValueError"


def test_without_a_url_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIVEJOBS_URL", raising=False)
    bridge = Bridge("x")
    task = Task("nowhere", "app.render", parent=Task("group", "group", total=1))
    bridge.sent(task)
    bridge.cancelled(task)
    bridge.failed(task, ValueError())
    run = bridge.begin(task)
    run.on_cancel(lambda: None)
    run.retry("again")
    run.close()
    assert bridge.ended("nowhere") is run


AWAY = """
import livejobs
from livejobs.queues.base import Bridge
from livejobs.queues.task import Task
bridge, task = Bridge("x"), Task("away", "app.render")
bridge.sent(task)
run = bridge.begin(task)
livejobs.current().log("working")
run.succeed(3)
run.close()
for n in range(100):
    bridge.sent(Task(f"waits{n}", "app.render"))
print(run.refused)
"""


def test_a_server_that_is_away_stops_no_task_and_what_tasks_report_is_kept(tmp_path: Path) -> None:
    with hold_port() as held:  # nobody listens there
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        assert run_python(AWAY, environment(url, tmp_path / "spool")) == "False\n"
    # Jobs of tasks that were only sent come when the tasks start. The reporter has tried few.
    assert 1 <= len(list((tmp_path / "spool").glob("*/*"))) < 100


def test_too_many_waiting_jobs_are_created_when_their_tasks_start(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "WAITING", 0)
    bridge = Bridge("x")
    bridge.sent(Task("late", "app.render"))
    livejobs.flush()
    assert api.get("/v1/jobs/late").status_code == 404
    run = bridge.begin(Task("late", "app.render"))
    run.succeed()
    run.close()
    assert api.job("late")["status"] == "succeeded"


@pytest.mark.parametrize(
    ("value", "small"),
    [(None, True), ({"a": [1, "é"]}, True), (float("nan"), False), (object(), False),
     ("x" * 20_000, False), ({1, 2}, False)],
)  # fmt: skip
def test_a_result_is_sent_when_it_is_small_json(value: Any, small: bool) -> None:
    assert is_small(value) is small


def test_a_cycle_is_no_small_result() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    assert not is_small(cycle)


def test_importing_livejobs_loads_no_library_of_queues() -> None:
    script = "import livejobs, sys; print(*sys.modules)"
    assert not {"celery", "rq", "livejobs.queues"} & set(run_python(script).split())


def test_the_module_of_a_library_is_imported_as_any_other() -> None:
    script = """
import livejobs.celery, livejobs.taskiq as tasks
from livejobs import huey, rq
from livejobs.arq import install
import livejobs
print(livejobs.celery.install, livejobs.rq is rq, livejobs.taskiq is tasks, livejobs.dramatiq)
print(install is livejobs.arq.install, huey.install is livejobs.huey.install)
"""
    assert "False" not in run_python(script)


@pytest.mark.parametrize("name", ["celery", "rq"])
def test_a_missing_library_is_named_in_one_sentence(name: str) -> None:
    script = f"""
import sys
sys.modules[{name!r}] = None
import livejobs
try:
    livejobs.{name}
except ImportError as error:
    print(error)
"""
    assert run_python(script).rstrip().endswith(f"install {name!r}.")
