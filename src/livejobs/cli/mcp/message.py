"""A line of an MCP client: what it asks, and the headers that the same message has over HTTP.

MCP 2026-07-28 names its version in each message. Older versions agree on one by `initialize`.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from livejobs.cli.report.lines import LONGEST, Line

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
NO_ANSWER: Final = -32000  # of the range that MCP leaves to implementations

VERSION: Final = "io.modelcontextprotocol/protocolVersion"
NAMES: Final = ("name", "uri", "taskId")  # the parameters that Mcp-Name repeats
PLAIN: Final = re.compile(r"[!-~]([ -~]*[!-~])?")  # what a header holds as it is
WRAPPED: Final = "=?base64?"

Id = str | int | float
Json = Mapping[str, Any]


class Bad(Exception):
    """A line that is no message. The client gets this answer."""

    def __init__(self, code: int, text: str, id: Id | None = None) -> None:
        super().__init__(text)
        self.answer = failure(id, code, text)


class Message(NamedTuple):
    text: bytes
    id: Id | None  # None: no answer is expected
    method: str | None  # None: it is itself an answer
    params: Json

    @property
    def modern(self) -> bool:
        return self._version is not None

    @property
    def _version(self) -> str | None:
        meta = self.params.get("_meta")
        version = meta.get(VERSION) if isinstance(meta, dict) else None
        return version if isinstance(version, str) and PLAIN.fullmatch(version) else None

    def headers(self, agreed: str | None) -> dict[str, str]:
        """`agreed`: the version that `initialize` has settled on."""
        version = self._version
        if version is None:
            return {} if agreed is None else {"mcp-protocol-version": agreed}
        found = {"mcp-protocol-version": version, "mcp-method": header(self.method or "")}
        name = next((self.params[it] for it in NAMES if isinstance(self.params.get(it), str)), None)
        return found if name is None else {**found, "mcp-name": header(name)}

    @property
    def cancelled(self) -> Id | None:
        """The request that the client no longer wants."""
        if self.method != "notifications/cancelled":
            return None
        return identity(self.params.get("requestId"))


def read(line: Line) -> Message:
    if line.cut:
        raise Bad(INVALID_REQUEST, f"The message is longer than {LONGEST} bytes.")
    try:
        said = json.loads(line.text)
    except (ValueError, RecursionError) as error:
        raise Bad(PARSE_ERROR, "The line is not JSON.") from error
    if not isinstance(said, dict):
        raise Bad(INVALID_REQUEST, "A line must be one JSON object: one message.")
    id, method, params = identity(said.get("id")), said.get("method"), said.get("params")
    if "id" in said and id is None:
        raise Bad(INVALID_REQUEST, "The id must be a string or a number.")
    if method is not None and not isinstance(method, str):
        raise Bad(INVALID_REQUEST, "The method must be a string.", id)
    asks = method is not None
    return Message(
        line.text, id if asks else None, method, params if isinstance(params, dict) else {}
    )


def identity(said: Any) -> Id | None:
    return said if isinstance(said, str | int | float) and not isinstance(said, bool) else None


def header(value: str) -> str:
    """The value, wrapped if a header can't hold it."""
    if PLAIN.fullmatch(value) and not value.startswith(WRAPPED):
        return value
    return f"{WRAPPED}{b64encode(value.encode('utf-8', 'replace')).decode()}?="


def failure(id: Id | None, code: int, text: str, data: Json | None = None) -> bytes:
    error = {"code": code, "message": text, **({} if data is None else {"data": data})}
    return json.dumps({"jsonrpc": "2.0", "id": id, "error": error}).encode()
