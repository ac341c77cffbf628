"""Spans of reports: at a collector that a real server sends to, and in-process."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from websockets.sync.client import connect

import livejobs
from livejobs import LiveJobs, Settings, create_app
from livejobs.config import SettingError
from livejobs.core.errors import LivejobsError, StorageUnavailable
from livejobs.live.frames import SSE
from livejobs.live.options import Filter, Options
from livejobs.store.base import Outpaced
from livejobs.store.memory import MemoryStore
from livejobs.tracing.opening import open_traces
from livejobs.tracing.traces import Traces
from tests.support.api import Api, hear
from tests.support.collector import Collector, Seen
from tests.support.server import Server, hold_port

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
HEADERS = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
LOG = {"type": "log", "message": "A line."}


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


def named(spans: list[Seen], name: str, trace: str) -> list[Seen]:
    return [span for span in spans if (span.name, span.trace) == (name, trace)]


def chain(spans: list[Seen], trace: str, parent: str) -> list[Seen]:
    """The report, commit and fan-out of a trace, of which there is one each."""
    found = []
    for name in ("livejobs.report", "livejobs.commit", "livejobs.fan_out"):
        [span] = named(spans, name, trace)
        assert span.parent == parent
        parent = span.id
        found.append(span)
    return found


def test_a_report_is_traced_from_the_worker_to_the_viewer(
    tmp_path: Path, collector: Collector
) -> None:
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
    tracer = TracerProvider().get_tracer("worker")
    with Server(tmp_path / "data", env=env) as server, Api(server.url) as api:
        id = api.create(type="render")
        reports = f"/v1/jobs/{id}/reports"
        with (
            api.stream("GET", f"/v1/jobs/{id}/events?logs=1") as stream,
            connect(f"{server.url.replace('http', 'ws')}/v1/ws") as ws,
        ):
            lines = stream.iter_lines()
            assert any(line.startswith("data: ") for line in lines)
            assert api.post(reports, json=[LOG, LOG], headers=HEADERS).status_code == 200
            assert any("A line." in line for line in lines)
            assert api.post(reports, json=LOG).status_code == 200  # of no trace
            ws.send(f'{{"op":"report","id":1,"job":"{id}","reports":[{{"type":"start"}}]}}')
            assert hear(ws)["op"] == "ack"
        task = tracer.start_span("task")
        with trace.use_span(task), livejobs.job("sdk", url=server.url) as job:
            job.log("From the SDK.")
        assert server.stop() == 0
    spans = collector.spans()
    report, commit, fan_out = chain(spans, TRACE, PARENT)
    assert report.service == "livejobs"
    assert (report.about["livejobs.job"], report.about["livejobs.type"]) == (id, "render")
    assert report.about["livejobs.reports"] == 2
    assert commit.about["livejobs.changes"] == 1
    assert fan_out.about["livejobs.viewers"] == 1
    context = task.get_span_context()
    of_sdk = named(spans, "livejobs.report", f"{context.trace_id:032x}")
    assert {span.parent for span in of_sdk} == {f"{context.span_id:016x}"}
    roots = [it for it in spans if it.name == "livejobs.report" and not it.parent]
    assert [span.about["livejobs.reports"] for span in roots] == [1, 1]  # over HTTP and WebSocket
    assert len({span.trace for span in roots}) == 2


def test_a_collector_that_is_away_holds_up_neither_reports_nor_the_end(tmp_path: Path) -> None:
    with hold_port() as held:  # nobody listens there
        args = ("--otlp-endpoint", f"http://127.0.0.1:{held.getsockname()[1]}")
        with Server(tmp_path / "data", *args) as server, Api(server.url) as api:
            assert api.report(api.create(), LOG)["accepted"] == 1
            server.process.terminate()
            assert server.process.wait(10) == 0


# In-process


class Kept(InMemorySpanExporter):
    def __init__(self) -> None:
        super().__init__()
        self.more = asyncio.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.more.set()
        return super().export(spans)


@pytest.fixture
def exporter() -> Kept:
    return Kept()


@pytest.fixture
def traces(exporter: Kept) -> Traces:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return Traces(provider)


def ended(exporter: Kept, name: str) -> list[ReadableSpan]:
    return [span for span in exporter.get_finished_spans() if span.name == f"livejobs.{name}"]


class Stubborn(MemoryStore):
    """Another node is faster for a while, or the disk refuses."""

    outpaced = 0
    full = False

    async def commit(self, changes: Any, on: Any = None) -> list[int]:
        if self.full:
            raise StorageUnavailable("The disk is full.")
        if self.outpaced:
            self.outpaced -= 1
            raise Outpaced
        return await super().commit(changes, on)


async def test_a_commit_that_runs_again_has_one_span(
    tmp_path: Path, traces: Traces, exporter: Kept
) -> None:
    store = Stubborn()
    async with LiveJobs(Settings(data=tmp_path), store=store, traces=traces) as live:
        job = await live.create(id="j")
        await watch(live, 1)
        store.outpaced = 2
        await job.log("A line.")
        await until_fanned_out(exporter)
    counts = [len(ended(exporter, name)) for name in ("report", "commit", "fan_out")]
    assert counts == [1, 1, 1]


async def test_a_report_that_is_refused_has_a_failed_span_and_no_fan_out(
    tmp_path: Path, traces: Traces, exporter: Kept
) -> None:
    store = Stubborn()
    async with LiveJobs(Settings(data=tmp_path), store=store, traces=traces) as live:
        job = await live.create(id="j")
        await watch(live, 1)
        await job.succeed()
        with pytest.raises(LivejobsError):
            await job.log("Too late.")
        other = await live.create(id="k")
        store.full = True
        with pytest.raises(StorageUnavailable):
            await other.log("No room.")
        store.full = False
        await until_fanned_out(exporter)
    statuses = [span.status.is_ok for span in ended(exporter, "report")]
    assert statuses == [True, False, False]
    assert len(ended(exporter, "fan_out")) == 1


async def test_a_commit_without_viewers_has_no_fan_out(
    tmp_path: Path, traces: Traces, exporter: Kept
) -> None:
    async with LiveJobs(Settings(data=tmp_path), store=MemoryStore(), traces=traces) as live:
        job = await live.create(id="j")
        await watch(live, 1, type="another")
        await job.log("A line.")
    assert len(ended(exporter, "commit")) == 1
    assert ended(exporter, "fan_out") == []


async def test_one_fan_out_ends_with_the_last_of_its_channels(
    tmp_path: Path, traces: Traces, exporter: Kept
) -> None:
    async with LiveJobs(Settings(data=tmp_path), store=MemoryStore(), traces=traces) as live:
        job = await live.create(id="j", type="t")
        await watch(live, 2)
        await watch(live, 1, type="t")
        await job.progress(percent=1)
        span = await until_fanned_out(exporter)
        assert span.attributes == {"livejobs.channels": 2, "livejobs.viewers": 3}


async def test_a_span_around_the_app_is_the_parent_whatever_the_header(
    tmp_path: Path, traces: Traces, exporter: Kept
) -> None:
    tracer = TracerProvider().get_tracer("around")
    async with LiveJobs(Settings(data=tmp_path), store=MemoryStore(), traces=traces) as live:
        await live.create(id="j")
        transport = httpx.ASGITransport(await asyncio.to_thread(create_app, live))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            with tracer.start_as_current_span("around") as around:
                await client.post("/v1/jobs/j/reports", json=LOG, headers=HEADERS)
            for bad in ("", "00-0-0-0", f"00-{TRACE}-{PARENT}-01" * 2, "\u00e9" * 55):
                headers = [(b"traceparent", bad.encode())]
                answer = await client.post("/v1/jobs/j/reports", json=LOG, headers=headers)
                assert answer.status_code == 200
            assert not trace.get_current_span().get_span_context().is_valid
    first, *others = ended(exporter, "report")
    assert first.parent == around.get_span_context()
    assert [span.parent for span in others] == [None] * 4


async def watch(live: LiveJobs, viewers: int, **filter: str) -> None:
    """Open feeds whose client takes everything at once, and wait until they are up to date."""

    async def send(message: object) -> None:
        """A fast client."""

    types = frozenset(filter.values())
    for _ in range(viewers):
        sink = live.hub.open(send, SSE)
        live.hub.watch_feed(sink, SSE, Filter("default", types=types), Options(), None, 100)
        await live.hub.settle(sink)


async def until_fanned_out(exporter: Kept) -> ReadableSpan:
    """The first span of a fan-out."""
    async with asyncio.timeout(30):
        while not (found := ended(exporter, "fan_out")):
            exporter.more.clear()
            await exporter.more.wait()
    return found[0]


# On and off


def test_traces_are_off_and_nothing_of_them_is_loaded_by_default(tmp_path: Path) -> None:
    code = (
        "import sys; from livejobs.cli.operator.serve import assemble\n"
        "from livejobs import Settings\n"
        "assemble(Settings()); print([it for it in sys.modules if 'opentelemetry' in it])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path,
        env={"PATH": ""},
    )  # fmt: skip
    assert ran.stdout == "[]\n"


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_opentelemetrys_own_variables_turn_traces_off(environ: dict[str, str]) -> None:
    assert open_traces(Settings(), environ) is None


def test_without_the_extra_a_setting_is_refused_and_a_variable_is_not(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delitem(sys.modules, "livejobs.tracing.exporting", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(SettingError, match=r"pip install 'livejobs\[otel\]'"):
        open_traces(Settings(otlp_endpoint="http://c:4318"), {})
    assert open_traces(Settings(), {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}) is None
    assert "pip install 'livejobs[otel]'" in caplog.text


@pytest.mark.parametrize("wrong", ["", "c:4318", "grpc://c:4317", "http://", "http://c d"])
def test_a_collector_is_named_by_a_url(wrong: str) -> None:
    with pytest.raises(SettingError, match="takes a URL"):
        Settings(otlp_endpoint=wrong)
