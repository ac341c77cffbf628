"""docs/mcp.md has every tool with its scope and arguments, every error, and every version."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from livejobs.core.access import NEEDS
from livejobs.mcp import answers
from livejobs.mcp.call import LEGACY, MODERN
from livejobs.mcp.door import TOOLS
from livejobs.mcp.tools.tool import Tool

PAGE = (Path(__file__).parents[2] / "docs" / "mcp.md").read_text()


def rows() -> dict[str, list[str]]:
    cells = [
        row.strip("|").split(" | ") for row in re.findall(r"^\| `\w+` \|.*$", PAGE, re.MULTILINE)
    ]
    return {row[0].strip(" `"): row for row in cells}


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_each_tool_has_its_scope_and_arguments(tool: Tool) -> None:
    _, scope, takes, _ = rows()[tool.name]
    assert scope == f"`{NEEDS[tool.action]}`"
    if tool.name != "create_job":
        assert takes == f"`{' '.join(tool.takes.__struct_fields__)}`"


def test_there_is_no_other_tool() -> None:
    assert set(rows()) == {tool.name for tool in TOOLS}


def test_each_error_has_its_status() -> None:
    documented = re.findall(r"^\| (-\d+) \| (\d+) \|", PAGE, re.MULTILINE)
    assert {int(code): int(status) for code, status in documented} == answers.STATUSES


@pytest.mark.parametrize("version", [*MODERN, *LEGACY])
def test_each_version_is_named(version: str) -> None:
    assert version in PAGE
