"""Only `livejobs.clock` reads the time; another reading of it gives its reason beside it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from livejobs import clock

SOURCE = Path(clock.__file__).parent
OTHERS = ("cli", "client", "demo", "queues")  # programs beside the server
MODULES = [
    path
    for path in sorted(SOURCE.rglob("*.py"))
    if path != Path(clock.__file__) and path.relative_to(SOURCE).parts[0] not in OTHERS
]
READINGS = {
    "time": {"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns",
             "thread_time", "thread_time_ns", "gmtime", "localtime", "clock_gettime"},
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
}  # fmt: skip


def readings(tree: ast.Module) -> Iterator[int]:
    """The lines that read the time, or import a function of `time` by its name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner = node.value
            name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
            if node.attr in READINGS.get(name, ()):
                yield node.lineno
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            yield from [node.lineno for it in node.names if it.name in READINGS["time"]]


def without_reason(path: Path) -> list[int]:
    lines = path.read_text().splitlines()
    found = readings(ast.parse(path.read_text()))
    return [at for at in found if not re.search(r"  # \w+", lines[at - 1])]


def test_the_time_is_read_from_the_one_clock_or_with_a_reason() -> None:
    bare = [f"{path.relative_to(SOURCE)}:{at}" for path in MODULES for at in without_reason(path)]
    assert bare == [], "call livejobs.clock"


def test_the_clock_is_called_by_its_one_name() -> None:
    """`from livejobs.clock import now_ms` would keep the real time when a test sets another."""
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert node.module != "livejobs.clock", path
                assert not any(it.name == "clock" and it.asname for it in node.names), path


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import time\ntime.monotonic()", [2]),
        ("from time import perf_counter", [1]),
        ("from datetime import datetime\ndatetime.now(UTC)", [2]),
        ("import datetime\ndatetime.datetime.now()", [2]),
        ("import datetime\ndatetime.date.today()", [2]),
        ("call = partial(datetime.now, UTC)", [1]),
        ("from time import sleep", []),
        ("clock.monotonic()", []),
    ],
)
def test_every_way_to_read_the_time_is_found(code: str, found: list[int]) -> None:
    assert list(readings(ast.parse(code))) == found


def test_a_test_that_sets_the_time_sets_all_wall_clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("livejobs.clock.now_ms", lambda: 1_700_000_000_123)
    assert clock.now() == datetime(2023, 11, 14, 22, 13, 20, 123000, UTC)
