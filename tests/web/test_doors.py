"""What a door may use of the service: its verbs, and the parts that it names. The parts behind the
verbs are the service's own."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import livejobs.clock
from livejobs import LiveJobs, Settings
from livejobs.store.memory import MemoryStore

SOURCE = Path(livejobs.clock.__file__).parent
DOORS = sorted(path for room in ("web", "faces", "mcp") for path in (SOURCE / room).rglob("*.py"))
OWN = {"store", "registry", "lanes", "committer", "reader", "sweeper"}
VALUES = {"settings", "bounds", "powers"}  # frozen, so there is nothing to reach


def of_the_service(node: ast.AST) -> str | None:
    """The name of an attribute of the service, if this is one."""
    if not isinstance(node, ast.Attribute):
        return None
    holder = node.value
    name = holder.id if isinstance(holder, ast.Name) else getattr(holder, "attr", "")
    called = isinstance(holder, ast.Call) and getattr(holder.func, "attr", "") == "service"
    return node.attr if called or name in ("live", "_live") else None


def attributes(path: Path) -> Iterator[ast.Attribute]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute):
            yield node


def place(path: Path, node: ast.Attribute) -> str:
    return f"{path.relative_to(SOURCE)}:{node.lineno}"


def test_a_door_uses_no_part_behind_the_verbs() -> None:
    used = [
        (place(path, node), name)
        for path in DOORS
        for node in attributes(path)
        if (name := of_the_service(node))
    ]
    assert {name for _, name in used} > VALUES
    assert [(where, name) for where, name in used if name in OWN or name[0] == "_"] == []


# Streams are left out: a connection keeps the service for as long as it lasts.
SHALLOW = [path for path in DOORS if "streams" not in path.parts]


def test_a_door_names_the_part_that_it_uses() -> None:
    """`files = live.files`, then `files.open(…)`: what a door needs is seen where it begins."""
    reached = [
        (place(path, node), f"{part}.{node.attr}")
        for path in SHALLOW
        for node in attributes(path)
        if (part := of_the_service(node.value)) is not None and part not in VALUES
    ]
    assert reached == []


def test_the_parts_that_are_not_for_doors_are_there() -> None:
    """Else a part could be renamed, and this file would forbid nothing."""
    assert vars(LiveJobs(Settings(), store=MemoryStore())).keys() >= OWN | VALUES
