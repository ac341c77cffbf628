"""Waits for jobs that somebody else creates."""

from __future__ import annotations

import time
from typing import Any

from tests.support.api import Api
from tests.support.server import LONG_ENOUGH


def ended(api: Api, id: str) -> Any:
    """The job when it has ended, however late it was created."""
    limit = time.monotonic() + LONG_ENOUGH
    while api.get(f"/v1/jobs/{id}").status_code == 404:
        assert time.monotonic() < limit, f"nobody creates {id}"
        time.sleep(0.02)  # leave the processor to whoever does
    return api.until(id, lambda job: job["completed_at"])
