"""Workers that fork, spawn, are interrupted, and end."""

from __future__ import annotations

import signal
from collections import Counter

import pytest

from tests.client.fake import Fake
from tests.client.storm import storm
from tests.client.worker import Worker, all_logs
from tests.support.api import Api
from tests.support.server import Server


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_a_pool_report_to_the_parents_job_and_to_their_own(
    method: str, api: Api, worker: Worker
) -> None:
    storm(api, worker, method)
    assert worker.folders == []


def test_children_that_use_the_parents_handle_flush_when_the_pool_closes(
    api: Api, worker: Worker
) -> None:
    out, _ = worker.run(
        str(api.base_url),
        """
        import multiprocessing
        import livejobs

        def work(number):
            livejobs.current().log(number)
            livejobs.current().advance()

        with livejobs.job("parent", total=40) as job:
            pool = multiprocessing.get_context("fork").Pool(8)
            pool.map(work, range(40), chunksize=1)
            pool.close()
            pool.join()
        print(job.id)
        """,
    )
    assert sorted(map(int, all_logs(api, out.strip()))) == list(range(40))
    assert api.job(out.strip())["progress"]["current"] == 40


def test_a_child_made_by_fork_does_not_end_the_parents_job(api: Api, worker: Worker) -> None:
    out, _ = worker.run(
        str(api.base_url),
        """
        import os, livejobs
        with livejobs.job("parent") as job:
            job.log("before")
            for number in job.track(range(3)):
                child = os.fork()
                if not child:
                    job.log("child")
                    break
                os.waitpid(child, 0)
                livejobs.current().log("parent")
            else:
                job.meta(own=True)
        if child:
            print(job.id)
        """,
    )
    state = api.job(out.strip())
    assert (state["status"], state["meta"]) == ("succeeded", {"own": True})
    assert state["progress"]["current"] == 3
    assert Counter(all_logs(api, state["id"])) == {"before": 1, "child": 3, "parent": 3}


def test_what_waits_in_the_parent_is_not_sent_by_the_child_as_well(
    server: Server, worker: Worker
) -> None:
    server.kill()
    process = worker.start(
        server.url,
        """
        import os, sys, livejobs
        with livejobs.job("parent") as job:
            print(job.id, flush=True)
            for number in range(100):
                job.log(number)
            while job._channel.disk.spool is None:
                pass
            child = os.fork()
            if not child:
                job.log("child")
                sys.exit()
            os.waitpid(child, 0)
            sys.stdin.readline()
            assert job.flush(60)
        """,
    )
    assert process.stdout is not None
    id = process.stdout.readline().strip()
    server.restart()
    _, errors = process.communicate("\n")
    assert process.returncode == 0, errors
    worker.run(server.url, "import livejobs\nwith livejobs.job('next'): pass\nlivejobs.flush(30)")
    with Api(server.url) as api:
        lines = all_logs(api, id)
        # The child's line comes too late, after the parent's end, unless the server is back early.
        assert lines.count("child") <= 1
        assert [line for line in lines if line != "child"] == [*map(str, range(100))]
        assert api.job(id)["status"] == "succeeded"
    assert worker.folders == []


def test_an_interrupt_cancels_the_job_and_ends_the_program(api: Api, worker: Worker) -> None:
    process = worker.start(
        str(api.base_url),
        """
        import livejobs
        with livejobs.job("render") as job:
            job.flush()
            print(job.id, flush=True)
            while True:
                job.progress(1)
        """,
    )
    assert process.stdout is not None
    id = process.stdout.readline().strip()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in errors
    assert api.job(id)["status"] == "cancelled"


@pytest.mark.parametrize(("code", "status"), [("0", "cancelled"), ("3", "failed")])
def test_exit_codes_are_kept(code: str, status: str, api: Api, worker: Worker) -> None:
    out, _ = worker.run(
        str(api.base_url),
        f"""
        import sys, livejobs
        with livejobs.job("render") as job:
            print(job.id, flush=True)
            sys.exit({code})
        """,
        code=int(code),
    )
    assert api.job(out.strip())["status"] == status


