"""Queues whose tasks report nowhere, or to a server that is away."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from livejobs.queues.base import Bridge
from livejobs.queues.task import Task
from tests.client.fake import Fake
from tests.queues.processes import environment
from tests.support.server import LONG_ENOUGH, hold_port

# One task of each library that can work in the process that sends it.
PROGRAM = """
import asyncio, sys
import dramatiq, huey, taskiq
from dramatiq.brokers.stub import StubBroker
import livejobs

broker = StubBroker()
livejobs.dramatiq.install(broker, terminate=True)
calls = []
append = dramatiq.actor(calls.append, broker=broker)
worker = dramatiq.Worker(broker, worker_timeout=10)
worker.start()
append.send("dramatiq")
broker.join("default")
worker.stop()

queue = huey.MemoryHuey(immediate=True)
livejobs.huey.install(queue)

@queue.task()
def add(name):
    calls.append(name)

add("huey")

memory = taskiq.InMemoryBroker()
livejobs.taskiq.install(memory, terminate=True)

@memory.task
async def note(name):
    calls.append(name)
    livejobs.current().log(name)
    return name

async def main():
    sent = await note.kiq("taskiq")
    result = await sent.wait_result()
    result.raise_for_error()

asyncio.run(main())
print(*calls)
"""


async def test_a_server_that_hangs_is_not_waited_for_by_every_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them wait in the same thread. Two seconds for each would be too long."""
    monkeypatch.setenv("LIVEJOBS_SPOOL", str(tmp_path))
    with Fake([], deaf=True) as fake, ThreadPoolExecutor(1) as pool:
        asyncio.get_running_loop().set_default_executor(pool)
        bridge = Bridge("arq", url=fake.url)

        async def work(number: int) -> None:
            run = await bridge.begin_async(Task(f"task-{number}", "work"))
            run.succeed()
            bridge.ended(run.task.id)
            await run.close_async()

        async with asyncio.timeout(LONG_ENOUGH):
            await asyncio.gather(*map(work, range(60)))


@pytest.mark.parametrize("there", [True, False], ids=["away", "no server"])
def test_tasks_run_all_the_same(there: bool, tmp_path: Path) -> None:
    with hold_port() as held:  # nobody listens there
        env = environment(f"http://127.0.0.1:{held.getsockname()[1]}", tmp_path / "spool")
        if not there:
            del env["LIVEJOBS_URL"]
        ran = subprocess.run(
            [sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True,
            timeout=LONG_ENOUGH, check=True,
        )  # fmt: skip
    assert ran.stdout.split() == ["dramatiq", "huey", "taskiq"], ran.stderr
    assert any((tmp_path / "spool").glob("*/*/")) == there
