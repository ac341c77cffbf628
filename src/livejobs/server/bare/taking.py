"""Take a connection from uvicorn when its stream begins."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from functools import partial
from typing import Final

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from livejobs.live.sink import Send, Take, TakeSocket
from livejobs.server.bare.connection import Bare
from livejobs.server.bare.poller import AVAILABLE
from livejobs.server.bare.socket import BareSocket
from livejobs.server.bare.stream import BareStream
from livejobs.server.connection import Connection
from livejobs.server.direct import owner_of
from livejobs.server.websocket import WebSocketConnection

TURNS: Final = 10  # of the loop, within which a head usually has been sent


def taker_of(send: Send) -> Take | None:
    """None if the connection of this response must stay as it is: over TLS, HTTP/2 or HTTP/1.0,
    with a layer in between, with a further request behind this one, or on another server."""
    cycle = owner_of(send)
    if not isinstance(cycle, RequestResponseCycle) or cycle.scope["http_version"] != "1.1":
        return None
    connection = getattr(cycle.on_response, "__self__", None)
    if not isinstance(connection, Connection) or not _can_be_bare(connection):
        return None
    return partial(take_stream, connection, cycle) if _is_alone(connection, cycle) else None


def socket_taker_of(send: Send) -> TakeSocket | None:
    """The same for a WebSocket."""
    connection = owner_of(send)
    if not isinstance(connection, WebSocketConnection) or not _can_be_bare(connection):
        return None
    return partial(take_socket, connection)


def _can_be_bare(connection: Connection | WebSocketConnection) -> bool:
    return AVAILABLE and connection.transport.get_extra_info("sslcontext") is None


async def take_stream(connection: Connection, cycle: RequestResponseCycle) -> BareStream | None:
    fd = await _duplicate(connection.transport, partial(_is_alone, connection, cycle))
    if fd is None:
        return None
    stream = BareStream(fd, connection.client, connection.config.home)
    if not _move(connection, stream):
        return None
    cycle.disconnected = True  # for uvicorn, which expects the end of the response
    return stream


def _is_alone(connection: Connection, cycle: RequestResponseCycle) -> bool:
    """Whether nothing but the response of this request is left to do."""
    return (
        connection.scope is cycle.scope
        and not connection.pipeline
        and not cycle.more_body
        and not cycle.disconnected
    )


async def take_socket(connection: WebSocketConnection) -> BareSocket | None:
    fd = await _duplicate(connection.transport, partial(_is_between_messages, connection))
    if fd is None:
        return None
    config = connection.config
    socket = BareSocket(
        fd,
        connection.client,
        config.home,
        largest=config.ws_max_size,
        pong_seconds=config.limits.pong_seconds,
    )
    if not _move(connection, socket):
        return None
    while not connection.queue.empty():
        socket.messages.append(connection.queue.get_nowait())
    return socket


def _is_between_messages(connection: WebSocketConnection) -> bool:
    """Whether everything received was parsed."""
    return connection.all_parsed and not connection.close_sent and not connection.disconnected


async def _duplicate(transport: asyncio.Transport, free: Callable[[], bool]) -> int | None:
    """The same socket with a descriptor of its own, when everything written has been sent."""
    for _ in range(TURNS):
        if not transport.get_write_buffer_size():
            break
        await asyncio.sleep(0)
    else:
        return None
    fd = transport.get_extra_info("socket").fileno()
    if transport.is_closing() or fd < 0 or not free():
        return None
    try:
        return os.dup(fd)
    except OSError:  # there are no more descriptors
        return None


def _move(connection: Connection | WebSocketConnection, bare: Bare) -> bool:
    """From now on the bare connection is the one that counts. False: the kernel can't watch it."""
    try:
        bare.home.poller.add(bare)
    except OSError:  # the first one needs a descriptor for the epoll
        os.close(bare.fd)
        return False
    connection.moved = True
    connection.connections.discard(connection)
    bare.home.connections.add(bare)
    connection.transport.abort()
    return True
