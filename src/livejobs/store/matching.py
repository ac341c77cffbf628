"""Whether a job matches a query, where no index says so."""

from __future__ import annotations

from typing import Protocol

from livejobs.core.model import Head
from livejobs.store.base import Query


def fits(head: Head, query: Query) -> bool:
    return (
        (query.projects is None or head.project in query.projects)
        and (not query.statuses or head.status in query.statuses)
        and query.type in (None, head.type)
        and query.parent in (None, head.parent)
        and query.owner in (None, head.owner)
        and (query.flag is None or query.flag in head.flags)
        and (query.tag is None or query.tag in head.tags)
        and (not query.ids or head.id in query.ids)
        and (query.q is None or contains(head, query.q))
    )


class Searched(Protocol):
    """The fields that a query's `q` is looked for in."""

    @property
    def id(self) -> str: ...

    @property
    def title(self) -> str | None: ...


def contains(head: Searched, part: str) -> bool:
    """Whether a job matches a query's `q`."""
    low = part.lower()
    return low in head.id.lower() or low in (head.title or "").lower()