def test_what_is_said_without_a_block_is_sent_when_the_program_ends(
    api: Api, worker: Worker
) -> None:
    out, _ = worker.run(
        str(api.base_url),
        """
        import livejobs
        job = livejobs.job("render")
        job.start()
        for number in range(5000):
            job.log(number)
        job.succeed()
        print(job.id)
        """,
    )
    assert api.job(out.strip())["status"] == "succeeded"
    assert all_logs(api, out.strip()) == list(map(str, range(5000)))


def test_a_signal_handler_and_a_finalizer_may_log_in_the_middle_of_a_report(
    api: Api, worker: Worker
) -> None:
    out, _ = worker.run(
        str(api.base_url),
        """
        import signal, livejobs

        class Loud:
            def __init__(self):
                self.me = self
            def __del__(self):
                livejobs.current().log("gone")

        with livejobs.job("render") as job:
            signal.signal(signal.SIGALRM, lambda *_: job.log("tick"))
            signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
            for number in range(3000):
                Loud()
                job.log(number)
                job.progress(number)
            signal.setitimer(signal.ITIMER_REAL, 0)
            job.flush(60)
        print(job.id)
        """,
    )
    lines = all_logs(api, out.strip())
    assert [line for line in lines if line.isdigit()] == list(map(str, range(3000)))
    assert "tick" in lines


def test_a_job_that_holds_the_interpreter_for_seconds_is_not_stalled(
    api: Api, worker: Worker
) -> None:
    """The server's patience is longer than any such computation of this test: what counts is that
    heartbeats go on by themselves afterwards."""
    out, _ = worker.run(
        str(api.base_url),
        """
        import time, livejobs
        with livejobs.job("render", heartbeat_timeout=30) as job:
            job.flush()
            sent = livejobs.statistics()[0]["requests"]
            sum(range(10**8))  # in C, without letting go
            while livejobs.statistics()[0]["requests"] == sent:
                time.sleep(0.05)
        print(job.id)
        """,
    )
    state = api.job(out.strip())
    assert (state["status"], state["stalled"]) == ("succeeded", False)


def test_asyncio_may_run_many_jobs_at_once(api: Api, worker: Worker) -> None:
    out, _ = worker.run(
        str(api.base_url),
        """
        import asyncio, livejobs

        async def work(number):
            async with livejobs.job("render", title=str(number)) as job:
                for line in range(20):
                    await job.log(line)
                    assert livejobs.current().id == job.id
                    await asyncio.sleep(0)
            return job.id

        async def main():
            print(*await asyncio.gather(*map(work, range(50))))

        asyncio.run(main())
        """,
    )
    for id in out.split():
        assert api.job(id)["status"] == "succeeded"
        assert all_logs(api, id) == list(map(str, range(20)))


def test_cancelling_a_task_cancels_its_job(api: Api, worker: Worker) -> None:
    out, _ = worker.run(
        str(api.base_url),
        """
        import asyncio, livejobs

        async def main():
            begun = asyncio.Event()
            async def work():
                async with livejobs.job("render") as job:
                    print(job.id)
                    begun.set()
                    await asyncio.Event().wait()
            task = asyncio.create_task(work())
            await begun.wait()
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                print("cancelled")

        asyncio.run(main())
        """,
    )
    id, said = out.split()
    assert said == "cancelled"
    assert api.job(id)["status"] == "cancelled"


def test_a_child_is_not_held_up_by_what_the_parents_thread_was_in_the_middle_of(
    worker: Worker,
) -> None:
    """The reporter waits for an answer, with its buffer's lock held, while the job forks."""
    with Fake([], deaf=True) as fake:
        process = worker.start(
            fake.url,
            """
            import gc, os, sys, livejobs
            with livejobs.job("parent") as job:
                print("asked", flush=True)
                sys.stdin.readline()
                child = os.fork()
                if not child:
                    gc.collect()
                    job.log("child")
                    os._exit(7)
                print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
                os._exit(0)
            """,
        )
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdout.readline()
        while not fake.requests:
            pass
        out, errors = process.communicate("\n", 10)
    assert out.strip() == "7", errors
