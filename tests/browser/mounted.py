"""The app below a path of another app: python -m tests.browser.mounted --data DIR --port N"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import click
from starlette.applications import Starlette
from starlette.routing import Mount

from livejobs.app import create_app
from livejobs.cli.operator.serve import setting_options
from livejobs.config import load
from livejobs.server.runner import run
from livejobs.service import LiveJobs


@click.command()
@setting_options
def main(**flags: object) -> None:
    settings = load(flags, os.environ)
    live = LiveJobs(settings)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with live:
            yield

    routes = [Mount("/ops/jobs", app=create_app(live))]
    run(Starlette(routes=routes, lifespan=lifespan), settings, drain=live.drain)


if __name__ == "__main__":
    main()
