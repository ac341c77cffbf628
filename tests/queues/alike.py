"""What a job shows alike, whichever library runs its task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.queues.processes import Process, Sender
from tests.support.api import Api


def check_failure(job: Any) -> None:
    """Of the task `broken`, which gets a password."""
    assert (job["status"], job["error"]["code"]) == ("failed", "ValueError")
    assert job["error"]["message"] == "ValueError: no such order"
    assert "in broken" in job["error"]["detail"]
    assert "hunter2" not in job["error"]["detail"]


def check_killed(
    api: Api, env: Mapping[str, str], worker: Sequence[str], app: str, endless: str
) -> None:
    """Kill a worker in the middle of a task that has no end. `endless`: sends it."""
    with Process(*worker, env=env) as process, Sender(app, env) as send:
        id = send(endless)
        api.until(id, lambda job: job["progress"]["current"])
        process.kill()
    assert api.until(id, lambda job: job["stalled"])["status"] == "running"
    assert api.ended(id)["error"]["code"] == "lost"
