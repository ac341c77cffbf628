"""Servers and workers that die, hang, refuse, or have no room."""

from __future__ import annotations

import json
import os
import resource
import signal
import time
from pathlib import Path

import pytest

import livejobs
from livejobs.client.sending import process
from livejobs.client.sending import spool as spools
from livejobs.client.sending.exchange import Record
from livejobs.client.sending.pace import INTERVAL
from livejobs.client.sending.spool import Spool, left_behind
from livejobs.client.settings import Target
from tests.client.fake import Fake
from tests.client.worker import Worker, all_logs, all_results
from tests.support.api import Api
from tests.support.server import LONG_ENOUGH, Server

DELIVER = """
    import livejobs
    with livejobs.job("next") as job:
        pass
    livejobs.flush(30)
"""


def numbers(api: Api, id: str) -> list[int]:
    return [int(line) for line in all_logs(api, id)]


def test_a_server_that_dies_under_a_worker_has_every_entry_once(
    server: Server, worker: Worker
) -> None:
    process = worker.start(
        server.url,
        """
        import sys, livejobs
        with livejobs.job("render") as job:
            print(job.id, flush=True)
            for number in job.track(range(3000)):
                job.log(number)
                job.count("lines")
                if number % 500 == 0:
                    print(number, flush=True)
                    sys.stdin.readline()
            job.flush(60)
        """,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    id = process.stdout.readline().strip()
    for _ in range(6):
        process.stdout.readline()
        server.kill()
        process.stdin.write("\n")
        process.stdin.flush()
        server.restart()
    process.communicate()
    with Api(server.url) as api:
        state = api.job(id)
        assert numbers(api, id) == list(range(3000))
    assert state["status"] == "succeeded"
    assert state["counters"] == {"lines": 3000}
    assert worker.folders == []


def test_a_worker_that_ends_while_the_server_is_away_is_delivered_by_the_next(
    server: Server, worker: Worker
) -> None:
    server.kill()
    out, errors = worker.run(
        server.url,
        """
        import livejobs
        with livejobs.job("render", title="away") as job:
            for number in range(1000):
                job.log(number)
            job.count("lines", 1000)
        print(job.id)
        """,
    )
    id = out.strip()
    assert errors.count("does not take reports now") == 1
    assert len(worker.folders) == 1
    server.restart()
    worker.run(server.url, DELIVER)
    with Api(server.url) as api:
        state = api.job(id)
        assert (state["status"], state["title"]) == ("succeeded", "away")
        assert state["counters"] == {"lines": 1000}
        assert numbers(api, id) == list(range(1000))
    assert worker.folders == []


def test_a_worker_that_is_killed_after_its_end_was_kept_is_delivered_by_the_next(
    server: Server, worker: Worker
) -> None:
    server.kill()
    process = worker.start(
        server.url,
        """
        import os, signal, livejobs
        with livejobs.job("render") as job:
            job.result(1)
            job.progress(7, 7)
        print(job.id, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        """,
    )
    id = process.communicate()[0].strip()
    assert process.returncode == -signal.SIGKILL
    server.restart()
    for _ in range(2):  # and what was delivered is not delivered again
        worker.run(server.url, DELIVER)
    with Api(server.url) as api:
        state = api.job(id)
        assert state["status"] == "succeeded"
        assert state["progress"]["current"] == 7
        assert all_results(api, id) == [1]


def test_a_worker_that_is_killed_while_the_server_is_away_has_kept_what_it_tried_to_send(
    server: Server, worker: Worker
) -> None:
    server.kill()
    process = worker.start(
        server.url,
        """
        import sys, livejobs
        with livejobs.job("render") as job:
            print(job.id, flush=True)
            job.log("kept")
            while job._channel.outbox.waiting.spooled < 2:
                pass
            print("spilled", flush=True)
            sys.stdin.readline()
        """,
    )
    assert process.stdout is not None
    id = process.stdout.readline().strip()
    assert process.stdout.readline().strip() == "spilled"
    process.kill()
    process.communicate()
    server.restart()
    worker.run(server.url, DELIVER)
    with Api(server.url) as api:
        assert api.job(id)["status"] == "running"  # nobody said how it ended
        assert all_logs(api, id) == ["kept"]


def test_the_next_process_sends_only_what_was_not_acknowledged_twice_or_not(
    server: Server, worker: Worker
) -> None:
    """Killed at a random moment of sending what the first one left."""
    server.kill()
    out, _ = worker.run(
        server.url,
        """
        import livejobs
        with livejobs.job("render") as job:
            for number in range(20000):
                job.log(number)
        print(job.id)
        """,
    )
    server.restart()
    for _ in range(4):
        process = worker.start(
            server.url,
            """
            import livejobs
            with livejobs.job("next") as job:
                job.flush(60)
                print("began", flush=True)
            livejobs.flush(60)
            """,
        )
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
        process.communicate()
    worker.run(server.url, DELIVER)
    with Api(server.url) as api:
        assert numbers(api, out.strip()) == list(range(20000))
    assert worker.folders == []


def test_a_folder_whose_process_lives_is_not_taken(tmp_path: Path) -> None:
    target = Target("http://127.0.0.1:1", None, tmp_path)
    spool = Spool.create(target, {"job": "j", "producer": "p", "creation": None})
    spool.append([Record(1, "log", b'{"type":"log","n":1}')])
    assert list(left_behind(target)) == []
    spool.close()
    (found,) = left_behind(target)
    assert found.span == (1, 1)
    assert list(left_behind(Target("http://127.0.0.1:2", None, tmp_path))) == []


def test_half_a_line_is_ignored(tmp_path: Path) -> None:
    target = Target("http://127.0.0.1:1", None, tmp_path)
    spool = Spool.create(target, {"job": "j", "producer": "p", "creation": None})
    spool.append([Record(n, "log", b'{"type":"log","n":%d}' % n) for n in (1, 2)])
    (path,) = spool.folder.glob("*.ndjson")
    with path.open("ab") as file:
        file.write(b'{"type":"log","n":3')
    spool.close()
    (found,) = left_behind(target)
    assert [record.n for record in found.read(1)] == [1, 2]


def test_an_empty_folder_is_removed(spool: Path) -> None:
    with Fake([(200, {})]) as fake:
        target = Target(fake.url, None, spool)
        left = Spool.create(target, {"job": "j", "producer": "p", "creation": None})
        left.note_created()
        left.close()
        with livejobs.job("render", url=fake.url, spool=spool):
            pass
        assert not left.folder.exists()
        assert {one.path.split("/")[3] for one in fake.requests} != {"j"}


def test_many_folders_are_delivered_a_few_at_a_time(spool: Path) -> None:
    for number in range(40):
        target = Target("http://127.0.0.1:9", None, spool)
        with livejobs.job("render", id=f"j{number}", url=target.url, spool=spool):
            pass
    process.close_all()
    (left,) = spool.iterdir()
    with Fake([(200, {})]) as fake:
        other = Target(fake.url, None, spool)
        left.rename(spools._root(other))
        with livejobs.job("render", id="last", url=fake.url, spool=spool):
            while list(spools._root(other).iterdir()):
                pass
        asked = [one.path.split("/")[3] for one in fake.requests if b"succeed" in one.body]
    assert sorted(asked) == sorted([*(f"j{number}" for number in range(40)), "last"])


MANY_UNSENT = """
    import os, resource, sys, livejobs
    resource.setrlimit(resource.RLIMIT_NOFILE, (120, 120))
    jobs = []
    for number in range(60):
        with livejobs.job("ended") as job:
            job.log(number)
    for number in range(300):
        jobs.append(livejobs.job("open"))
        jobs[-1].log(number)
    os.close(os.open(sys.executable, os.O_RDONLY))
"""


def test_many_jobs_that_cannot_be_sent_take_few_descriptors_and_are_all_kept(
    server: Server, worker: Worker
) -> None:
    server.kill()
    _, errors = worker.run(server.url, MANY_UNSENT)
    assert "cannot be written" not in errors
    assert len(worker.folders) == 360
    logs = [line for path in worker.folders for line in path.glob("*.ndjson")]
    assert sum(b'"type":"log"' in path.read_bytes() for path in logs) == 360


def test_a_process_sends_what_it_could_not_hold_open(server: Server, worker: Worker) -> None:
    server.kill()
    process = worker.start(
        server.url,
        """
        import sys, livejobs
        from livejobs.client.sending import reporter
        reporter.HELD = 2
        for number in range(20):
            with livejobs.job("ended", id=f"job-{number}", title="t") as job:
                job.log(number)
        assert not livejobs.flush(0)
        print("kept", flush=True)
        sys.stdin.readline()
        with livejobs.job("last"):
            pass
        while not livejobs.flush(30):
            pass
        """,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "kept\n"
    server.restart()
    _, errors = process.communicate("\n", timeout=LONG_ENOUGH)
    assert process.returncode == 0, errors
    assert not worker.folders
    with Api(server.url) as api:
        for number in range(20):
            assert all_logs(api, f"job-{number}") == [str(number)]
            assert api.job(f"job-{number}")["status"] == "succeeded"


def test_a_loop_that_goes_on_after_the_end_wakes_nobody(spool: Path) -> None:
    with Fake([(200, {})]) as fake:
        with livejobs.job("render", url=fake.url, spool=spool) as job:
            for _ in job.track(range(3)):
                job.succeed()
                job.flush()
        while any(one["jobs"] for one in process.statistics() if one["url"] == fake.url):
            pass


def test_old_folders_go(tmp_path: Path) -> None:
    target = Target("http://127.0.0.1:1", None, tmp_path)
    spool = Spool.create(target, {"job": "j", "producer": "p", "creation": None})
    spool.close()
    os.utime(spool.folder, (1, 1))
    assert list(left_behind(target)) == []
    assert not spool.folder.exists()


def test_nobody_else_may_read_the_spool_and_the_key_is_not_in_it(tmp_path: Path) -> None:
    root = tmp_path / "spool"
    with livejobs.job("x", url="http://127.0.0.1:9", key="secret-key", spool=root) as job:
        job.log("x")
    modes = {path: path.stat().st_mode & 0o777 for path in root.rglob("*")}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    files = [path for path in modes if path.is_file()]
    assert {modes[path] for path in files} == {0o600}
    assert not [path for path in files if b"secret-key" in path.read_bytes()]


def test_more_than_memory_holds_goes_by_the_disk_and_arrives_in_order(
    server: Server, worker: Worker
) -> None:
    server.kill()
    process = worker.start(
        server.url,
        """
        import sys, livejobs
        with livejobs.job("render") as job:
            print(job.id, flush=True)
            for number in range(300):
                job.result([number, "x" * 100_000])
            held = livejobs.statistics()[0]["bytes"]
            print(held, flush=True)
            sys.stdin.readline()
            for number in range(300, 310):
                job.result([number, ""])
            assert job.flush(60)
        """,
    )
    assert process.stdout is not None
    id = process.stdout.readline().strip()
    assert int(process.stdout.readline()) < 9_000_000
    server.restart()
    _, errors = process.communicate("\n")
    assert process.returncode == 0, errors
    with Api(server.url) as api:
        found = [value[0] for value in all_results(api, id)]  # type: ignore[index]  # each is a list
        assert found == list(range(310))
        assert api.job(id)["status"] == "succeeded"


def test_a_full_disk_costs_the_oldest_log_lines_and_no_more(server: Server, worker: Worker) -> None:
    """The limit on the size of a file stands for the disk's."""
    server.kill()
    process = worker.start(
        server.url,
        """
        import resource, signal, sys, livejobs
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
        with livejobs.job("render") as job:
            print(job.id, flush=True)
            job.result("first")
            for number in range(20000):
                job.log(f"{number} " + "x" * 1000)
            job.result("last")
            print(livejobs.statistics()[0]["dropped"], flush=True)
            sys.stdin.readline()
            assert job.flush(60)
        """,
    )
    assert process.stdout is not None
    id = process.stdout.readline().strip()
    dropped = int(process.stdout.readline())
    server.restart()
    _, errors = process.communicate("\n")
    assert process.returncode == 0, errors
    assert errors.count("spool cannot be written") == 1
    with Api(server.url) as api:
        assert all_results(api, id) == ["first", "last"]
        lines = all_logs(api, id)
    assert 0 < dropped < 20000
    assert any(f"dropped {dropped} reports" in line for line in lines)
    kept = [int(line.split()[0]) for line in lines if line[0].isdigit()]
    assert kept == list(range(20000 - len(kept), 20000))
    assert len(kept) == 20000 - dropped


def test_a_spool_that_cannot_be_made_harms_no_job(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with livejobs.job("render", url=server.url, spool=tmp_path / "file" / "spool") as job:
        job.log("x")
    with Api(server.url) as api:
        assert api.job(job.id)["status"] == "succeeded"


def test_a_disk_that_fills_up_leaves_whole_lines(tmp_path: Path) -> None:
    target = Target("http://127.0.0.1:1", None, tmp_path)
    spool = Spool.create(target, {"job": "j", "producer": "p", "creation": None})
    line = b'{"type":"log","n":%d,"x":"' + b"x" * 500 + b'"}'
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    spool.append([Record(1, "log", line % 1)])
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
        with pytest.raises(OSError, match="File too large"):
            spool.append([Record(2, "log", line % 2), Record(3, "log", line % 3)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    spool.append([Record(4, "log", line % 4)])
    assert [record.n for record in spool.read(1)] == [1, 4]
    spool.remove()


def test_the_spool_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spools, "MOST", 100)
    spool = Spool.create(
        Target("http://127.0.0.1:1", None, tmp_path), {"job": "j", "producer": "p"}
    )
    with pytest.raises(spools.Full):
        spool.append([Record(1, "log", b"x" * 101)])
    spool.remove()


# Servers that refuse


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
        while fake.requests[-1].body != b'{"type":"heartbeat"}':
            pass
        before = len(fake.requests)
        while len(fake.requests) == before:  # by itself
            pass
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
