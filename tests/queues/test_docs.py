"""The snippets of docs/queues.md run as they stand, but for the address of Redis."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.queues.processes import environment
from tests.support.api import Api
from tests.support.redis import Redis

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
DRAMATIQ = """
import shop
from dramatiq import Worker
worker = Worker(shop.broker, worker_timeout=100)
worker.start()
shop.render.send("Teaser", 3)
shop.broker.join("default")
worker.stop()
"""
TASKIQ = """
import asyncio
import shop
from taskiq.receiver import Receiver
async def main():
    await shop.render.kiq("Teaser", 3)
    await Receiver(shop.broker).callback(await anext(shop.broker.listen()))
asyncio.run(main())
"""
HUEY = """
import shop
shop.render("Teaser", 3)
shop.huey.execute(shop.huey.dequeue())
"""
ARQ = """
import asyncio
import shop
from arq.worker import create_worker
async def main():
    await shop.send(shop.WorkerSettings.redis_settings)
    await create_worker(shop.WorkerSettings, burst=True, handle_signals=False).async_run()
asyncio.run(main())
"""


def snippets(heading: str) -> str:
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return "\n\n".join(re.findall(r"^```python\n(.*?)^```$", section, re.DOTALL | re.MULTILINE))


@pytest.mark.parametrize(
    ("heading", "program", "type", "title"),
    [
        ("Celery", CELERY, "shop.render", "Render Teaser"),
        ("RQ", RQ, "shop.render", "render"),
        ("Dramatiq", DRAMATIQ, "render", "render"),
        ("Taskiq", TASKIQ, "shop:render", "render"),
        ("Huey", HUEY, "shop.render", "render"),
        ("arq", ARQ, "render", "render"),
    ],
    ids=["celery", "rq", "dramatiq", "taskiq", "huey", "arq"],
)
def test_a_task_is_a_job_as_the_page_shows(
    api: Api, redis: Redis, tmp_path: Path, heading: str, program: str, type: str, title: str
) -> None:
    where = redis.database()
    (tmp_path / "shop.py").write_text(
        snippets(heading)
        .replace("redis://localhost", where)
        .replace("Redis()", f"Redis.from_url({where!r})")
    )
    env = environment(api.url, tmp_path / "spool")
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=env, check=True)
    job = api.get("/v1/jobs").json()["jobs"][0]  # the newest
    assert (job["type"], job["title"], job["status"]) == (type, title, "succeeded")
    assert (job["result"], job["progress"]["current"]) == ({"film": "Teaser"}, 3)
