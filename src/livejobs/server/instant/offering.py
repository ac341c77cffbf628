"""Offer requests that came whole to the app, before a task is made for them.

A report or a poll usually comes in one read, head and body, or in two that follow at once. Then the
app can answer it from the parser's callback, or later, when the report is on disk. That saves the
task, the cycle and the future of ASGI, which cost more than the answer. All other requests are
uvicorn's.

A request is offered only while no earlier one of its connection waits, so answers stay in order.
Later ones wait in uvicorn's queue for an answer that is still to come.
"""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from livejobs.server.connection import Connection
from livejobs.server.patience import Awaited
from livejobs.web.http import NOTES
from livejobs.web.instant import Hook
from livejobs.web.ready import Answer

# Headers of requests that are not offered, but for `Connection: keep-alive`.
ODD: Final = frozenset(
    {b"connection", b"expect", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)
BODY_SECONDS: Final = 0.005  # many clients send the body right after the head, in a second write
AT_ONCE: Final = 100  # requests of one read; one packet holds thousands, and others wait meanwhile
END: Final = b"\r\n"
SMALL: Final = 16 << 10  # bytes; up to this size a copy costs less than a second piece


class Taken:
    """A request that the app may take: in the place of uvicorn's cycle, and as the app's Reply."""

    __slots__ = ("connection", "disconnected", "keep_alive", "response_complete", "scope")

    # As in a cycle whose request has come whole.
    waiting_for_100_continue = more_body = response_started = False
    message_event: Final = asyncio.Event()  # uvicorn sets it; nobody waits for it

    def __init__(self, connection: InstantConnection, scope: Any) -> None:
        self.connection = connection
        self.scope = scope
        self.keep_alive = True  # False once the server stops
        self.disconnected = False
        self.response_complete = False

    def give(self, answer: Answer) -> None:
        self.response_complete = True
        if not self.disconnected:
            self.connection.finish(self, answer)

    def hand_back(self) -> None:
        self.response_complete = True
        if not self.disconnected:
            self.connection.resume(self)


class InstantConnection(Connection):
    __slots__ = (
        "held",
        "held_body",
        "in_trailers",
        "instant",
        "late_refusal",
        "length",
        "odd",
        "offered",
        "waiting",
    )

    cycle: Any  # a Taken, too

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        offers = None if self.access_log else getattr(self.config.loaded_app, "instant", None)
        self.instant: Hook | None = offers  # the log has a line for each request of ASGI
        self.held = False  # the latest request may come whole, with this read or soon
        self.length = b""  # of its body, as the head says
        self.held_body = b""
        self.in_trailers = False  # the head has come
        self.odd = False  # the head has what an offered request has not
        self.offered = 0  # requests of this read
        self.waiting: Taken | None = None  # the request whose answer is still to come
        self.late_refusal: tuple[int, str, str] | None = None  # to be sent after that answer

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        if self.app is not self.config.loaded_app:  # over a limit
            self.instant = None

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.waiting is not None:
            self.waiting.disconnected = True

    # What comes

    def feed(self, data: bytes) -> None:
        self.offered = 0
        before = self.scope if self.held else None
        super().feed(data)
        if self.held and self.scope is not before:
            if len(self.length) < len(b"%d" % SMALL):
                self.loop.call_later(BODY_SECONDS, self.decline_late, self.scope)
            else:
                self.decline_late(self.scope)

    def decline_late(self, scope: Any) -> None:
        """The rest of the body did not come with the head, or soon after it."""
        if not self.held or self.scope is not scope or self.transport.is_closing():
            return
        try:
            self.decline()
        except httptools.HttpParserError:  # the address is malformed
            self.send_400_response("The request is not valid HTTP.")

    def in_head(self) -> bool:
        return not self.held and super().in_head()

    def awaited(self) -> Awaited:
        return Awaited.BODY if self.held else super().awaited()

    def shutdown(self) -> None:
        self.decline_late(self.scope)  # the rest of a begun request is still read
        super().shutdown()

    def on_message_begin(self) -> None:
        """As uvicorn does. What only the app needs is added before the app is called."""
        self.url = b""
        headers: list[tuple[bytes, bytes]] = []
        self.headers = headers
        self.expect_100_continue = self.odd = False
        self.in_trailers, self.length = False, b""
        self.scope = {
            "type": "http",
            "client": self.client,
            "headers": headers,
            "query_string": b"",
        }

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.in_trailers:
            return
        name = name.lower()
        if name in ODD and value.lower() != b"keep-alive":
            self.odd = True
            self.expect_100_continue |= name == b"expect" and value.lower() == b"100-continue"
        elif name == b"content-length":
            self.length = value
        self.headers.append((name, value))

    def begin_request(self) -> None:
        self.in_trailers = True
        if self.may_offer():
            self.held, self.held_body = True, b""
            self.scope[NOTES] = {}
        else:
            self.call_app()

    def may_offer(self) -> bool:
        """Whether the request may come whole, and can be answered before all others."""
        if self.odd or self.offered == AT_ONCE or not self.may_take():
            return False
        return self.parser.get_http_version() == "1.1"

    def may_take(self) -> bool:
        """Whether all earlier requests are answered, and the client reads the answers."""
        if self.instant is None or (self.cycle is not None and not self.cycle.response_complete):
            return False
        return not (self.last or self.flow.write_paused or self.transport.is_closing())

    def on_body(self, body: bytes) -> None:
        if self.held:
            self.held_body += body
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self.held:
            self.offer()
        else:
            super().on_message_complete()

    def offer(self) -> bool:
        """Whether the app takes the request that has come whole."""
        self.offered += 1
        if self.takes(self.url, self.scope, self.held_body):
            self.held = False
            return True
        self.decline()
        super().on_message_complete()
        return False

    def takes(self, target: bytes, scope: Any, body: bytes) -> bool:
        """Whether the app takes the request."""
        assert self.instant is not None, "nothing is offered without it"
        before, self.cycle = self.cycle, Taken(self, scope)
        taken = self.cycle
        if not self.instant(target, scope, body, taken):
            self.cycle = before
            return False
        if not taken.response_complete:
            self.waiting = taken
        return True

    # The normal way

    def decline(self) -> None:
        """Call the app with as much of the body as has come."""
        self.held = False
        self.call_app()
        if self.held_body:
            super().on_body(self.held_body)

    def call_app(self) -> None:
        self.complete(self.scope)
        super().begin_request()

    def complete(self, scope: Any) -> None:
        scope.pop(NOTES, None)  # a layer in between may change the head
        scope |= {
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": "1.1",
            "server": self.server,
            "scheme": self.scheme,
            "root_path": self.root_path,
            "state": self.app_state.copy(),
        }

    def resume(self, taken: Taken) -> None:
        """Call the app for a request that it took and could not carry out."""
        self.waiting = None
        if self.late_refusal is not None:
            super().refuse(*self.late_refusal)
            return
        self.complete(taken.scope)
        taken.scope["raw_path"] = taken.scope["path"].encode("ascii")
        taken.scope["headers"] = list(taken.scope["headers"])  # a layer in between may add some
        cycle = RequestResponseCycle(
            scope=taken.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=taken.keep_alive,
            on_response=self.on_response_complete,
        )
        cycle.more_body = False
        cycle.message_event.set()
        if self.cycle is taken:
            self.cycle = cycle
        self._start_asgi_task(cycle, self.app)

    # Answers

    def finish(self, taken: Taken, answer: Answer) -> None:
        self.waiting = None
        if self.transport.is_closing():
            return
        head = begin_of(answer.status, *self.server_state.default_headers) + answer.head
        if not taken.keep_alive:
            head = head.removesuffix(END) + b"connection: close\r\n" + END
        if len(answer.body) <= SMALL:
            self.transport.write(head + answer.body)
        else:
            self.transport.writelines((head, answer.body))
        if not taken.keep_alive:
            self.transport.close()
        if self.late_refusal is None:
            self.on_response_complete()
        else:
            super().refuse(*self.late_refusal)

    def refuse(self, status: int, code: str, detail: str) -> None:
        """A refusal must not overtake the answer to an earlier request."""
        if self.waiting is None:
            super().refuse(status, code, detail)
        else:
            self.refused, self.late_refusal = True, (status, code, detail)


@lru_cache(maxsize=64)
def begin_of(status: int, *defaults: tuple[bytes, bytes]) -> bytes:
    """The status line and the default headers. They change once a second, with the date."""
    return b"".join((STATUS_LINE[status], *(b"%b: %b\r\n" % header for header in defaults)))
