"""Read jobs from Python: `livejobs.Client`. The async twin is `areading.py`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import httpx2

from livejobs.client.errors import Unreachable
from livejobs.client.reader.asking import (
    FAILURES,
    HOLD,
    PATIENT,
    PIECE,
    QUIET,
    Fetch,
    Json,
    Stream,
    Token,
    base_of,
    job_path,
    key_of,
    query,
    refused,
    unreachable,
    where,
)
from livejobs.client.reader.sse import Event
from livejobs.client.sending.pace import jittered


class Client:
    """A server, to read from. `token`: instead of a key, a token or a function that gets a new one
    when the old one is no longer good."""

    def __init__(
        self, url: str | None = None, key: str | None = None, *, token: Token = None
    ) -> None:
        self._token = token
        self._secret = (token if isinstance(token, str) else None) if token else key_of(key)
        self._http = httpx2.Client(base_url=base_of(url), timeout=PATIENT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    # Jobs

    def create(self, type: str | None = None, **fields: Any) -> Json:
        """A queued job, for a worker to start. Fields: those of `livejobs.job`."""
        said = {"type": type, **fields}
        body = {name: value for name, value in said.items() if value is not None}
        return self._json("POST", "/v1/jobs", json=body)

    def get(self, id: str) -> Json:
        return self._json("GET", job_path(id))

    def list(self, **filters: Any) -> Iterator[Json]:
        """Jobs, newest first, page after page: `project status type tag parent owner q`."""
        after: str | None = None
        while True:
            page = self._json("GET", "/v1/jobs", params=query({**filters, "after": after}))
            yield from page["jobs"]
            after = page["next"]
            if after is None:
                return

    def cancel(self, id: str, *, force: bool = False) -> Json:
        """Ask the job's worker to stop. `force`: end the job now."""
        return self._json("POST", job_path(id, "cancel"), params=query({"force": force or None}))

    def answer(self, id: str, value: Any, n: int | None = None) -> Json:
        """Answer what the job waits for. `n`: only if that is the number of its question."""
        body = {"value": value} if n is None else {"value": value, "n": n}
        return self._json("POST", job_path(id, "answer"), json=body)

    def wait(self, id: str, timeout: float | None = None) -> Json:
        """The job once it has ended. TimeoutError: it has not, after so many seconds."""
        end = time.monotonic() + (float("inf") if timeout is None else timeout)
        backoff = jittered()
        while True:
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"Job {id!r} has not ended after {timeout} seconds.")
            try:
                job = self._held(id, left)
            except Unreachable:
                if backoff.failures >= FAILURES:
                    raise
                backoff.failed(0.0)
                time.sleep(min(left, backoff.until))
                continue
            backoff.worked()
            if job["completed_at"] is not None:
                return job

    def _held(self, id: str, left: float) -> Json:
        hold = {"prefer": f"wait={max(1, int(min(HOLD, left)))}"}
        return self._json("GET", job_path(id), params={"until": "finished"}, headers=hold)

    def watch(self, id: str) -> Iterator[Json]:
        """The job's state now, and whenever it changes, until it has ended. Goes on where it was
        cut."""
        for event in self._events(job_path(id, "events"), {}):
            if event.name == "message":
                yield event.value

    def events(
        self, id: str | None = None, *, cut: Callable[[], None] | None = None, **params: Any
    ) -> Iterator[Event]:
        """The events of a job's stream, or without an id of a feed over many jobs. `params`: the
        query, as `logs` or `project`. Goes on where it was cut. `cut` is called when that happens.
        """
        path = "/v1/events" if id is None else job_path(id, "events")
        return self._events(path, query(params), cut)

    def logs(
        self,
        id: str,
        *,
        after: int = 0,
        level: str | None = None,
        tail: int | None = None,
        follow: bool = False,
    ) -> Iterator[Json]:
        """Lines of the log after this number. `tail`: at most so many, the last ones. `follow`:
        also those to come, until the end."""
        if follow:
            yield from self._followed(id, after, level, tail)
            return
        at: int | None = after
        while at is not None:
            limit = 1000 if tail is None else None
            params = query({"after": at, "level": level, "tail": tail, "limit": limit})
            page = self._json("GET", job_path(id, "logs"), params=params)
            yield from page["logs"]
            at = page["next"]

    def _followed(self, id: str, after: int, level: str | None, tail: int | None) -> Iterator[Json]:
        params = query({"after": after, "level": level, "tail": tail})
        for event in self._events(job_path(id, "logs"), params):
            if event.name == "logs":
                yield from event.value

    def download(
        self,
        id: str,
        name: str | None = None,
        to: str | os.PathLike[str] = ".",
        *,
        came: Callable[[int], None] | None = None,
    ) -> Path:
        """A file of the job, into a folder or to a path. Without a name, the first one. Goes on
        where it was cut, and checks the digest. `came` is called with the number of bytes that
        are there, now and then."""
        found = where(self.get(id), name, to)
        fetch = Fetch(found.target)
        while not fetch.done:
            try:
                self._fetch(found.path, fetch, came)
            except (httpx2.TransportError, Unreachable) as error:
                if fetch.failures >= FAILURES:
                    raise unreachable(error) from error
                time.sleep(fetch.pause())
        return fetch.target

    def _fetch(self, path: str, fetch: Fetch, came: Callable[[int], None] | None) -> None:
        with self._streamed(path, {}, fetch.headers, (200, 206, 416), moved=True) as response:
            mode = fetch.opened(response.status_code, response.headers)
            if mode is None:
                return
            with fetch.part.open(mode) as file:
                for piece in response.iter_raw(PIECE):
                    file.write(piece)
                    fetch.came()
                    if came is not None:
                        came(file.tell())
        fetch.ended()

    # Requests

    def call(self, method: str, path: str, **how: Any) -> Json:
        """A call of the API that has no method here. An answer without a body is {}."""
        return self._json(method, path, **how)

    def _events(
        self, path: str, params: dict[str, str], cut: Callable[[], None] | None = None
    ) -> Iterator[Event]:
        stream = Stream()
        while not stream.over:
            try:
                with self._streamed(path, params, stream.headers, (200, 204), QUIET) as response:
                    if stream.opened(response.status_code):
                        for chunk in response.iter_raw():
                            yield from stream.feed(chunk)
            except (httpx2.TransportError, Unreachable) as error:
                if not stream.begun:
                    raise unreachable(error) from error
            if not stream.over:
                if cut is not None:
                    cut()
                time.sleep(stream.pause())

    @contextmanager
    def _streamed(
        self,
        path: str,
        params: dict[str, str],
        headers: dict[str, str],
        good: tuple[int, ...],
        timeout: httpx2.Timeout = PATIENT,
        *,
        moved: bool = False,
    ) -> Iterator[httpx2.Response]:
        """`moved`: follow a redirect, as of a file that lies elsewhere. httpx2 sends no credential
        to another host."""
        for last in (False, True):
            asked = {**self._credential(), **headers}
            with self._http.stream(
                "GET", path, params=params, headers=asked, timeout=timeout, follow_redirects=moved
            ) as response:
                if response.status_code in good:
                    yield response
                    return
                if not last and self._renew(response.status_code):
                    continue
                raise refused(response.status_code, response.read())

    def _json(self, method: str, path: str, **how: Any) -> Json:
        headers = how.pop("headers", {})
        for last in (False, True):
            try:
                asked = {**self._credential(), **headers}
                response = self._http.request(method, path, headers=asked, **how)
            except httpx2.TransportError as error:
                raise unreachable(error) from error
            if response.is_success:
                break
            if last or not self._renew(response.status_code):
                raise refused(response.status_code, response.content)
        said: Json = response.json() if response.content else {}
        return said

    def _credential(self) -> dict[str, str]:
        if self._secret is None and callable(self._token):
            self._secret = self._token()
        return {} if self._secret is None else {"authorization": f"Bearer {self._secret}"}

    def _renew(self, status: int) -> bool:
        """Whether there is another token to try."""
        if status != 401 or not callable(self._token):
            return False
        self._secret = None
        return True
