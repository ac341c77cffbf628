"""Offer requests with a known head to the app, without the parser (see heads.py).

The parser never sees such a request. So one is only looked for where the parser is between two
requests, and when it is not taken the parser gets all of its bytes.
"""

from __future__ import annotations

from typing import Any

from livejobs.server.instant.heads import Heads, Known, head_of
from livejobs.server.instant.offering import BODY_SECONDS, InstantConnection
from livejobs.server.patience import Awaited
from livejobs.web.http import NOTES


class RecognizingConnection(InstantConnection):
    __slots__ = ("begun", "heads", "parsed", "parsing")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.heads: Heads = self.config.heads
        self.begun = b""  # a known head whose body has not come
        self.parsing = b""  # the head that the parser got first since it was between requests
        self.parsed = 0  # bytes that it got since then

    def feed(self, data: bytes) -> None:
        if self.begun:
            data, self.begun = self.begun + data, b""
        if self.between_requests():
            if self.recognizes(data):
                return
            self.parsing, self.parsed = head_of(data), 0
        self.parse(data)

    def parse(self, data: bytes) -> None:
        self.parsed += len(data)
        super().feed(data)
        if not self.held:
            self.parsing = b""

    def between_requests(self) -> bool:
        """Whether the next byte begins a request, and the app may take it."""
        if not self.may_take():
            return False
        cycle = self.cycle
        if cycle is None:
            return self.scope is None
        return cycle.scope is self.scope and not cycle.more_body

    def recognizes(self, data: bytes) -> bool:
        """Whether the data is a request that the app has taken, or a head whose body may follow at
        once."""
        found = self.heads.find(data)
        if found is None:
            return False
        if len(data) == found.end:
            return self.takes_known(found.known, data[found.body :])
        if len(data) == found.body:
            self.resting, self.begun = False, data
            self.loop.call_later(BODY_SECONDS, self.go_on, data)
            return True
        return False

    def takes_known(self, known: Known, body: bytes) -> bool:
        scope = {
            "type": "http",
            "client": self.client,
            "headers": known.headers,
            "query_string": b"",
            "method": known.method,
            NOTES: known.notes,
        }
        self.resting, self.framing_bytes = False, 0
        if not self.takes(known.target, scope, body):
            return False
        self.scope = scope
        return True

    def go_on(self, begun: bytes) -> None:
        """The body did not come at once."""
        if self.begun is begun and not self.transport.is_closing():
            self.begun = b""
            self.parse(begun)

    def offer(self) -> bool:
        taken, scope, body = super().offer(), self.scope, self.held_body
        head, self.parsing = self.parsing, b""
        # Else the read had more than this request.
        if taken and head and len(head) + len(body) == self.parsed:
            headers = tuple(scope["headers"])
            known = Known(scope["method"], self.url, headers, scope[NOTES], bool(body))
            self.heads.keep(head, known)
        return taken

    def awaited(self) -> Awaited:
        return Awaited.BODY if self.begun else super().awaited()

    def shutdown(self) -> None:
        if self.begun:
            self.go_on(self.begun)
        super().shutdown()
