"""Drills of the SDK: a server that is away for long under its worker, and storms of processes."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.client.storm import storm
from tests.client.worker import Worker, all_logs
from tests.crash.checker import Broken
from tests.support.api import Api
from tests.support.desk import eventually
from tests.support.server import LONG_ENOUGH, Server

METHODS = ("fork", "spawn", "forkserver")

# 200 lines a second, until a line comes in. It tells how long the slowest call took.
LOOP = """
    import itertools, os, select, sys, time, livejobs
    with livejobs.job("drill") as job:
        print(job.id, flush=True)
        slowest = inside = 0.0
        began = time.monotonic()
        for number in job.track(itertools.count(1)):
            before = time.monotonic()
            job.log(number)
            taken = time.monotonic() - before
            slowest, inside = max(slowest, taken), inside + taken
            if select.select([sys.stdin], [], [], 0.005)[0]:
                break
        job.result(number)
        said = [number, slowest, inside / (time.monotonic() - began)]
    print(*said, flush=True)
    if "KILLED" in os.environ:
        os.kill(os.getpid(), 9)
"""

NEXT = """
    import livejobs
    with livejobs.job("next"):
        pass
    livejobs.flush(60)
"""


def drill(
    outage: float, folder: Path, say: Callable[[str], None], ends: Sequence[bool] = (False, True)
) -> None:
    """The server is away for so many seconds: under the worker, and again while it ends.
    `ends`: whether the worker is killed after its end, for each round."""
    with Server(folder / "data") as server:
        for killed in ends:
            worker = Worker(folder / f"spool-{killed}")
            say(_round(server, worker, outage, killed=killed))


def _round(server: Server, worker: Worker, outage: float, *, killed: bool) -> str:
    process = worker.start(server.url, LOOP, **({"KILLED": "1"} if killed else {}))
    assert process.stdout is not None
    job = process.stdout.readline().strip()
    _reach(server, job, 50)
    lines = _away(server, job, outage)
    _reach(server, job, lines + 50)
    server.kill()
    said, errors = process.communicate("\n", LONG_ENOUGH)
    if process.returncode != (-signal.SIGKILL if killed else 0):
        raise Broken([f"the worker ended with {process.returncode}: {errors}"])
    time.sleep(outage)  # there is nothing to wait for: the drill is this pause
    server.restart()
    worker.run(server.url, NEXT)
    number, slowest, share = said.split()
    _check(server, worker, job, int(number))
    how = "was killed after its end" if killed else "ended"
    return (
        f"away for {outage:g} s under the worker, and {outage:g} s when it {how}: {number} lines, "
        f"each there once; slowest call {float(slowest) * 1000:.1f} ms, "
        f"{float(share):.2%} of the worker's time in calls"
    )


def _away(server: Server, job: str, outage: float) -> int:
    with Api(server.url) as api:
        lines: int = api.job(job)["logs_total"]
    server.kill()
    time.sleep(outage)  # as above
    server.restart()
    return lines


def _reach(server: Server, job: str, lines: int) -> None:
    def there(state: Any) -> bool:
        return bool(state["logs_total"] >= lines)

    with Api(server.url) as api:
        eventually(lambda: api.get(f"/v1/jobs/{job}").is_success)  # its creation is on the way
        api.until(job, there)


def _check(server: Server, worker: Worker, job: str, number: int) -> None:
    with Api(server.url) as api:
        state = api.job(job)
        lines = all_logs(api, job)
    if lines != [str(line) for line in range(1, number + 1)]:
        raise Broken([f"{len(lines)} lines of {number}, or in another order"])
    ending = state["status"], state["results_total"], state["progress"]["current"]
    if ending != ("succeeded", 1, number - 1):
        raise Broken([f"the job ended as {ending} after {number} lines"])
    if worker.folders:
        raise Broken([f"left in the spool: {worker.folders}"])


def forks(runs: int, folder: Path, say: Callable[[str], None]) -> None:
    """Storms of processes, by each way to start them in turn."""
    with Server(folder / "data") as server, Api(server.url) as api:
        worker = Worker(folder / "spool")
        for at in range(runs):
            method = METHODS[at % len(METHODS)]
            begin = time.monotonic()
            try:
                storm(api, worker, method)
            except AssertionError as error:
                raise Broken([f"run {at + 1}, {method}: {error}"]) from error
            say(f"run {at + 1}/{runs}: {method}, {time.monotonic() - begin:.2f} s")
        if worker.folders:
            raise Broken([f"left in the spool: {worker.folders}"])
