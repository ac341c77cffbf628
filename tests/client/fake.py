"""A server that answers as a test wants."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self

Answers = Sequence[tuple[Any, ...]] | Callable[[bytes], tuple[Any, ...]]


class Asked(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float


class Fake:
    """Answers in turn, the last one again and again; `deaf`: none at all."""

    def __init__(self, answers: Answers, *, deaf: bool = False) -> None:
        self.requests: list[Asked] = []
        self._answers = answers
        self._deaf = deaf
        self._over = threading.Event()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                fake.answer(self)

            do_PUT = do_GET = do_POST  # noqa: N815 - the base class names them so

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        asked = Asked(handler.command, handler.path, headers, body, time.monotonic())
        self.requests.append(asked)
        if self._deaf:
            self._over.wait()
            return
        status, said, *more = self._chosen(body)
        data = json.dumps(said).encode()
        handler.send_response(status)
        for name, value in (more[0] if more else {}).items():
            handler.send_header(name, value)
        handler.send_header("content-length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    def _chosen(self, body: bytes) -> tuple[Any, ...]:
        if callable(self._answers):
            return self._answers(body)
        return self._answers[min(len(self.requests), len(self._answers)) - 1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
