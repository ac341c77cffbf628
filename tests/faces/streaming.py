"""A client of Durable Streams for tests."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import httpx2 as httpx

SUCCEED = {"type": "succeed"}
NEXT = "stream-next-offset"


def line(n: int) -> dict[str, Any]:
    return {"type": "log", "message": f"line {n}"}


def read(api: httpx.Client, job: str, offset: str | None = None, **query: str) -> httpx.Response:
    query |= {} if offset is None else {"offset": offset}
    return api.get(f"/streams/{job}/logs", params=query)


def marks(answer: httpx.Response) -> tuple[bool, bool]:
    """Whether the answer reaches the end for now, and the end for ever."""
    return "stream-up-to-date" in answer.headers, "stream-closed" in answer.headers


class Batch(NamedTuple):
    items: list[Any]
    control: Mapping[str, Any]


def batches(answer: httpx.Response) -> Iterator[Batch]:
    """The events of a stream, each with its control event."""
    items: list[Any] = []
    name = ""
    for text in answer.iter_lines():
        if text.startswith("event: "):
            name = text.removeprefix("event: ")
        elif text.startswith("data:"):
            data = json.loads(text.removeprefix("data:"))
            if name == "data":
                items += data
            else:
                yield Batch(items, data)
                items = []


def events_of(
    api: httpx.Client, job: str, offset: str, kind: str = "logs"
) -> Any:  # a context manager
    return api.stream("GET", f"/streams/{job}/{kind}", params={"offset": offset, "live": "sse"})


def until_now(answer: httpx.Response) -> tuple[list[Any], str]:
    """What a stream brings until the client has all, and where it is then."""
    items: list[Any] = []
    for batch in batches(answer):
        items += batch.items
        if batch.control.get("upToDate"):
            return items, batch.control["streamNextOffset"]
    raise AssertionError("the stream ended before the client had all")
