"""Servers that refuse, hang, or ask for patience."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

import livejobs
from livejobs.client.sending import process
from livejobs.client.sending.pace import INTERVAL
from tests.client.fake import Fake
from tests.support.desk import eventually


def test_a_loop_that_goes_on_after_the_end_wakes_nobody(spool: Path) -> None:
    with Fake([(200, {})]) as fake:
        with livejobs.job("render", url=fake.url, spool=spool) as job:
            for _ in job.track(range(3)):
                job.succeed()
                job.flush()
        ours = fake.url
        eventually(lambda: not any(it["jobs"] for it in process.statistics() if it["url"] == ours))


@pytest.mark.parametrize(
    ("status", "times"),
    [(403, 1), (404, 1), (410, 1)],
)
def test_a_job_that_is_refused_is_told_once_and_asked_no_more(
    status: int, times: int, spool: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Fake([(status, {"detail": "You may not."})]) as fake:
        with livejobs.job("render", url=fake.url, spool=spool) as job:
            for number in range(5):
                job.log(number)
                job.flush()
        assert len(fake.requests) == times
    (record,) = [record for record in caplog.records if record.name == "livejobs.client"]
    assert "You may not." in record.getMessage()


def test_a_bad_key_is_told_once_and_the_reports_are_kept(
    spool: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Fake([(401, {"detail": "No such key."})]) as fake:
        with livejobs.job("render", url=fake.url, key="k", spool=spool) as job:
            job.log("x")
        assert fake.requests[0].headers["authorization"] == "Bearer k"
    assert caplog.text.count("No such key.") == 1
    assert len([path for path in spool.glob("*/*") if path.is_dir()]) == 1


def test_a_busy_server_is_asked_again_when_it_said(spool: Path) -> None:
    answers = [(201, {}), (429, {}, {"retry-after": "1"}), (200, {})]
    with Fake(answers) as fake:
        with livejobs.job("render", url=fake.url, spool=spool) as job:
            job.log("x")
            assert job.flush(30)
        refused, again = fake.requests[1:3]
        assert again.body == refused.body
        assert again.at - refused.at >= 1.0


def test_a_batch_that_is_too_large_is_halved(spool: Path) -> None:
    def answer(body: bytes) -> tuple[int, dict[str, object]]:
        return (413, {"code": "body_too_large"}) if len(body) > 2000 else (200, {})

    with Fake(answer) as fake:
        with livejobs.job("render", url=fake.url, spool=spool) as job:
            for number in range(100):
                job.log(number)
            job.log("x" * 10_000)
            job.log("last")
            assert job.flush(30)
        taken = [one for one in fake.requests if one.method == "POST" and len(one.body) <= 2000]
    reports = [report for one in taken for report in json.loads(one.body)]
    lines = [report["message"] for report in reports if report["type"] == "log"]
    assert lines == [*map(str, range(100)), "last"]


def test_a_server_that_never_answers_holds_nothing_up(
    spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Fake([], deaf=True) as fake:
        with livejobs.job("render", url=fake.url, spool=spool) as job:
            job.log("x")
        assert len([path for path in spool.glob("*/*") if path.is_dir()]) == 1


def test_a_key_that_no_header_can_hold_is_not_shown(
    spool: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with livejobs.job("render", url="http://127.0.0.1:9", key="secret\nkey", spool=spool) as job:
        job.log("x")
    assert "Nothing is reported" in caplog.text
    assert "secret" not in caplog.text


def test_a_job_without_a_block_sends_heartbeats_from_its_start_to_its_end(spool: Path) -> None:
    with Fake([(200, {})]) as fake:
        job = livejobs.job("render", url=fake.url, spool=spool)
        job.start()
        job.flush()
        job.heartbeat()
        eventually(lambda: fake.requests[-1].body == b'{"type":"heartbeat"}')
        before = len(fake.requests)
        eventually(lambda: len(fake.requests) > before)  # by itself
        assert fake.requests[-1].body == b'{"type":"heartbeat"}'
        job.succeed()
        job.flush()
        assert job._channel is not None
        assert job._channel.open == 0


def test_at_most_ten_sends_a_second(spool: Path) -> None:
    began = time.monotonic()
    with Fake([(200, {})]) as fake:
        with livejobs.job("render", url=fake.url, spool=spool) as job:
            while len(fake.requests) < 8:
                job.progress(1)
        times = [one.at for one in fake.requests if one.method == "POST"]
    # A slow machine makes them later, never earlier. The end does not wait for its turn.
    assert all(at - began >= turn * INTERVAL for turn, at in enumerate(times[:-1]))


def test_statistics_tell_what_is_held(spool: Path) -> None:
    url = "http://127.0.0.1:9"
    with livejobs.job("render", url=url, spool=spool) as job:
        job.log("x")
    (mine,) = [one for one in process.statistics() if one["url"] == url and one["jobs"]][-1:]
    assert mine["unacknowledged"] == 3  # start, the line, the end
    assert mine["away"]
