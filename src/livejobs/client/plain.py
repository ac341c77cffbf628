"""Any Python value as JSON that the server takes. A value that JSON cannot hold is replaced."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final

DEPTH: Final = 30  # the server takes 32 levels, and the report itself is one
LONG: Final = 1000  # characters of what stands for a value

Report = Mapping[str, Any]


def encode(report: Report) -> bytes:
    """The report as UTF-8 JSON. Never raises for what a caller may pass."""
    try:
        return _fast(report).encode()
    except (TypeError, ValueError, RecursionError):  # a surrogate is a ValueError too
        return _fast(simple(report)).encode("utf-8", "replace")


def _plain(value: Any) -> Any:
    """For values that JSON does not know: numpy's scalars and arrays, times, paths, sets."""
    for name in ("tolist", "isoformat"):
        method = getattr(value, name, None)
        if callable(method):
            return method()
    if isinstance(value, set | frozenset):
        return list(value)
    return str(value)


_fast: Final = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain
).encode


def simple(value: Any, around: tuple[int, ...] = ()) -> Any:
    """The same value of JSON's own types. NaN becomes null; a cycle and what is nested too deeply
    become text. `around`: the containers that hold the value."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if id(value) in around or len(around) >= DEPTH:
        return f"<{type(value).__name__}>"
    within = (*around, id(value))
    if isinstance(value, Mapping):
        return {str(name): simple(inner, within) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [simple(inner, within) for inner in value]
    return _described(value, within)


def _described(value: Any, within: tuple[int, ...]) -> Any:
    try:
        plain = _plain(value)
        return plain[:LONG] if isinstance(plain, str) else simple(plain, within)
    except Exception:  # noqa: BLE001 - the value's own code may raise anything
        return f"<{type(value).__name__}>"


def pieces(text: str, limit: int) -> list[str]:
    """The text in pieces of at most so many bytes of UTF-8, cut between characters."""
    if len(text) * 4 <= limit:
        return [text]
    data = text.encode("utf-8", "replace")
    if len(data) <= limit:
        return [text]
    found: list[str] = []
    start = 0
    while start < len(data):
        end = min(start + limit, len(data))
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end -= 1
        found.append(data[start:end].decode())
        start = end
    return found


def shortened(text: str, limit: int) -> str:
    """The beginning of the text, if it is longer than so many bytes of UTF-8."""
    first, *rest = pieces(text, limit)
    return pieces(text, limit - 4)[0] + "…" if rest else first
