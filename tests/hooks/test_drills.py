"""Webhooks through trouble: hours of injected time, a killed server, two nodes."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from livejobs import LiveJobs, Settings, clock
from livejobs.core.access import ANONYMOUS
from livejobs.core.reports import NewHook
from livejobs.store.sqlite.store import SqliteStore
from tests.hooks.conftest import ALLOW
from tests.support.api import Api
from tests.support.needs import need
from tests.support.postgres import Postgres
from tests.support.receiver import Got, Receiver, Reply
from tests.support.server import LONG_ENOUGH, Server, hold_port

INTEROP = Path(__file__).parents[1] / "interop"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
HOUR = 3_600_000
TOLD = ["created", "started", "progress", "finished"]


class Time:
    """The clock of the process, which a test moves."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.ahead = 0
        real = clock.now_ms
        patch.setattr(clock, "now_ms", lambda: real() + self.ahead)


@asynccontextmanager
async def running(tmp: Path) -> AsyncIterator[LiveJobs]:
    store = SqliteStore(tmp / "jobs.db")
    settings = Settings(webhook_allow_private=("127.0.0.1",))
    async with LiveJobs(settings, store=store) as live:
        yield live


async def until(true: Callable[[], Awaitable[Any]]) -> Any:
    end = time.monotonic() + LONG_ENOUGH
    while not (found := await true()):
        assert time.monotonic() < end
        await asyncio.sleep(0.01)
    return found


async def story(live: LiveJobs, id: str) -> None:
    job = await live.create(id=id)
    await job.start()
    await job.progress(percent=42)
    await job.succeed()


def check(got: list[Got], jobs: list[str]) -> None:
    """Each job's events came in order. A message that came again has the same id."""
    seen: dict[str, str] = {}
    for it in got:
        # `verify` refuses a clock that is ahead. `sign` is what it compares with.
        id, at = it.headers["webhook-id"], int(it.headers["webhook-timestamp"])
        signed = Webhook(SECRET).sign(id, datetime.fromtimestamp(at, UTC), it.body.decode())
        assert it.headers["webhook-signature"] == signed
        seen.setdefault(it.headers["webhook-id"], f"{it.json['data']['id']} {it.event}")
    for job in jobs:
        assert [it.split()[1] for it in seen.values() if it.split()[0] == job] == TOLD, job


async def test_a_receiver_that_is_down_for_an_hour_gets_everything_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = Time(monkeypatch)
    held = hold_port()
    port = held.getsockname()[1]
    new = NewHook(f"http://127.0.0.1:{port}/in", [*TOLD], SECRET)  # type: ignore[list-item]  # of events
    async with running(tmp_path) as live:
        hook = await live.hooks.create(new, "default", ANONYMOUS)
        jobs = ["a", "b", "c"]
        for id in jobs:
            await story(live, id)

        async def firsts() -> list[Any]:
            """The first delivery of each job: the others wait behind it."""
            found = await live.store.deliveries(hook.id, limit=99)
            return [it for it in found if it.event == "created"]

        attempts = 0
        while now.ahead < HOUR:
            attempts += 1

            async def tried(n: int = attempts) -> bool:
                return all(it.attempts == n for it in await firsts())

            await until(tried)
            due = max(it.next_at for it in await firsts())
            now.ahead += due - clock.now_ms() + 1
            live.hooks.deliverer.wake()
        assert attempts < 12
        others = await live.store.deliveries(hook.id, limit=99)
        assert {it.attempts for it in others if it.event != "created"} == {0}
        held.close()
        with Receiver(port=port) as receiver:
            now.ahead += 2 * HOUR
            live.hooks.deliverer.wake()

            async def all_here() -> bool:
                return len(receiver.got) == len(jobs) * len(TOLD)

            await until(all_here)
            check(receiver.got, jobs)


