"""Status, progress, results and files of long-running jobs, live.

async with LiveJobs(Settings()) as live:
    job = await live.create(title="Nightly export")
    await job.progress(current=1, total=10)
"""

from __future__ import annotations

from livejobs.app import create_app
from livejobs.config import Settings
from livejobs.service import Job, LiveJobs

__all__ = ["Job", "LiveJobs", "Settings", "create_app"]
