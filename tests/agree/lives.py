"""A job's life: how it begins, and what its worker and its viewers do, by any protocol."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec
from hypothesis import strategies as st
from msgspec.structs import replace

from livejobs.core import reports as say
from tests.agree.faces import COUNTERS
from tests.agree.world import World
from tests.support.strategies import json_values, new_jobs, said, texts, wire_reports

META = [
    "file_path", "source_language", "target_language", "processing_type", "output_file",
    "format_preservation", "projectPath", "outputPath", "endpoint", "id", "current_segment_id",
]  # fmt: skip
FILES = ["a.txt", "ü „b“ 🚀.mp4", "%2e%2e", "?#&=.bin", "result"]
FIELDS = ("type", "title", "total", "unit", "steps", "meta", "tags", "ttl_seconds")
BEGINS = ("native", "mcp", "a2a")
TOLD = ("native", "mcp")
CANCELS = ("native", "mcp", "task", "a2a", "operations", "ogc")
ANSWERS = ("native", "mcp", "task", "a2a")


class Step(NamedTuple):
    act: str
    by: str
    value: Any


worker = st.dictionaries(
    st.sampled_from(["pid", "queue_id", "queue_length"]), st.integers(0, 2**48) | json_values
)
schemas = st.sampled_from([None, {"type": "boolean"}, {"type": "string", "maxLength": 9}])
# What the faces look at comes up more often than by chance.
looked_at = st.one_of(
    said("start", worker=worker),
    said("meta", {"set": st.dictionaries(st.sampled_from(META), texts | json_values, max_size=5)}),
    said("count", {"counters": st.dictionaries(st.sampled_from(COUNTERS), st.integers(-9, 99))}),
    said("result", {"value": texts | st.fixed_dictionaries({"id": texts | st.integers(0, 9)})}),
    said("ask", {"prompt": texts.filter(str.strip)}, schema=schemas),
)


def step(act: str, by: tuple[str, ...], value: st.SearchStrategy[Any]) -> Any:
    return st.builds(Step, st.just(act), st.sampled_from(by), value)


reports = step("report", TOLD, st.one_of(wire_reports, looked_at))
steps = st.one_of(
    reports,
    reports,
    reports,
    step("answer", ANSWERS, st.booleans() | texts),
    step("cancel", CANCELS, st.none()),
    step("file", ("native",), st.sampled_from(FILES)),
)
# Kept for longer than a test looks at them.
beginnings = st.tuples(
    st.sampled_from(BEGINS),
    new_jobs.map(lambda new: replace(new, ttl_seconds=new.ttl_seconds and 60)),
)


# What happens


async def begin(world: World, by: str, new: say.NewJob) -> str:
    id = next(world.ids)
    given = msgspec.to_builtins(new)
    fields = {"id": id, **{name: given[name] for name in FIELDS if given[name] is not None}}
    if by == "mcp" and all(isinstance(it, str) for it in new.steps):
        made = await world.tool("create_job", **fields)
        assert not made["isError"], made
    elif by == "a2a":
        await message(world, {"messageId": id, "parts": [{"data": fields}]})
    else:
        await world.live.creating.put(id, new)
    return id


async def message(world: World, said: dict[str, Any]) -> int:
    body = {
        "message": {"role": "ROLE_USER", **said},
        "configuration": {"returnImmediately": True},
    }
    return (await world.ask("POST", "/a2a/message:send", json=body)).status_code


async def happen(world: World, job: Any, task: str, step: Step) -> None:
    if step.act == "report":
        await report(world, job, step)
    elif step.act == "file":
        path = f"/v1/jobs/{job['id']}/files/{quote(step.value, safe='')}"
        await world.ask("PUT", path, content=b"123")
    elif step.act == "answer" and job["waiting"]:
        await answer(world, job, task, step)
    elif step.act == "cancel" and not job["completed_at"]:
        await cancel(world, job, task, step.by)


async def report(world: World, job: Any, step: Step) -> None:
    if step.by == "mcp":
        await world.tool("report", id=job["id"], reports=[step.value])
    else:
        await world.ask("POST", f"/v1/jobs/{job['id']}/reports", json=step.value)


async def cancel(world: World, job: Any, task: str, by: str) -> None:
    id = job["id"]
    if by == "mcp":
        await world.tool("cancel_job", id=id)
    elif by == "task":
        await world.mcp("tasks/cancel", taskId=task)
    else:
        method, path = {
            "native": ("POST", f"/v1/jobs/{id}/cancel"),
            "a2a": ("POST", f"/a2a/tasks/{id}:cancel"),
            "operations": ("POST", f"/operations/v1/projects/default/operations/{id}:cancel"),
            "ogc": ("DELETE", f"/ogc/jobs/{id}"),
        }[by]
        assert (await world.ask(method, path)).is_success
    after = await world.native(id)
    assert after["cancel_requested"] or after["status"] == "cancelled"


async def answer(world: World, job: Any, task: str, step: Step) -> None:
    """One that fits closes the question, whichever way it takes."""
    id, asked, value = job["id"], job["waiting"], step.value
    if step.by == "mcp":
        await world.tool("answer", id=id, value=value, n=asked["n"])
    elif step.by == "task":
        given = {"action": "accept", "content": {"answer": value}}
        body = world.agent.request(
            "tasks/update", {"taskId": task, "inputResponses": {str(asked["n"]): given}}
        )
        assert (await world.http.post("/mcp", **body)).status_code < 500
    elif step.by == "a2a":
        await message(world, {"messageId": "m", "taskId": id, "parts": [{"data": value}]})
    else:
        await world.ask("POST", f"/v1/jobs/{id}/answer", json={"value": value})
    fits = asked["schema"] is None or isinstance(value, KINDS[asked["schema"]["type"]])
    assert ((await world.native(id))["waiting"] is None) == fits


KINDS = {"boolean": bool, "string": str}
