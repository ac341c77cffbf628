"""Ids of tasks. A job's id can be guessed, and the id of a task must not be.

The id carries the job's id, the time of its creation and a stamp of this server. So nothing is kept
for a task, every node knows it, and it does not fit a later job of the same id.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from typing import Final

from livejobs.access.keyring import Keyring
from livejobs.core.model import Head

PURPOSE: Final = "mcp-task"
STAMP: Final = 16  # bytes
LONGEST: Final = 256  # characters; the id of a job has at most 128


def id_of(keyring: Keyring, head: Head) -> str:
    named = f"{head.created_at}:{head.id}".encode()
    return f"{_text(named)}.{_text(keyring.stamp(PURPOSE, named)[:STAMP])}"


def job_of(keyring: Keyring, id: str) -> str | None:
    """The id of the job; None: this server has not made the id. Compare `id_of` the job with it."""
    first, _, second = id.partition(".")
    if len(id) > LONGEST or not id.isascii():
        return None
    try:
        named = urlsafe_b64decode(first + "=" * (-len(first) % 4))
    except (Error, ValueError):
        return None
    # As text: bits at the end of base64 that mean nothing would make a second id for the task.
    stamp = _text(keyring.stamp(PURPOSE, named)[:STAMP])
    if first != _text(named) or not hmac.compare_digest(stamp, second):
        return None
    return named.decode().partition(":")[2]


def _text(value: bytes) -> str:
    return urlsafe_b64encode(value).decode().rstrip("=")
