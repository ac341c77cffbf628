"""A site of another origin, whose pages a test writes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

Page = tuple[str, str] | Callable[[], tuple[str, str]]  # media type and text


class Site(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self.server_port}"
        self.pages: dict[str, Page] = {}
        self.policies: dict[str, str] = {}
        self.asked: list[str] = []

    def write(self, path: str, html: str, policy: str = "") -> str:
        """Return the address of the page."""
        self.pages[path] = ("text/html; charset=utf-8", html)
        self.policies[path] = policy
        return self.origin + path

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        page = self.server.pages.get(self.path, ("text/plain", ""))
        kind, text = page() if callable(page) else page
        body = text.encode()
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        if policy := self.server.policies.get(self.path):
            self.send_header("content-security-policy", policy)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass
