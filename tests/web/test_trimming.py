"""A server that keeps only so many lines and results of a job: what its clients see of that."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from livejobs.cli.main import main
from tests.support.api import Api
from tests.support.desk import eventually
from tests.support.server import Server

LINES = 160
LIMITS = ("--keep-log-lines", str(LINES), "--keep-results", "16", "--keep-result-bytes", "1MiB")
TEXT = {"accept": "text/plain"}
EVENTS = {"accept": "text/event-stream"}
names = count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("trimming") / "data", *LIMITS) as server:
        yield server


@pytest.fixture
def api(server: Server) -> Iterator[Api]:
    with Api(server.url) as api:
        yield api


def lines(first: int, last: int) -> list[dict[str, Any]]:
    return [{"type": "log", "message": f"line {n}"} for n in range(first, last + 1)]


def filled(api: Api, total: int = 500) -> str:
    id = api.create(id=f"j{next(names)}")
    for first in range(1, total + 1, 100):
        api.report(id, *lines(first, first + 99))
    return id


def events(api: Api, path: str, **headers: str) -> list[tuple[str, Any]]:
    """The events of a stream that ends."""
    with api.stream("GET", path, headers=EVENTS | headers) as answer:
        found, name = [], "message"
        for line in answer.iter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                found.append((name, json.loads(line.removeprefix("data: "))))
                name = "message"
        return found


def test_the_head_and_the_pages_tell_what_was_removed(api: Api) -> None:
    id = filled(api)
    job = api.job(id)
    assert (job["logs_total"], job["trimmed"]) == (500, {"logs": 340, "results": 0, "errors": 0})
    page = api.get(f"/v1/jobs/{id}/logs?limit=2").json()
    assert [line["n"] for line in page["logs"]] == [341, 342]
    assert (page["next"], page["trimmed"]) == (342, 340)
    for query in ("after=340", "after=400", "tail=3", "after=499"):
        assert "trimmed" not in api.get(f"/v1/jobs/{id}/logs?{query}").json()
    assert api.get(f"/v1/jobs/{id}/logs?tail=1000").json()["trimmed"] == 340
    assert api.get(f"/v1/jobs/{id}/logs?after=7&level=warning").json() == {
        "logs": [], "next": None, "trimmed": 340,
    }  # fmt: skip


def test_a_job_below_the_limits_shows_nothing_of_them(api: Api) -> None:
    id = filled(api, 100)
    assert api.job(id)["trimmed"] is None
    assert set(api.get(f"/v1/jobs/{id}/logs").json()) == {"logs", "next"}
    text = api.get(f"/v1/jobs/{id}/logs", headers=TEXT).text
    assert text.startswith("line 1\n")


def test_a_log_as_text_begins_with_the_mark(api: Api) -> None:
    id = filled(api)
    api.report(id, {"type": "succeed"})
    for query in ("", "?follow=1"):
        text = api.get(f"/v1/jobs/{id}/logs{query}", headers=TEXT).text
        assert text.splitlines()[:2] == ["[340 earlier lines were removed]", "line 341"]
        assert text.endswith("line 500\n")
    assert api.get(f"/v1/jobs/{id}/logs?tail=2", headers=TEXT).text == "line 499\nline 500\n"


def test_a_client_that_resumes_before_the_cut_gets_the_mark_then_what_is_kept(api: Api) -> None:
    id = api.create(id=f"j{next(names)}")
    seen = api.report(id, *lines(1, 10))["cursor"]
    for first in range(11, 511, 100):
        api.report(id, *lines(first, first + 99))
    end = api.report(id, {"type": "succeed"})["cursor"]
    found = events(api, f"/v1/jobs/{id}/logs?since={seen}")
    assert found[0] == ("trimmed", {"logs": 350})
    kept = [line["n"] for name, data in found if name == "logs" for line in data]
    assert kept == list(range(351, 511))
    assert found[-1][0] == "end"
    deltas = events(api, f"/v1/jobs/{id}/events?view=delta&logs=1&since={seen}")
    sent = [line["n"] for _, data in deltas for line in data.get("append", {}).get("logs", [])]
    assert sent == list(range(351, 511))
    assert [d["set"].get("trimmed") for n, d in deltas if n == "delta"][-1]["logs"] == 350
    assert api.get(f"/v1/jobs/{id}/logs?since={end}", headers=EVENTS).status_code == 204


def test_a_client_that_has_seen_the_cut_gets_no_mark(api: Api) -> None:
    id = filled(api)
    seen = api.job(id)["cursor"]
    for _ in range(3):
        seen, before = api.report(id, *lines(1, 100))["cursor"], seen
    api.report(id, {"type": "succeed"})
    found = events(api, f"/v1/jobs/{id}/logs?since={before}")
    assert [name for name, _ in found] == ["logs", "end"]
    assert len(found[0][1]) == 100


def test_a_viewer_that_keeps_up_gets_every_line(api: Api) -> None:
    id = api.create(id=f"j{next(names)}")
    found: list[tuple[str, Any]] = []

    def view() -> None:
        with Api(api.url) as other:
            found.extend(events(other, f"/v1/jobs/{id}/logs"))

    viewer = threading.Thread(target=view)
    viewer.start()
    eventually(lambda: b"livejobs_subscriptions 1.0" in api.get("/metrics").content)
    for first in range(1, 601, 100):
        api.report(id, *lines(first, first + 99))
    api.report(id, {"type": "succeed"})
    viewer.join()
    sent = [line["n"] for name, data in found if name == "logs" for line in data]
    assert sent == list(range(1, 601)) or "trimmed" in dict(found)


def test_results_and_faces_show_those_that_are_kept_also_after_a_restart(
    api: Api, server: Server
) -> None:
    id = api.create(id=f"j{next(names)}")
    task = f"/api/tasks/{id}/status/"
    api.report(id, {"type": "result", "value": 0})
    assert api.get(task).json()["completed_segments"] == [0]
    for n in range(1, 40):
        api.report(id, {"type": "result", "value": n})
    before = api.get(f"/v1/jobs/{id}")
    job = before.json()
    kept = list(range(job["trimmed"]["results"], 40))
    assert (len(kept), job["results_total"]) == (16, 40)
    assert [one["value"] for one in job["results"]] == kept
    assert api.get(task).json()["completed_segments"] == kept
    page = api.get(f"/v1/jobs/{id}/results").json()
    assert ([one["value"] for one in page["results"]], page["trimmed"]) == (kept, 24)
    server.restart()
    again = api.get(f"/v1/jobs/{id}")
    assert (again.headers["etag"], again.content) == (before.headers["etag"], before.content)
    assert api.get(task).json()["completed_segments"] == kept


def test_removed_lines_leave_the_disk_while_the_job_runs(api: Api) -> None:
    def removed() -> float:
        text = api.get("/metrics").text
        return float(text.partition("\nlivejobs_entries_removed_total ")[2].split("\n")[0])

    before = removed()
    id = filled(api)
    eventually(lambda: removed() >= before + 340)
    assert api.get(f"/v1/jobs/{id}/logs?limit=1000").json()["logs"][0]["n"] == 341


def test_a_server_killed_while_it_removes_lines_goes_on_after_its_restart(tmp_path: Path) -> None:
    with Server(tmp_path / "data", *LIMITS) as server, Api(server.url) as api:
        id = filled(api, 2000)
        server.kill()
        server.restart()
        page = api.get(f"/v1/jobs/{id}/logs?limit=1000").json()
        assert [line["n"] for line in page["logs"]] == list(range(1841, 2001))
        assert page["trimmed"] == 1840


def test_the_command_line_tells_of_removed_lines_beside_the_log(api: Api) -> None:
    id = filled(api)
    shown = CliRunner().invoke(main, ["logs", id, "--url", api.url])
    assert (shown.exit_code, shown.stdout.count("\n")) == (0, 160)
    assert shown.stderr == "livejobs: 340 earlier lines were removed\n"
    for options in (["--tail", "3"], ["--level", "warning"]):
        assert CliRunner().invoke(main, ["logs", id, "--url", api.url, *options]).stderr == ""
