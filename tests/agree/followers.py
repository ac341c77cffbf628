"""Those who follow a job to its end, each by one protocol, and what they know of it then."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.agree.world import World, events
from tests.mcp.extensions.agent import Agent

PLAIN = Agent("", declares={})  # a client without tasks, which waits


async def all_of(world: World, job: Any) -> dict[str, Any]:
    id = job["id"]
    known = await asyncio.gather(
        subscriber(world, id),
        waiter(world, id),
        poller(world, f"/operations/v1/projects/{job['project']}/operations/{id}"),
        *(reader(world, f"/streams/{id}/{kind}") for kind in ("logs", "results", "errors")),
    )
    names = ("a2a", "mcp", "operations", "streams logs", "streams results", "streams errors")
    return dict(zip(names, known, strict=True))


async def subscriber(world: World, id: str) -> Any:
    """The status and the artifacts of a task. A stream that ended with a question begins again."""
    while True:
        answer = await world.ask("GET", f"/a2a/tasks/{id}:subscribe")
        if answer.status_code == 400:  # it has ended between two streams
            return known_of(await world.get(f"/a2a/tasks/{id}"))
        first, *rest = map(json.loads, events(answer))
        known = known_of(first["task"])
        for kind, value in (pair for event in rest for pair in event.items()):
            if kind == "statusUpdate":
                known["status"] = unnumbered(value["status"])
            else:
                known["artifacts"][value["artifact"]["artifactId"]] = value["artifact"]
        if known["status"]["state"] != "TASK_STATE_INPUT_REQUIRED":
            return known


def known_of(task: Any) -> dict[str, Any]:
    return {
        "status": unnumbered(task["status"]),
        "artifacts": {it["artifactId"]: it for it in task["artifacts"]},
    }


def unnumbered(status: Any) -> Any:
    """Without the id of its message."""
    status.get("message", {}).pop("messageId", None)
    return status


async def waiter(world: World, id: str) -> Any:
    """The job that wait_for_job gives. A question leaves it nothing to wait for."""
    slot = await world.live.find(id)
    asked = {"name": "wait_for_job", "arguments": {"id": id}, "_meta": {}}
    while True:
        request = PLAIN.request("tools/call", asked)
        request["json"]["params"]["_meta"]["progressToken"] = "t"
        *told, last = await world.messages(request)
        numbers = [it["params"]["progress"] for it in told]
        assert numbers == sorted(set(numbers))
        job = last["result"]["structuredContent"]
        if job["completed_at"]:
            return job
        await world.live.until(slot, lambda: slot.head.waiting is None, 60)


async def poller(world: World, path: str) -> Any:
    while True:
        answer = await world.ask("POST", f"{path}:wait", json={"timeout": "10s"})
        if answer.json()["done"]:
            return answer.json()


async def reader(world: World, path: str) -> list[Any]:
    """All messages of a stream, which is closed."""
    answer = await world.ask("GET", f"{path}?offset=-1&live=sse")
    said = [json.loads(data) for data in events(answer)]
    assert said[-1]["streamClosed"]
    return [item for batch in said if isinstance(batch, list) for item in batch]
