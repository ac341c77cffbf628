"""A proxy that cuts connections in the middle of an answer."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit


class Cutting:
    """Each connection in turn is cut after so many bytes of its answer; those after the last one
    are left alone."""

    def __init__(self, url: str, cuts: Sequence[int]) -> None:
        where = urlsplit(url)
        self._server = (where.hostname or "", where.port or 0)
        self._cuts = list(cuts)
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                left = self._cuts.pop(0) if self._cuts else 1 << 62
                server = socket.create_connection(self._server)
                self._open += [client, server]
                self._start(client, server, 1 << 62)
                self._start(server, client, left)

    def _start(self, source: socket.socket, to: socket.socket, left: int) -> None:
        threading.Thread(target=self._copy, args=(source, to, left), daemon=True).start()

    def _copy(self, source: socket.socket, to: socket.socket, left: int) -> None:
        with suppress(OSError):
            while left > 0 and (data := source.recv(min(65536, left))):
                to.sendall(data)
                left -= len(data)
        for one in (source, to):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        for one in (self._listener, *self._open):
            one.close()
