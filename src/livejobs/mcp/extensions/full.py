"""The door with all that it offers: the tables of the protocol, and those of its extensions."""

from __future__ import annotations

from collections.abc import Sequence

from livejobs.mcp.door import CAPABILITIES, TEMPLATES, TOOLS, Mcp
from livejobs.mcp.extensions import tasks, ui
from livejobs.mcp.listening import LISTENERS
from livejobs.mcp.resources import Document, Template
from livejobs.mcp.tools.tool import Tool


def full(
    *,
    tools: Sequence[Tool] = (),
    resources: Sequence[Document] = (),
    templates: Sequence[Template] = (),
) -> Mcp:
    """What is given comes beside our own."""
    own = (tasks.WAIT if tool.name == tasks.WAIT.name else tool for tool in TOOLS)
    return Mcp(
        tools=(*map(ui.with_page, own), *tools),
        resources=(ui.PAGE, *resources),
        templates=(*TEMPLATES, *templates),
        listeners={**LISTENERS, **tasks.LISTENERS},
        methods=tasks.METHODS,
        capabilities={
            **CAPABILITIES,
            "modern": {
                **CAPABILITIES["modern"],
                "extensions": {tasks.EXTENSION: {}, ui.EXTENSION: {}},
            },
        },
    )
