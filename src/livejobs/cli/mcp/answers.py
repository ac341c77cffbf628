"""What the server sends back for one message, as lines for the client.

A client waits until its request is answered. So each request gets one answer with its id, also when
the server is away, refuses the key, or is cut off.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from livejobs.cli.mcp.message import NO_ANSWER, Message, failure
from livejobs.cli.reach import sentence
from livejobs.client.reader.asking import refused

CUT: Final = (
    "The connection to {url} was lost before the answer came. The call may have been done: check "
    "that, then send it again."
)
BREAKS: Final = re.compile(b"[\r\n]|\xc2\x85|\xe2\x80[\xa8\xa9]")
NO_MCP: Final = "The server at {url} does not know MCP. Update it, or check --url or LIVEJOBS_URL."


class Answers:
    def __init__(self, message: Message, url: str) -> None:
        self._message = message
        self._url = url
        self._done = message.id is None  # answered, or nobody waits for an answer
        self.agreed: str | None = None  # the version that `initialize` was answered with

    def body(self, status: int, body: bytes) -> bytes | None:
        """The line for a body that came whole, or None."""
        if status < 300 and not body:  # as 202 for a notification
            return None
        said = loaded(body)
        return self._reason(status, body) if said is None else self._line(said, body)

    def event(self, data: str) -> bytes | None:
        said = loaded(data)
        return None if said is None else self._line(said, data.encode())

    def over(self) -> bytes | None:
        """The server sends nothing more."""
        return self.failed(CUT.format(url=self._url))

    def failed(self, reason: str, **data: Any) -> bytes | None:
        """None: the request is answered already."""
        if self._done:
            return None
        self._done = True
        return failure(self._message.id, NO_ANSWER, reason, data or None)

    def _line(self, said: dict[str, Any], text: bytes) -> bytes | None:
        if "method" in said:
            return one_line(said, text)
        if self._done:
            return None
        self._done = True
        self._agree(said.get("result"))
        if said.get("id") == self._message.id:
            return one_line(said, text)
        # The server could not read so much as the id. Nothing else is answered here.
        return json.dumps({**said, "id": self._message.id}).encode()

    def _agree(self, result: Any) -> None:
        if self._message.method == "initialize" and isinstance(result, dict):
            version = result.get("protocolVersion")
            self.agreed = version if isinstance(version, str) else None

    def _reason(self, status: int, body: bytes) -> bytes | None:
        error = refused(status, body)
        if status == 404:
            return self.failed(NO_MCP.format(url=self._url), status=status)
        return self.failed(sentence(error, self._url), status=status, code=error.code)


def loaded(text: str | bytes) -> dict[str, Any] | None:
    """The message of JSON-RPC, or None."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) and "jsonrpc" in said else None


def one_line(said: dict[str, Any], text: bytes) -> bytes:
    """Some clients end a line also where Unicode does."""
    return json.dumps(said).encode() if BREAKS.search(text) else text
