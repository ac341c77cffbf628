"""The fast path and the framework give the same answers: generated requests go both ways, into two
servers that began with the same database, and status, headers and body are compared."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Scope

from livejobs import LiveJobs, Settings, clock, create_app
from livejobs.faces.registry import BUILT_IN
from livejobs.powers import NONE, Powers
from livejobs.server.powers import RUNNER
from tests.support.line import Line, note_taken

ADMIN = "the-admin-key-of-this-test"
JOBS = ("queued", "running", "done", "foreign", "missing", "", "a b", "ä", "..", "x" * 200)
REQUESTS = 500  # for each seed
HEARTBEAT = b'{"type": "heartbeat"}'
FACES = tuple(BUILT_IN)
AIP = "/operations/v1/projects/default/operations"
BEGAN = 1_780_000_000_000  # ms since 1970


class Asked(NamedTuple):
    method: str
    path: str
    headers: Sequence[tuple[bytes, bytes]] = ()
    query: bytes = b""
    root_path: str = ""
    body: bytes = b""


class Got(NamedTuple):
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


async def ask(app: ASGIApp, asked: Asked) -> Got:
    """The answer to a client that leaves once it has sent its request, so that none is held."""
    sent: list[Message] = []
    left: list[Message] = [{"type": "http.request", "body": asked.body, "more_body": False}]

    async def receive() -> Message:
        return left.pop() if left else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope_of(asked), receive, send)
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return Got(sent[0]["status"], list(sent[0]["headers"]), body)


def scope_of(asked: Asked) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "method": asked.method,
        "path": asked.path,
        "raw_path": asked.path.encode(),
        "root_path": asked.root_path,
        "query_string": asked.query,
        "headers": [(b"host", b"localhost"), *asked.headers],
        "client": ("127.0.0.1", 1234),
        "server": ("localhost", 80),
        "state": {},
    }


# The servers


class Credentials(NamedTuple):
    admin: str
    viewer: str  # a key that may only see
    foreign: str  # a key of another project
    token: str  # for the job "done" alone


def bearer(key: str) -> tuple[bytes, bytes]:
    return b"authorization", f"Bearer {key}".encode()


async def made(app: ASGIApp, path: str, **fields: Any) -> Any:
    headers = (bearer(ADMIN), (b"content-type", b"application/json"))
    got = await ask(app, Asked("POST", path, headers, body=json.dumps(fields).encode()))
    assert got.status == 201, got
    return json.loads(got.body)


async def fill(live: LiveJobs) -> Credentials:
    """Jobs of every kind, and credentials of every kind."""
    app = await asyncio.to_thread(create_app, live)
    project = ["default"]
    viewer = await made(app, "/v1/keys", name="viewer", scopes=["view"], projects=project)
    foreign = await made(app, "/v1/keys", name="foreign", scopes=["report"], projects=["other"])
    for id in ("queued", "running", "done"):
        await live.create(id=id, type="render")
    await live.create(id="foreign", project="other")
    await live.report(
        "running", {"type": "result", "value": {"id": 1}}, {"type": "log", "message": "m"}
    )
    await live.report("done", {"type": "error", "message": "e"}, {"type": "succeed", "result": 1})
    token = await made(app, "/v1/tokens", jobs=["done"], ttl_seconds=86_400)
    return Credentials(ADMIN, viewer["key"], foreign["key"], token["token"])


class World(NamedTuple):
    live: Sequence[LiveJobs]  # of the fast path, and of the framework
    apps: Sequence[ASGIApp]
    credentials: Credentials

    async def both(self, asked: Asked) -> Got:
        fast, slow = [await ask(app, asked) for app in self.apps]
        if (b"content-type", b"text/event-stream; charset=utf-8") in fast.headers:
            fast, slow = fast._replace(body=b""), slow._replace(body=b"")  # it has random numbers
        assert fast == slow, asked
        return fast


@asynccontextmanager
async def world_in(folder: Path, powers: Powers = NONE, **settings: Any) -> AsyncIterator[World]:
    first = LiveJobs(Settings(data=folder / "first", admin_key=ADMIN, faces=FACES))
    async with first:
        credentials = await fill(first)
    lives, apps = [], []
    async with AsyncExitStack() as stack:
        for fast in (True, False):
            data = folder / f"fast-{fast}"
            await asyncio.to_thread(shutil.copytree, folder / "first", data)
            live = LiveJobs(
                Settings(data=data, admin_key=ADMIN, faces=FACES, **settings), powers=powers
            )
            lives.append(await stack.enter_async_context(live))
            apps.append(await asyncio.to_thread(create_app, live, fast=fast))
        yield World(lives, apps, credentials)


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Both servers see the same time, which moves when this is called."""
    now = [BEGAN]
    monkeypatch.setattr(clock, "now_ms", lambda: now[0])

    def a_second() -> None:
        now[0] += 1000

    return a_second


