"""A group of tasks is a job that ends with the last of its tasks.

It stays queued until then: it has no worker whose heartbeats could keep it alive.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from livejobs.client.plain import encode
from livejobs.client.sending.transport import Transport, path_of
from livejobs.client.settings import Target


def end_with_the_last(target: Target, id: str, total: int) -> None:
    """Ask the server how many of the tasks have ended; end the group if all have. When two tasks
    end at the same time, both may say so: the server refuses the second, which does no harm."""
    transport = Transport(target)
    try:
        head = transport.call("GET", path_of(target, id), b"").said
        end = None if head.get("completed_at") else _end(head.get("children") or {}, total)
        if end is not None:
            transport.call("POST", path_of(target, id, "reports"), encode(end))
    finally:
        transport.close()


def _end(children: Mapping[str, int], total: int) -> dict[str, Any] | None:
    failed, cancelled = children.get("failed", 0), children.get("cancelled", 0)
    if children.get("succeeded", 0) + failed + cancelled < total:
        return None
    if failed:
        return {"type": "fail", "message": f"{failed} of {total} tasks failed."}
    return {"type": "cancelled" if cancelled else "succeed"}
