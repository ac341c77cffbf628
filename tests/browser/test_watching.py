"""`watch` of the browser client, in pages of Chromium: its ways to the server, and its tabs."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from playwright.sync_api import BrowserContext, Page, WebSocket

from tests.browser.conftest import Opener
from tests.browser.hoarding import Hoarder
from tests.support.desk import eventually
from tests.support.server import LONG_ENOUGH, Server

ADMIN = "the-first-admin-key"
# Watches `target` under a name, and keeps what it receives.
WATCH = """async ([name, target, options]) => {
  const { watch } = await import("/static/livejobs.js");
  const it = (window[name] = { states: [], percents: [], lines: [], gone: [], count: 0 });
  const renew = async () => {
    const headers = { "x-api-key": options.key, "content-type": "application/json" };
    const body = JSON.stringify({ ttl_seconds: options.ttl });
    it.renewed = (it.renewed ?? 0) + 1;
    return (await (await fetch("/v1/tokens", { method: "POST", headers, body })).json()).token;
  };
  it.watch = watch(target, {
    ...options,
    ...(options.key && { renew }),
    onState: (state) => it.states.push(state),
    onChange: (job, delta) => {
      it.count++;
      it.percents.push(job.progress?.percent);
      if (!delta) it.lines = [];
      for (const line of (delta ? delta.append.logs : job.logs) ?? []) it.lines.push(line.message);
    },
    onGone: (id) => it.gone.push(id),
    onReady: () => (it.ready = true),
  });
}"""


def watch(page: Page, target: Any, name: str = "it", **options: Any) -> None:
    page.evaluate(WATCH, [name, target, options])


def until(page: Page, condition: str) -> None:
    """Wait for a condition of the page. Its policy forbids Playwright's own way."""
    end = time.monotonic() + LONG_ENOUGH
    while not page.evaluate(f"Boolean({condition})"):
        if time.monotonic() > end:
            state = page.evaluate("JSON.stringify(window.it)")
            raise AssertionError(f"never: {condition}; {state}")
        page.wait_for_timeout(50)


def sees(page: Page, percent: int, name: str = "it") -> None:
    until(page, f"{name}.percents.at(-1) === {percent}")


class Worker:
    def __init__(self, url: str, **headers: str) -> None:
        self.http = httpx2.Client(base_url=url, headers=headers)

    def create(self, **fields: Any) -> str:
        id = uuid4().hex
        self.http.put(f"/v1/jobs/{id}", json={"total": 100, **fields}).raise_for_status()
        return id

    def report(self, id: str, *reports: dict[str, Any]) -> None:
        self.http.post(f"/v1/jobs/{id}/reports", json=reports).raise_for_status()

    def reach(self, id: str, percent: int) -> None:
        line = {"type": "log", "message": f"at {percent}"}
        self.report(id, {"type": "progress", "current": percent}, line)

    def viewers(self) -> dict[str, int]:
        """Open streams and sockets, as the server counts them."""
        text = self.http.get("/metrics").text
        found = re.findall(r'livejobs_viewers{kind="(\w+)"} (\S+)', text)
        return {kind: int(float(number)) for kind, number in found}

    def wait_for_viewers(self, page: Page, stream: int = 0, socket: int = 0) -> None:
        wanted = {"stream": stream, "socket": socket}
        end = time.monotonic() + LONG_ENOUGH
        while (viewers := self.viewers()) != wanted:
            assert time.monotonic() < end, f"{viewers}, not {wanted}"
            page.wait_for_timeout(50)


@pytest.fixture(scope="module")
def worker(shared: Server) -> Iterator[Worker]:
    worker = Worker(shared.url)
    with worker.http:
        yield worker


@pytest.fixture(autouse=True)
def nobody_watches_yet(worker: Worker) -> None:
    """The pages of the test before have gone, so that counts are exact."""
    eventually(lambda: not any(worker.viewers().values()))


@pytest.fixture
def page(shared: Server, visit: Opener) -> Page:
    return visit(f"{shared.url}/docs")


# One page


def test_a_job_moves_and_its_watch_ends_with_it(page: Page, worker: Worker) -> None:
    id = worker.create()
    watch(page, id, logs=True)
    until(page, "it.count")
    for percent in (10, 42):
        worker.reach(id, percent)
        sees(page, percent)
    worker.report(id, {"type": "succeed", "result": "all"})
    until(page, "it.watch.state === 'ended'")
    assert page.evaluate("it.states") == ["live", "ended"]
    assert page.evaluate("it.watch.job.result") == "all"
    assert page.evaluate("it.lines") == ["at 10", "at 42"]


