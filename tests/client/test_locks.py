"""Locks and logs: what could deadlock, tried in processes that are ended if it does."""

from __future__ import annotations

from tests.client.worker import Worker, all_logs
from tests.support.api import Api


def test_a_log_handler_and_the_reporter_never_wait_for_each_other(api: Api, worker: Worker) -> None:
    """The disk refuses, the reporter says so to the log, and the job logs all the time."""
    out, _ = worker.run(
        str(api.base_url),
        """
        import logging, resource, signal, livejobs
        from livejobs.client.sending import channel
        channel.MEMORY = 50_000
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
        logging.getLogger().addHandler(livejobs.LogHandler())
        logging.getLogger().setLevel(logging.INFO)
        with livejobs.job("render") as job:
            for number in range(5000):
                logging.info("%d %s", number, "x" * 100)
            job.result("last")
            job.flush(30)
        print(job.id)
        """,
    )
    state = api.job(out.strip())
    assert state["status"] == "succeeded"
    assert state["results"][0]["value"] == "last"
    assert all_logs(api, out.strip())
