"""The spool keeps on disk what could not be sent, within its bounds."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

import pytest

import livejobs
from livejobs.client.sending import process
from livejobs.client.sending import spool as spools
from livejobs.client.sending.exchange import Record
from livejobs.client.sending.spool import Spool, left_behind
from livejobs.client.settings import Target
from tests.client.fake import Fake
from tests.client.worker import Worker, all_logs, all_results
from tests.support.api import Api
from tests.support.desk import eventually
from tests.support.server import LONG_ENOUGH, Server


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
            eventually(lambda: not list(spools._root(other).iterdir()))
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