# The requests


class Requests:
    def __init__(self, credentials: Credentials, seed: int) -> None:
        self._one: Final = Random(seed)
        self._credentials = credentials

    def next(self, tags: Sequence[str]) -> Asked:
        """`tags` are those of the jobs as they are now."""
        of = self._one
        root = of.choice(["", "", "", "/live", "/v1"])
        before = of.choice([root, root, root, "", root + "x"])
        headers = [*self._credential(), *self._known(tags), *self._accept(), *self._prefer()]
        body, about = self._body()
        of.shuffle(headers)
        path = self._path()
        usual = "POST" if "reports" in path else "GET"
        method = of.choice([usual] * 8 + ["HEAD", "GET", "POST", "PUT", "OPTIONS", "PATCH"])
        return Asked(method, before + path, [*headers, *about], self._query(), root, body)

    def _path(self) -> str:
        of, job = self._one, self._one.choice([*JOBS[:3] * 4, *JOBS])
        native = [f"/v1/jobs/{job}"] * 9 + [f"/v1/jobs/{job}/reports"] * 12
        faces = [
            f"/api/tasks/{job}/status/", f"/api/tasks/{job}/status", f"/api/jobs/{job}",
            f"/api/v1/consolidation/status/{job}", f"/api/v1/status/{job}",
            f"/api/v1/download/{job}", f"/api/jobs/{job}/download", "/v1/toolkit/job/status",
            *[f"{AIP}/{job}{verb}" for verb in ("", "", ":cancel", ":x")], AIP, "/ogc", "/ogc/",
            f"/ogc/jobs/{job}", f"/ogc/jobs/{job}/results", "/ogc/jobs", "/operationsx",
        ]  # fmt: skip
        others = [f"/v1/jobs/{job}/events", f"/v1/jobs/{job}/logs", "/v1/nothing", "/healthz", "/"]
        path = of.choice([*native, *faces, *others])
        return path + of.choice([""] * 8 + ["/", "\n", "//", "/x", "%2F"])

    def _credential(self) -> list[tuple[bytes, bytes]]:
        keys = self._credentials
        good = [bearer(keys.admin)]
        cookie = (b"cookie", f"a=b; livejobs_token={keys.token}".encode())
        return self._one.choice(
            [good] * 8
            + [
                [],
                [bearer("nonsense")],
                [bearer(keys.viewer)],
                [bearer(keys.foreign)],
                [bearer(keys.token)],
                [bearer(keys.token + "x")],
                [(b"x-api-key", keys.admin.encode())],
                [(b"authorization", b"Basic abc")],
                [cookie],
                [cookie, (b"origin", b"https://elsewhere.example")],
                [*good, (b"origin", b"https://elsewhere.example")],
            ]
        )

    def _known(self, tags: Sequence[str]) -> list[tuple[bytes, bytes]]:
        tag = self._one.choice(tags)
        cursor = tag.partition("+")[0]
        values = self._one.choice(
            [[]] * 4
            + [
                [f'W/"{tag}"'], [f'"{tag}"'], [f'"{cursor}"'], [tag], [f'"x", W/"{tag}"'],
                [f'W/"x","{cursor}" '], ["*"], [" * "], ['"x", *'], ['*, "x"'], ["*", "*"],
                ['"x"', f'W/"{tag}"'], ['"x"', "*"], [f'w/"{tag}"'], [f'"{tag}'], [""], ['"*"'],
                [f'x"{tag}"'], [f'"{tag}"x'], [f'"a"{tag}"'],
            ]
        )  # fmt: skip
        return [(b"if-none-match", value.encode()) for value in values]

    def _accept(self) -> list[tuple[bytes, bytes]]:
        values = self._one.choice(
            [[]] * 6
            + [
                ["*/*"], ["application/json"], ["text/event-stream"], ["TEXT/Event-Stream;q=0"],
                ["application/json", "text/event-stream"], ["text/event-stream;q=0.5, */*"],
            ]
        )  # fmt: skip
        return [(b"accept", value.encode()) for value in values]

    def _prefer(self) -> list[tuple[bytes, bytes]]:
        values = self._one.choice(
            [[]] * 8 + [["wait=5"], ["wait=x"], ["respond-async"], ["a=b", "wait=99"]]
        )
        return [(b"prefer", value.encode()) for value in values]

    def _query(self) -> bytes:
        token = f"token={self._credentials.token}".encode()
        return self._one.choice(
            [b""] * 8
            + [token, token + b"&x=1", b"x=1", b"until=finished", b"until=never", b"token="]
        )

    def _body(self) -> tuple[bytes, list[tuple[bytes, bytes]]]:
        of = self._one
        lines = b'{"type": "log", "message": "a"}\n\n{"type": "count", "counters": {"a": 1}}\n'
        body = of.choice(
            [
                b'{"type": "progress", "percent": %d}' % of.randrange(100),
                b'[{"type": "heartbeat"}, {"type": "result", "value": 1}]',
                b'{"type": "heartbeat"}', b'{"type": "retry"}', b'{"type": "nothing"}', b"[]",
                b"", b"{", b"\xff", lines, lines + b'{"type": 1}\n', *[b" " * 1_100_000] * 3,
            ]
        )  # fmt: skip
        json_type, line_type = b"application/json", b"application/x-ndjson"
        kinds = of.choice(
            [[json_type]] * 5 + [[line_type]] * 4 + [[], [json_type, json_type], [b"text/plain"]]
        )
        coded = of.choice([[]] * 9 + [[(b"content-encoding", b"gzip")]])
        length = of.choice([[]] * 3 + [[(b"content-length", b"%d" % len(body))]])
        return body, [*[(b"content-type", kind) for kind in kinds], *coded, *length]


