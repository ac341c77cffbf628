"""A pool of processes in which each child reports to the parent's job and to its own."""

from __future__ import annotations

from collections import Counter

from tests.client.worker import Worker, all_logs
from tests.support.api import Api

STORM = """
    import multiprocessing, sys, threading
    import livejobs

    def work(number):
        with livejobs.job("child", title=str(number)) as own:
            own.log(number)
        with livejobs.job(id=livejobs.current().id) as parent:
            parent.log(number)
            parent.advance()
        return own.id

    def main():
        context = multiprocessing.get_context(METHOD)
        with livejobs.job("parent", total=40) as job:
            stop = threading.Event()
            noise = threading.Thread(target=lambda: [job.progress(message="x")
                                                     for _ in iter(stop.is_set, True)])
            noise.start()
            pool = context.Pool(8, initializer=livejobs.adopt, initargs=(job,))
            ids = pool.map(work, range(40), chunksize=1)
            pool.close()
            pool.join()
            stop.set()
            noise.join()
            job.log("parent")
        print(job.id, *ids)

    if __name__ == "__main__":
        main()
"""


def storm(api: Api, worker: Worker, method: str) -> None:
    """Run it, and check that no entry is lost or doubled."""
    out, _ = worker.run(api.url, STORM.replace("METHOD", repr(method)))
    job, *children = out.split()
    state = api.job(job)
    assert state["status"] == "succeeded", state
    assert state["progress"]["current"] == 40, state
    assert Counter(all_logs(api, job)) == Counter([*map(str, range(40)), "parent"])
    assert len(set(children)) == 40
    for number, child in enumerate(children):
        assert api.job(child)["status"] == "succeeded"
        assert all_logs(api, child) == [str(number)]
