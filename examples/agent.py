"""An agent starts a job elsewhere, and waits for it here.

python examples/agent.py http://127.0.0.1:8000 ssh build-7 python worker.py

The command gets the id of the job, and reports to it: `livejobs.job("build", id=sys.argv[1])`.
"""

from __future__ import annotations

import asyncio
import sys

from mcp.client import Client


async def show(progress: float, total: float | None, message: str | None) -> None:
    print(progress, total, message)


async def main(url: str, *command: str) -> None:
    async with Client(f"{url}/mcp") as livejobs:
        made = await livejobs.call_tool("create_job", {"title": " ".join(command)})
        job = made.structured_content or {}
        elsewhere = await asyncio.create_subprocess_exec(*command, job["id"])  # or a queue, CI
        while job["completed_at"] is None:  # a call waits for at most 50 s, so call again
            wait = livejobs.call_tool("wait_for_job", {"id": job["id"]}, progress_callback=show)
            job = (await wait).structured_content or job
        await elsewhere.wait()
        print(job["status"], job["result"])


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
