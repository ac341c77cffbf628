"""Actors of Dramatiq as a program has them. BROKER names its Redis."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import CurrentMessage, GroupCallbacks
from dramatiq.rate_limits.backends import RedisBackend

import livejobs

broker = RedisBroker(url=os.environ["BROKER"])  # type: ignore[no-untyped-call]  # it has no types
broker.add_middleware(CurrentMessage())
broker.add_middleware(GroupCallbacks(RedisBackend(url=os.environ["BROKER"])))
livejobs.dramatiq.install(broker, terminate=True, exclude=["secret"], title=lambda *a: f"{a}")
livejobs.dramatiq.install(broker)  # twice is harmless
dramatiq.set_broker(broker)


def sent(message: dramatiq.Message[Any], **how: Any) -> str:
    """The id of the message, and of the job."""
    broker.enqueue(message.copy(**how))
    livejobs.flush()
    return str(how.get("message_id", message.message_id))


@dramatiq.actor
def add(a: int, b: int) -> int:
    return a + b


@dramatiq.actor
def double(n: int) -> int:
    livejobs.current().log(f"doubles {n}")
    return 2 * n


@dramatiq.actor
def secret() -> None: ...


@dramatiq.actor
def send_another() -> str:
    return add.send(1, 1).message_id


@dramatiq.actor(max_retries=0)
def broken(password: str) -> None:
    raise ValueError("no such order")


@dramatiq.actor(max_retries=3, min_backoff=1, max_backoff=1)
def flaky() -> str:
    message = CurrentMessage.get_current_message()
    assert message is not None
    retries = message.options.get("retries", 0)
    livejobs.current().progress(retries, 2)
    if retries < 2:
        raise ConnectionError("the shop is closed")
    return "open"


@dramatiq.actor(max_retries=3, min_backoff=1, max_backoff=1)
def stops() -> None:
    raise livejobs.Cancelled("a job")


@dramatiq.actor(max_age=1)
def young() -> None: ...


@dramatiq.actor
def touch(path: str) -> None:
    Path(path).touch()


@dramatiq.actor
def endless() -> None:
    for step in range(10**6):
        livejobs.current().progress(step)
        time.sleep(0.02)


@dramatiq.actor
def done() -> None: ...


def fan(*children: dramatiq.Message[Any]) -> str:
    """A group. The id of its callback."""
    group: Any = dramatiq.group(children)  # type: ignore[no-untyped-call]  # it has no types
    callback = done.message()
    group.add_completion_callback(callback)
    group.run()
    livejobs.flush()
    return callback.message_id


def chain(*messages: dramatiq.Message[Any]) -> list[str]:
    pipeline: Any = dramatiq.pipeline(messages)
    pipeline.run()
    livejobs.flush()
    return [message.message_id for message in pipeline.messages]
