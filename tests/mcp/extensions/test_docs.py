"""docs/agents.md and examples/agent.py run as they stand."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.docs.blocks import texts
from tests.docs.stage import Stage
from tests.mcp.extensions.agent import Agent
from tests.support.api import Api
from tests.support.keyed import KEYED, client, make_key
from tests.support.needs import need
from tests.support.server import LONG_ENOUGH, Server

ROOT = Path(__file__).parents[3]
PAGE = "docs/agents.md"
AGENT, WORKER = texts(PAGE, "python")
ADDRESS = "http://127.0.0.1:8000"


@pytest.fixture
def worker(shared: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command that starts the worker of the page, which takes the id of a job."""
    monkeypatch.setenv("LIVEJOBS_URL", shared.url)
    monkeypatch.setenv("LIVEJOBS_SPOOL", str(tmp_path))
    program = tmp_path / "worker.py"
    program.write_text(f"import sys\nimport livejobs\nbuild = print\n{WORKER}")
    return [sys.executable, str(program)]


def test_the_example_starts_a_job_elsewhere_and_waits_for_it(
    shared: Server, worker: list[str]
) -> None:
    command = [sys.executable, str(ROOT / "examples/agent.py"), shared.url, *worker]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=LONG_ENOUGH, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines()[-1] == "succeeded None"


async def test_the_python_of_the_page_waits_for_a_job(shared: Server, worker: list[str]) -> None:
    from mcp.client import Client  # noqa: PLC0415 - a second, for this test alone

    seen: list[float] = []

    async def show(progress: float, total: float | None, message: str | None) -> None:
        seen.append(progress)

    elsewhere = '"ssh", "build-7", "python", "worker.py"'
    assert elsewhere in AGENT
    code = AGENT.replace(ADDRESS, shared.url).replace(elsewhere, "*worker")
    body = "".join(f"    {line}\n" for line in code.splitlines())
    names: dict[str, Any] = {}
    exec(f"async def run(Client, asyncio, worker, show):\n{body}    return job\n", names)
    job = await names["run"](Client, asyncio, worker, show)
    assert (job["status"], job["progress"]["percent"]) == ("succeeded", 100)
    assert seen == sorted(set(seen))


async def test_the_typescript_of_the_page_waits_for_a_job(
    shared: Server, api: Api, tmp_path: Path
) -> None:
    need(shutil.which("node"), "node is not installed")
    (code,) = texts(PAGE, "js")
    (tmp_path / "node_modules").symlink_to(ROOT / "tests/interop/node_modules")
    program = tmp_path / "agent.mjs"
    program.write_text(code.replace(ADDRESS, shared.url))
    job = api.create()
    api.report(job, {"type": "progress", "percent": 42, "message": "Pass 2"})
    node = await asyncio.create_subprocess_exec(
        "node", str(program), job, stdout=subprocess.PIPE, env=os.environ | {"LIVEJOBS_KEY": "x"}
    )
    assert node.stdout is not None
    assert b"progress: 42" in await node.stdout.readline()
    api.report(job, {"type": "succeed", "result": 7})
    rest, _ = await node.communicate()
    assert rest.decode().splitlines()[-1] == "succeeded 7"


def test_the_tools_of_each_scope_are_listed(tmp_path: Path) -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*`.*) \|$", (ROOT / PAGE).read_text(), re.MULTILINE)
    listed = {scope: re.findall("`(\\w+)`", tools) for scope, tools in rows if scope != "wait"}
    assert list(listed) == ["view", "cancel", "report"]
    may: set[str] = set()
    with Server(tmp_path / "data", env=KEYED) as server, client(server) as admin:
        for scope, tools in listed.items():
            may |= {*tools}
            key = make_key(admin, scope, scope)["key"]
            shown = Agent(server.url, key).result("tools/list")["tools"]
            assert {it["name"] for it in shown} == may


def test_the_command_creates_the_key_of_an_agent(tmp_path: Path) -> None:
    connect, create = texts(PAGE, "sh")
    found = re.search(r"lj_\w+[\w-]*", Stage(tmp_path).run(create))
    assert found
    *_, address, option, header = shlex.split(connect)
    assert (address, option) == (f"{ADDRESS}/mcp", "--header")
    name, _, value = header.partition(": ")
    with Server(tmp_path / "livejobs-data") as server:
        listing = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        answer = httpx2.post(
            address.replace(ADDRESS, server.url),
            headers={name: value.replace("$LIVEJOBS_KEY", found[0])},
            json=listing,
        )
    tools = {it["name"] for it in answer.json()["result"]["tools"]}
    assert tools == {"list_jobs", "get_job", "get_logs", "wait_for_job"}


def test_the_settings_of_clients_name_the_address_of_the_server() -> None:
    for text in texts(PAGE, "json"):
        (servers,) = (value for name, value in json.loads(text).items() if "ervers" in name)
        said = json.dumps(servers["livejobs"])
        assert f"{ADDRESS}/mcp" in said or ADDRESS in servers["livejobs"]["args"]
