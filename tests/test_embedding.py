"""livejobs inside other programs: the examples as anyone would run them, and mounted apps."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import httpx2 as httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from livejobs import LiveJobs, Settings, create_app
from livejobs.config import SettingError
from livejobs.core.errors import NotFound, NotStarted
from tests.support.api import PROBLEM, Api, problem
from tests.support.server import LONG_ENOUGH, clean_environment

EXAMPLES = Path(__file__).parents[1] / "examples"
APPS = ["starlette_app.py", "fastapi_app.py"]


def run(folder: Path, *program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *program],
        cwd=folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=LONG_ENOUGH,
        check=False,
    )


def test_the_embedded_example_runs(tmp_path: Path) -> None:
    done = run(tmp_path, str(EXAMPLES / "embedded.py"))
    assert done.returncode == 0, done.stderr
    first, *logs = done.stdout.splitlines()
    assert first == "succeeded 100 %"
    assert [json.loads(line)["message"] for line in logs] == [
        "exporting users",
        "exporting orders",
        "exporting events",
    ]


WATCHED = """
import asyncio
from pathlib import Path
from pkgutil import resolve_name

from blockbuster import blockbuster_ctx

from livejobs import LiveJobs, Settings


async def main():
    async with LiveJobs(Settings(data=Path("data"))) as live:
        with blockbuster_ctx():
            job = await live.create(id="job")
            await job.progress(current=1)
        await job.progress(advance=1)
        print((await job.state())["progress"]["current"], (await live.store.job("job")).seq)


asyncio.run(main())
"""


def test_a_program_that_forbids_to_block_its_loop_may_report(tmp_path: Path) -> None:
    done = run(tmp_path, "-c", WATCHED)
    assert done.stdout == "2 3\n", done.stderr
    assert "Traceback" not in done.stderr


@contextmanager
def example(name: str, folder: Path) -> Iterator[tuple[Api, subprocess.Popen[str]]]:
    """An example app under plain uvicorn."""
    process = subprocess.Popen(
        [sys.executable, str(EXAMPLES / name)],
        cwd=folder,
        env=clean_environment() | {"PORT": "0"},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    assert process.stderr is not None
    try:
        said = next(line for line in process.stderr if "running on" in line)
        with Api(re.findall(r"http://\S+", said)[0]) as api:
            yield api, process
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def states(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    return (json.loads(line[6:]) for line in lines if '"status"' in line)


def until_succeeded(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    for state in states(lines):
        yield state
        if state["status"] == "succeeded":
            return


@pytest.mark.parametrize("name", APPS)
def test_an_example_app_reports_in_process_while_clients_watch(name: str, tmp_path: Path) -> None:
    # Who watches the job may come when some of it is done; who watches all of them was there.
    with example(name, tmp_path) as (api, _), api.stream("GET", "/live/v1/events") as feed:
        told = feed.iter_lines()
        assert "event: ready" in told
        started = api.post("/exports")
        links = started.json()
        assert started.status_code == 202
        assert links["self"].startswith("/live/v1/jobs/")
        with api.stream("GET", links["events"]) as stream:
            *_, last = states(stream.iter_lines())
        assert last["status"] == "succeeded"
        assert last["result"] == {"tables": 3}
        percents = [state["progress"]["percent"] for state in until_succeeded(told)]
        assert (percents[0], percents[-1], sorted(percents)) == (0, 100, percents)
        job = api.get(links["self"]).json()
        assert job == last
        text = api.get(links["logs"], headers={"accept": "text/plain"}).text
        assert text == "exporting users\nexporting orders\nexporting events\n"


@pytest.mark.parametrize("name", APPS)
def test_an_example_app_stops_though_a_stream_is_open(name: str, tmp_path: Path) -> None:
    with example(name, tmp_path) as (api, process):
        id = api.post("/live/v1/jobs").json()["id"]
        with api.stream("GET", f"/live/v1/jobs/{id}/events") as stream:
            assert stream.status_code == 200
            process.terminate()
            assert process.wait(LONG_ENOUGH) in (0, -signal.SIGTERM)


@pytest.fixture
def live(tmp_path: Path) -> LiveJobs:
    return LiveJobs(Settings(data=tmp_path / "data", base_path="/live"))


@pytest.fixture(params=["starlette.applications.Starlette", "fastapi.FastAPI"])
def outer(request: pytest.FixtureRequest, live: LiveJobs) -> Starlette:
    """An app with livejobs mounted into it, and its own lifespan."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with live:
            yield

    app: Starlette = resolve_name(request.param)(lifespan=lifespan)
    app.mount("/live", create_app(live))
    return app


