"""One build and one environment for all tests of a run."""

from __future__ import annotations

import os
from fcntl import LOCK_EX, flock
from pathlib import Path

import pytest

from tests.support.built import Built, Installed, build, install


@pytest.fixture(scope="session")
def common(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this run of the tests share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "release"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def built(common: Path) -> Built:
    with (common / "building").open("w") as lock:
        flock(lock, LOCK_EX)
        done = common / "built"
        if not done.exists():
            build(common / "dist")
            done.touch()
    return Built(common / "dist")


@pytest.fixture(scope="session")
def installed(common: Path, built: Built) -> Installed:
    """With the extras, in the versions of the SBOM. So pip finds them where scripts/setup has left
    them, and a release of another package can't fail a test of ours."""
    with (common / "installing").open("w") as lock:
        flock(lock, LOCK_EX)
        done = common / "installed"
        if not done.exists():
            install(common, built)
            done.touch()
    return Installed(common)