def test_a_stream_cut_before_its_end_is_ended_by_204(page: Page, worker: Worker) -> None:
    id = worker.create()
    worker.report(id, {"type": "succeed"})
    job = worker.http.get(f"/v1/jobs/{id}").json()
    event = f"event: snapshot\nid: {job['cursor']}\ndata: {json.dumps(job)}\n\n"
    cut = {"content_type": "text/event-stream", "body": event}
    page.route(f"**/{id}/events*", lambda route: route.fulfill(**cut), times=1)
    with page.expect_response(lambda answer: answer.status == 204):
        watch(page, id)
    until(page, "it.watch.state === 'ended'")
    assert page.evaluate("it.states") == ["live", "reconnecting", "ended"]


def test_a_feed_follows_jobs_that_come_move_and_go(page: Page, worker: Worker) -> None:
    project = f"p-{uuid4().hex[:8]}"
    first = worker.create(project=project)
    watch(page, {"project": project})
    until(page, "it.ready")
    second = worker.create(project=project)
    worker.reach(second, 7)
    sees(page, 7)
    worker.report(first, {"type": "succeed"})
    worker.http.delete(f"/v1/jobs/{first}").raise_for_status()
    until(page, "it.gone.length")
    assert page.evaluate("it.gone") == [first]
    assert page.evaluate("[...it.watch.jobs.keys()]") == [second]


def test_final_answers_of_the_server_end_a_watch(page: Page, worker: Worker) -> None:
    watch(page, "no-such-job")
    until(page, "it.watch.state === 'missing'")
    watch(page, {"status": "unknown"}, "wrong")
    until(page, "wrong.watch.state === 'refused'")
    assert "status" in page.evaluate("wrong.watch.detail")
    id = worker.create()
    worker.report(id, {"type": "succeed"})
    with page.expect_websocket():  # the second of two watches
        watch(page, {"project": "other"}, "feed")
        watch(page, "nor-this", "absent")
    until(page, "absent.watch.state === 'missing'")


def test_several_watches_share_one_connection(page: Page, worker: Worker) -> None:
    ids = [worker.create() for _ in range(5)]
    for n, id in enumerate(ids):
        watch(page, id, f"w{n}", logs=True)
    watch(page, ids[0], "again", logs=True)
    for n, id in enumerate(ids):
        until(page, f"w{n}.watch.state === 'live'")
        worker.reach(id, 10 + n)
        sees(page, 10 + n, f"w{n}")
    sees(page, 10, "again")
    worker.wait_for_viewers(page, socket=1)
    page.evaluate("w1.watch.stop()")
    worker.reach(ids[1], 90)
    worker.reach(ids[2], 91)
    sees(page, 91, "w2")
    assert page.evaluate("w1.percents.at(-1)") == 11


def test_hundreds_of_heads_share_one_connection(page: Page, worker: Worker) -> None:
    project = f"p-{uuid4().hex[:8]}"
    ids = [f"{project}-{n}" for n in range(250)]
    for id in ids[1:]:
        worker.http.put(f"/v1/jobs/{id}", json={}).raise_for_status()
    elsewhere = worker.create(project=project)
    page.evaluate(
        """async (ids) => {
          const { watch } = await import("/static/livejobs.js");
          window.it = { percents: [] };
          window.all = ids.map((id) => watch(id, {
            view: "head", onChange: (job) => it.percents.push(job.progress.percent),
          }));
        }""",
        [elsewhere, *ids],
    )
    until(page, "all.every((one) => ['live', 'missing'].includes(one.state))")
    assert page.evaluate("all.filter((one) => one.state === 'missing').length") == 1
    for id in (ids[2], elsewhere):
        percent = ids.index(id) + 40 if id in ids else 50
        worker.report(id, {"type": "progress", "percent": percent})
        sees(page, percent)
    worker.wait_for_viewers(page, socket=1)


def test_a_stopped_or_aborted_watch_closes_its_connection(page: Page, worker: Worker) -> None:
    id = worker.create()
    page.evaluate(
        """async (id) => {
          const { watch } = await import("/static/livejobs.js");
          const abort = new AbortController();
          const one = watch(id, { signal: abort.signal });
          const two = watch(id, { signal: AbortSignal.abort() });
          window.it = { one, two, abort };
        }""",
        id,
    )
    until(page, "it.one.job")
    assert page.evaluate("it.two.state") == "closed"
    page.evaluate("it.abort.abort()")
    assert page.evaluate("it.one.state") == "closed"
    worker.wait_for_viewers(page)


# Where something stands between


def test_a_blocked_stream_gives_way_to_the_websocket(page: Page, worker: Worker) -> None:
    id = worker.create()
    page.route("**/events*", lambda route: route.abort())
    watch(page, id, logs=True)
    until(page, "it.count")
    worker.reach(id, 42)
    sees(page, 42)
    assert page.evaluate("it.lines") == ["at 42"]


