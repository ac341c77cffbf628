"""docs/reference.md has every error code that the source can send, with its status."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import livejobs.app
from livejobs.core.errors import LivejobsError

SOURCE = Path(livejobs.app.__file__).parent
REFERENCE = Path(__file__).parents[2] / "docs" / "reference.md"
OTHERS = ("faces", "cli", "demo")  # their answers have no codes
NEVER_SENT = {("conflict", 409), ("too_many", 429)}  # whoever raises these gives another code
# Functions that take a code and know its status; `cls` is NotFound's own.
HELPERS = {"unauthorized": 401, "_refuse": 503, "cls": 404}

Code = tuple[str, int]


def errors(kind: type[LivejobsError] = LivejobsError) -> Iterator[type[LivejobsError]]:
    yield kind
    for narrower in kind.__subclasses__():
        if narrower.__module__.startswith("livejobs.") and ".faces." not in narrower.__module__:
            yield from errors(narrower)


STATUS = {kind.__name__: kind.status for kind in errors()} | HELPERS


def codes_in(node: ast.AST) -> Iterator[Code]:
    match node:
        case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords) if name in STATUS:
            values = [*args, *(keyword.value for keyword in keywords if keyword.arg == "code")]
            yield from ((word, STATUS[name]) for word in words(values))
        case ast.Call(args=[ast.Constant(value=int(status)), *args]):  # problem(408, "x", …)
            yield from ((word, status) for word in words(args))
        case ast.Dict(keys=keys, values=values):  # {404: "x"}, {404: ("x", …)}
            for key, value in zip(keys, values, strict=True):
                first = value.elts[:1] if isinstance(value, ast.Tuple) else [value]
                if isinstance(key, ast.Constant) and isinstance(key.value, int):
                    yield from ((word, key.value) for word in words(first))


def words(nodes: list[ast.expr]) -> Iterator[str]:
    for node in nodes:
        match node:
            case ast.Constant(value=str(word)) if re.fullmatch("[a-z]+(_[a-z]+)*", word):
                yield word


def sent() -> set[Code]:
    places = [it for it in SOURCE.rglob("*.py") if it.relative_to(SOURCE).parts[0] not in OTHERS]
    nodes = [node for place in places for node in ast.walk(ast.parse(place.read_text()))]
    found = {code for node in nodes for code in codes_in(node) if code[1] in range(400, 600)}
    return found | {(kind.default_code, kind.status) for kind in errors()}


def documented() -> list[Code]:
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \|", REFERENCE.read_text(), re.MULTILINE)
    return [(code, int(status)) for code, status in rows]


def test_the_reference_has_every_error_code_once_and_no_other() -> None:
    assert sorted(documented()) == sorted(sent() - NEVER_SENT)