@asynccontextmanager
async def client_of(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        yield client


async def test_every_link_stands_below_the_mount_and_can_be_followed(outer: Starlette) -> None:
    async with client_of(outer) as client:
        made = await client.post("/live/v1/jobs", json={"id": "a"})
        assert made.headers["location"] == "/live/v1/jobs/a"
        assert made.json() == (await client.get(made.headers["location"])).json()
        assert {link[:6] for link in made.json()["links"].values()} == {"/live/"}
        await client.put("/live/v1/jobs/b")
        first = await client.get("/live/v1/jobs?limit=1&status=queued")
        rest = await client.get(first.links["next"]["url"])
        ids = [job["id"] for page in (first, rest) for job in page.json()["jobs"]]
        assert ids == ["b", "a"]


async def test_errors_below_the_mount_are_problems_and_others_are_not(outer: Starlette) -> None:
    async with client_of(outer) as client:
        problem(await client.get("/live/nothing"), 404, "not_found")
        problem(await client.get("/live/v1/jobs/nowhere"), 404, "job_not_found")
        problem(await client.delete("/live/v1/jobs"), 405, "method_not_allowed")
        problem(await client.post("/live/v1/jobs", content="x"), 400, "bad_json")
        elsewhere = await client.get("/elsewhere")
        assert (elsewhere.status_code, elsewhere.headers["content-type"] == PROBLEM) == (404, False)


async def test_the_app_around_finds_its_own_addresses(outer: Starlette) -> None:
    async def me(request: Request) -> Response:
        return Response(str(request.url_for("me")))

    outer.add_route("/me", me, name="me")
    async with client_of(outer) as client:
        assert (await client.get("/me")).text == "http://localhost/me"


class Closed:
    """A layer that somebody puts around the app: nothing comes through."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await Response(status_code=418)(scope, receive, send)


@pytest.fixture
def layered(live: LiveJobs) -> Starlette:
    app = create_app(live)
    app.add_middleware(Closed)
    return app


async def test_a_layer_around_the_app_is_met_by_every_request(
    layered: Starlette, live: LiveJobs
) -> None:
    async with client_of(layered) as client:
        job = await live.create()
        await job.start()
        path = f"/v1/jobs/{job.id}"
        report = {"type": "log", "message": "x"}
        assert (await client.get(path)).status_code == 418
        assert (await client.get(f"/api/tasks/{job.id}/status/")).status_code == 418
        assert (await client.post(f"{path}/reports", json=report)).status_code == 418
        assert (await live.job(job.id))["logs_total"] == 0


async def test_code_in_process_and_clients_see_the_same_job(
    live: LiveJobs, outer: Starlette
) -> None:
    async with client_of(outer) as client:
        job = await live.create(id="j", total=2)
        await job.progress(current=1)
        await client.post("/live/v1/jobs/j/reports", json={"type": "log", "message": "outside"})
        await client.post("/live/v1/jobs/j/cancel")
        assert job.cancel_requested
        assert (await client.get("/live/v1/jobs/j")).json() == await job.state()


@pytest.fixture
def pair(tmp_path: Path) -> list[LiveJobs]:
    return [LiveJobs(Settings(data=tmp_path / name, base_path=f"/{name}")) for name in "ab"]


@pytest.fixture
def of_pair(pair: list[LiveJobs]) -> Starlette:
    a, b = pair
    return Starlette(routes=[Mount("/a", create_app(a)), Mount("/b", create_app(b))])


async def test_two_services_in_one_process_know_nothing_of_each_other(
    pair: list[LiveJobs], of_pair: Starlette
) -> None:
    async with pair[0], pair[1], client_of(of_pair) as client:
        for live, name in zip(pair, "ab", strict=True):
            await live.create(id="j", title=f"of {name}")
        titles = [(await client.get(f"/{name}/v1/jobs/j")).json()["title"] for name in "ab"]
    assert titles == ["of a", "of b"]


@pytest.fixture
def alone(live: LiveJobs) -> Starlette:
    return create_app(live)


async def test_run_alone_the_app_starts_and_stops_its_service(
    live: LiveJobs, alone: Starlette
) -> None:
    async with alone.router.lifespan_context(alone):
        assert live.running
        await live.create()
    assert not live.running


async def test_the_folder_of_the_data_is_made_at_the_start_not_before(tmp_path: Path) -> None:
    data = tmp_path / "new" / "data"
    live = LiveJobs(Settings(data=data))
    assert not data.parent.exists()
    async with live:
        assert (data / "livejobs.db").exists()


async def test_a_folder_that_can_not_be_made_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingError) as caught:
        await LiveJobs(Settings(data=tmp_path / "file")).start()
    assert caught.value.name == "data"


# Starting and stopping


DOORS = [
    ("GET", "/v1/jobs"),
    ("GET", "/v1/jobs/j"),
    ("POST", "/v1/jobs"),
    ("PUT", "/v1/jobs/j"),
    ("POST", "/v1/jobs/j/reports"),
    ("GET", "/v1/jobs/j/events"),
    ("GET", "/v1/events"),
    ("GET", "/v1/jobs/j/logs?follow=1"),
    ("PUT", "/v1/jobs/j/files/a"),
    ("GET", "/v1/jobs/j/download"),
    ("POST", "/v1/jobs/j/uploads"),
    ("GET", "/v1/keys"),
]


@asynccontextmanager
async def client_without_lifespan(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


async def test_an_app_that_was_not_started_says_so_at_every_door(alone: Starlette) -> None:
    async with client_without_lifespan(alone) as client:
        for method, path in DOORS:
            answer = await client.request(method, path, content=b"{}")
            assert "lifespan" in problem(answer, 503, "not_started")["detail"]
        face = await client.get("/api/jobs/j")
        assert (face.status_code, "lifespan" in face.json()["error"]) == (503, True)
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/readyz")).status_code == 503


async def test_a_socket_of_an_app_that_was_not_started_is_refused(alone: Starlette) -> None:
    scope = {"type": "websocket", "path": "/v1/ws", "headers": [], "query_string": b""}
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await alone(scope, receive, send)
    assert sent == [{"type": "websocket.close"}]


async def test_a_call_before_the_start_says_what_to_do(live: LiveJobs) -> None:
    for call in (live.create, partial(live.find, "j"), partial(live.cancel, "j")):
        with pytest.raises(NotStarted, match="lifespan"):
            await call()


def whole_life(live: LiveJobs, app: Starlette, id: str) -> tuple[Any, ...]:
    """One test of somebody whose app is a module's: in an event loop of its own."""

    async def main() -> tuple[Any, ...]:
        async with client_of(app) as client:
            job = await live.create(id=id)
            await job.log("one")
            await client.put(f"/live/v1/jobs/{id}/files/a", content=b"abc")
            file = (await client.get(f"/live/v1/jobs/{id}/files/a")).content
            text = {"accept": "text/plain"}
            follow = client.get(f"/live/v1/jobs/{id}/logs?follow=1", headers=text)
            following = asyncio.ensure_future(follow)
            await job.succeed()
            await live.create(id=f"{id}-queued")
            counts = (await client.get("/live/v1/jobs")).json()["counts"]
            return (await following).text, file, counts["queued"], live.lanes.queued

    return asyncio.run(main())


def test_it_starts_again_after_a_stop(live: LiveJobs, outer: Starlette) -> None:
    assert whole_life(live, outer, "first") == ("one\n", b"abc", 1, 1)
    assert whole_life(live, outer, "second") == ("one\n", b"abc", 2, 2)
    assert whole_life(live, outer, "third") == ("one\n", b"abc", 3, 3)


async def test_a_second_start_knows_what_another_program_has_changed_meanwhile(
    live: LiveJobs, tmp_path: Path
) -> None:
    async with live:
        held = await live.create(id="j")
        await held.start()
    async with LiveJobs(Settings(data=tmp_path / "data")) as other:
        await other.report("j", {"type": "succeed"})
    async with live:
        assert (await live.job("j"))["status"] == "succeeded"
        with pytest.raises(NotFound):  # of the first start; it would write over what came since
            await held.log("late")
        assert (await live.job("j"))["logs_total"] == 0


async def test_what_runs_is_not_started_once_more(live: LiveJobs) -> None:
    async with live:
        with pytest.raises(RuntimeError, match="one lifespan"):
            await live.start()
        await live.create()


async def test_a_call_from_another_event_loop_is_refused_and_harms_nothing(
    live: LiveJobs, outer: Starlette
) -> None:
    async def ask() -> int:
        async with client_without_lifespan(outer) as client:
            return (await client.get("/live/v1/jobs/j")).status_code

    async with client_of(outer) as client:
        job = await live.create(id="j")
        for call in (live.create, partial(live.job, "j"), partial(job.log, "x"), job.state, ask):
            with pytest.raises(RuntimeError, match="another event loop"):
                await asyncio.to_thread(asyncio.run, call())
        await job.log("from here")
        loop = asyncio.get_running_loop()
        later = asyncio.run_coroutine_threadsafe(job.log("from a thread"), loop)
        await asyncio.wrap_future(later)
        assert (await client.get("/live/v1/jobs/j")).json()["logs_total"] == 2


# What docs/embedding.md shows


DOCS = Path(__file__).parents[1] / "docs" / "embedding.md"


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the code blocks define, run one after another as a module."""
    monkeypatch.chdir(tmp_path)
    module: dict[str, Any] = {"__name__": "shown"}
    for block in re.findall(r"^```python\n(.*?)^```$", DOCS.read_text(), re.DOTALL | re.MULTILINE):
        exec(compile(block, str(DOCS), "exec"), module)
    return module


async def test_the_app_of_the_docs_serves_and_its_thread_reports(shown: dict[str, Any]) -> None:
    async with client_of(shown["app"]) as client:
        links = (await client.post("/exports")).json()
        assert (await client.get(links["self"])).json()["status"] == "queued"
        done = (await client.post("/blocking-exports")).json()
        assert (done["status"], done["progress"]["current"]) == ("succeeded", 3)
        packed = await client.get("/compressed/v1/jobs")
        assert packed.headers["content-encoding"] == "gzip"
        assert len(packed.json()["jobs"]) == 2


def test_the_test_of_the_docs_passes_as_often_as_it_is_run(shown: dict[str, Any]) -> None:
    for _ in range(2):
        shown["test_an_export_can_be_watched"]()
