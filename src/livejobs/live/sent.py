"""What was sent to all viewers since the start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from livejobs.live.frames import Message, Sendable, Wire


class Sent:
    __slots__ = ("bytes", "deliveries", "messages")

    def __init__(self) -> None:
        self.deliveries = 0  # sends; each can hold several messages
        self.messages = 0
        self.bytes = 0  # of the messages' data, whatever the wire adds

    def add(self, messages: int, size: int, times: int = 1) -> None:
        self.deliveries += times
        self.messages += times * messages
        self.bytes += times * size

    def add_page(self, page: Sequence[Message]) -> None:
        self.add(len(page), sum(len(message.data) for message in page))


class Batch:
    """A window as one wire has encoded it. It counts who took it, so that the sums are made once
    for all viewers."""

    __slots__ = ("ends", "messages", "sendable", "size", "taken")

    def __init__(self, sendable: Sendable, messages: int, size: int, *, ends: bool) -> None:
        self.sendable = sendable
        self.ends = ends  # the viewers' subscriptions
        self.messages = messages
        self.size = size
        self.taken = 0


class Page(NamedTuple):
    """A window as messages, for all viewers that have seen the same."""

    messages: Sequence[Message]
    size: int  # bytes of their data
    ends: bool  # the viewers' subscriptions

    def on(self, wire: Wire) -> Batch:
        return Batch(wire.encode(self.messages), len(self.messages), self.size, ends=self.ends)


class Made:
    """What was made of a window so far. Some wires are of one viewer, such as that of a wait of an
    agent: they share the messages, and others the bytes too."""

    __slots__ = ("batches", "pages")

    def __init__(self) -> None:
        self.batches: dict[tuple[Wire, int, frozenset[str]], Batch | None] = {}
        self.pages: dict[tuple[int, frozenset[str]], Page | None] = {}
