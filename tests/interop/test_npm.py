"""The npm package: packed, installed into an empty Vite project, type-checked, built and used with
the real React and Vue."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import httpx2
import pytest
from playwright.sync_api import expect, sync_playwright

from livejobs.web.pages.assets import static_dir
from tests.browser.conftest import CHROMIUM
from tests.browser.firefox import Firefox, the
from tests.support.needs import need
from tests.support.server import Server

HERE: Final = Path(__file__).parent
LIBRARIES: Final = ("react", "react-dom", "vue", "@types", "vite", "typescript")


def run(*command: str, cwd: Path) -> str:
    ran = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need(shutil.which("npm"), "npm is not installed")
    home = tmp_path_factory.mktemp("project") / "app"
    shutil.copytree(HERE / "npm", home)
    (home / "package.json").write_text('{"private": true, "type": "module"}')
    packed = run("npm", "pack", "--silent", str(static_dir()), cwd=home).strip()
    run("npm", "install", "--offline", "--no-audit", "--no-fund", f"./{packed}", cwd=home)
    for name in LIBRARIES:  # already downloaded for the tests
        (home / "node_modules" / name).symlink_to(HERE / "node_modules" / name)
    return home


@pytest.fixture(scope="module")
def built(project: Path) -> Path:
    run("node", "node_modules/vite/bin/vite.js", "build", "--logLevel", "warn", cwd=project)
    return project / "dist"


@pytest.fixture(scope="module")
def origin(built: Path) -> Iterator[str]:
    """Another origin, with the built project."""
    files = partial(Files, directory=str(built))
    with ThreadingHTTPServer(("127.0.0.1", 0), files) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


class Files(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def server(origin: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("npm") / "data"
    with Server(data, "--cors-origins", origin) as running:
        yield running


def test_the_package_holds_the_client_and_no_page(project: Path) -> None:
    files = {path.name for path in (project / "node_modules" / "livejobs").iterdir()}
    names = {"livejobs", "live-job", "react", "vue"}
    assert files == {f"{name}{end}" for name in names for end in (".js", ".d.ts")} | {
        "package.json"
    }


def test_a_strict_project_type_checks(project: Path) -> None:
    run("node", "node_modules/typescript/bin/tsc", "--project", ".", cwd=project)


def test_the_hooks_render_on_a_server(project: Path) -> None:
    assert run("node", "ssr.mjs", cwd=project) == "connecting, 0 jobs\n"


def test_the_built_page_of_another_origin_shows_a_moving_job(origin: str, server: Server) -> None:
    need(CHROMIUM, "chromium is not installed")
    with (
        httpx2.Client(base_url=server.url) as http,
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"]) as browser,
    ):
        job = "/v1/jobs/teaser"
        http.put(job, json={"title": "Teaser", "total": 100, "tags": ["a"]}).raise_for_status()
        page = browser.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{origin}/?id=teaser&tag=a&url={server.url}")
        expect(page.locator("#jobs")).to_have_text("Teaser 0%")
        page.get_by_role("button", name="Watch").click()
        for percent in (10, 42):
            line = {"type": "log", "message": f"at {percent}"}
            progress = {"type": "progress", "current": percent}
            http.post(f"{job}/reports", json=[progress, line]).raise_for_status()
            expect(page.locator("#job")).to_have_text(f"running {percent}%")
            expect(page.locator("#jobs")).to_have_text(f"Teaser {percent}%")
            expect(page.locator("#in-vue")).to_have_text(f"{percent}%")
            bar = page.locator("live-job").get_by_role("progressbar")
            expect(bar).to_have_attribute("aria-valuenow", str(percent))
        expect(page.locator("#changes")).to_have_text("more than one")
        expect(page.locator("#log")).to_have_text("at 10,at 42")
        sockets = re.search(r'_viewers{kind="socket"} (\S+)', http.get("/metrics").text)
        assert sockets is not None
        assert float(sockets[1]) == 1
        assert errors == []


def test_the_built_page_works_in_firefox(origin: str, server: Server, tmp_path: Path) -> None:
    with httpx2.Client(base_url=server.url) as http, Firefox(tmp_path) as firefox:
        job = "/v1/jobs/trailer"
        http.put(job, json={"title": "Trailer", "total": 100, "tags": ["b"]}).raise_for_status()
        tab = firefox.tab(f"{origin}/?id=trailer&tag=b&url={server.url}")
        tab.until(the("#jobs", "Trailer 0%"))
        tab.click(the("button", "Watch"))
        for percent in (10, 42):
            progress = {"type": "progress", "current": percent}
            http.post(f"{job}/reports", json=progress).raise_for_status()
            tab.until(the("#job", f"running {percent}%"))
            tab.until(the("#jobs", f"Trailer {percent}%"))
            tab.until(the("#in-vue", f"{percent}%"))
