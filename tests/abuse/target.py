"""The real server with bounds of its own, which shows its numbers at /statistics:

python -m tests.abuse.target [--bounds '{"stuck_seconds": 2, …}'] [any option of `livejobs serve`]
"""

from __future__ import annotations

import asyncio
import json
import os

import click
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from livejobs.app import create_app
from livejobs.cli.serve import setting_options
from livejobs.config import load
from livejobs.server.connection import Bounds
from livejobs.server.direct import bare, ours
from livejobs.server.runner import run
from livejobs.service import LiveJobs


async def statistics(request: Request) -> Response:
    tasks = len(asyncio.all_tasks())
    return JSONResponse({**request.app.state.live.statistics(), "tasks": tasks})


@click.command()
@click.option("--bounds", default="{}")
@setting_options
def main(bounds: str, **flags: object) -> None:
    settings = load(flags, os.environ)
    live = LiveJobs(settings)
    live.hub.ours = ours
    app = create_app(live)
    app.bare = bare
    app.router.routes.append(Route("/statistics", statistics))
    run(
        app, settings, drain=live.drain, bounds=Bounds(**{"connections": 9000} | json.loads(bounds))
    )


if __name__ == "__main__":
    main()
