"""Times on the wire: RFC 3339, UTC, milliseconds, `Z`. In memory: milliseconds since 1970."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache


# Many changes share a second, reports of one batch share a millisecond, and every message repeats
# the old times of its head.
@lru_cache(maxsize=4096)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


@lru_cache(maxsize=4096)
def rfc3339(ms: int) -> str:
    second, rest = divmod(ms, 1000)
    return f"{_second(second)}.{rest:03d}Z"


def wire_time(ms: int | None) -> str | None:
    return None if ms is None else rfc3339(ms)
