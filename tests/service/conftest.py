"""The product in this process, over each store in turn."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from livejobs import LiveJobs, Settings
from tests.service.over import STORES


@pytest.fixture(params=STORES)
async def live(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[LiveJobs]:
    async with LiveJobs(Settings(data=tmp_path), store=STORES[request.param](tmp_path)) as live:
        yield live
