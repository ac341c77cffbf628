"""A client of MCP 2026-07-28 that declares what a test wants: JSON-RPC over HTTP, by hand."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Any

import httpx2

from tests.support.server import LONG_ENOUGH

PREFIX = "io.modelcontextprotocol/"
TASKS = f"{PREFIX}tasks"
WITH_TASKS: Mapping[str, Any] = {"elicitation": {}, "extensions": {TASKS: {}}}
NAMED = ("name", "uri", "taskId")


class Agent:
    def __init__(
        self, url: str, key: str | None = None, declares: Mapping[str, Any] = WITH_TASKS
    ) -> None:
        self._address = f"{url}/mcp"
        self._credential = {} if key is None else {"authorization": f"Bearer {key}"}
        self._declares = declares
        self._ids = count(1)

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """The whole message that answers."""
        answer = httpx2.post(self._address, **self.request(method, params))
        streams = answer.headers["content-type"].startswith("text/event-stream")
        last = answer.text.rpartition("\ndata:")[2] if streams else answer.text
        said: dict[str, Any] = json.loads(last)
        return said

    def result(self, method: str, **params: Any) -> dict[str, Any]:
        said = self.ask(method, **params)
        assert "result" in said, said
        result: dict[str, Any] = said["result"]
        return result

    def refused(self, method: str, **params: Any) -> int:
        """The code of the error."""
        said = self.ask(method, **params)
        assert "error" in said, said
        return int(said["error"]["code"])

    def wait(self, job: str, **more: Any) -> dict[str, Any]:
        return self.result("tools/call", name="wait_for_job", arguments={"id": job, **more})

    def task(self, id: str) -> dict[str, Any]:
        return self.result("tasks/get", taskId=id)

    def answered(self, id: str, **responses: Any) -> dict[str, Any]:
        keyed = {key.removeprefix("n"): value for key, value in responses.items()}
        return self.ask("tasks/update", taskId=id, inputResponses=keyed)

    @contextmanager
    def listening(self, **notifications: Any) -> Iterator[Iterator[dict[str, Any]]]:
        """The messages of a subscription, as they come."""
        request = self.request("subscriptions/listen", {"notifications": notifications})
        with httpx2.stream("POST", self._address, **request) as answer:
            assert answer.status_code == 200, answer.read()
            yield (
                json.loads(line.removeprefix("data:"))
                for line in answer.iter_lines()
                if line.startswith("data:")
            )

    def request(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of a call of httpx."""
        version = "2026-07-28"
        meta = {f"{PREFIX}protocolVersion": version, f"{PREFIX}clientCapabilities": self._declares}
        named = next((params[name] for name in NAMED if isinstance(params.get(name), str)), None)
        headers = {
            **self._credential,
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": version,
            "mcp-method": method,
            **({} if named is None else {"mcp-name": as_header(named)}),
        }
        message = {"jsonrpc": "2.0", "id": next(self._ids), "method": method}
        body = {**message, "params": {**params, "_meta": meta}}
        return {"json": body, "headers": headers, "timeout": LONG_ENOUGH}


def as_header(text: str) -> str:
    """The text, in base64 where a header can't carry it."""
    if text.isascii() and text.isprintable() and text == text.strip():
        return text
    return f"=?base64?{b64encode(text.encode()).decode()}?="
