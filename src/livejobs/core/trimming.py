"""How much is kept of a job's entries, when the server limits it. The oldest go first.

The head remembers the sizes of its entries in a few pieces, and whole pieces are dropped. So a
report needs no look at older entries, and what is removed follows from the head alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from livejobs.core.model import Entry, EntryKind, Head, Kept

PIECES: Final = 16  # so about a sixteenth is removed at once


class Cap(Struct, frozen=True):
    """The most entries of one kind to keep, and the most bytes of them; None: no limit."""

    count: int | None = None
    bytes: int | None = None

    def exceeded(self, count: int, bytes: int) -> bool:
        return (self.count is not None and count > self.count) or (
            self.bytes is not None and bytes > self.bytes
        )

    def full(self, count: int, bytes: int) -> bool:
        """Whether a piece of this size takes no more entries."""
        return (self.count is not None and count * PIECES >= self.count) or (
            self.bytes is not None and bytes * PIECES >= self.bytes
        )


Caps: TypeAlias = Mapping[EntryKind, Cap]
NO_CAPS: Final[Caps] = MappingProxyType({})


def trim(head: Head, entries: Sequence[Entry], caps: Caps) -> Head:
    """The head after these entries, which it already counts."""
    kept = head.kept
    for kind, cap in caps.items():
        sizes = [len(bytes(entry.value)) for entry in entries if entry.kind == kind]
        if sizes:
            before = kept.get(kind, Kept())
            kept = {**kept, kind: _added(before, head.total(kind) - len(sizes), sizes, cap)}
    return head if kept is head.kept else replace(head, kept=kept)


def _added(kept: Kept, before: int, sizes: Sequence[int], cap: Cap) -> Kept:
    """`before`: how many entries there were."""
    pieces = list(kept.pieces)
    if not pieces and before > kept.removed:  # they are older than the limit
        pieces = [(before, 0)]
    begin, size = _open(kept.removed, pieces, cap) if pieces else (before, 0)
    for last, bytes in enumerate(sizes, before + 1):
        size += bytes
        if cap.full(last - begin, size):
            pieces.append((last, size))
            begin, size = last, 0
    last = before + len(sizes)
    return _dropped(kept.removed, [*pieces, (last, size)] if last > begin else pieces, cap)


def _open(removed: int, pieces: list[tuple[int, int]], cap: Cap) -> tuple[int, int]:
    """Where the piece begins that takes the next entry, and its size. It is taken out."""
    begin = pieces[-2][0] if len(pieces) > 1 else removed
    last, size = pieces[-1]
    if cap.full(last - begin, size):
        return last, 0
    pieces.pop()
    return begin, size


def _dropped(removed: int, pieces: Sequence[tuple[int, int]], cap: Cap) -> Kept:
    """The last piece stays, so the newest entry does too."""
    (last, _), size, first = pieces[-1], sum(size for _, size in pieces), 0
    while first < len(pieces) - 1 and cap.exceeded(last - removed, size):
        removed, gone = pieces[first]
        size, first = size - gone, first + 1
    return Kept(removed, tuple(pieces[first:]))
