"""The official clients, in Python and TypeScript, in both eras: they list tools, wait for a moving
job and see its progress, give up a wait, cancel, and read a resource."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import anyio
import httpx2 as httpx
import pytest

from tests.interop.test_clients import HERE
from tests.mcp.test_waiting import streams
from tests.support.agent import LEGACY, MODERN
from tests.support.api import Api
from tests.support.desk import eventually
from tests.support.server import Server

if TYPE_CHECKING:
    from mcp.client.client import Client

ADMIN: Final = "the-first-admin-key"
PATIENCE: Final = 120  # seconds
TOOLS: Final = {"list_jobs", "get_job", "get_logs", "wait_for_job", "cancel_job", "answer",
                "create_job", "report"}  # fmt: skip


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("server") / "data"
    with Server(data, env={"LIVEJOBS_ADMIN_KEY": ADMIN}) as server:
        yield server


@pytest.fixture
def api(closed: Server) -> Iterator[Api]:
    with Api(closed.url) as api:
        api.headers["x-api-key"] = ADMIN
        yield api


def two_jobs(api: Api) -> tuple[str, str]:
    """One that moves when its progress is seen, and one that stays."""
    moving, other = uuid.uuid4().hex, uuid.uuid4().hex
    for id in (moving, other):
        api.create(id=id)
        api.report(id, {"type": "progress", "percent": 10, "message": "begun"})
    return moving, other


def move(api: Api, id: str, seen: float) -> None:
    """The next step of the job, once a client has seen the one before."""
    if seen < 30:
        api.report(id, {"type": "progress", "percent": seen + 10})
    else:
        api.report(id, {"type": "succeed", "result": "done"})


# Python


@asynccontextmanager
async def python(server: Server, mode: Any) -> AsyncIterator[Client]:
    # Not for each process of the tests: this import takes a second.
    from mcp.client.client import Client  # noqa: PLC0415
    from mcp.client.streamable_http import streamable_http_client  # noqa: PLC0415

    headers = {"authorization": f"Bearer {ADMIN}"}
    async with httpx.AsyncClient(headers=headers, timeout=PATIENCE) as http:
        transport = streamable_http_client(f"{server.url}/mcp", http_client=http)
        async with Client(transport, mode=mode) as client:
            yield client


@pytest.mark.parametrize(("mode", "version"), [("auto", MODERN), ("legacy", LEGACY)])
async def test_the_client_in_python(closed: Server, api: Api, mode: str, version: str) -> None:
    moving, other = two_jobs(api)
    seen: list[tuple[float, float | None, str | None]] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, total, message))
        await anyio.to_thread.run_sync(move, api, moving, progress)

    async with python(closed, mode) as client:
        assert client.protocol_version == version
        assert {tool.name for tool in (await client.list_tools()).tools} == TOOLS
        waited = await client.call_tool(
            "wait_for_job", {"id": moving}, progress_callback=on_progress
        )
        assert seen == [(10, 100, "begun"), (20, 100, "begun"), (30, 100, "begun")]
        assert waited.structured_content is not None
        assert waited.structured_content["result"] == "done"
        await give_up(client, other)
        await anyio.to_thread.run_sync(lambda: eventually(lambda: streams(api) == 0))
        cancelled = await client.call_tool("cancel_job", {"id": other})
        assert cancelled.structured_content is not None
        assert cancelled.structured_content["cancel_requested"] is True
        content = (await client.read_resource(f"livejob://{other}")).contents[0]
        assert json.loads(getattr(content, "text", ""))["cancel_requested"] is True
        wrong = await client.call_tool("get_job", {"id": "nope"})
        assert wrong.is_error


async def give_up(client: Client, id: str) -> None:
    """Cancel a call once it tells of progress."""
    async with anyio.create_task_group() as group:

        async def stop(progress: float, total: float | None, message: str | None) -> None:
            group.cancel_scope.cancel()

        await client.call_tool("wait_for_job", {"id": id}, progress_callback=stop)


async def test_the_client_in_python_listens(closed: Server, api: Api) -> None:
    _, id = two_jobs(api)
    uri = f"livejob://{id}"
    async with (
        python(closed, "auto") as client,
        client.listen(resource_subscriptions=[uri]) as subscription,
    ):
        await anyio.to_thread.run_sync(api.report, id, {"type": "progress", "percent": 50})
        with anyio.fail_after(PATIENCE):
            event = await anext(aiter(subscription))
    assert getattr(event, "uri", None) == uri


# TypeScript


@pytest.mark.parametrize(
    ("sdk", "version"), [("auto", MODERN), ("legacy", LEGACY), ("sdk", LEGACY)]
)
def test_the_clients_in_typescript(closed: Server, api: Api, sdk: str, version: str) -> None:
    moving, other = two_jobs(api)
    command = ["node", "clients/mcp.mjs", sdk, f"{closed.url}/mcp", ADMIN, moving, other]
    facts: dict[str, Any] = {}
    seen = []
    with subprocess.Popen(
        command, cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            fact = json.loads(line)
            if "progress" in fact:
                seen.append((fact["progress"], fact["total"], fact["message"]))
                move(api, moving, fact["progress"])
            facts |= fact
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    assert facts["version"] == version
    assert set(facts["tools"]) == TOOLS
    assert seen == [(10, 100, "begun"), (20, 100, "begun"), (30, 100, "begun")]
    assert facts["waited"]["result"] == "done"
    assert facts["cut"] == "cut"
    assert facts["cancelled"]["cancel_requested"] is True
    assert facts["read"]["cancel_requested"] is True
    assert (facts["wrong"], facts["isError"]) == ("There is no job 'nope'.", True)
    eventually(lambda: streams(api) == 0)
