"""Resources: jobs as `livejob://ID`, and fixed documents that others add."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias
from urllib.parse import quote, unquote

import msgspec
from msgspec import Struct

from livejobs.core.errors import BadCursor, NotFound
from livejobs.core.model import ID_PATTERN
from livejobs.jobs.state import Slot
from livejobs.mcp import rpc, shown
from livejobs.mcp.call import Call
from livejobs.mcp.rpc import RpcError
from livejobs.mcp.tools.reading import ListJobs, query_of

Content: TypeAlias = Mapping[str, Any]  # of a resource, without its uri

SCHEME: Final = "livejob://"
NEWEST: Final = 50  # jobs in a page
JSON: Final = "application/json"


class Document(Struct, frozen=True):
    """A document at a fixed address. `about`: what resources/list shows of it. None: it is not
    listed, since something else names it."""

    uri: str
    about: Mapping[str, Any] | None
    read: Callable[[Call], Awaitable[Content]]


class Template(Struct, frozen=True):
    """Documents at addresses of a pattern. `read` gives None if there is none at this address."""

    about: Mapping[str, Any]
    read: Callable[[Call, str], Awaitable[Content | None]]


class _Page(Struct, frozen=True):
    cursor: str | None = None


class _Read(Struct, frozen=True):
    uri: str


_page: Final = msgspec.json.Decoder(_Page)
_read: Final = msgspec.json.Decoder(_Read)


class Resources:
    def __init__(self, fixed: Sequence[Document], templates: Sequence[Template]) -> None:
        self._fixed = {resource.uri: resource for resource in fixed}
        self._templates = templates

    async def list(self, call: Call) -> Mapping[str, Any]:
        """The fixed ones, then the newest jobs of the caller's project, page by page."""
        asked: _Page = rpc.params(_page, call.params)
        listed: list[Mapping[str, Any]] = []
        if asked.cursor is None:
            listed += [{"uri": it.uri, **it.about} for it in self._fixed.values() if it.about]
        query = query_of(ListJobs(), call.by)
        try:
            found = await call.live.list(query, limit=NEWEST, after=asked.cursor)
        except BadCursor as error:
            raise RpcError(rpc.INVALID_PARAMS, error.detail) from None
        listed += map(_about, found.slots)
        return {"resources": listed, **({} if found.next is None else {"nextCursor": found.next})}

    async def templates(self, call: Call) -> Mapping[str, Any]:
        return {"resourceTemplates": [template.about for template in self._templates]}

    async def read(self, call: Call) -> Mapping[str, Any]:
        asked: _Read = rpc.params(_read, call.params)
        content = await self._content(call, asked.uri)
        if content is None:
            raise RpcError(
                rpc.INVALID_PARAMS, "There is no resource at this address.", {"uri": asked.uri}
            )
        return {"contents": [{"uri": asked.uri, **content}]}

    async def _content(self, call: Call, uri: str) -> Content | None:
        if uri in self._fixed:
            return await self._fixed[uri].read(call)
        for template in self._templates:
            content = await template.read(call, uri)
            if content is not None:
                return content
        return None


# Jobs


def _about(slot: Slot) -> Mapping[str, Any]:
    head = slot.head
    return {
        "uri": SCHEME + quote(head.id, safe=""),
        "name": head.id,
        "title": head.title or head.type or head.id,
        "mimeType": JSON,
    }


_ID: Final = re.compile(ID_PATTERN)


async def slot_of(call: Call, uri: str) -> Slot | None:
    """The job at an address. None: it is no address of a job, or there is none for this caller."""
    id = unquote(uri.removeprefix(SCHEME))
    if not uri.startswith(SCHEME) or not _ID.match(id):
        return None
    try:
        return await call.live.find(id, call.by)
    except NotFound:
        return None


async def _job(call: Call, uri: str) -> Content | None:
    slot = await slot_of(call, uri)
    if slot is None:
        return None
    text = rpc.encode(await shown.whole(call.live, slot))
    return {"mimeType": JSON, "text": text.decode()}


JOBS: Final = Template(
    {
        "uriTemplate": SCHEME + "{id}",
        "name": "job",
        "title": "A job",
        "description": "A job as it is now: the same JSON as the tool get_job gives.",
        "mimeType": JSON,
    },
    _job,
)
