"""The start pages and the examples of reports run as they stand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx2

from tests.docs.blocks import texts
from tests.support.server import LONG_ENOUGH, Server

ENDS = {"retry", "succeed", "fail", "cancelled"}


def test_a_worker_starts_as_the_page_shows(server: Server, tmp_path: Path) -> None:
    environment = {"LIVEJOBS_URL": server.url, "LIVEJOBS_SPOOL": str(tmp_path)}
    (program,) = texts("docs/start/worker.md", "python")
    subprocess.run([sys.executable, "-c", program], env=os.environ | environment, check=True)
    (job,) = httpx2.get(server.url + "/v1/jobs?q=Teaser").json()["jobs"]
    assert (job["status"], job["logs_total"]) == ("succeeded", 1000)


def test_a_client_starts_as_the_page_shows(server: Server, tmp_path: Path) -> None:
    (tmp_path / ".curlrc").write_text('fail\nno-progress-meter\nwrite-out = "\\n"\n')
    (commands,) = texts("docs/start/client.md", "bash")
    ran = subprocess.run(
        ["bash", "-euxc", commands.replace("http://127.0.0.1:8000", server.url)],
        env=os.environ | {"CURL_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=LONG_ENOUGH,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "event: end" in ran.stdout
    assert ran.stdout.count('"status":"succeeded"') >= 2


def test_every_report_of_the_reference_is_taken(server: Server) -> None:
    examples = [json.loads(text) for text in texts("docs/reports.md", "json")]
    middle = [one for one in examples if one["type"] not in ENDS]
    for end in (one for one in examples if one["type"] in ENDS):
        job = f"{server.url}/v1/jobs/{end['type']}"
        httpx2.put(job).raise_for_status()
        answer = httpx2.post(f"{job}/reports", json=[*middle, end]).raise_for_status()
        assert answer.json()["accepted"] == len(middle) + 1
    job = httpx2.get(f"{server.url}/v1/jobs/succeed").json()
    assert (job["counters"], job["meta"]) == ({"frames": 24, "retries": 1}, {"codec": "av1"})
    assert [step["name"] for step in job["steps"]] == ["encode"]
