"""What would make a request last is not sent to the server that way; bytes are sent as bytes."""

from __future__ import annotations

from typing import Any

import schemathesis

schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")

WAITS = ("until", "follow", "Prefer")


@schemathesis.hook
def map_query(context: Any, query: Any) -> Any:
    return {name: value for name, value in (query or {}).items() if name not in WAITS}


@schemathesis.hook
def map_headers(context: Any, headers: Any) -> Any:
    return {name: value for name, value in (headers or {}).items() if name not in WAITS}
