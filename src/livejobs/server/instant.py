"""Offer requests that came whole to the app, before a task is made for them.

A report or a poll usually comes in one read, head and body. Then the app can answer it from the
parser's callback, or later, when the report is on disk. That saves the task, the cycle and the
future of ASGI, which cost more than the answer. All other requests are uvicorn's.

A request is offered only while no earlier one of its connection waits, so answers stay in order.
Later ones wait in uvicorn's queue for an answer that is still to come.
"""

from __future__ import annotations

import asyncio
import re
from functools import lru_cache
from typing import Any, Final

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from livejobs.server.connection import Connection
from livejobs.web.instant import Hook
from livejobs.web.ready import Answer

# A path that means the same before and after decoding, without a query.
PLAIN: Final = re.compile(rb"(?:/[A-Za-z0-9._:~-]+)+/?")
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
    __slots__ = ("held", "held_body", "instant", "late_refusal", "offered", "waiting")

    cycle: Any  # a Taken, too

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.instant: Hook | None = getattr(self.config.loaded_app, "instant", None)
        self.held = False  # the latest request may come whole with this read
        self.held_body = b""
        self.offered = 0  # requests of this read
        self.waiting: Taken | None = None  # the request whose answer is still to come
        self.late_refusal: tuple[int, str, str] | None = None  # to be sent after that answer

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
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
        super().feed(data)
        if self.held:
            self.decline(more=True)

    def begin_request(self) -> None:
        if self.may_offer():
            self.held, self.held_body = True, b""
        else:
            super().begin_request()

    def may_offer(self) -> bool:
        """Whether the request may come whole, and can be answered before all others."""
        if self.instant is None or self.expect_100_continue or self.offered == AT_ONCE:
            return False
        if self.cycle is not None and not self.cycle.response_complete:
            return False
        if self.flow.write_paused or self.transport.is_closing():
            return False
        if self.parser.get_http_version() != "1.1" or not self.parser.should_keep_alive():
            return False
        if PLAIN.fullmatch(self.url) is None:
            return False
        return all(name != b"transfer-encoding" for name, _ in self.headers)

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

    def offer(self) -> None:
        assert self.instant is not None, "nothing is held without it"
        self.offered += 1
        self.complete_scope()
        self.cycle = taken = Taken(self, self.scope)
        if not self.instant(self.scope, self.held_body, taken):
            self.decline(more=False)
        elif not taken.response_complete:
            self.waiting = taken
        self.held, self.held_body = False, b""

    def complete_scope(self) -> None:
        """As uvicorn does, for a plain path."""
        self.scope["path"] = self.root_path + self.url.decode("ascii")
        self.scope["raw_path"] = self.root_path.encode("ascii") + self.url
        self.scope["query_string"] = b""

    # The normal way

    def decline(self, *, more: bool) -> None:
        """Call the app. `more`: a part of the body is still to come."""
        self.complete_scope()
        self.cycle = cycle = self.new_cycle(self.scope)
        cycle.body += self.held_body
        cycle.more_body = more
        if self.held_body or not more:
            cycle.message_event.set()
        if len(self.held_body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        self.body_bytes += len(self.held_body)
        self.held, self.held_body = False, b""
        self._start_asgi_task(cycle, self.app)

    def resume(self, taken: Taken) -> None:
        """Call the app for a request that it took and could not carry out."""
        self.waiting = None
        if self.late_refusal is not None:
            super().refuse(*self.late_refusal)
            return
        cycle = self.new_cycle(taken.scope)
        cycle.keep_alive, cycle.more_body = taken.keep_alive, False
        cycle.message_event.set()
        if self.cycle is taken:
            self.cycle = cycle
        self._start_asgi_task(cycle, self.app)

    def new_cycle(self, scope: Any) -> RequestResponseCycle:
        return RequestResponseCycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=True,
            on_response=self.on_response_complete,
        )

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
