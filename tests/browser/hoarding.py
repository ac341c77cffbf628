"""A proxy that holds every event stream back until it ends, and may refuse WebSockets. nginx is no
help here: it sends on what it has whenever the server pauses."""

from __future__ import annotations

import re
import socket
import socketserver
import threading
from contextlib import suppress
from typing import Self


class Hoarder(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int, *, sockets: bool) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.upstream = ("127.0.0.1", port)
        self.sockets = sockets
        self.held = 0
        self.upgraded = 0
        self.refused = 0
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.shutdown()
        self.server_close()


class Handler(socketserver.BaseRequestHandler):
    server: Hoarder

    def handle(self) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            if not (piece := self.request.recv(65536)):
                return
            head += piece
        if b"\r\nUpgrade: websocket" in head:
            if not self.server.sockets:
                self.server.refused += 1
                self.request.sendall(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")
                return
            self.server.upgraded += 1
        else:  # one request a connection
            head = re.sub(rb"\r\nConnection: [^\r]*", b"\r\nConnection: close", head)
        with socket.create_connection(self.server.upstream) as up, suppress(OSError):
            up.sendall(head)
            threading.Thread(target=pipe, args=(self.request, up), daemon=True).start()
            if b"/events" in head.split(b"\r\n")[0]:
                self.server.held += 1
                self.request.sendall(everything(up))
            else:
                pipe(up, self.request)


def pipe(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_RDWR)


def everything(source: socket.socket) -> bytes:
    return b"".join(iter(lambda: source.recv(65536), b""))
