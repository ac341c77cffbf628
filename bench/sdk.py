"""What the SDK costs the job, as ratios within one run.

- loop: `for x in job.track(range(N))` beside tqdm's, and beside the bare loop.
- call: one `job.progress(n, total)` in a loop, while progress is joined; and without a server.
- away: a job of arithmetic that reports each item, with a server that does not answer, beside the
  same work without livejobs.
- memory: what a million log lines add, with a server that does not answer.
- run: a program that prints a million lines, under `livejobs run` with a real server, beside the
  same piped to `cat`.
- import: `import livejobs; livejobs.job`, in a process of its own, beside an empty one.

Rounds alternate between the sides; figures are medians, but where said otherwise."""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from common import BIN, Server
from tqdm import tqdm

import livejobs
from livejobs.client.worker.job import WorkerJob

AWAY = "http://127.0.0.1:9"

Side = Callable[[], float]


def timed(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare(rounds: int, *sides: Side) -> list[float]:
    taken = [[side() for side in sides] for _ in range(rounds)]
    return [statistics.median(column) for column in zip(*taken, strict=True)]


@contextmanager
def a_job(spool: str) -> Iterator[WorkerJob]:
    with livejobs.job("bench", url=AWAY, spool=spool) as job:
        yield job


def bench_loop(spool: str, n: int, rounds: int) -> None:
    def bare() -> None:
        for _ in range(n):
            pass

    def theirs() -> None:
        with open(os.devnull, "w") as nowhere:  # noqa: PTH123 - it is no file
            for _ in tqdm(range(n), file=nowhere):
                pass

    def ours() -> None:
        with a_job(spool) as job:
            for _ in job.track(range(n)):
                pass

    empty, tq, lj = compare(rounds, lambda: timed(bare), lambda: timed(theirs), lambda: timed(ours))
    each = [f"{seconds / n * 1e9:.0f} ns" for seconds in (empty, tq, lj)]
    print(f"loop of {n:,}: bare {each[0]}, tqdm {each[1]}, track {each[2]} an iteration; "
          f"track/tqdm {lj / tq:.2f} (at most 1.5)")  # fmt: skip


def bench_call(spool: str, n: int, rounds: int) -> None:
    def say(job: WorkerJob) -> float:
        def loop() -> None:
            for number in range(n):
                job.progress(number, n)

        return timed(loop) / n

    silent = livejobs.job("bench")
    with a_job(spool) as job:
        joined, nothing = compare(rounds, lambda: say(job), lambda: say(silent))
    print(f"call: progress {joined * 1e9:.0f} ns joined (at most 1000), {nothing * 1e9:.0f} ns "
          "without a server")  # fmt: skip


def pair(first: Callable[[], Any], second: Callable[[], Any], *, swapped: bool) -> list[float]:
    """The seconds of both, in this order; with `swapped` the second was run first."""
    turns = [second, first] if swapped else [first, second]
    taken = [timed(work) for work in turns]
    return taken[::-1] if swapped else taken


def bench_away(spool: str, n: int, rounds: int) -> None:
    def item(number: int) -> int:
        return sum(i * i for i in range(2000)) + number

    def plain() -> None:
        for number in range(n):
            item(number)

    def reported() -> None:
        with a_job(spool) as job:
            for number in job.track(range(n)):
                item(number)
                if number % 100 == 0:
                    job.log(f"item {number}")

    before = time.process_time() - time.thread_time()
    # The machine's own speed wanders by more than what is to be seen. So each pair gives a ratio,
    # in turn with one side or the other first.
    pairs = [pair(plain, reported, swapped=bool(at % 2)) for at in range(8 * rounds)]
    others = time.process_time() - time.thread_time() - before
    ratios = sorted(with_ / without for without, with_ in pairs)
    low, middle, high = (ratios[len(ratios) * part // 4] for part in (1, 2, 3))
    share = others / sum(with_ for _, with_ in pairs)
    print(f"away: {len(pairs)} pairs of {statistics.median(p[0] for p in pairs):.2f} s, with a "
          f"server that does not answer and without livejobs; ratio {middle:.3f}, the middle half "
          f"{low:.3f} to {high:.3f} (at most 1.02); the reporter's thread took {share:.2%} of a "
          f"processor")  # fmt: skip


def memory() -> int:
    with open("/proc/self/statm") as file:  # noqa: PTH123 - it is no file
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def bench_memory(spool: str, n: int) -> None:
    with a_job(spool) as job:
        sizes = []
        for number in range(n):
            job.log(f"line {number} of a log that goes on and on")
            if number % (n // 10) == 0:
                sizes.append(memory() // 2**20)
    print(f"memory over {n:,} log lines: {' '.join(map(str, sizes))} MiB")


def bench_run(spool: str, n: int, rounds: int) -> None:
    program = f"for n in range({n}): print('line', n, 'of an output that goes on and on')"
    command = [sys.executable, "-c", program]

    def run(server: Server) -> float:
        where = {"LIVEJOBS_URL": f"http://127.0.0.1:{server.port}", "LIVEJOBS_SPOOL": spool}
        ours = [str(BIN / "livejobs"), "run", "--no-qr", "--", *command]
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return timed(lambda: subprocess.run(ours, check=True, env=os.environ | where, **quiet))

    def cat() -> float:
        piped = [*("sh", "-c", '"$@" | cat > /dev/null', "sh"), *command]
        return timed(lambda: subprocess.run(piped, check=True))

    serve = [str(BIN / "livejobs"), "serve", "--port", "0", "--data", f"{spool}/data"]
    with Server(serve) as server:
        theirs, ours = compare(rounds, cat, lambda: run(server))
    print(f"run: {n:,} lines in {theirs:.2f} s with cat, {ours:.2f} s with livejobs run; "
          f"ratio {ours / theirs:.2f} (at most 1.3)")  # fmt: skip


def bench_import(rounds: int) -> None:
    def run(code: str) -> float:
        command = [sys.executable, "-c", code]
        return timed(lambda: subprocess.run(command, check=True))

    empty, ours = compare(rounds, lambda: run("pass"), lambda: run("import livejobs; livejobs.job"))
    print(f"import: {(ours - empty) * 1000:.0f} ms more than an empty process (at most 80)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="of the loops' lengths")
    given = parser.parse_args()
    os.environ.pop("LIVEJOBS_URL", None)
    scale = given.scale
    folder = tempfile.TemporaryDirectory()  # removed at exit, after the SDK's own
    spool = folder.name
    bench_loop(spool, int(10**7 * scale), given.rounds)
    bench_call(spool, int(10**6 * scale), given.rounds)
    bench_away(spool, int(10_000 * scale), given.rounds)
    bench_memory(spool, int(10**6 * scale))
    bench_run(spool, int(10**6 * scale), given.rounds)
    bench_import(2 * given.rounds)


if __name__ == "__main__":
    main()