async def tags_of(world: World) -> list[str]:
    """Of both servers, since an estimate is as of the time when it is first asked for."""
    for live in reversed(world.live):
        slots = [await live.find(id) for id in ("queued", "running", "done")]
        tags = [slot.tag(clock.now_ms()) for slot in slots]
    return tags


@pytest.mark.parametrize("seed", range(3))
async def test_generated_requests_are_answered_alike(
    tmp_path: Path, pass_time: Callable[[], None], seed: int
) -> None:
    seen = set()
    async with world_in(tmp_path) as world:
        requests = Requests(world.credentials, seed)
        for _ in range(REQUESTS):
            got = await world.both(requests.next(await tags_of(world)))
            seen.add(got.status)
            pass_time()
        fast, slow = [
            [await live.job(id) for id in ("queued", "running", "done", "foreign")]
            for live in world.live
        ]
        assert fast == slow
    assert seen >= {200, 304, 400, 401, 403, 404, 405, 409, 413, 415, 422}


@pytest.mark.parametrize("seed", range(3))
async def test_generated_requests_over_our_own_connections_are_answered_alike(
    tmp_path: Path, pass_time: Callable[[], None], seed: int
) -> None:
    """Requests that came whole are answered without a task (see server/instant.py)."""
    seen = set()
    async with world_in(tmp_path, powers=RUNNER) as world:
        taken = note_taken(world.apps[0])
        requests = Requests(world.credentials, seed)
        for n in range(REQUESTS):
            asked = requests.next(await tags_of(world))
            if n % 2 and asked.method in ("GET", "POST"):
                asked = as_usual(asked)
            if not MAY_LAST.search(repr(asked._replace(body=b""))):  # it may be a megabyte
                seen.add(status_of(await answered_alike(world, bytes_of(asked))))
            pass_time()
        fast, slow = [
            [await live.job(id) for id in ("queued", "running", "done", "foreign")]
            for live in world.live
        ]
        assert fast == slow
    assert seen >= {200, 304, 400, 401, 404, 422}
    assert taken.count(True) >= REQUESTS / 50, taken.count(True)


def as_usual(asked: Asked) -> Asked:
    """With a good key, to a job that runs, as most requests are."""
    kept = [line for line in asked.headers if line[0] in (b"if-none-match", b"content-type")]
    path = "/v1/jobs/running" + ("/reports" if asked.method == "POST" else "")
    return asked._replace(path=path, query=b"", headers=[bearer(ADMIN), *kept], root_path="")


