"""The element in pages of another origin, whose server allows them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import Opener
from tests.browser.site import Site
from tests.browser.test_watching import Worker
from tests.support.keyed import KEYED
from tests.support.server import Server


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Site() as site:
        yield site


@pytest.fixture(scope="module")
def server(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("element") / "data"
    with Server(data, "--cors-origins", site.origin) as server:
        yield server


@pytest.fixture(scope="module")
def closed(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("element") / "closed"
    with Server(data, "--cors-origins", site.origin, env=KEYED) as server:
        yield server


@pytest.fixture(scope="module")
def worker(server: Server) -> Iterator[Worker]:
    worker = Worker(server.url)
    with worker.http:
        yield worker


@pytest.fixture
def show(site: Site, server: Server, visit: Opener) -> Any:
    """Opens a page of the other site with this body, and the one script."""

    def show(body: str, *, at: Server = server, policy: str = "", **more: Any) -> Page:
        script = f'<script type="module" src="{at.url}/static/live-job.js"></script>'
        html = f"<!doctype html><html lang=en><title>Site</title>{script}<main>{body}</main>"
        page: Page = visit(site.write(f"/{uuid4().hex}", html, policy), **more)
        return page

    return show
