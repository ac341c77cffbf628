"""An app with livejobs mounted into it, for servers that are not ours: `tests.support.hosted:app`.
The folder of the data is in the variable DATA."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.routing import Mount

from livejobs import LiveJobs, Settings, create_app

live = LiveJobs(Settings(data=Path(os.environ["DATA"]), base_path="/live"))


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with live:
        yield


app = Starlette(lifespan=lifespan, routes=[Mount("/live", create_app(live))])
