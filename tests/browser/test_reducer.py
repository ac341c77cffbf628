"""The reducers of browser and server return the same. The vectors hold for any other client too."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livejobs.core.delta import Delta, apply
from livejobs.core.model import KINDS
from tests.support.needs import need
from tests.support.strategies import names, texts

HERE = Path(__file__).parent
VECTORS = json.loads((HERE.parent / "vectors" / "delta.json").read_text())
NODE = shutil.which("node") or ""


def in_python(case: Any) -> Any:
    job = case["job"]
    for delta in case["deltas"]:
        job = apply(job, Delta(delta["set"], {k: tuple(v) for k, v in delta["append"].items()}))
    return job


class Node:
    """A process that answers each line with a line."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [NODE, HERE / "reducer.mjs"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def reduce(self, case: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(case) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    need(NODE, "node is not installed")
    running = Node()
    with running.process:
        yield running


def exactly(value: Any) -> str:
    """As text, since 1 == True in Python."""
    return json.dumps(value, sort_keys=True)


@pytest.mark.parametrize("case", VECTORS, ids=[case["says"] for case in VECTORS])
def test_python_follows_the_vectors(case: Any) -> None:
    assert exactly(in_python(case)) == exactly(case["then"])


@pytest.mark.parametrize("case", VECTORS, ids=[case["says"] for case in VECTORS])
def test_javascript_follows_the_vectors(node: Node, case: Any) -> None:
    assert exactly(node.reduce(case)) == exactly(case["then"])


# Whole numbers that every JSON reader holds exactly; 1.0 is 1 to JavaScript.
plain = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts
fields = st.dictionaries(names, st.lists(plain, max_size=3) | st.dictionaries(texts, plain))
entries = st.dictionaries(st.sampled_from(KINDS), st.lists(plain, max_size=3))
deltas = st.fixed_dictionaries({"set": fields, "append": entries})
cases = st.fixed_dictionaries(
    {
        "job": st.builds(lambda a, b: {**a, **b}, fields, entries),
        "deltas": st.lists(deltas, max_size=4),
    }
)


@settings(deadline=None)
@given(case=cases)
def test_both_reducers_agree_on_any_job_and_deltas(node: Node, case: Any) -> None:
    assert exactly(node.reduce(case)) == exactly(in_python(case))
