"""MCP Apps: the page of a job, which a host shows beside the chat.

The page is one file without addresses, so no host's policy forbids any of it. It asks for the job
through its host, with the host's credential. So it holds no key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from typing import Any, Final

import msgspec

from livejobs.mcp.call import PREFIX, Call
from livejobs.mcp.resources import Content, Document
from livejobs.mcp.tools.tool import Tool
from livejobs.web.pages.assets import static_dir

EXTENSION: Final = f"{PREFIX}ui"
URI: Final = "ui://livejobs/job"
MIME: Final = "text/html;profile=mcp-app"
SHOWN: Final = frozenset({"get_job", "wait_for_job", "create_job"})  # tools that give one job
ROOT: Final = '<html lang="en"'

_NONE: Final[Sequence[str]] = ()
META: Final[Mapping[str, Any]] = {
    "ui": {
        "csp": {
            "connectDomains": _NONE,
            "resourceDomains": _NONE,
            "frameDomains": _NONE,
            "baseUriDomains": _NONE,
        },
        "prefersBorder": False,  # the page has a frame of its own
    }
}


def with_page(tool: Tool) -> Tool:
    if tool.name not in SHOWN:
        return tool
    shown = {"ui": {"resourceUri": URI, "visibility": ["model", "app"]}}
    return msgspec.structs.replace(tool, meta={**tool.meta, **shown})


async def read(call: Call) -> Content:
    page = await asyncio.to_thread(_page)
    return {"mimeType": MIME, "text": page.replace(ROOT, _root(call), 1), "_meta": META}


def _root(call: Call) -> str:
    """What the page needs to know: where people reach the server, whether they need a key there,
    and whether this caller may only look."""
    keyring, settings = call.live.keyring, call.live.settings
    base = f"{settings.public_url or call.form.origin}{settings.base_path}/"
    is_open = "" if keyring.closed else " data-open"
    readonly = "" if call.by.may("cancel") else " data-readonly"
    return f'{ROOT} data-base="{escape(base)}"{is_open}{readonly}'


@cache
def _page() -> str:
    return (static_dir() / "job-app.html").read_text()


# Tools name it. In a list it would stand among the jobs that people choose from.
PAGE: Final = Document(URI, None, read)
