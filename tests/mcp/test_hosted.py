"""The MCP door where a stream is not a bare socket: under servers of others, and with TLS."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import httpx2 as httpx
import pytest

from tests.mcp.test_tools import new
from tests.mcp.test_waiting import ended, progress_of
from tests.server.test_stopping import serving
from tests.support.agent import Agent
from tests.support.api import Api
from tests.support.certificate import Certificate
from tests.support.server import LONG_ENOUGH, Server


def follow(api: Api, agent: Agent) -> None:
    """A wait with progress to its end, and one that is given up."""
    id = new(api, {"type": "progress", "percent": 1})
    with agent.waiting(id, progress=0) as told:
        assert progress_of(next(told))[0] == 1
        api.report(id, {"type": "progress", "percent": 2})
        assert progress_of(next(told))[0] == 2
        api.report(id, {"type": "ask", "prompt": "?"})
        assert ended(list(told)[-1])["waiting"]["prompt"] == "?"
    with agent.waiting(new(api, {"type": "start"}), progress=0) as told:
        next(told)


@pytest.mark.parametrize("name", ["uvicorn", "granian"])
def test_a_wait_under_another_server_ends_when_it_stops(name: str, tmp_path: Path) -> None:
    with serving(name, tmp_path) as (api, process), Agent(api.url) as agent:
        follow(api, agent)
        id = new(api, {"type": "start"})
        api.put(f"/v1/jobs/{id}/files/a.txt", content=b"hello").raise_for_status()
        _, link = agent.tool("get_job", id=id)["content"]
        assert link["uri"] == f"{api.url}/v1/jobs/{id}/files/a.txt"
        with agent.waiting(id, progress=0) as told:
            next(told)
            process.terminate()
            (only,) = told
        assert ended(only)["status"] == "running"
        with suppress(httpx.TransportError):
            agent.close()
        assert process.wait(LONG_ENOUGH) in (0, -15)


@pytest.mark.parametrize("protocol", ["http/1.1", "h2"])
def test_a_wait_over_tls(tmp_path: Path, certificate: Certificate, protocol: str) -> None:
    trust = certificate.trust(protocol)
    with (
        Server(tmp_path / "data", *certificate.flags, "--http2") as server,
        Api(server.url, trust=trust) as api,
        Agent(server.url, verify=trust, http2=protocol == "h2") as agent,
    ):
        follow(api, agent)
        assert agent.get("/healthz").http_version == {"h2": "HTTP/2"}.get(protocol, "HTTP/1.1")
