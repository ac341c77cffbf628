"""`livejobs serve` with the limits that no setting can change, and its numbers at /statistics:

python -m tests.abuse.target [--limits '{"stuck_seconds": 2, …}'] [any option of `livejobs serve`]

Service and app are assembled by the command's own function, so that they are the shipped ones.
"""

from __future__ import annotations

import asyncio
import json
import os

import click
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from livejobs.cli.operator.serve import assemble, setting_options
from livejobs.config import load
from livejobs.server.limited import ConnectionLimits
from livejobs.server.runner import run


async def statistics(request: Request) -> Response:
    tasks = len(asyncio.all_tasks())
    return JSONResponse({**request.app.state.live.statistics(), "tasks": tasks})


@click.command()
@click.option("--limits", default="{}")
@setting_options
def main(limits: str, **flags: object) -> None:
    settings = load(flags, os.environ)
    live, app = assemble(settings)
    app.router.routes.append(Route("/statistics", statistics))
    chosen = ConnectionLimits(**{"connections": 9000} | json.loads(limits))
    run(app, settings, drain=live.drain, limits=chosen)


if __name__ == "__main__":
    main()