async def answered_alike(world: World, packet: bytes) -> bytes:
    fast, slow = [await Line(app).ask([packet], 1) for app in world.apps]
    assert fast == slow, packet
    return fast


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


# Streams, and waits for a change.
MAY_LAST: Final = re.compile(r"event-stream|/events|wait=|until=finished", re.IGNORECASE)


def bytes_of(asked: Asked) -> bytes:
    path = asked.path.removeprefix(asked.root_path)
    target = quote(path, safe="/%").encode() + b"?" * bool(asked.query) + asked.query
    length = b"%d" % len(asked.body)
    headers = {b"host": b"localhost", b"content-length": length}
    lines = [(name, value) for name, value in asked.headers if name not in headers]
    head = [b"%b %b HTTP/1.1" % (asked.method.encode(), target)]
    head += [b"%b: %b" % line for line in (*headers.items(), *lines)]
    return b"\r\n".join([*head, b"", asked.body])


async def test_a_request_past_the_rate_is_refused_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each request takes one call of its caller's rate, whichever way it goes."""
    monkeypatch.setattr(clock, "monotonic", lambda: 1.0)
    monkeypatch.setattr(clock, "now_ms", lambda: BEGAN)
    async with world_in(tmp_path, RUNNER, rate_read="40/s", rate_report="40/s") as world:
        for path, method in (("/v1/jobs/done", "GET"), ("/v1/jobs/running/reports", "POST")):
            for headers in ((), ((b"prefer", b"respond-async"),)):
                asked = Asked(method, path, (bearer(ADMIN), *headers), body=HEARTBEAT)
                answers = [(await world.both(asked)).status for _ in range(15)]
            packet = bytes_of(asked._replace(headers=(bearer(ADMIN),)))
            answers += [status_of(await answered_alike(world, packet)) for _ in range(15)]
        assert answers == [200] * 25 + [429] * 5


# There are two ways to compare only while the fast path is taken. Then the answer goes to the
# server's own `send`, which the framework wraps.


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/jobs/done"),
        ("POST", "/v1/jobs/running/reports"),
        ("GET", "/api/tasks/done/status/"),
    ],
)
async def test_the_most_frequent_requests_take_the_fast_path(
    tmp_path: Path, method: str, path: str
) -> None:
    async with world_in(tmp_path) as world:
        given = [
            await answered_at_once(app, Asked(method, path, [bearer(ADMIN)], body=HEARTBEAT))
            for app in world.apps
        ]
        assert given == [True, False]


async def answered_at_once(app: Any, asked: Asked) -> bool:
    """Whether the answer went to the server's own `send`."""
    given = []

    def at_once(send: Any, status: int, lines: bytes, body: bytes) -> bool:
        given.append(getattr(send, "__name__", ""))
        return False

    app.powers = Powers(answer_at_once=at_once)
    await ask(app, asked)
    return given == ["send"]


# Apps around ours


@pytest.mark.parametrize("path", ["/v1/jobs/{id}", "/api/tasks/{id}/status/", "/api/jobs/{id}"])
async def test_a_mount_with_a_parameter_of_its_own_changes_no_answer(
    tmp_path: Path, pass_time: Callable[[], None], path: str
) -> None:
    async with world_in(tmp_path) as world:
        outer = [Starlette(routes=[Mount("/of/{tenant}", app)]) for app in world.apps]
        mounted = World(world.live, outer, world.credentials)
        plain = path.replace("{id}", "done")
        got = await mounted.both(Asked("GET", f"/of/acme{plain}", [bearer(ADMIN)]))
        assert got == await world.both(Asked("GET", plain, [bearer(ADMIN)]))


@pytest.mark.parametrize("path", ["/v1/jobs/done", "/v1/jobs/missing", "/v1/jobs", "/nowhere"])
async def test_the_scope_of_an_app_around_ours_is_not_changed(tmp_path: Path, path: str) -> None:
    async with world_in(tmp_path) as world:
        for app in world.apps:
            asked = Asked("GET", path, [bearer(ADMIN)])
            before = scope_of(asked)
            after: list[Scope] = []

            async def outer(scope: Scope, receive: Any, send: Any, app: Any = app) -> None:
                await app(scope, receive, send)
                after.append(scope)  # noqa: B023  called within this round

            await ask(outer, asked)
            assert after == [before]
