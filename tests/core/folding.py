"""A job at a known time, and the fold of reports as a worker sends them."""

from __future__ import annotations

import json
from typing import Any, NoReturn

import msgspec

from livejobs.core import reducer, wire
from livejobs.core import reports as say
from livejobs.core.cursor import Cursor
from livejobs.core.model import Head

NOW = 1_767_323_045_678
BOUNDS = say.Bounds()
CURSOR = Cursor("k3f9", 17)
ENDS = {"succeed": "succeeded", "fail": "failed", "cancelled": "cancelled"}


def new(*, now: int = NOW, **fields: Any) -> Head:
    return reducer.create(
        say.decode_new_job(msgspec.json.encode(fields)),
        id="j",
        project="default",
        owner="me",
        now=now,
    )


def read(*reports: dict[str, Any]) -> list[say.AnyReport]:
    return say.decode_body(msgspec.json.encode(reports), BOUNDS)


def told(head: Head, *reports: dict[str, Any], now: int = NOW) -> Head:
    return reducer.fold(head, read(*reports), now).head if reports else head


def seen(head: Head) -> Any:
    """The job as clients read it. The reader refuses NaN."""

    def refuse(constant: str) -> NoReturn:
        raise AssertionError(f"{constant} is not JSON")

    shown = wire.encode(wire.with_entries(wire.fields(head, CURSOR), [], []))
    return json.loads(shown, parse_constant=refuse)
