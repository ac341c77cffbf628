"""The job of a command: created before the command starts, so that its page can be shown."""

from __future__ import annotations

import http.client
import os
import shlex
import time
from collections.abc import Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import urljoin

from livejobs.client import settings
from livejobs.client.plain import encode
from livejobs.client.sending import process
from livejobs.client.sending.exchange import AWAY, Answer
from livejobs.client.sending.transport import answer_of, connect, headers_of, path_of
from livejobs.client.settings import Target
from livejobs.client.worker.block import silent
from livejobs.client.worker.job import WorkerJob
from livejobs.core.uuid7 import uuid7

PATIENCE: Final = 5.0  # seconds that the command waits for a server that does not answer
TITLE: Final = 200  # characters


class Opening(NamedTuple):
    job: WorkerJob  # one that reports nowhere, if the server refuses
    page: str | None
    trouble: str | None  # why the server has no job now


def new_job(command: Sequence[str], title: str | None, type: str | None) -> dict[str, Any]:
    """What to create the job with. A command within another one is its child."""
    said = title or shlex.join(command)
    name = os.path.basename(command[0])  # noqa: PTH119 - a command is text, not always a path
    made = {"type": (type or name)[:TITLE], "title": _short(said)}
    outer = settings.outer_job()
    return {**made, "parent": outer} if outer else made


def _short(text: str) -> str:
    text = "".join(character if character.isprintable() else " " for character in text)
    return text if len(text) <= TITLE else text[: TITLE - 1] + "…"


def open_job(target: Target, creation: dict[str, Any]) -> Opening:
    id = uuid7(time.time_ns() // 1_000_000, os.urandom(10))
    answer = _create(target, id, creation)
    if answer.status == 422 and "parent" in creation:  # it is another server's, or has gone
        creation = {name: value for name, value in creation.items() if name != "parent"}
        answer = _create(target, id, creation)
    if 200 <= answer.status < 300:
        return Opening(_job(target, id, creation), _page(target, id, answer), None)
    if answer.status in AWAY or answer.status >= 500:
        trouble = f"No server answers at {target.url} ({answer.reason})."
        return Opening(_job(target, id, creation), None, trouble)
    trouble = f"The server at {target.url} refuses the job ({answer.reason})."
    return Opening(silent(), None, trouble)


def _job(target: Target, id: str, creation: dict[str, Any]) -> WorkerJob:
    return WorkerJob(process.channel(target, id, creation), id, owned=True)


def _create(target: Target, id: str, creation: dict[str, Any]) -> Answer:
    """Not by the reporter: no thread may run before the command is started."""
    connection = connect(target, PATIENCE)
    try:
        connection.request("PUT", path_of(target, id), encode(creation), headers_of(target))
        return answer_of(connection.getresponse())
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        return Answer(0, error=reason or str(error) or type(error).__name__)
    finally:
        connection.close()


def _page(target: Target, id: str, answer: Answer) -> str:
    """With a token in it, where the server keeps its jobs to those who have one."""
    view = answer.said.get("view")
    if isinstance(view, dict) and isinstance(view.get("url"), str):
        return urljoin(target.url + "/", str(view["url"]))
    return f"{target.url}/jobs/{id}"
