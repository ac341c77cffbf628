"""The snippets of docs/queues.md run as they stand, but for the address of Redis."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from tests.queues.processes import environment
from tests.support.redis import Redis
from tests.support.server import Server

PAGE = (Path(__file__).parents[2] / "docs" / "queues.md").read_text()

# How each library runs its tasks, one after another, until there are none.
CELERY = """
import shop
from celery.contrib.testing.worker import start_worker
id = shop.render.delay("Teaser", 3).id
with start_worker(shop.app, perform_ping_check=False):
    shop.app.AsyncResult(id).get(60)
"""
RQ = """
import shop
from rq import SimpleWorker
shop.queue.enqueue(shop.render, "Teaser", 3)
SimpleWorker([shop.queue], connection=shop.queue.connection).work(burst=True)
"""


def snippet(heading: str) -> str:
    section = PAGE.partition(f"\n## {heading}\n")[2]
    found = re.search(r"^```python\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


@pytest.mark.parametrize(
    ("heading", "program", "title"), [("Celery", CELERY, "Render Teaser"), ("RQ", RQ, "render")]
)
def test_a_task_is_a_job_as_the_page_shows(
    server: Server, tmp_path: Path, heading: str, program: str, title: str
) -> None:
    with Redis() as redis:
        (tmp_path / "shop.py").write_text(
            snippet(heading)
            .replace("redis://localhost", redis.url)
            .replace("Redis()", f"Redis(port={redis.port})")
        )
        env = environment(server.url, tmp_path / "spool")
        subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=env, check=True)
    (job,) = httpx2.get(f"{server.url}/v1/jobs").json()["jobs"]
    assert (job["type"], job["title"], job["status"]) == ("shop.render", title, "succeeded")
    assert (job["result"], job["progress"]["current"]) == ({"film": "Teaser"}, 3)
