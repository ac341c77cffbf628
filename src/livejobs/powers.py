"""What the server that runs the app can do for it beyond ASGI.

Our own runner can do all of it (see server/powers.py); another ASGI server can do nothing, which
is the default. LiveJobs takes the value and gives each part what the part needs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from livejobs.files.areas.area import FileSender
from livejobs.live.sink import Send, Take, TakeSocket, Writer


def _no(*_: Any) -> bool:
    return False


def _nothing(_: Send) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Powers:
    #: Whether a coroutine of this `send` may be stepped by hand, without a task.
    inline: Callable[[Send], bool] = _no
    #: Writes bytes to the transport behind this `send`.
    writer_of: Callable[[Send], Writer | None] = _nothing
    #: Takes the connection behind this `send` when its stream begins (see server/bare/).
    taker_of: Callable[[Send], Take | None] = _nothing
    socket_taker_of: Callable[[Send], TakeSocket | None] = _nothing
    #: Sends a part of a file to the socket behind this `send`, by the kernel.
    sender_of: Callable[[Send], FileSender | None] = _nothing
    #: Writes a whole answer (status, header lines, body); returns whether it was written.
    answer_at_once: Callable[[Send, int, bytes, bytes], bool] = _no
    #: Whether the server itself called the app with this scope and this `send`.
    called_directly: Callable[[Any, Send], bool] = _no
    #: Whether the server calls `LiveJobs.drain` before it waits for open streams.
    drains: bool = False


NONE = Powers()
