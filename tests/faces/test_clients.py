"""A client of each source, written from that alone, in the tool its readers would take: it polls
from the start to the result while the example worker reports to a real server."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faces.jobs import schema
from tests.support.api import Api
from tests.support.server import LONG_ENOUGH, Server, clean_environment

WORKERS = Path(__file__).parents[2] / "examples" / "faces"
CLIENTS = Path(__file__).parent / "clients"
NODE, CURL = shutil.which("node"), shutil.which("curl")
needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed")
needs_curl = pytest.mark.skipif(CURL is None, reason="curl is not installed")


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with Server(tmp_path_factory.mktemp("data")) as server, Api(server.url) as api:
        yield api


def start(*command: str | Path, **env: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    environment = clean_environment() | {"PACE": "0.08", **env}
    return subprocess.Popen(
        list(map(str, command)), stdout=pipe, stderr=pipe, text=True, env=environment
    )


def told_by(
    api: Api, worker: str, job: str, client: list[Any], *, more: int = 0, face: str = "", **env: str
) -> list[Any]:
    """What the client was told while the worker did its job, line by line; all but `more` lines at
    the end are answers of the face."""
    api.put(f"/v1/jobs/{job}", json={"type": worker})
    polling = start(*client)
    assert polling.stdout is not None
    first = polling.stdout.readline()  # of a job that waits
    working = start(sys.executable, WORKERS / f"{worker}.py", api.url, job, **env)
    rest, errors = all_of(polling)
    _, trouble = working.communicate(timeout=LONG_ENOUGH)
    assert (polling.returncode, working.returncode) == (0, 0), errors + trouble
    seen = [json.loads(line) for line in [first, *rest.splitlines()]]
    for answer in seen[: len(seen) - more]:
        schema(face or worker).validate(answer)
    return seen


def all_of(process: subprocess.Popen[str]) -> tuple[str, str]:
    """What `communicate` gives; but that does not know of what came with the first line."""
    assert process.stdout is not None
    assert process.stderr is not None
    impatience = threading.Timer(LONG_ENOUGH, process.kill)
    impatience.start()
    said, errors = process.stdout.read(), process.stderr.read()
    process.wait()
    impatience.cancel()
    process.stdout.close()
    process.stderr.close()
    return said, errors


def only_grows(values: list[Any]) -> bool:
    return values == sorted(values)


def in_order(words: list[str], seen: list[str]) -> bool:
    """From the first of the words to the last, without going back."""
    places = [words.index(word) for word in seen]
    return only_grows(places) and (seen[0], seen[-1]) == (words[0], words[-1])


def test_consolidation_in_python(api: Api) -> None:
    client = [sys.executable, CLIENTS / "consolidation.py", api.url, "consolidation-1"]
    seen = told_by(api, "consolidation", "consolidation-1", client)
    assert in_order(["pending", "running", "completed"], [one["status"] for one in seen])
    assert only_grows([one["progress"] for one in seen])
    last = seen[-1]
    assert last["consolidation_changes"] == ["chg-1", "chg-2", "chg-3", "chg-4"]
    counters = ("memories_merged", "memories_archived", "memories_promoted", "summaries_created")
    assert [last[name] for name in counters] == [7, 4, 1, 2]
    assert last["started_at"] < last["completed_at"]


@needs_curl
def test_translation_in_curl(api: Api, tmp_path: Path) -> None:
    out = tmp_path / "out.txt"
    client = ["sh", CLIENTS / "translation.sh", api.url, "translation-1", out]
    seen = told_by(api, "translation", "translation-1", client)
    assert in_order(["started", "processing", "completed"], [one["status"] for one in seen])
    progress = [one["progress"] for one in seen]
    assert only_grows(progress)
    assert set(progress) <= {0, 20, 35, 50, 65, 80, 100}
    assert seen[-1]["output_file"] == "document.de.txt"
    assert (seen[-1]["source_language"], seen[-1]["target_language"]) == ("en", "de")
    assert out.read_text().startswith("Hallo.")
    headers = Path(f"{out}.headers").read_text().lower()
    assert "content-type: application/octet-stream" in headers
    assert "x-processing-type: advanced" in headers
    assert "x-format-preserved: true" in headers


@needs_curl
def test_translation_in_curl_of_what_is_not_there(api: Api, tmp_path: Path) -> None:
    client = start("sh", CLIENTS / "translation.sh", api.url, "none", tmp_path / "out")
    _, errors = client.communicate(timeout=LONG_ENOUGH)
    assert client.returncode == 4
    assert json.loads(errors) == {"detail": "Job not found"}


@needs_node
def test_render_in_fetch(api: Api, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    client: list[str | Path] = [CLIENTS / "render.mjs", api.url, "render-1", "a-token", out]
    *seen, headers = told_by(api, "render", "render-1", [str(NODE), *client], more=1)
    assert in_order(["queued", "processing", "completed"], [one["status"] for one in seen])
    assert only_grows([one["progress"] for one in seen])
    assert seen[-1]["projectPath"] == "/projects/teaser"
    assert out.read_bytes()[4:12] == b"ftypmp42"
    assert headers["content-type"] == "video/mp4"
    assert headers["content-disposition"].startswith('attachment; filename="output.mp4"')
    assert headers["content-length"] == str(out.stat().st_size)


@needs_node
def test_render_in_fetch_that_fails(api: Api, tmp_path: Path) -> None:
    client: list[str | Path] = [CLIENTS / "render.mjs", api.url, "render-2", "a-token", tmp_path]
    last = told_by(api, "render", "render-2", [str(NODE), *client], FAIL="1")[-1]
    assert (last["status"], last["error"]) == ("failed", "The video could not be written")
    assert last["logs"].splitlines()[0] == "codec h264, 1920x1080"
    assert last["logs"].splitlines()[-1] == "muxer: no space left"
    assert "downloadUrl" not in last


@needs_node
def test_tasks_in_fetch(api: Api) -> None:
    client: list[str | Path] = [CLIENTS / "tasks.mjs", api.url, "speech-1"]
    seen = told_by(api, "speech", "speech-1", [str(NODE), *client], face="tasks")
    assert in_order(["PENDING", "PROCESSING", "COMPLETED"], [one["status"] for one in seen])
    assert only_grows([len(one["completed_segments"]) for one in seen])
    assert only_grows([one["progress"]["percentage"] for one in seen])
    last = seen[-1]
    assert [segment["segment_id"] for segment in last["completed_segments"]] == [1, 2, 4]
    assert last["errors"] == [{"segment_id": 3, "error": "Nothing to say"}]
    assert last["progress"] == {"current": 4, "total": 4, "percentage": 100}


@needs_curl
def test_toolkit_in_curl(api: Api) -> None:
    client = ["sh", CLIENTS / "toolkit.sh", api.url, "toolkit-1"]
    seen = [one["response"] for one in told_by(api, "toolkit", "toolkit-1", client)]
    assert in_order(["queued", "running", "done"], [one["job_status"] for one in seen])
    done = seen[-1]["response"]
    assert (done["endpoint"], done["id"]) == ("/v1/media/transcribe", "transcribe_job_123")
    assert (done["code"], done["message"]) == (200, "success")
    assert done["response"] == "Transcription completed successfully."
    assert done["pid"] == seen[-1]["process_id"] > 0
    assert done["total_time"] == pytest.approx(done["run_time"] + done["queue_time"])
    assert min(done["run_time"], done["queue_time"]) > 0


def test_a_worker_without_a_job_makes_one(api: Api) -> None:
    working = start(sys.executable, WORKERS / "toolkit.py", api.url, PACE="0")
    said, trouble = working.communicate(timeout=LONG_ENOUGH)
    assert working.returncode == 0, trouble
    page = said.strip()
    assert page.startswith(f"{api.url}/jobs/")
    assert api.job(page.rpartition("/")[2])["status"] == "succeeded"
