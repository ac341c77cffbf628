"""`livejobs demo`: jobs of every type, with real files, that end in every way."""

from __future__ import annotations

import io
import signal
import subprocess
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from livejobs.demo.scripts import SCRIPTS
from tests.support.desk import eventually
from tests.support.server import BIN, Running

KINDS = {script.type for script in SCRIPTS}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    data = tmp_path_factory.mktemp("demo") / "data"
    with Running(str(BIN / "livejobs"), "demo", "--pace", "40", "--data", str(data)) as running:
        yield running


def jobs(demo: Running, **query: str) -> list[dict[str, Any]]:
    asked = httpx.get(f"{demo.url}/v1/jobs", params={"limit": "1000", **query})
    found: list[dict[str, Any]] = asked.json()["jobs"]
    return found


def finished_with_a_file(demo: Running) -> dict[str, dict[str, Any]]:
    return {job["type"]: job for job in jobs(demo, status="succeeded") if job["files"]}


def test_jobs_of_all_types_succeed_and_their_files_are_real(demo: Running) -> None:
    eventually(lambda: KINDS - {"consolidation"} == finished_with_a_file(demo).keys())
    found = finished_with_a_file(demo)
    got = {
        kind: httpx.get(f"{demo.url}/v1/jobs/{job['id']}/download").content
        for kind, job in found.items()
    }
    assert got["render"][4:8] == b"ftyp"
    assert got["translation"].startswith(b"%PDF-1.4")
    assert got["translation"].endswith(b"%%EOF\n")
    with wave.open(io.BytesIO(got["speech"])) as sound:
        assert sound.getnframes() > 10_000
    assert got["transcribe"]
    eventually(lambda: jobs(demo, status="succeeded", type="consolidation"))


def test_some_jobs_fail_or_are_cancelled_and_some_are_retried(demo: Running) -> None:
    eventually(lambda: {"failed", "cancelled"} <= {job["status"] for job in jobs(demo)})
    eventually(lambda: any(job["attempt"] > 1 for job in jobs(demo)))
    eventually(lambda: {job["status"] for job in jobs(demo)} >= {"queued", "running"})


def test_every_face_has_something_to_show(demo: Running) -> None:
    eventually(lambda: {job["type"] for job in jobs(demo)} == KINDS)
    newest = {job["type"]: job["id"] for job in jobs(demo)}
    for path in (
        f"/api/v1/consolidation/status/{newest['consolidation']}",
        f"/api/v1/status/{newest['translation']}",
        f"/api/jobs/{newest['render']}",
        f"/api/tasks/{newest['speech']}/status/",
    ):
        assert httpx.get(demo.url + path).status_code == 200, path
    asked = {"job_id": newest["transcribe"]}
    assert httpx.post(demo.url + "/v1/toolkit/job/status", json=asked).status_code == 200


def test_a_worker_stops_when_a_visitor_cancels_its_job(demo: Running) -> None:
    def cancel_one() -> bool:
        for job in jobs(demo, status="running", type="consolidation"):
            httpx.post(f"{demo.url}/v1/jobs/{job['id']}/cancel")
            eventually(lambda: httpx.get(f"{demo.url}/v1/jobs/{job['id']}").json()["completed_at"])  # noqa: B023
            if httpx.get(f"{demo.url}/v1/jobs/{job['id']}").json()["status"] == "cancelled":
                return True
        return False

    eventually(cancel_one)


def test_its_help_shows_the_folder_that_it_uses() -> None:
    shown = subprocess.check_output([BIN / "livejobs", "demo", "--help"], text=True)
    assert "[default: livejobs-demo]" in shown
    assert "[default: livejobs-data]" not in shown


def test_a_second_demo_ends_the_jobs_that_the_first_left_unfinished(tmp_path: Path) -> None:
    command = [str(BIN / "livejobs"), "demo", "--data", str(tmp_path / "data")]
    with Running(*command) as running:
        eventually(lambda: jobs(running, status="running"))
        running.kill()
        running.restart()
        assert {job["error"]["message"] for job in jobs(running, status="failed")} == {
            "The demo was stopped before this job ended."
        }
        running.signal(signal.SIGTERM)
        assert running.wait() == 0
        assert "Traceback" not in running.stderr
