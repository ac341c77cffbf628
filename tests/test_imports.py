"""Imports point one way: a module knows only of those before it in this list."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TypeAlias

import livejobs

SOURCE = Path(livejobs.__file__).parent
ARCHITECTURE = Path(__file__).parents[1] / "ARCHITECTURE.md"

Import: TypeAlias = ast.Import | ast.ImportFrom

ORDER = [
    "core",
    "config", "clock", "private", "stopping",
    "telemetry",
    "store",
    "access", "jobs",
    "live", "files",
    "hooks",
    "powers",
    "tracing",
    "service",
    "web",
    "faces", "mcp", "server",
    "app",
    "client",
    "queues",
    "arq", "celery", "dramatiq", "huey", "rq", "taskiq",
    "",  # the package itself, which hands out the public names
    "demo",
    "copies",
    "backups",
    "doctor",
    "cli",
]  # fmt: skip
"""A package may be given as a whole; inside it, and inside a line, cycles are what is forbidden."""

MOST = 14  # modules in a folder, without its __init__.py
MODULES = sorted(SOURCE.rglob("*.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


KNOWN = {name_of(path) for path in MODULES}


def imported(path: Path) -> Iterator[str]:
    """The modules of ours that a module imports, wherever in it; without the package's name."""
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} has a relative import"
            module = node.module or ""
            names = [f"{module}.{alias.name}" for alias in node.names]
            names = [name if stem(name) in KNOWN else module for name in names]
        yield from {stem(name) for name in names if f"{name}.".startswith("livejobs.")} & KNOWN


def stem(name: str) -> str:
    return name.removeprefix("livejobs").removeprefix(".")


@cache
def graph() -> dict[str, set[str]]:
    return {name_of(path): set(imported(path)) - {name_of(path)} for path in MODULES}


def test_imports_point_down_the_list() -> None:
    pairs = [(module, other) for module, others in graph().items() for other in others]
    assert len(pairs) > len(MODULES)
    assert [(module, other) for module, other in pairs if place(other) > place(module)] == []


def place(module: str) -> int:
    package, _, _ = module.partition(".")
    return ORDER.index(package)


def test_the_rooms_of_architecture_md_are_this_list() -> None:
    rows = re.findall(r"^\| (`[^|]+`) \|", rooms_table(), re.MULTILINE)
    rooms = [
        room.strip("/").removesuffix(".py") for row in rows for room in re.findall("[^` ]+", row)
    ]
    assert [room.removesuffix("__init__") for room in rooms] == ORDER


def rooms_table() -> str:
    _, _, rest = ARCHITECTURE.read_text().partition("\n## Rooms\n")
    return rest.partition("\n## ")[0]


def test_no_folder_has_more_than_fourteen_modules() -> None:
    """With more, a folder answers more than one question: give a part of it a folder of its own."""
    modules = Counter(path.parent for path in MODULES if path.stem != "__init__")
    full = {str(folder.relative_to(SOURCE)): n for folder, n in modules.items() if n > MOST}
    assert full == {}


def test_there_is_no_cycle() -> None:
    left = {name: set(others) for name, others in graph().items()}
    while leaves := [name for name, others in left.items() if not others & left.keys()]:
        for name in leaves:
            del left[name]
    assert left == {}


def inside_functions(path: Path) -> Iterator[Import]:
    """Imports that are not at the top of the module."""
    for function in ast.walk(ast.parse(path.read_text())):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    yield node


def test_an_import_inside_a_function_gives_its_reason() -> None:
    found = [
        (name_of(path), line) for path in MODULES for line in lines_of(path, inside_functions(path))
    ]
    assert found
    assert [it for it in found if not re.search(r"# noqa: PLC0415 - \w+", it[1])] == []


def lines_of(path: Path, imports: Iterator[Import]) -> Iterator[str]:
    lines = path.read_text().splitlines()
    return (lines[node.lineno - 1] for node in imports)
