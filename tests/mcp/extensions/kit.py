"""The server for the task scenarios of the conformance kit: our own door, with the tools that they
ask for. Each makes a job and works on it: `python -m tests.mcp.extensions.kit DATA --port N`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeAlias

from msgspec import Struct

from livejobs.app import create_app
from livejobs.config import Settings, own_hosts
from livejobs.mcp.call import Call
from livejobs.mcp.extensions.full import full
from livejobs.mcp.extensions.tasks import EXTENSION, check_declared, created
from livejobs.mcp.tools.tool import Result, Tool, text
from livejobs.server.powers import RUNNER
from livejobs.server.runner import run
from livejobs.service import Job, LiveJobs

Work: TypeAlias = Callable[[Job, Any], Awaitable[None]]
QUICK: Final = 0.02  # seconds

_running: Final[set[asyncio.Task[None]]] = set()


class Greet(Struct, frozen=True):
    name: str = "you"


class Compute(Struct, frozen=True):
    seconds: float = 0
    label: str = ""


class Delete(Struct, frozen=True):
    filename: str = ""


class Nothing(Struct, frozen=True):
    pass


async def greet(call: Call, asked: Greet) -> Result:
    return text(f"Hello, {asked.name}!")


async def slow_compute(call: Call, asked: Compute) -> Result:
    if not call.declares(EXTENSION) or not asked.seconds:
        await asyncio.sleep(asked.seconds)
        return text("computed")
    return await begun(call, compute, asked)


async def failing_job(call: Call, asked: Nothing) -> Result:
    check_declared(call)
    return await begun(call, fail, asked)


async def confirm_delete(call: Call, asked: Delete) -> Result:
    return await begun(call, confirm, asked)


async def begun(call: Call, work: Work, asked: Any) -> Result:
    job = await call.live.create(by=call.by)
    await job.start()
    working = asyncio.ensure_future(work(job, asked))
    _running.add(working)
    working.add_done_callback(_running.discard)
    return created(call, await call.live.find(job.id, call.by))


async def compute(job: Job, asked: Compute) -> None:
    end = asyncio.get_running_loop().time() + asked.seconds
    while asyncio.get_running_loop().time() < end:
        if job.cancel_requested:
            await job.cancelled()
            return
        await asyncio.sleep(QUICK)
    await job.succeed("computed")


async def fail(job: Job, asked: Nothing) -> None:
    await job.fail("This job always fails.")


async def confirm(job: Job, asked: Delete) -> None:
    schema = {"type": "object", "properties": {"confirm": {"type": "boolean"}}}
    answer = await job.ask(f"Delete {asked.filename}?", schema)
    await job.succeed(answer)


TESTED: Final = (
    Tool("greet", "Greet", "Greet.", Greet, greet),
    Tool("slow_compute", "Compute", "Compute slowly.", Compute, slow_compute),
    Tool("failing_job", "Fail", "Fail.", Nothing, failing_job),
    Tool("confirm_delete", "Delete", "Ask first.", Delete, confirm_delete),
)


if __name__ == "__main__":
    settings = Settings(data=Path(sys.argv[1]), port=int(sys.argv[sys.argv.index("--port") + 1]))
    live = LiveJobs(settings, powers=RUNNER)
    door = full(tools=TESTED)
    run(create_app(live, hosts=own_hosts(settings), mcp=door), settings, drain=live.drain)
