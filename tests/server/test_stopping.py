"""A stop under servers of others, which stop the app only after its streams have ended. Each test
opens a connection of every kind that lasts."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Thread

import httpx2 as httpx
import pytest
from websockets.sync.client import connect

from livejobs.stopping import SIGNALS, StopSignals
from tests.support.api import Api, hear
from tests.support.server import BIN, LONG_ENOUGH, clean_environment, hold_port

ROOT = Path(__file__).parents[2]
SERVERS = {
    "uvicorn": ("uvicorn", "--port"),
    "uvicorn --reload": ("uvicorn", "--reload", "--reload-dir", "{folder}", "--port"),
    "granian": ("granian", "--interface", "asgi", "--port"),
}


@contextmanager
def serving(name: str, folder: Path) -> Iterator[tuple[Api, subprocess.Popen[bytes]]]:
    program, *options = [word.format(folder=folder) for word in SERVERS[name]]
    (folder / "watched.py").touch()
    with hold_port() as held, (folder / "log").open("wb") as log:
        port = held.getsockname()[1]
        process = subprocess.Popen(
            [BIN / program, *options, str(port), "tests.support.hosted:app"],
            cwd=ROOT,
            env=clean_environment() | {"DATA": str(folder / "data"), "PYTHONPATH": str(ROOT)},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            with Api(f"http://127.0.0.1:{port}/live") as api:
                until_up(api, process)
                yield api, process
        finally:
            with suppress(ProcessLookupError):  # all have ended
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def until_up(api: Api, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            api.get("/readyz").raise_for_status()
        except httpx.TransportError:
            continue
        return
    raise AssertionError("the server did not start")


class Audience:
    """An event stream, a followed log, a long-poll and a WebSocket, each read to its end."""

    def __init__(self, api: Api, job: str, stack: ExitStack) -> None:
        path = f"/v1/jobs/{job}"
        text = {"accept": "text/plain"}
        self.events = stack.enter_context(api.stream("GET", f"{path}/events"))
        self.log = stack.enter_context(api.stream("GET", f"{path}/logs?follow=1", headers=text))
        self.socket = stack.enter_context(connect(api.url.replace("http", "ws", 1) + path))
        assert [hear(self.socket)["op"] for _ in range(2)] == ["ack", "snapshot"]
        self.poll = Thread(target=self._wait_for_the_end, args=[api, job])
        self.poll.start()

    @staticmethod
    def _wait_for_the_end(api: Api, job: str) -> None:
        with suppress(httpx.TransportError):  # the server may stop before it has the request
            api.ended(job)

    def read_to_the_end(self) -> None:
        assert "event: bye" in list(self.events.iter_lines())
        assert list(self.log.iter_lines()) == []
        assert hear(self.socket)["op"] == "bye"
        self.poll.join()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("name", ["uvicorn", "uvicorn --reload"])
def test_another_server_stops_while_streams_of_all_kinds_are_open(
    name: str, number: signal.Signals, tmp_path: Path
) -> None:
    with serving(name, tmp_path) as (api, process), ExitStack() as stack:
        audience = Audience(api, api.create(), stack)
        os.killpg(process.pid, number)
        audience.read_to_the_end()
        assert process.wait(LONG_ENOUGH) in (0, -number)
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_granian_stops_while_a_stream_is_open(tmp_path: Path) -> None:
    with serving("granian", tmp_path) as (api, process):
        with api.stream("GET", f"/v1/jobs/{api.create()}/events") as events:
            process.terminate()
            assert "event: bye" in list(events.iter_lines())
        assert process.wait(LONG_ENOUGH) == 0


def test_a_code_change_restarts_a_server_with_open_streams(tmp_path: Path) -> None:
    with serving("uvicorn --reload", tmp_path) as (api, _), ExitStack() as stack:
        audience = Audience(api, api.create(id="j"), stack)
        (tmp_path / "watched.py").write_text("changed = True")
        audience.read_to_the_end()
        while (answer := asked_again(api)) is None:
            pass
        assert answer.json()["id"] == "j"


def asked_again(api: Api) -> httpx.Response | None:
    try:
        return api.get("/v1/jobs/j").raise_for_status()
    except httpx.HTTPError:  # it is between two processes
        return None


# The signals' handlers


@pytest.fixture
def handlers() -> Iterator[list[int]]:
    """The signals that the program's own handler received."""
    got: list[int] = []
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        signal.signal(number, lambda number, _: got.append(number))
    yield got
    for number, handler in before.items():
        signal.signal(number, handler)


async def test_the_earlier_handler_is_called_too_and_is_restored(handlers: list[int]) -> None:
    calls: list[None] = []
    before = [signal.getsignal(number) for number in SIGNALS]
    stopping = StopSignals(lambda: calls.append(None))
    for number in SIGNALS:
        signal.raise_signal(number)
    await turn_of_the_loop()
    assert (len(calls), handlers) == (len(SIGNALS), list(SIGNALS))
    stopping.restore()
    assert [signal.getsignal(number) for number in SIGNALS] == before


async def turn_of_the_loop() -> None:
    """Wait until the loop has run all callbacks of other threads and handlers, and theirs."""
    for _ in range(2):
        done = asyncio.Event()
        asyncio.get_running_loop().call_soon_threadsafe(done.set)
        await done.wait()


async def test_what_the_stop_queues_runs_before_the_earlier_handler(handlers: list[int]) -> None:
    calls: list[list[int]] = []
    loop = asyncio.get_running_loop()

    def stop() -> None:
        loop.call_soon(lambda: calls.append(list(handlers)))

    stopping = StopSignals(stop)
    signal.raise_signal(signal.SIGTERM)
    await turn_of_the_loop()
    stopping.restore()
    assert (calls, handlers) == ([[]], [signal.SIGTERM])


async def test_a_later_handler_stays(handlers: list[int]) -> None:
    stopping = StopSignals(lambda: None)

    def later(number: int, frame: object) -> None:
        """Of somebody else."""

    signal.signal(signal.SIGTERM, later)
    stopping.restore()
    assert signal.getsignal(signal.SIGTERM) is later


async def test_a_signal_that_nobody_handles_keeps_its_default() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        stopping = StopSignals(lambda: None)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        stopping.restore()
    finally:
        signal.signal(signal.SIGTERM, before)
