"""One app in this process, its jobs, and how each protocol shows them."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from typing import Any

import httpx2 as httpx

from livejobs import LiveJobs, Settings, create_app
from livejobs.faces.registry import BUILT_IN
from livejobs.store.memory import MemoryStore
from tests.agree.agents import read
from tests.agree.faces import ORIGIN
from tests.faces.jobs import schema
from tests.mcp.extensions.agent import Agent

REACHED = "http://localhost"  # where agents find files; other links name the public address
A2A = {"a2a-version": "1.0"}
LOCAL = "taskId", "resultType", "pollIntervalMs", "_meta"  # of tasks, and not facts of a job


class World:
    def __init__(self, data: Path) -> None:
        self.ids = (f"j{n}" for n in count())
        self.runner = asyncio.Runner()
        self.exits = AsyncExitStack()
        settings = Settings(faces=tuple(BUILT_IN), data=data, public_url=ORIGIN)
        self.live = LiveJobs(settings, store=MemoryStore())
        transport = httpx.ASGITransport(create_app(self.live))
        self.http = httpx.AsyncClient(transport=transport, base_url=REACHED, timeout=None)
        self.agent = Agent("")
        self.run(self.exits.enter_async_context(self.live))

    def run(self, what: Any) -> Any:
        return self.runner.run(what)

    def close(self) -> None:
        self.run(self.http.aclose())
        self.run(self.exits.aclose())
        self.runner.close()

    # Requests

    async def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        answer = await self.http.request(method, path, headers=A2A, **more)
        assert answer.status_code < 500, answer.text
        return answer

    async def get(self, path: str) -> Any:
        answer = await self.ask("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def mcp(self, method: str, **params: Any) -> Any:
        """The result of a method."""
        return (await self.messages(self.agent.request(method, params)))[-1]["result"]

    async def messages(self, request: dict[str, Any]) -> list[Any]:
        """The answer, after all that came before it in its stream."""
        answer = await self.http.post("/mcp", **request)
        assert answer.status_code == 200, answer.text
        if answer.headers["content-type"].startswith("text/event-stream"):
            return [json.loads(data) for data in events(answer)]
        return [answer.json()]

    async def tool(self, name: str, **arguments: Any) -> Any:
        return await self.mcp("tools/call", name=name, arguments=arguments)

    async def task_of(self, id: str) -> str | None:
        """None: the job has ended, so waiting for it gives no task."""
        task: str | None = (await self.tool("wait_for_job", id=id)).get("taskId")
        return task

    # Jobs

    async def native(self, id: str) -> Any:
        """The job with all its log."""
        job = await self.get(f"/v1/jobs/{id}")
        job["logs"] = (await self.get(f"/v1/jobs/{id}/logs?limit=1000"))["logs"]
        return job

    async def faces(self, job: Any) -> dict[str, Any]:
        """The job through each face, at the cursor of the native one."""
        id = job["id"]
        seen: dict[str, Any] = {}
        for face, path in (
            ("consolidation", f"/api/v1/consolidation/status/{id}"),
            ("translation", f"/api/v1/status/{id}"),
            ("render", f"/api/jobs/{id}"),
            ("tasks", f"/api/tasks/{id}/status/"),
            ("operations", f"/operations/v1/projects/{job['project']}/operations/{id}"),
            ("ogc", f"/ogc/jobs/{id}"),
            ("a2a", f"/a2a/tasks/{id}"),
        ):
            answer = await self.ask("GET", path)
            assert answer.headers["etag"] == f'W/"{job["cursor"]}"'
            seen[face] = answer.json()
        asked = await self.ask("POST", "/v1/toolkit/job/status", json={"job_id": id})
        seen["toolkit"] = asked.json()["response"]
        schema("toolkit").validate(asked.json())
        results = await self.ask("GET", f"/ogc/jobs/{id}/results")
        assert (results.status_code == 200) == (job["status"] == "succeeded")
        seen["ogc results"] = results.json() if results.status_code == 200 else {}
        for kind in ("logs", "results", "errors"):
            answer = await self.ask("GET", f"/streams/{id}/{kind}")
            assert ("stream-closed" in answer.headers) == (job["completed_at"] is not None)
            seen[f"streams {kind}"] = answer.json()
        return seen

    async def agents(self, job: Any, task: str) -> dict[str, Any]:
        """The job through each tool of MCP that shows one, as a resource, and as a task."""
        id = job["id"]
        (text,) = (await self.mcp("resources/read", uri=f"livejob://{id}"))["contents"]
        listed = (await self.tool("list_jobs", limit=50))["structuredContent"]["jobs"]
        logs = await self.tool("get_logs", id=id, after=0, limit=200)
        shown = await self.mcp("tasks/get", taskId=task)
        if "result" in shown:
            shown["result"] = read(shown["result"])
        return {
            "get_job": read(await self.tool("get_job", id=id)),
            "resource": json.loads(text["text"]),
            "list_jobs": next(it for it in listed if it["id"] == id),
            "get_logs": logs["structuredContent"],
            "wait_for_job": read(await self.tool("wait_for_job", id=id, timeout_seconds=0)),
            "task": {name: value for name, value in shown.items() if name not in LOCAL},
        }


def events(answer: httpx.Response) -> list[str]:
    """The data of each event of a stream that has ended."""
    lines = answer.text.split("\n")
    return [line.removeprefix("data:").strip() for line in lines if line.startswith("data:")]