def test_polling_serves_where_proxies_buffer_streams_and_block_sockets(
    shared: Server, worker: Worker, visit: Opener
) -> None:
    id, tags = worker.create(), [uuid4().hex, uuid4().hex]
    feed = {"tag": tags, "type": ["a", "b"]}
    listed, other = (worker.create(tags=[tag], type="b") for tag in tags)
    with ExitStack() as stack:
        buffering = stack.enter_context(Hoarder(shared.port, sockets=True))
        both = stack.enter_context(Hoarder(shared.port, sockets=False))
        pages = [visit(f"{proxy.url}/docs") for proxy in (buffering, both, both)]
        for page in pages[:2]:
            watch(page, id, logs=True)
        watch(pages[2], feed)
        for page in pages:
            until(page, "it.watch.state === 'live'")
        for percent in (10, 42):
            worker.reach(id, percent)
            worker.reach(listed, percent)
            for page in pages[:2]:
                sees(page, percent)
            until(pages[2], f"it.percents.includes({percent})")  # one poll may bring both jobs
        worker.report(id, {"type": "succeed"})
        for page in pages[:2]:
            until(page, "it.watch.state === 'ended'")
            assert page.evaluate("it.lines") == ["at 10", "at 42"]
        for proxy in (buffering, both):
            assert proxy.held
        assert buffering.upgraded
        assert both.refused >= 2
        assert set(pages[2].evaluate("[...it.watch.jobs.keys()]")) == {listed, other}
        worker.report(listed, {"type": "succeed"})
        worker.http.delete(f"/v1/jobs/{listed}").raise_for_status()
        until(pages[2], "it.gone.length")
        assert pages[2].evaluate("it.gone") == [listed]
        for page in pages:
            page.close()


def test_lines_come_once_through_a_restart_and_another_way(server: Server, visit: Opener) -> None:
    worker = Worker(server.url)
    id = worker.create()
    page = visit(f"{server.url}/docs")
    watch(page, id, logs=True)
    until(page, "it.count")
    worker.reach(id, 1)
    sees(page, 1)
    page.route("**/events*", lambda route: route.abort())
    server.kill()
    server.restart()
    worker.reach(id, 2)
    sees(page, 2)  # over the socket
    worker.report(id, {"type": "succeed"})
    until(page, "it.watch.state === 'ended'")
    assert page.evaluate("it.lines") == ["at 1", "at 2"]
    worker.http.close()


# Tabs


def open_tabs(context: BrowserContext, url: str, number: int) -> list[Page]:
    tabs = [context.new_page() for _ in range(number)]
    for tab in tabs:
        tab.goto(f"{url}/docs")
    return tabs


def test_ten_tabs_have_one_connection_and_survive_their_leader(
    shared: Server, page: Page, worker: Worker
) -> None:
    id = worker.create()
    tabs = [page, *open_tabs(page.context, shared.url, 9)]
    for tab in tabs:  # the first one leads
        watch(tab, id, logs=True, background=True)
        until(tab, "it.watch.state === 'live'")
    worker.reach(id, 10)
    for tab in tabs:
        sees(tab, 10)
    worker.wait_for_viewers(page, stream=1)
    for percent in (20, 30):
        tabs.pop(0).close()
        worker.reach(id, percent)
        for tab in tabs:
            sees(tab, percent)
    for tab in tabs:
        assert tab.evaluate("it.lines") == ["at 10", "at 20", "at 30"]
    late = tabs.pop()
    worker.wait_for_viewers(late, stream=1)
    late.reload()
    watch(late, id, logs=True, background=True)
    until(late, "it.lines.length === 3")
    for tab in tabs:
        tab.close()
    worker.wait_for_viewers(late, stream=1)


def test_the_next_leader_also_serves_what_it_does_not_watch_itself(
    shared: Server, page: Page, worker: Worker
) -> None:
    ids = [worker.create() for _ in range(3)]
    tabs = [page, *open_tabs(page.context, shared.url, 2)]
    for tab, id in zip(tabs, ids, strict=True):
        watch(tab, id, logs=True, background=True)
        until(tab, "it.watch.state === 'live'")
        worker.reach(id, 5)
        sees(tab, 5)
    page.close()
    for tab, id in zip(tabs[1:], ids[1:], strict=True):
        worker.reach(id, 6)
        sees(tab, 6)
        assert tab.evaluate("it.lines") == ["at 5", "at 6"]


