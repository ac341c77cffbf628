"""What reading a server is made of, without I/O: for the client and its async twin."""

from __future__ import annotations

import os
import re
from base64 import b64decode
from binascii import Error
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import httpx2

from livejobs.client import settings
from livejobs.client.errors import Corrupt, Refused, Unavailable, Unreachable
from livejobs.client.reader.sse import Event, Parser
from livejobs.client.sending.pace import jittered

URL: Final = "http://127.0.0.1:8000"
AGAIN: Final = frozenset({408, 425, 429, 500, 502, 503, 504})  # asked again later
HOLD: Final = 30  # seconds that the server holds an answer
QUIET: Final = httpx2.Timeout(10.0, read=45.0)  # of streams: a ping comes every 15 s
PATIENT: Final = httpx2.Timeout(10.0, read=HOLD + 30.0)
PIECE: Final = 1024 * 1024

Json = dict[str, Any]
Token = str | Callable[[], str] | None


def base_of(url: str | None) -> str:
    return settings.checked(url or os.environ.get(settings.URL) or URL)


def key_of(key: str | None) -> str | None:
    return settings.checked_key(key or os.environ.get(settings.KEY))


def job_path(id: str, *more: str) -> str:
    return "/v1/jobs/" + "/".join(quote(part, safe="") for part in (id, *more))


def query(filters: Mapping[str, Any]) -> dict[str, str]:
    """What was given; several values become one, separated by commas."""
    return {name: _joined(value) for name, value in filters.items() if value is not None}


def _joined(value: Any) -> str:
    if isinstance(value, str) or not isinstance(value, Iterable):
        return str(value).lower() if isinstance(value, bool) else str(value)
    return ",".join(map(str, value))


def refused(status: int, body: bytes) -> Refused:
    """The problem in the body. A proxy's page of HTML has none."""
    try:
        problem = httpx2.Response(status, content=body).json()
    except ValueError:
        problem = {}
    kind = Unavailable if status in AGAIN else Refused
    return kind(status, problem if isinstance(problem, dict) else {})


def unreachable(error: Exception) -> Unreachable:
    return error if isinstance(error, Unreachable) else Unreachable(str(error) or repr(error))


class Stream:
    """A stream of events that goes on where it was cut. The shell opens it with `headers`, feeds
    what comes, and waits for `pause()` seconds before it opens it again, until it is `over`."""

    def __init__(self) -> None:
        self.over = False
        self.begun = False  # it was open once: from then on it is opened again
        self._cursor: str | None = None
        self._parser = Parser()
        self._backoff = jittered()

    @property
    def headers(self) -> dict[str, str]:
        self._parser = Parser()  # half an event of the connection before is none
        resumed = {} if self._cursor is None else {"last-event-id": self._cursor}
        return {"accept": "text/event-stream", "cache-control": "no-store", **resumed}

    def opened(self, status: int) -> bool:
        """Whether there is something to read. False: try again, unless it is over."""
        if status == 204:
            self.over = True
        elif status == 200:
            self.begun = True
            return True
        return False

    def feed(self, chunk: bytes) -> list[Event]:
        events = self._parser.feed(chunk)
        for event in events:
            self._backoff.worked()
            if event.id is not None:
                self._cursor = event.id
            if event.name == "end":
                self.over = True
        return events

    def pause(self) -> float:
        self._backoff.failed(0.0)
        return self._backoff.until


class Fetch:
    """A download that goes on where it was cut, also in a later process: what has come is in a
    file beside the target. In the end it has the digest that the server says."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.part = target.with_name(target.name + ".part")
        self.done = False
        self._etag: str | None = None
        self._digest: bytes | None = None
        self._again = False  # it was wrong once
        self._backoff = jittered()
        self._size = self._have()

    def _have(self) -> int:
        """Bytes to go on from: the last one is asked for again, so that the server has something to
        answer, and says the digest, when all of them are there."""
        return max(0, self.part.stat().st_size - 1) if self.part.exists() else 0

    @property
    def headers(self) -> dict[str, str]:
        self._size = self._have()
        headers = {"accept-encoding": "identity"}
        if self._size:
            headers["range"] = f"bytes={self._size}-"
            if self._etag is not None:
                headers["if-range"] = self._etag
        return headers

    def opened(self, status: int, headers: Mapping[str, str]) -> str | None:
        """The mode to open `part` with, or None: begin anew."""
        same = self._etag is not None  # the server has compared it
        self._etag = headers.get("etag", self._etag)
        self._digest = digest_of(headers.get("repr-digest", ""))
        if status == 200:
            return "wb"
        known = same or self._digest is not None
        if status != 206 or not known or _start(headers) != self._size:
            self.part.unlink()
            return None
        os.truncate(self.part, self._size)
        return "ab"

    def came(self) -> None:
        """Bytes were kept."""
        self._backoff.worked()

    def ended(self) -> None:
        """The body has come whole."""
        if self._digest is not None and _measured(self.part) != self._digest:
            self.part.unlink()
            if self._again:
                raise Corrupt(f"{self.target.name} does not have the digest that the server says.")
            self._again = True
            return
        self.part.replace(self.target)
        self.done = True

    def pause(self) -> float:
        self._backoff.failed(0.0)
        return self._backoff.until

    @property
    def failures(self) -> int:
        """In a row, without a byte in between."""
        return self._backoff.failures


FAILURES: Final = 12  # in a row, after which a download or a wait is given up: about a minute


class Where(NamedTuple):
    path: str
    target: Path


def where(job: Json, name: str | None, to: str | os.PathLike[str]) -> Where:
    """Which file of the job, and where it goes. Without a name: the job's first file."""
    names = [file["name"] for file in job["files"]]
    if not names or (name is not None and name not in names):
        said = f"Job {job['id']!r} has no file{'' if name is None else ' ' + repr(name)}."
        raise Refused(404, {"code": "no_file", "detail": said})
    chosen = str(names[0] if name is None else name)
    target = Path(to)
    if target.is_dir():
        target /= _harmless(chosen)
    return Where(job_path(str(job["id"]), "files", chosen), target)


def _harmless(name: str) -> str:
    """The server's names are one segment; this does not depend on the server."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return last if last not in ("", ".", "..") else "download"


def digest_of(said: str) -> bytes | None:
    found = re.search(r"sha-256=:([^:]+):", said)
    try:
        return b64decode(found[1], validate=True) if found else None
    except Error:
        return None


def _start(headers: Mapping[str, str]) -> int | None:
    found = re.match(r"bytes (\d+)-", headers.get("content-range", ""))
    return int(found[1]) if found else None


def _measured(path: Path) -> bytes:
    digest = sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
    return digest.digest()
