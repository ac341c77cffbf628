"""The official conformance kit against our door, with the tools and resources that it asks for.

tests/mcp/expected-failures/ has what it asks for and we do not have, each line with its reason. The
kit fails if a line there passes, or if anything else fails.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.test_clients import HERE
from tests.support.server import Running

MODULES = HERE / "node_modules"
KIT = MODULES / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
NODE = MODULES / "node" / "bin" / "node"  # the kit needs a newer one than Debian has
TRIES = 3
EXPECTED = Path(__file__).parent / "expected-failures"


@pytest.fixture(scope="module")
def fixtures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    data = tmp_path_factory.mktemp("data")
    with Running(sys.executable, "-m", "tests.mcp.fixtures", str(data)) as running:
        yield running.url


@pytest.mark.parametrize("revision", ["2026-07-28", "2025-11-25"])
def test_every_scenario_that_applies_passes(fixtures: str, revision: str, tmp_path: Path) -> None:
    """The kit waits only half a second for some answers, so on a busy machine it may try again."""
    for _ in range(TRIES):
        done = conform(fixtures, revision, tmp_path)
        if done.returncode == 0:
            break
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr
    assert "Baseline check passed" in done.stdout


def conform(url: str, revision: str, folder: Path) -> subprocess.CompletedProcess[str]:
    expected = EXPECTED / f"{revision}.yml"
    return subprocess.run(
        [NODE, KIT, "server", "--url", f"{url}/mcp", "--requirements", revision,
         "--expected-failures", expected],
        capture_output=True,
        text=True,
        cwd=folder,  # where the kit leaves its results
        timeout=300,
        check=False,
    )  # fmt: skip


@pytest.mark.parametrize("file", sorted(EXPECTED.glob("*.yml")), ids=lambda file: file.stem)
def test_each_expected_failure_has_its_reason(file: Path) -> None:
    lines = [line for line in file.read_text().splitlines() if line.startswith("  - ")]
    assert lines
    assert [line for line in lines if len(line.partition("  # ")[2]) < 10] == []
