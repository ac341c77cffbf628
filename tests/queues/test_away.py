"""Queues whose tasks report nowhere, or to a server that is away."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

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
