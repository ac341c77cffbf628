"""The body of a response over HTTP/1.1 that goes on until its stream ends."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from livejobs.server.admission import Client
from livejobs.server.bare.connection import Bare, Home

PIECE: Final = 4096
UNASKED: Final = 64 << 10  # bytes that a client may send after its request; they are not read


class BareStream(Bare):
    __slots__ = ("unasked",)

    def __init__(self, fd: int, client: Client, home: Home) -> None:
        super().__init__(fd, client, home)
        self.unasked = 0

    def bytes_of(self, message: Mapping[str, Any]) -> bytes:
        if "ready" in message:
            ready: bytes = message["ready"]
            return ready
        body: bytes = message["body"]
        chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
        if message["more_body"]:
            return chunk
        self.ending = True
        return chunk + b"0\r\n\r\n"

    def read(self) -> None:
        """Drop the bytes: the response said that no further request will be answered. Unread bytes
        would make the kernel reset the connection at its end, and lose the last message."""
        while self.fd >= 0:
            try:
                data = os.read(self.fd, PIECE)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            self.unasked += len(data)
            if not data or self.unasked > UNASKED:
                self.close()
