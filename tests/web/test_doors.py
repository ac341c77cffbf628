"""What a door may use of the service: its verbs, and the parts that it names. The parts behind the
verbs are the service's own."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import livejobs.clock
from livejobs import LiveJobs, Settings
from livejobs.store.memory import MemoryStore

SOURCE = Path(livejobs.clock.__file__).parent
DOORS = sorted(path for room in ("web", "faces") for path in (SOURCE / room).rglob("*.py"))
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


def name_of(path: Path) -> str:
    return str(path.relative_to(SOURCE))


@pytest.mark.parametrize("path", DOORS, ids=name_of)
def test_a_door_uses_no_part_behind_the_verbs(path: Path) -> None:
    used = [(node.lineno, of_the_service(node)) for node in attributes(path)]
    assert [(line, name) for line, name in used if name and (name in OWN or name[0] == "_")] == []


# Streams are left out: a connection keeps the service for as long as it lasts.
SHALLOW = [path for path in DOORS if "streams" not in path.parts]


@pytest.mark.parametrize("path", SHALLOW, ids=name_of)
def test_a_door_names_the_part_that_it_uses(path: Path) -> None:
    """`files = live.files`, then `files.open(…)`: what a door needs is seen where it begins."""
    reached = [
        (node.lineno, f"{part}.{node.attr}")
        for node in attributes(path)
        if (part := of_the_service(node.value)) is not None and part not in VALUES
    ]
    assert reached == []


def test_the_parts_that_are_not_for_doors_are_there() -> None:
    """Else a part could be renamed, and this file would forbid nothing."""
    assert vars(LiveJobs(Settings(), store=MemoryStore())).keys() >= OWN | VALUES
