"""The parser of a bare WebSocket: bytes come in any pieces, and it may be dropped in between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from livejobs.server.bare.frames import Frames, Unreadable

LARGEST = 1000


def masked(opcode: Opcode, data: bytes, *, fin: bool = True) -> bytes:
    return bytes(Frame(opcode, data, fin).serialize(mask=True))


texts = st.text(max_size=40).map(lambda text: [masked(Opcode.TEXT, text.encode())])
blobs = st.binary(max_size=40).map(lambda data: [masked(Opcode.BINARY, data)])
pings = st.binary(max_size=20).map(lambda data: [masked(Opcode.PING, data)])
fragments = st.lists(st.binary(max_size=5), min_size=2, max_size=4).map(
    lambda parts: [
        masked(Opcode.BINARY if at == 0 else Opcode.CONT, part, fin=at == len(parts) - 1)
        for at, part in enumerate(parts)
    ]
)
streams = st.lists(st.one_of(texts, blobs, pings, fragments), max_size=6).map(
    lambda messages: b"".join(frame for message in messages for frame in message)
)


def told(event: Any) -> Any:
    return (event.opcode, bytes(event.data)) if isinstance(event, Frame) else event


def parsed(pieces: Sequence[bytes], *, drop: bool) -> list[Any]:
    frames, events = Frames(LARGEST), []
    for piece in pieces:
        events += [told(event) for event in frames.parse(piece)]
        if drop and frames.between_messages:
            frames = Frames(LARGEST)
    return events


@given(streams, st.lists(st.integers(0, 300), max_size=8))
def test_pieces_make_the_same_messages_and_so_does_a_fresh_parser(
    stream: bytes, cuts: list[int]
) -> None:
    at = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    pieces = [stream[a:b] for a, b in pairwise(at)]
    whole = parsed([stream], drop=False)
    assert parsed(pieces, drop=False) == whole
    assert parsed(pieces, drop=True) == whole
    assert parsed([bytes([byte]) for byte in stream], drop=True) == whole


BROKEN: Mapping[str, tuple[bytes, int]] = {
    "not UTF-8": (masked(Opcode.TEXT, b"\xff"), 1007),
    "a character cut by the end": (
        masked(Opcode.TEXT, "é".encode()[:1], fin=False) + masked(Opcode.CONT, b"x"),
        1007,
    ),
    "a continuation of nothing": (masked(Opcode.CONT, b"x"), 1002),
    "a message inside another": (
        masked(Opcode.TEXT, b"a", fin=False) + masked(Opcode.TEXT, b"b"),
        1002,
    ),
    "too large": (masked(Opcode.TEXT, b"x" * (LARGEST + 1)), 1009),
    "too large in fragments": (
        masked(Opcode.TEXT, b"x" * LARGEST, fin=False) + masked(Opcode.CONT, b"x"),
        1009,
    ),
    "a close code of one byte": (masked(Opcode.CLOSE, b"\x00"), 1002),
    "a close reason that is not UTF-8": (masked(Opcode.CLOSE, b"\x03\xe8\xff"), 1007),
    "no mask": (bytes(Frame(Opcode.TEXT, b"x").serialize(mask=False)), 1002),
    "an unknown opcode": (b"\x83\x80\0\0\0\0", 1002),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_breaks_the_protocol_is_refused_with_its_code(name: str) -> None:
    stream, code = BROKEN[name]
    with pytest.raises(Unreadable) as refused:
        list(Frames(LARGEST).parse(stream))
    assert refused.value.code == code
