"""The wheel alone, in a clean environment without the checkout: server, pages, demo, CLI, SDK."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import httpx2 as httpx
import pytest

from tests.support.built import CHECKOUT, Built, Installed
from tests.support.desk import eventually
from tests.support.server import Running

PAGES = ("/", "/docs", "/keys", "/login", "/jobs/shown", "/jobs/shown/embed")
WORKER = """
import livejobs
with livejobs.job("render", id="from-sdk", title="From the SDK") as job:
    job.progress(percent=50)
    job.result({"frames": 3})
"""


@pytest.fixture(scope="module")
def served(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    data = str(tmp_path_factory.mktemp("wheel") / "data")
    with Running(*installed.command("livejobs", "serve", "--data", data)) as running:
        yield running
        assert running.stop() == 0
        assert "Traceback" not in running.stderr


def assets(url: str, text: str) -> set[str]:
    """The addresses of what a page, a script or a stylesheet loads."""
    kind = r"[\w./-]+\.(?:js|css|woff2)"
    found = re.findall(rf"""(?:src=|href=|from |import |url\()["']({kind})["']""", text)
    return {urljoin(url, it) for it in found}


def test_its_environment_has_all_that_it_needs(installed: Installed) -> None:
    python = installed.folder / "venv" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "check"]
    assert "No broken requirements" in subprocess.check_output(pip, text=True)
    place = "import livejobs, asyncpg, obstore, zttp; print(livejobs.__file__)"
    found = Path(installed.run("python", "-c", place).strip())
    assert found.is_relative_to(installed.folder)
    assert not found.is_relative_to(CHECKOUT)


def test_its_pages_load_with_all_their_files(served: Running) -> None:
    httpx.put(f"{served.url}/v1/jobs/shown")
    left = {served.url + page for page in PAGES}
    seen: dict[str, bytes] = {}
    while left:
        url = left.pop()
        answer = httpx.get(url)
        assert answer.status_code == 200, url
        seen[url] = answer.content
        if answer.headers["content-type"].split(";")[0].partition("/")[0] == "text":
            left |= assets(url, answer.text) - seen.keys()
    kinds = {Path(url).suffix for url in seen}
    assert {".css", ".js", ".woff2"} <= kinds
    assert len(seen) > 40


def test_its_documents_name_its_version(served: Running, built: Built) -> None:
    version = built.wheel.name.split("-")[1]
    for name in ("openapi", "asyncapi"):
        assert httpx.get(f"{served.url}/{name}.json").json()["info"]["version"] == version


def test_its_commands_and_its_sdk_reach_the_server(
    served: Running, installed: Installed, tmp_path: Path
) -> None:
    where = {"LIVEJOBS_URL": served.url, "LIVEJOBS_SPOOL": str(tmp_path)}
    (tmp_path / "made.txt").write_text("made")
    made = str(tmp_path / "made.txt")
    installed.run("livejobs", "run", "--file", made, "--", "echo", "Hello", **where)
    (ran,) = httpx.get(f"{served.url}/v1/jobs?type=echo").json()["jobs"]
    assert "Hello" in installed.run("livejobs", "logs", ran["id"], **where)
    installed.run("livejobs", "get", ran["id"], "--output", str(tmp_path / "got"), **where)
    assert (tmp_path / "got" / "made.txt").read_text() == "made"
    installed.run("python", "-c", WORKER, **where)
    assert "From the SDK" in installed.run("livejobs", "jobs", **where)
    job = httpx.get(f"{served.url}/v1/jobs/from-sdk").json()
    assert (job["status"], job["results_total"]) == ("succeeded", 1)


def test_its_demo_shows_jobs_with_real_files(installed: Installed, tmp_path: Path) -> None:
    command = installed.command("livejobs", "demo", "--pace", "40", "--data", str(tmp_path / "d"))
    with Running(*command) as demo:

        def films() -> list[dict[str, str]]:
            jobs = httpx.get(f"{demo.url}/v1/jobs?type=film&status=succeeded").json()["jobs"]
            return [file for job in jobs for file in job["files"] if file["name"] == "poster.png"]

        eventually(films)
        poster = httpx.get(demo.url + films()[0]["url"]).content
        assert poster.startswith(b"\x89PNG\r\n")
        assert demo.stop() == 0
        assert "Traceback" not in demo.stderr
