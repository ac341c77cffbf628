"""UUID version 7 (RFC 9562): ids that sort by the time they were made."""

from __future__ import annotations

from uuid import UUID


def uuid7(ms: int, random: bytes) -> str:
    """From the time and ten random bytes."""
    value = (ms & (1 << 48) - 1) << 80 | int.from_bytes(random, "big")
    value = value & ~(0xF << 76) | 0x7 << 76  # version
    value = value & ~(0x3 << 62) | 0x2 << 62  # variant
    return str(UUID(int=value))
