"""`--quick`: only tests that start no process and no browser, for the loop while coding.

A name is slow if it is imported from one of `SLOW`, or if its definition uses a slow name, in its
own file or in another file of `tests`. A test is left out if it or one of its fixtures is slow.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

SLOW = {"subprocess", "multiprocessing", "playwright"}
ROOT = Path(__file__).parents[2]


def is_quick(item: pytest.Item) -> bool:
    test = item.nodeid.split("::")[1].partition("[")[0]
    used = [(item.path, test), *fixtures_of(item)]
    return not any(name in slow_names(path) for path, name in used)


def fixtures_of(item: pytest.Item) -> Iterator[tuple[Path, str]]:
    """The file and the name of each fixture that the test uses, directly or not."""
    if isinstance(item, pytest.Function):
        for definitions in item._fixtureinfo.name2fixturedefs.values():
            code = inspect.unwrap(definitions[-1].func).__code__
            yield Path(code.co_filename), code.co_name


@cache
def slow_names(path: Path) -> frozenset[str]:
    if not path.is_relative_to(ROOT / "tests"):
        return frozenset()
    tree = ast.parse(path.read_text())
    slow = {alias for module, name, alias in imports(tree) if is_slow(module, name)}
    uses = dict(definitions(tree))
    while more := {name for name in uses if uses[name] & slow} - slow:
        slow |= more
    return frozenset(slow)


def imports(tree: ast.Module) -> Iterator[tuple[str, str, str]]:
    """Module, imported name (empty for the module itself) and name in this file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, "", alias.asname or alias.name.partition(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield node.module, alias.name, alias.asname or alias.name


def definitions(tree: ast.Module) -> Iterator[tuple[str, set[str]]]:
    """Each function, class and variable of the file, with the names that it uses."""
    for node in tree.body:
        used = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, used
        elif isinstance(node, ast.Assign):
            yield from ((each.id, used) for each in node.targets if isinstance(each, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id, used


def is_slow(module: str, name: str) -> bool:
    if module.partition(".")[0] in SLOW:
        return True
    file = ROOT / f"{module.replace('.', '/')}.py"
    if file.is_file():
        return name in slow_names(file) if name else bool(slow_names(file))
    submodule = file.with_suffix("") / f"{name}.py"
    return submodule.is_file() and bool(slow_names(submodule))
