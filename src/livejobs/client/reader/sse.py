"""Server-sent events (WHATWG 9.2), from bytes as they come."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

# CR, LF and CRLF end a line; no other character does.
_LINE = re.compile(rb"\r\n|\n|\r(?!\Z)")  # a CR at the end may be half of a CRLF


class Event(NamedTuple):
    name: str
    data: str
    id: str | None

    @property
    def value(self) -> Any:
        return json.loads(self.data)


class Parser:
    def __init__(self) -> None:
        self._rest = b""
        self._clear()

    def _clear(self) -> None:
        self._name = ""
        self._data: list[str] = []
        self._id: str | None = None

    def feed(self, chunk: bytes) -> list[Event]:
        *lines, self._rest = _LINE.split(self._rest + chunk)
        found = [self._line(line.decode("utf-8", "replace")) for line in lines]
        return [event for event in found if event is not None]

    def _line(self, line: str) -> Event | None:
        if not line:
            return self._dispatch()
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
        elif field == "event":
            self._name = value
        elif field == "id" and "\0" not in value:
            self._id = value
        return None

    def _dispatch(self) -> Event | None:
        name, data, id = self._name, self._data, self._id
        self._clear()
        return Event(name or "message", "\n".join(data), id) if data else None
