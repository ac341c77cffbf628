"""A client of the MCP door that hides nothing: it sends what it is given, and shows what comes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import httpx2 as httpx

MODERN: Final = "2026-07-28"
LEGACY: Final = "2025-11-25"
PREFIX: Final = "io.modelcontextprotocol/"
NAMED: Final = {"tools/call": "name", "resources/read": "uri"}


class Agent(httpx.Client):
    def __init__(
        self, url: str, key: str | None = None, *, version: str = MODERN, **more: Any
    ) -> None:
        credential = {} if key is None else {"authorization": f"Bearer {key}"}
        accept = {"accept": "application/json, text/event-stream"}
        super().__init__(base_url=url, headers={**accept, **credential}, **more)
        self.version = version
        self.modern = version == MODERN

    def message(
        self,
        method: str,
        params: dict[str, Any] | None = None,
        *,
        id: Any = 1,
        progress: Any = None,
    ) -> dict[str, Any]:
        meta: dict[str, Any] = {}
        if self.modern:
            meta = {f"{PREFIX}protocolVersion": self.version, f"{PREFIX}clientCapabilities": {}}
        if progress is not None:
            meta["progressToken"] = progress
        params = {**(params or {}), **({"_meta": meta} if meta else {})}
        return {"jsonrpc": "2.0", "id": id, "method": method, "params": params}

    def headers_of(self, message: dict[str, Any]) -> dict[str, str]:
        headers = {"mcp-protocol-version": self.version}
        if self.modern:
            headers["mcp-method"] = message["method"]
            if message["method"] in NAMED:
                headers["mcp-name"] = message["params"][NAMED[message["method"]]]
        return headers

    def ask(self, method: str, params: dict[str, Any] | None = None, **more: Any) -> httpx.Response:
        message = self.message(method, params, **more)
        return self.post("/mcp", json=message, headers=self.headers_of(message))

    def result(self, method: str, params: dict[str, Any] | None = None, **more: Any) -> Any:
        answer = self.ask(method, params, **more)
        assert answer.status_code == 200, answer.text
        return last(answer)["result"]

    def tool(self, name: str, **arguments: Any) -> Any:
        return self.result("tools/call", {"name": name, "arguments": arguments})

    def good(self, name: str, **arguments: Any) -> Any:
        """The structured result of a tool, which has not failed."""
        result = self.tool(name, **arguments)
        assert not result["isError"], result
        assert json.loads(result["content"][0]["text"]) == result["structuredContent"]
        return result["structuredContent"]

    def failed(self, name: str, **arguments: Any) -> str:
        """The sentence of a tool that has failed."""
        result = self.tool(name, **arguments)
        assert result["isError"], result
        assert "structuredContent" not in result
        return str(result["content"][0]["text"])

    @contextmanager
    def streamed(
        self, method: str, params: dict[str, Any], **more: Any
    ) -> Iterator[Iterator[dict[str, Any]]]:
        message = self.message(method, params, **more)
        headers = self.headers_of(message)
        with self.stream("POST", "/mcp", json=message, headers=headers) as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/event-stream"), answer.read()
            yield messages(answer.iter_lines())

    @contextmanager
    def waiting(self, job: str, seconds: float = 50, **more: Any) -> Iterator[Iterator[Any]]:
        arguments = {"id": job, "timeout_seconds": seconds}
        asked = {"name": "wait_for_job", "arguments": arguments}
        with self.streamed("tools/call", asked, **more) as told:
            yield told


def messages(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


def last(answer: httpx.Response) -> dict[str, Any]:
    """The answer, or the last message of a stream that has ended."""
    if answer.headers["content-type"].startswith("text/event-stream"):
        return list(messages(iter(answer.text.splitlines())))[-1]
    found: dict[str, Any] = answer.json()
    return found


def error(answer: httpx.Response, status: int, code: int) -> dict[str, Any]:
    """Check that the answer is this error, and return it."""
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    found: dict[str, Any] = answer.json()["error"]
    assert found["message"]
    return found
