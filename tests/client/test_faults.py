"""Servers and workers that die: every report arrives, and arrives once."""

from __future__ import annotations

import signal

from tests.client.worker import Worker, all_logs, all_results
from tests.support.api import Api
from tests.support.server import Server

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
        import sys, time, livejobs
        with livejobs.job("render") as job:
            print(job.id, flush=True)
            job.log("kept")
            while job._channel.outbox.waiting.spooled < 2:
                time.sleep(0.01)
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
