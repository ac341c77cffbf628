"""`livejobs demo`: jobs of every kind, by workers in a process of their own that use the SDK."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from livejobs.demo.scenes import SCENES
from tests.support.desk import eventually
from tests.support.server import BIN, Running

KINDS = {scene.type for scene in SCENES}
COMMAND = (str(BIN / "livejobs"), "demo", "--pace", "40")

# The first bytes of files, by type of job and name.
FILES = {
    ("film", "film.mp4"): b"\0\0\0 ftyp",
    ("film", "poster.png"): b"\x89PNG\r\n",
    ("render", "shot.mp4"): b"\0\0\0 ftyp",
    ("convert", "image.png"): b"\x89PNG\r\n",
    ("translation", "translated-*.pdf"): b"%PDF-1.4",
    ("speech", "chapter.mp3"): b"\xff",
    ("speech", "chapter.vtt"): b"WEBVTT\n\n1\n00:00:00.000 --> 00:00:03.530\n",
    ("transcribe", "transcript.srt"): b"1\n00:00:00,000 --> 00:00:03,530\n",
    ("transcribe", "transcript.txt"): b"Before dawn",
    ("etl", "orders.csv"): b"order,city,items,total\n100000,",
    ("etl", "summary.json"): b"{",
    ("training", "metrics.csv"): b"epoch,loss,accuracy\n1,",
    ("training", "model.json"): b"{",
}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    data = tmp_path_factory.mktemp("demo") / "data"
    with Running(*COMMAND, "--data", str(data)) as running:
        yield running
        workers = another_worker(running)
        assert running.stop() == 0
        assert gone(workers)
        assert "Traceback" not in running.stderr


def get(demo: Running, path: str, **query: str) -> httpx.Response:
    return httpx.get(demo.url + path, params=query, headers={"x-api-key": "sesame"})


def jobs(demo: Running, **query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = get(demo, "/v1/jobs", limit="1000", **query).json()["jobs"]
    return found


def test_jobs_of_all_kinds_succeed_and_their_files_are_real(demo: Running) -> None:
    kinds = KINDS - {"newsletter"}  # it waits for a person
    eventually(lambda: {job["type"] for job in jobs(demo, status="succeeded")} >= kinds)
    found: dict[tuple[str, str], bytes] = {}
    for job in jobs(demo, status="succeeded"):
        for file in job["files"]:
            name = "translated-*.pdf" if file["name"].endswith(".pdf") else file["name"]
            if (job["type"], name) not in found:
                found[job["type"], name] = get(demo, file["url"]).content
    assert found.keys() == FILES.keys()
    assert {which for which, start in FILES.items() if not found[which].startswith(start)} == set()


def test_every_face_has_something_to_show(demo: Running) -> None:
    eventually(lambda: {job["type"] for job in jobs(demo)} == KINDS)
    newest = {job["type"]: job["id"] for job in jobs(demo)}
    for path in (
        f"/api/v1/consolidation/status/{newest['consolidation']}",
        f"/api/v1/status/{newest['translation']}",
        f"/api/jobs/{newest['render']}",
        f"/api/tasks/{newest['speech']}/status/",
    ):
        assert get(demo, path).status_code == 200, path
    asked = {"job_id": newest["transcribe"]}
    assert httpx.post(demo.url + "/v1/toolkit/job/status", json=asked).status_code == 200


STATES: dict[str, Callable[[dict[str, Any]], object]] = {
    "has a place in its queue": lambda job: job["queue"] and job["queue"]["position"],
    "has stalled": lambda job: job["stalled"],
    "waits for a person": lambda job: job["waiting"],
    "was tried again": lambda job: (job["attempt"], job["status"]) == (2, "succeeded"),
    "failed": lambda job: job["status"] == "failed" and "Traceback" in str(job["error"]),
    "was cancelled": lambda job: job["status"] == "cancelled",
    "has children": lambda job: job["children"]["succeeded"],
    "has steps": lambda job: job["type"] == "etl" and len(job["steps"]) == 4,
}


def test_jobs_come_to_every_state(demo: Running) -> None:
    missing = set(STATES)

    def see() -> bool:
        for job in jobs(demo):
            missing.difference_update([state for state in missing if STATES[state](job)])
        return not missing

    with suppress(AssertionError):  # the next line names what is missing
        eventually(see)
    assert missing == set()


def test_logs_have_levels_colours_and_sources(demo: Running) -> None:
    eventually(lambda: jobs(demo, type="render", status="succeeded"))
    job = jobs(demo, type="render", status="succeeded")[0]
    logs = get(demo, f"/v1/jobs/{job['id']}/logs").json()["logs"]
    assert {"debug", "info"} <= {line["level"] for line in logs}
    assert {"blender", "ffmpeg"} <= {line["source"] for line in logs}
    assert any("\x1b[32m" in line["message"] for line in logs)


def test_segments_are_results_and_some_fail(demo: Running) -> None:
    eventually(lambda: any(job["errors_total"] for job in jobs(demo, type="speech")))
    job = next(job for job in jobs(demo, type="speech") if job["errors_total"])
    assert get(demo, f"/v1/jobs/{job['id']}").json()["errors"][0]["item"].startswith("seg-")


def test_a_worker_stops_when_a_visitor_cancels_its_job(demo: Running) -> None:
    cancelled: set[str] = set()

    def cancel_some() -> bool:
        for job in jobs(demo, status="running", type="training"):
            httpx.post(f"{demo.url}/v1/jobs/{job['id']}/cancel")
            cancelled.add(job["id"])
        return any(job["id"] in cancelled for job in jobs(demo, status="cancelled"))

    eventually(cancel_some)


def test_a_newsletter_is_sent_when_a_visitor_answers(demo: Running) -> None:
    answered: set[str] = set()

    def answer_some() -> bool:
        for job in jobs(demo, status="running", type="newsletter"):
            if job["waiting"]:
                said = {"n": job["waiting"]["n"], "value": "send"}
                answer = httpx.post(f"{demo.url}/v1/jobs/{job['id']}/answer", json=said)
                assert answer.status_code in (202, 409)  # 409: its time is over
                answered.add(job["id"])
        ended = [job for job in jobs(demo, status="succeeded") if job["id"] in answered]
        return any(get(demo, f"/v1/jobs/{job['id']}").json()["result"]["sent"] for job in ended)

    eventually(answer_some)


def test_its_help_shows_the_folder_that_it_uses() -> None:
    shown = subprocess.check_output([BIN / "livejobs", "demo", "--help"], text=True)
    assert "[default: livejobs-demo]" in shown
    assert "[default: livejobs-data]" not in shown


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Running]:
    """A demo with access control."""
    env = {"LIVEJOBS_ADMIN_KEY": "sesame"}
    with Running(*COMMAND, "--data", str(tmp_path / "data"), env=env) as running:
        yield running


def test_workers_that_die_are_started_again_and_end_with_a_killed_server(closed: Running) -> None:
    first = another_worker(closed)
    os.kill(first, signal.SIGKILL)
    second = another_worker(closed, first)
    assert stopped(closed)
    assert "Traceback" not in closed.stderr

    closed.kill()
    eventually(lambda: gone(second))


def another_worker(demo: Running, last: int = 0) -> int:
    """The process that works on the newest jobs, once it is not the last one."""
    pids: list[int] = []

    def found() -> bool:
        running = jobs(demo, status="running")
        pids[:] = [job["worker"]["pid"] for job in running if job["worker"]]
        return bool(pids) and pids[0] != last

    eventually(found)
    return pids[0]


def stopped(demo: Running) -> list[dict[str, Any]]:
    why = "The worker stopped before this job ended."
    return [job for job in jobs(demo, status="failed") if job["error"]["message"] == why]


def gone(pid: int) -> bool:
    """Also if nobody has asked for its exit code, as in a container without an init."""
    try:
        return " Z " in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True
