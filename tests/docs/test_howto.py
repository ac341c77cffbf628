"""The how-to guides run as they stand, against a server with a key."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]  # schemathesis brings it

from tests.docs.blocks import texts
from tests.support.api import Api
from tests.support.needs import need
from tests.support.server import BIN, Server

# Each prints the job's id and the answer of the token's route.
FASTAPI: Final = """
from fastapi.testclient import TestClient
client = TestClient(app)
id = client.post("/exports").json()["job"]
print(id, client.get(f"/livejobs-token/{id}").json()["token"])
"""
FLASK: Final = """
client = app.test_client()
id = client.post("/exports").json["job"]
print(id, client.get(f"/livejobs-token/{id}").json["token"])
"""
DJANGO: Final = """
import django
from django.conf import settings
settings.configure(ROOT_URLCONF="urls", ALLOWED_HOSTS=["*"], TEMPLATES=[
    {"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": ["."]}])
django.setup()
from django.template.loader import render_to_string
from django.test import Client
client = Client()
id = client.post("/exports").json()["job"]
html = render_to_string("job.html", {"job": id})
assert f'renew="/livejobs-token/{id}"' in html, html
print(id, client.get(f"/livejobs-token/{id}").json()["token"])
"""
NEXT: Final = """
import { GET } from "./route.mjs";
const params = Promise.resolve({ job: "teaser" });
const answer = await GET(new Request("http://next/"), { params });
console.log(`teaser ${(await answer.json()).token}`);
"""


@pytest.fixture(scope="module")
def key() -> str:
    return f"lj_{secrets.token_urlsafe(24)}"


@pytest.fixture(scope="module")
def locked(key: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two guides and more share it: each makes jobs of its own."""
    data = tmp_path_factory.mktemp("howto") / "data"
    with Server(data, env={"LIVEJOBS_ADMIN_KEY": key}) as server:
        yield server


@pytest.fixture
def environment(locked: Server, key: str, tmp_path: Path) -> dict[str, str]:
    ours = {"LIVEJOBS_URL": locked.url, "LIVEJOBS_KEY": key, "LIVEJOBS_SPOOL": str(tmp_path / "s")}
    return os.environ | ours | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}


def run(command: list[str], cwd: Path, env: dict[str, str]) -> str:
    ran = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@contextmanager
def caller(server: Server, credential: str) -> Iterator[Api]:
    with Api(server.url) as api:
        api.headers["authorization"] = f"Bearer {credential}"
        yield api


def job_of(printed: str, locked: Server) -> dict[str, Any]:
    """The job, as the holder of the token sees it."""
    id, token = printed.split()
    with caller(locked, token) as api:
        done: dict[str, Any] = api.until(id, lambda job: job["completed_at"] or id == "teaser")
    return done


def exported(job: dict[str, Any]) -> tuple[Any, ...]:
    return job["type"], job["status"], job["progress"]["current"], job["logs_total"]


@pytest.mark.parametrize(("name", "program"), [("fastapi", FASTAPI), ("flask", FLASK)])
def test_an_app_shows_its_work(
    name: str, program: str, environment: dict[str, str], locked: Server, tmp_path: Path
) -> None:
    whole = "\n".join([*texts(f"docs/howto/{name}.md", "python"), program])
    printed = run([sys.executable, "-c", whole], tmp_path, environment)
    assert exported(job_of(printed, locked)) == ("export", "succeeded", 3, 3)


def test_a_django_site_shows_its_work(
    environment: dict[str, str], locked: Server, tmp_path: Path
) -> None:
    exports, token, urls = texts("docs/howto/django.md", "python")
    (template,) = texts("docs/howto/django.md", "html")
    (tmp_path / "exports.py").write_text(f"{exports}\n\n{token}")
    (tmp_path / "urls.py").write_text(urls)
    (tmp_path / "job.html").write_text(template)
    printed = run([sys.executable, "-c", DJANGO], tmp_path, environment)
    assert exported(job_of(printed, locked)) == ("export", "succeeded", 3, 3)


def test_next_gets_a_token_for_the_job(
    environment: dict[str, str], locked: Server, key: str, tmp_path: Path
) -> None:
    need(shutil.which("node"), "node is not installed")
    (route,) = texts("docs/howto/nextjs.md", "js")
    (tmp_path / "route.mjs").write_text(route)
    with caller(locked, key) as api:
        api.put("/v1/jobs/teaser").raise_for_status()
    printed = run(["node", "--input-type=module", "-e", NEXT], tmp_path, environment)
    assert job_of(printed, locked)["id"] == "teaser"


def test_a_workflow_shows_its_run(
    environment: dict[str, str], locked: Server, key: str, tmp_path: Path
) -> None:
    (text,) = texts("docs/howto/github-actions.md", "yaml")
    build = yaml.safe_load(text)["jobs"]["build"]
    assert build["env"].keys() == {"LIVEJOBS_URL", "LIVEJOBS_KEY"}
    (step,) = [it["run"] for it in build["steps"] if it.get("run", "").startswith("livejobs")]
    (tmp_path / "Makefile").write_text("dist:\n\tmkdir dist && echo made > dist/package.whl\n")
    run(["bash", "-ec", re.sub(r"\$\{\{.*?\}\}", "7", step)], tmp_path, environment)
    with caller(locked, key) as api:
        (job,) = api.get("/v1/jobs?type=nightly").json()["jobs"]
        job = api.job(job["id"])
    assert (job["status"], job["title"]) == ("succeeded", "Nightly build 7")
    assert [file["name"] for file in job["files"]] == ["package.whl"], json.dumps(job)
