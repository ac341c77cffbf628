"""A node that breaks: it reads a request, and closes the connection without an answer."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


class Broken(ThreadingHTTPServer):
    """It answers only /readyz, and keeps the other requests: "POST /v1/jobs/j/reports"."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.ready = True
        self.seen: list[str] = []
        self.port: int = self.server_address[1]
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,))

    def saw(self, method: str, path: str) -> int:
        return sum(each.startswith(f"{method} {path}") for each in self.seen)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    server: Broken

    def do_GET(self) -> None:
        if self.path == "/readyz":
            self.send_response(200 if self.server.ready else 503)
            self.end_headers()
        else:
            self.rfile.read(int(self.headers["content-length"] or 0))
            self.server.seen.append(f"{self.command} {self.path}")

    do_POST = do_GET  # noqa: N815 - the name that the base class looks for

    def log_message(self, *args: object) -> None:
        """Nothing to stderr."""