def verify_with_npm(got: Got) -> None:
    need(shutil.which("node"), "node is not installed")
    said: dict[str, Any] = {
        "secret": SECRET,
        "headers": dict(got.headers),
        "body": got.body.decode(),
    }
    done = subprocess.run(
        ["node", "webhook.mjs"], cwd=INTEROP, input=json.dumps(said), capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == got.json
    said["body"] += " "
    forged = subprocess.run(
        ["node", "webhook.mjs"], cwd=INTEROP, input=json.dumps(said), capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert forged.returncode != 0


async def test_after_a_day_a_delivery_fails_and_the_next_one_has_its_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = Time(monkeypatch)
    with Receiver(lambda _: Reply(500)) as receiver:
        new = NewHook(f"{receiver.url}/in", ["created", "finished"], SECRET)
        async with running(tmp_path) as live:
            hook = await live.hooks.create(new, "default", ANONYMOUS)
            began = clock.now_ms()
            job = await live.create(id="a")
            await job.succeed()

            async def first() -> Any:
                return (await live.store.deliveries(hook.id, limit=9))[1]

            attempts = 0
            while True:
                attempts += 1

                async def tried(n: int = attempts) -> bool:
                    return bool((await first()).attempts == n)

                await until(tried)
                if (it := await first()).state == "failed":
                    break
                now.ahead += it.next_at - clock.now_ms() + 1
                live.hooks.deliverer.wake()
            assert 0.9 * 24 * HOUR < it.ended_at - began < 25 * HOUR
            receiver.reply = lambda _: Reply()
            await asyncio.to_thread(receiver.until_event, "finished")
            assert receiver.events() == [*["created"] * attempts, "finished"]
            ids = {it.headers["webhook-id"] for it in receiver.got}
            assert len(ids) == 2


async def test_retry_after_is_heeded(tmp_path: Path) -> None:
    with Receiver(lambda _: Reply(503, headers={"retry-after": "600"})) as receiver:
        new = NewHook(f"{receiver.url}/in", ["created"], SECRET)
        async with running(tmp_path) as live:
            hook = await live.hooks.create(new, "default", ANONYMOUS)
            await live.create(id="a")

            async def tried() -> Any:
                [it] = await live.store.deliveries(hook.id, limit=9)
                return it if it.attempts else None

            it = await until(tried)
            assert 590_000 < it.next_at - clock.now_ms() <= 600_000


def test_a_server_killed_again_and_again_loses_no_delivery(tmp_path: Path) -> None:
    asked = threading.Semaphore(0)

    def slowly(_: Got) -> Reply:
        asked.release()
        time.sleep(0.02)  # so that some requests are under way when the server dies
        return Reply()

    jobs: list[str] = []
    with Receiver(slowly) as receiver, Server(tmp_path / "data", *ALLOW) as server:
        with Api(server.url) as api:
            hook = {"url": f"{receiver.url}/in", "events": TOLD, "secret": SECRET}
            api.post("/v1/webhooks", json=hook).raise_for_status()
        for round in range(3):
            with Api(server.url) as api:
                for n in range(8):
                    jobs.append(api.create(id=f"j{round}-{n}"))
                    api.report(jobs[-1], {"type": "start"})
                    api.report(jobs[-1], {"type": "progress", "percent": 42})
                    api.report(jobs[-1], {"type": "succeed"})
            assert asked.acquire(timeout=LONG_ENOUGH)
            server.signal(signal.SIGKILL)
            server.wait()
            server.restart()
        receiver.until(lambda got: len(ended(got)) == len(jobs))
        check(receiver.got, jobs)
        for it in receiver.got[-3:]:
            assert Webhook(SECRET).verify(it.body, dict(it.headers))
            verify_with_npm(it)


def test_a_server_that_stops_does_not_wait_for_a_receiver(tmp_path: Path) -> None:
    held = threading.Event()

    def hold(_: Got) -> Reply:
        held.wait(LONG_ENOUGH)
        return Reply()

    with Receiver(hold) as receiver, Server(tmp_path / "data", *ALLOW) as server:
        hook = {"url": f"{receiver.url}/in", "events": ["created"], "secret": SECRET}
        with Api(server.url) as api:
            id = api.create(webhooks=[hook])
        receiver.until(lambda got: len(got) == 1)
        assert server.stop() == 0
        assert not held.is_set()
        held.set()
        server.restart()
        first, again = receiver.until(lambda got: len(got) == 2)
        assert first.body == again.body
        assert again.json["data"]["id"] == id


def ended(got: list[Got]) -> set[str]:
    return {it.json["data"]["id"] for it in got if it.event == "finished"}


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres() as running:
        yield running


def test_of_two_nodes_one_delivers_and_the_other_takes_over(
    tmp_path: Path, postgres: Postgres
) -> None:
    files = tmp_path / "files"
    files.mkdir()
    where = ("--database", postgres.database("hooks"), "--files", f"file://{files}", *ALLOW)
    with Receiver() as receiver, Server(tmp_path / "one", *where) as one:
        hook = {"url": f"{receiver.url}/in", "events": TOLD, "secret": SECRET}
        with Api(one.url) as api:
            api.post("/v1/webhooks", json=hook).raise_for_status()
        with Server(tmp_path / "two", *where) as two:
            drive(receiver, [one, two])


def drive(receiver: Receiver, nodes: list[Server]) -> None:
    with Api(nodes[0].url) as api:
        leads = "livejobs_leads 1.0" in api.get("/metrics").text
    jobs = [tell(nodes[n % 2], f"a{n}") for n in range(6)]
    receiver.until(lambda got: len(ended(got)) == 6)
    check(receiver.got, jobs)
    assert len(receiver.got) == len({it.headers["webhook-id"] for it in receiver.got})
    leader, other = nodes if leads else nodes[::-1]
    leader.signal(signal.SIGKILL)
    leader.wait()
    jobs += [tell(other, f"b{n}") for n in range(6)]
    receiver.until(lambda got: len(ended(got)) == 12)
    check(receiver.got, jobs)


def tell(server: Server, id: str) -> str:
    with Api(server.url) as api:
        api.create(id=id)
        api.report(id, {"type": "start"})
        api.report(id, {"type": "progress", "percent": 42})
        api.report(id, {"type": "succeed"})
    return id
