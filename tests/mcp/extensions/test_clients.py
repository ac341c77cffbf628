"""The official clients call wait_for_job, get a task, and follow it to its end."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.support.api import Api
from tests.support.needs import need
from tests.support.server import LONG_ENOUGH

FOLLOW = Path(__file__).parents[2] / "interop/follow.mjs"
ASK = {"type": "ask", "prompt": "Publish?", "schema": {"type": "boolean"}}


def finish(api: Api, job: str) -> None:
    """The worker's part, once its question is answered."""
    api.until(job, lambda it: it["waiting"] is None)
    answer = api.report(job, {"type": "heartbeat"})["answer"]
    api.report(job, {"type": "succeed", "result": {"published": answer["value"]}})


def test_the_typescript_clients_follow_a_task(api: Api) -> None:
    need(shutil.which("node"), "node is not installed")
    need((FOLLOW.parent / "node_modules/@modelcontextprotocol/ext-tasks").is_dir(), "ext-tasks")
    job = api.create()
    api.report(job, ASK)
    command = ["node", str(FOLLOW), f"{api.url}/mcp", job]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        assert json.loads(client.stdout.readline()) == {"question": "Publish?"}
        finish(api, job)
        result = json.loads(client.stdout.readline())["result"]
        assert client.wait(LONG_ENOUGH) == 0
    assert result["structuredContent"]["result"] == {"published": True}


async def _no_form(context: Any, params: Any) -> Any:
    raise AssertionError("questions of tasks come by tasks/get")


async def test_the_python_client_follows_a_task(api: Api) -> None:
    # Not for each process of the tests: this import takes a second.
    from mcp.client import Client  # noqa: PLC0415

    from tests.mcp.extensions.following import Tasks  # noqa: PLC0415 - it imports the same

    job = api.create()
    api.report(job, ASK)
    tasks = Tasks()
    async with Client(
        f"{api.url}/mcp", extensions=[tasks], elicitation_callback=_no_form
    ) as client:
        waiting = asyncio.create_task(client.call_tool("wait_for_job", {"id": job}))
        await asyncio.to_thread(finish, api, job)
        result = await waiting
    assert result.structured_content is not None
    assert result.structured_content["result"] == {"published": True}
    assert tasks.seen[0] == "input_required"
    assert tasks.seen[-1] == "completed"
