"""livejobs inside a FastAPI app: handlers report in-process, and clients watch under /live.

python examples/fastapi_app.py
curl -X POST http://127.0.0.1:8000/exports     # returns the links to watch
curl http://127.0.0.1:8000/live/v1/jobs/ID/events
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import BackgroundTasks, FastAPI

from livejobs import Job, LiveJobs, Settings, create_app

# Links in answers begin with base_path, the path of the mount.
live = LiveJobs(Settings(data=Path("livejobs-data"), base_path="/live"))


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with live:  # nobody runs the lifespan of a mounted app
        yield


app = FastAPI(lifespan=lifespan)
app.mount("/live", create_app(live))


async def export(job: Job) -> None:
    for table in ("users", "orders", "events"):
        await asyncio.sleep(0.1)  # the work
        await job.log(f"exporting {table}")
        await job.progress(advance=1, message=table)
    await job.succeed({"tables": 3})


@app.post("/exports", status_code=202)
async def start_export(background: BackgroundTasks) -> dict[str, Any]:
    job = await live.create(type="export", total=3)
    background.add_task(export, job)
    links: dict[str, Any] = (await job.state())["links"]
    return links


if __name__ == "__main__":
    # Streams end at a stop, but uvicorn would wait for a stuck reader without this timeout.
    uvicorn.run(app, port=int(os.environ.get("PORT", "8000")), timeout_graceful_shutdown=1)
