"""What Prometheus is told: read by its own parser, from a real server."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import TypeAlias

import httpx2 as httpx
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient
from websockets.sync.client import connect

from livejobs import LiveJobs, Settings, create_app
from livejobs.core.errors import StorageUnavailable
from livejobs.store.memory import MemoryStore
from livejobs.web.calls.metrics import ROWS, SUMS, Row
from tests.support.api import NDJSON, Api, hear
from tests.support.desk import eventually
from tests.support.server import Server

DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"
Numbers: TypeAlias = dict[tuple[str, str], float]  # by name and the label's value


def families(text: str) -> list[Metric]:
    return list(text_string_to_metric_families(text))


def numbers(api: httpx.Client) -> Numbers:
    answer = api.get("/metrics")
    assert answer.status_code == 200, answer.text
    return {
        (sample.name, "".join(sample.labels.values())): sample.value
        for family in families(answer.text)
        for sample in family.samples
    }


def test_jobs_viewers_and_what_was_sent_are_counted(tmp_path: Path) -> None:
    with Server(tmp_path / "data") as server, Api(server.url) as api:
        waiting, running, ended = (api.create() for _ in range(3))
        api.report(running, {"type": "start"})
        api.report(ended, {"type": "succeed"})
        with (
            api.stream("GET", f"/v1/jobs/{running}/events") as stream,
            connect(f"{server.url.replace('http', 'ws')}/v1/jobs/{waiting}") as ws,
        ):
            lines = stream.iter_lines()
            assert any(line.startswith("data: ") for line in lines)
            assert [hear(ws) for _ in range(2)]
            before = numbers(api)
            assert before["livejobs_jobs", "queued"] == 1
            assert before["livejobs_jobs", "running"] == 1
            assert before["livejobs_jobs", "finished"] == 1
            assert before["livejobs_viewers", "stream"] == 1
            assert before["livejobs_viewers", "socket"] == 1
            assert before["livejobs_subscriptions", ""] == 2
            assert before["livejobs_channels", ""] == 2
            assert before["livejobs_resyncs_total", ""] == 2
            assert before["livejobs_deliveries_total", ""] == 2
            assert before["livejobs_commits_total", ""] == 5
            assert before["livejobs_store_failing", ""] == 0
            assert before["livejobs_connections", ""] == 3
            assert before["livejobs_reports_total", ""] == 2
            assert before["livejobs_changes_total", ""] == 5
            assert before["livejobs_commit_seconds_count", ""] == 5
            assert before["livejobs_commit_changes_bucket", "1.0"] == 5
            assert before["livejobs_messages_total", ""] == 2
            assert before["livejobs_watchers", "jobsse"] == 1
            assert before["livejobs_watchers", "jobwebsocket"] == 1
            assert before["livejobs_subscriptions_behind", ""] == 0
            assert before["livejobs_longest_queued_seconds", ""] > 0
            assert before["livejobs_limit", "max_queued"] == 100_000
            assert before["livejobs_disk_free_bytes", ""] > 0
            assert before["livejobs_build_info", version("livejobs")] == 1
            api.report(running, {"type": "progress", "percent": 50})
            assert any('"percent":50' in line for line in lines)
            after = numbers(api)
            assert after["livejobs_deliveries_total", ""] == 3
            assert after["livejobs_commits_total", ""] == 6
            assert after["livejobs_reports_total", ""] == 3
            assert after["livejobs_messages_total", ""] == 3
            sent = after["livejobs_message_bytes_total", ""]
            assert sent > before["livejobs_message_bytes_total", ""] > 1000
            # It is measured five times a second, and nothing waits for that.
            eventually(lambda: numbers(api)["livejobs_loop_lag_seconds_count", ""])
        assert before["process_resident_memory_bytes", ""] > 10 << 20
        assert before["process_open_fds", ""] > 10


def test_reports_are_counted_once_however_they_come(tmp_path: Path) -> None:
    with Server(tmp_path / "data") as server, Api(server.url) as api:
        id = api.create()
        numbered = [{"type": "log", "message": "x", "producer": "p", "n": n} for n in (1, 2)]
        api.report(id, *numbered)
        api.report(id, *numbered)  # seen already
        api.report(id, {"type": "heartbeat"})  # not committed
        lines = b'{"type":"log","message":"x"}\n' * 3 + b"no report\n"
        answer = api.post(f"/v1/jobs/{id}/reports", content=lines, headers=NDJSON)
        assert answer.json()["kept"] == 3
        assert api.post(f"/v1/jobs/{id}/reports", json={"type": "no"}).status_code == 422
        with connect(f"{server.url.replace('http', 'ws')}/v1/ws") as ws:
            ws.send(f'{{"op":"report","id":1,"job":"{id}","reports":[{{"type":"heartbeat"}}]}}')
            assert hear(ws)["accepted"] == 1
        assert numbers(api)["livejobs_reports_total", ""] == 2 + 1 + 3 + 1


def test_watchers_are_counted_by_what_they_are(tmp_path: Path) -> None:
    with Server(tmp_path / "data") as server, Api(server.url) as api:
        id = api.create()
        api.report(id, {"type": "log", "message": "A line."})
        text = {"accept": "text/plain"}
        events = {"accept": "text/event-stream"}
        with (
            api.stream("GET", f"/v1/jobs/{id}/logs?follow=1", headers=text) as lines,
            api.stream("GET", f"/v1/jobs/{id}/logs", headers=events) as logs,
            api.stream("GET", "/v1/events") as feed,
            connect(f"{server.url.replace('http', 'ws')}/v1/ws") as ws,
        ):
            ws.send('{"op":"subscribe","id":1,"feed":{}}')
            assert [hear(ws)["op"] for _ in range(2)] == ["ack", "snapshot"]
            readers = [stream.iter_lines() for stream in (lines, logs, feed)]
            assert all(next(reader) for reader in readers)
            told = numbers(api)
        watching = [it for it, number in told.items() if number and it[0] == "livejobs_watchers"]
        assert {kind for _, kind in watching} == {"logstext", "logssse", "feedsse", "feedwebsocket"}


def test_every_name_is_documented_with_what_it_is(tmp_path: Path) -> None:
    with Server(tmp_path / "data") as server, Api(server.url) as api:
        api.get("/v1/jobs")
        told = families(api.get("/metrics").text)
    docs = DOCS.read_text()
    for family in told:
        total = "_total" if family.type == "counter" else ""
        says = family.documentation if family.name.startswith("livejobs_") else ""
        assert f"| `{family.name}{total}` | {family.type} | {says}" in docs
    assert docs.count("\n| `") == len(told)


def keys(row: Row) -> Iterable[str]:
    return [row.of] if isinstance(row.of, str) else row.of.values()


def test_all_that_is_counted_is_shown(tmp_path: Path) -> None:
    shown = {key for row in ROWS for key in keys(row)}
    counted = LiveJobs(Settings(data=tmp_path), store=MemoryStore()).statistics().keys()
    assert shown | SUMS == counted


class Refusing(MemoryStore):
    async def commit(self, changes: object, on: object = None) -> list[int]:
        raise StorageUnavailable("The disk is full.")


def test_a_store_that_refuses_writes_shows_in_the_metrics(tmp_path: Path) -> None:
    live = LiveJobs(Settings(data=tmp_path), store=Refusing())
    with TestClient(create_app(live)) as browser:
        assert browser.post("/v1/jobs").status_code == 503
        lines = browser.get("/metrics").text.splitlines()
    assert "livejobs_store_failing 1.0" in lines
    assert "livejobs_commits_refused_total 1.0" in lines
    assert "livejobs_commit_seconds_count 0.0" in lines
    assert not [line for line in lines if line.startswith("livejobs_connections")]  # not known


def test_the_numbers_are_public_where_the_setting_says_so(tmp_path: Path) -> None:
    closed = {"LIVEJOBS_ADMIN_KEY": "the-first-admin-key"}
    with Server(tmp_path / "data", env=closed) as server:
        assert httpx.get(server.url + "/metrics").status_code == 401
    with Server(tmp_path / "data", "--metrics-public", env=closed) as server:
        answer = httpx.get(server.url + "/metrics")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert answer.headers["cache-control"] == "no-store"
