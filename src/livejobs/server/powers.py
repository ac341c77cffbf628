"""What our own runner can do for the app beyond ASGI."""

from __future__ import annotations

from typing import Final

from livejobs.powers import Powers
from livejobs.server.bare.taking import socket_taker_of, taker_of
from livejobs.server.direct import answer_at_once, called_directly, inline, writer_of
from livejobs.server.sendfile import sender_of

RUNNER: Final = Powers(
    inline=inline,
    writer_of=writer_of,
    taker_of=taker_of,
    socket_taker_of=socket_taker_of,
    sender_of=sender_of,
    answer_at_once=answer_at_once,
    called_directly=called_directly,
    drains=True,
)
