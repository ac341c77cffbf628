"""livejobs inside a Starlette app: handlers report in-process, and clients watch under /live.

python examples/starlette_app.py
curl -X POST http://127.0.0.1:8000/exports     # returns the links to watch
curl http://127.0.0.1:8000/live/v1/jobs/ID/events
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from livejobs import Job, LiveJobs, Settings, create_app

# Links in answers begin with base_path, the path of the mount.
live = LiveJobs(Settings(data=Path("livejobs-data"), base_path="/live"))
at_work: set[asyncio.Task[None]] = set()  # asyncio keeps only weak references to tasks


async def export(job: Job) -> None:
    for table in ("users", "orders", "events"):
        await asyncio.sleep(0.1)  # the work
        await job.log(f"exporting {table}")
        await job.progress(advance=1, message=table)
    await job.succeed({"tables": 3})


async def start_export(request: Request) -> Response:
    job = await live.create(type="export", total=3)
    task = asyncio.create_task(export(job))
    at_work.add(task)
    task.add_done_callback(at_work.discard)
    return JSONResponse((await job.state())["links"], 202)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with live:  # nobody runs the lifespan of a mounted app
        yield


app = Starlette(
    routes=[
        Route("/exports", start_export, methods=["POST"]),
        Mount("/live", create_app(live)),
    ],
    lifespan=lifespan,
)

if __name__ == "__main__":
    # Streams end at a stop, but uvicorn would wait for a stuck reader without this timeout.
    uvicorn.run(app, port=int(os.environ.get("PORT", "8000")), timeout_graceful_shutdown=1)
