"""A job as a model reads it: bounded, because every byte takes room in the model's context."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Raw

from livejobs import clock
from livejobs.core.model import EntryKind, Record
from livejobs.core.wire import file
from livejobs.jobs.state import Slot
from livejobs.mcp.call import Form
from livejobs.service import LiveJobs
from livejobs.store.base import EntryQuery

ENTRIES: Final = 20  # results or errors at once
LINKS: Final = 20  # to files; `files` has all
SHORT: Final = 300  # characters of a message in a list, or in a notification
BYTES: Final = 24 * 1024  # of entries at once; a single larger entry is sent whole


def head(slot: Slot) -> dict[str, Any]:
    """The job without its entries."""
    return slot.fields(clock.now_ms())


def links(slot: Slot, form: Form) -> list[dict[str, Any]]:
    """The files as links, for clients that know links. To follow one needs the same credential."""
    if not form.links:
        return []
    files = [file(slot.head.id, it, slot.base) for it in slot.head.files[:LINKS]]
    return [
        {
            "type": "resource_link",
            "uri": form.origin + it["url"],
            "name": it["name"],
            "mimeType": it["media_type"],
            **({} if it["size"] is None else {"size": it["size"]}),
        }
        for it in files
    ]


def short(text: str) -> str:
    """A message of a worker, which may be long, where one line is enough."""
    return text if len(text) <= SHORT else text[: SHORT - 1] + "…"


def brief(slot: Slot) -> dict[str, Any]:
    """The job in a list."""
    fields = head(slot)
    progress = fields["progress"]
    names = ("id", "project", "type", "title", "status", "stalled", "cancel_requested",
             "created_at", "updated_at")  # fmt: skip
    return {
        **{name: fields[name] for name in names},
        "percent": progress["percent"],
        "message": progress["message"] and short(progress["message"]),
        "waiting": fields["waiting"] is not None,
    }


async def whole(
    live: LiveJobs, slot: Slot, *, results_after: int | None = None, errors_after: int | None = None
) -> dict[str, Any]:
    """The job with some results and errors: the last ones, or those after a number."""
    fields = head(slot)
    results, next_result = await page(live, slot, "results", results_after)
    errors, next_error = await page(live, slot, "errors", errors_after)
    return {
        **fields,
        "results": results,
        "errors": errors,
        "results_next": next_result,
        "errors_next": next_error,
    }


async def page(
    live: LiveJobs,
    slot: Slot,
    kind: EntryKind,
    after: int | None,
    *,
    limit: int = ENTRIES,
    level: int = 0,
) -> tuple[list[Raw], int | None]:
    """Some entries, and the number to read on from; None: nothing follows now. `after` None: the
    last entries."""
    if not slot.head.total(kind):
        return [], None
    removed, tail = slot.head.removed(kind), after is None
    query = EntryQuery(
        slot.head.id,
        kind,
        after=max(after or 0, removed),
        limit=limit if tail else limit + 1,
        level=level,
        tail=tail,
        most_bytes=BYTES,
    )
    records = await live.entries(query)
    shown = _within(records, limit, newest=tail)
    cut = not tail and len(shown) < len(records)
    more = cut or (not tail and len(records) < limit + 1 and _bytes(records) >= BYTES)
    return [it.entry.value for it in shown], shown[-1].entry.n if more else None


def _within(records: Sequence[Record], limit: int, *, newest: bool) -> Sequence[Record]:
    """As many as the bounds allow, and at least one."""
    ordered = list(reversed(records)) if newest else list(records)
    kept, size = 0, 0
    for record in ordered[:limit]:
        size += len(bytes(record.entry.value))
        if kept and size > BYTES:
            break
        kept += 1
    return list(reversed(ordered[:kept])) if newest else ordered[:kept]


def _bytes(records: Sequence[Record]) -> int:
    return sum(len(bytes(record.entry.value)) for record in records)
