"""The task scenarios of MCP's conformance kit. `tasks-mrtr-composition` is left out, since no tool
of livejobs asks before it begins, and `tasks-status-notifications`, which is not written yet."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.needs import need
from tests.support.server import LONG_ENOUGH, Running

PACKAGES = Path(__file__).parents[2] / "interop/node_modules"
NODE = PACKAGES / "node/bin/node"  # the kit needs Node 22
KIT = PACKAGES / "@modelcontextprotocol/conformance/dist/index.js"
EXPECTED = Path(__file__).parent / "expected.yml"
SCENARIOS = (
    "tasks-lifecycle", "tasks-capability-negotiation", "tasks-wire-fields",
    "tasks-request-state-removal", "tasks-mrtr-input", "tasks-request-headers",
    "tasks-dispatch-and-envelope", "tasks-required-task-error",
)  # fmt: skip


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    need(NODE.is_file() and KIT.is_file(), "the conformance kit is not installed (tests/interop)")
    data = tmp_path_factory.mktemp("kit") / "data"
    with Running(sys.executable, "-m", "tests.mcp.extensions.kit", str(data)) as running:
        yield f"{running.url}/mcp"


def test_the_scenarios_of_the_kit_pass(url: str, tmp_path: Path) -> None:
    """All at once: most of their time is Node's start, and waiting."""
    kit = [str(NODE), str(KIT), "server", "--url", url, "--expected-failures", str(EXPECTED)]
    runs = {
        scenario: subprocess.Popen(
            [*kit, "--scenario", scenario], cwd=tmp_path, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        for scenario in SCENARIOS
    }  # fmt: skip
    for scenario, run in runs.items():
        said, _ = run.communicate(timeout=LONG_ENOUGH)
        assert run.returncode == 0, f"{scenario}: {said}"
        assert "Passed: " in said, scenario
