"""A receiver of webhooks: a small HTTP server in a thread, which keeps what it gets."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self

from tests.support.server import LONG_ENOUGH


class Got(NamedTuple):
    method: str
    path: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def event(self) -> str:
        return str(self.json["type"]).removeprefix("job.")


class Reply(NamedTuple):
    status: int = 204
    body: bytes = b""
    headers: Mapping[str, str] = {}


class Receiver:
    """`reply` decides what each request gets; it may wait. `got` has all requests in order."""

    def __init__(
        self,
        reply: Callable[[Got], Reply] = lambda _: Reply(),
        *,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.reply = reply
        self.got: list[Got] = []
        self._more = threading.Condition()
        self._server = _Server(("127.0.0.1", port), _handler(self))
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def keep(self, got: Got) -> None:
        with self._more:
            self.got.append(got)
            self._more.notify_all()

    def until(self, true: Callable[[list[Got]], bool]) -> list[Got]:
        """Wait until this holds of what has come."""
        end = time.monotonic() + LONG_ENOUGH
        with self._more:
            while not true(self.got):
                left = end - time.monotonic()
                assert left > 0, [it.body[:200] for it in self.got]
                self._more.wait(left)
            return [*self.got]

    def until_event(self, event: str, job: str | None = None) -> list[Got]:
        def came(got: list[Got]) -> bool:
            return any(it.event == event and job in (None, it.json["data"]["id"]) for it in got)

        return self.until(came)

    def events(self, job: str | None = None) -> list[str]:
        return [it.event for it in self.got if job in (None, it.json["data"]["id"])]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    address_family = socket.AF_INET

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that leave are no news."""


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            size = int(self.headers.get("content-length", 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            got = Got(self.command, self.path, headers, self.rfile.read(size))
            if len(got.body) < size:  # its sender died while it sent
                self.close_connection = True
                return
            receiver.keep(got)
            reply = receiver.reply(got)
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.status != 204:
                self.send_header("content-length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        do_POST = do_PATCH = do_GET = _answer  # noqa: N815 - http.server's names

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    return Handler