def test_a_frozen_tab_disconnects_and_resumes(page: Page, worker: Worker) -> None:
    """Headless Chromium sends no freeze event, so the test sends it."""
    id = worker.create()
    watch(page, id, logs=True)
    until(page, "it.count")
    page.evaluate("document.dispatchEvent(new Event('freeze'))")
    worker.wait_for_viewers(page)
    worker.reach(id, 42)
    page.evaluate("document.dispatchEvent(new Event('resume'))")
    sees(page, 42)
    assert page.evaluate("it.lines") == ["at 42"]
    assert page.evaluate("it.watch.state") == "live"


def test_a_hidden_tab_pauses_after_a_while_and_resumes(
    shared: Server, visit: Opener, worker: Worker
) -> None:
    id = worker.create()
    page = visit("about:blank")
    page.clock.install()
    page.goto(f"{shared.url}/docs")
    watch(page, id, logs=True)
    page.clock.run_for(100)
    until(page, "it.count")
    hide = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true});"
    event = "document.dispatchEvent(new Event('visibilitychange'))"
    page.evaluate(hide % "true" + event)
    assert page.evaluate("it.watch.state") == "live"
    page.clock.fast_forward("00:16")
    until(page, "it.watch.state === 'paused'")
    worker.wait_for_viewers(page)
    worker.reach(id, 42)
    page.evaluate(hide % "false" + event)
    sees(page, 42)
    assert page.evaluate("it.lines") == ["at 42"]


# Tokens


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("closed") / "data"
    with Server(data, env={"LIVEJOBS_ADMIN_KEY": ADMIN}) as server:
        yield server


def test_a_stream_continues_with_the_next_token(closed: Server, visit: Opener) -> None:
    worker = Worker(closed.url, **{"x-api-key": ADMIN})
    id = worker.create()
    page = visit(f"{closed.url}/docs")
    watch(page, id, logs=True, key=ADMIN, ttl=2)
    until(page, "it.count")
    said: list[str] = []
    while page.evaluate("it.renewed ?? 0") < 3:
        assert len(said) < 600, "the token was not renewed"
        said.append(f"at {len(said)}")
        worker.report(id, {"type": "log", "message": said[-1]})
        page.wait_for_timeout(100)
    worker.report(id, {"type": "succeed"})
    until(page, "it.watch.state === 'ended'")
    assert page.evaluate("it.lines") == said
    assert "denied" not in page.evaluate("it.states")
    worker.http.close()


def test_a_socket_gets_the_next_token_in_place(closed: Server, visit: Opener) -> None:
    worker = Worker(closed.url, **{"x-api-key": ADMIN})
    ids = [worker.create(), worker.create()]
    page = visit(f"{closed.url}/docs")
    sent: list[list[str]] = []  # the frames of each socket

    def opened(socket: WebSocket) -> None:
        frames: list[str] = []
        sent.append(frames)
        socket.on("framesent", lambda frame: frames.append(str(frame)))

    page.on("websocket", opened)
    for id in ids:
        watch(page, id, f"of_{ids.index(id)}", key=ADMIN, ttl=4)
    until(page, "of_0.count && of_1.count")
    for _ in range(600):
        if any(sum('"auth"' in frame for frame in frames) > 1 for frames in sent):
            break
        page.wait_for_timeout(100)
    else:
        raise AssertionError("no socket got a second token")
    worker.reach(ids[1], 42)
    sees(page, 42, "of_1")
    assert "denied" not in page.evaluate("of_0.states")
    worker.http.close()


def test_tabs_of_another_credential_are_another_group(closed: Server, visit: Opener) -> None:
    worker = Worker(closed.url, **{"x-api-key": ADMIN})
    mine, yours = worker.create(), worker.create()
    page = visit(f"{closed.url}/docs")
    tabs = [page, *open_tabs(page.context, closed.url, 2)]

    def token(*jobs: str) -> str:
        made = worker.http.post("/v1/tokens", json={"jobs": jobs, "scopes": ["view"]})
        return str(made.json()["token"])

    tokens = [token(mine), token(yours), token(mine)]
    for tab, given in zip(tabs, tokens, strict=True):
        watch(tab, mine, token=given, background=True)
    for tab in (tabs[0], tabs[2]):  # the two tokens allow the same
        until(tab, "it.watch.state === 'live'")
    until(tabs[1], "it.watch.state === 'missing'")
    worker.wait_for_viewers(page, stream=1)
    # It asks no other tab for a token, as there is none with its rights.
    tabs[1].evaluate("setTimeout = ((real) => (f, ms) => ms < 5000 && real(f, ms))(setTimeout)")
    watch(tabs[1], mine, "none")
    until(tabs[1], "none.watch.state === 'denied'")
    worker.http.close()
