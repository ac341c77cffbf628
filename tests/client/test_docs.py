"""The snippets of docs/python.md run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from tests.support.api import Api
from tests.support.server import LONG_ENOUGH, Server

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
SNIPPETS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)


def run(program: str, server: Server, folder: Path) -> str:
    process = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env=os.environ | {"LIVEJOBS_URL": server.url, "LIVEJOBS_SPOOL": str(folder / "spool")},
        capture_output=True,
        text=True,
        timeout=LONG_ENOUGH,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


def test_a_job_is_reported_as_the_page_shows(server: Server, tmp_path: Path) -> None:
    (tmp_path / "teaser.txt").write_text("a film")
    run(SNIPPETS[0], server, tmp_path)
    (job,) = httpx2.get(f"{server.url}/v1/jobs").json()["jobs"]
    shown = httpx2.get(f"{server.url}/v1/jobs/{job['id']}").json()
    assert (shown["status"], shown["progress"]["current"]) == ("succeeded", 1000)
    assert (shown["logs_total"], shown["results_total"]) == (1000, 1)
    assert [file["name"] for file in shown["files"]] == ["teaser.txt"]


def test_a_person_is_asked_as_the_page_shows(server: Server, tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(run, SNIPPETS[1], server, tmp_path)
        with Api(server.url) as api:
            api.put("/v1/jobs/release-7")
            api.until("release-7", lambda job: job["waiting"])
            run(SNIPPETS[2], server, tmp_path)
            asking.result()
            assert api.job("release-7")["logs_total"] == 1


def test_what_is_there_reports_as_the_page_shows(server: Server, tmp_path: Path) -> None:
    pytest.importorskip("tqdm")
    run(SNIPPETS[3] + "\nexport('a.csv')\n", server, tmp_path)
    (job,) = httpx2.get(f"{server.url}/v1/jobs").json()["jobs"]
    assert (job["type"], job["status"], job["logs_total"]) == ("export", "succeeded", 1)


def test_a_job_is_read_as_the_page_shows(server: Server, tmp_path: Path) -> None:
    job = f"{server.url}/v1/jobs/teaser"
    httpx2.put(job).raise_for_status()
    httpx2.put(f"{job}/files/teaser.txt", content=b"a film").raise_for_status()
    httpx2.post(f"{job}/reports", json={"type": "succeed"}).raise_for_status()
    assert "succeeded 100" in run(SNIPPETS[4], server, tmp_path)
    assert (tmp_path / "copy.txt").read_bytes() == b"a film"
