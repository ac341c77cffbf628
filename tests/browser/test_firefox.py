"""Firefox ESR, as in Chromium but in few tests: the pages from the login to a shared link, the
element in a foreign page, and each way of the browser client to the server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.browser.firefox import ENTER, Firefox, Tab, the
from tests.browser.hoarding import Hoarder
from tests.browser.site import Site
from tests.browser.test_files import PIXEL
from tests.browser.test_watching import ADMIN, WATCH, Worker
from tests.support.desk import eventually
from tests.support.server import Server

BROKEN = """import("/static/livejobs.js").then(({ watch }) => {
  window.broken = watch("teaser", {
    background: true,
    logs: true,
    onChange: () => { throw new Error("an error of the page ends no watch"); },
  });
})"""
# A page waits a random time before it reconnects, and five seconds until it takes a way for
# blocked; here a tenth.
EAGER = "void (Math.random = () => 0.05)"
HASTY = "void (setTimeout = ((real) => (f, ms) => real(f, ms === 5000 ? 500 : ms))(setTimeout))"


@pytest.fixture(scope="module")
def firefox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefox]:
    with Firefox(tmp_path_factory.mktemp("profile")) as firefox:
        yield firefox


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Site() as site:
        yield site


@pytest.fixture(scope="module")
def closed(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("closed") / "data"
    env = {"LIVEJOBS_ADMIN_KEY": ADMIN}
    with Server(data, "--cors-origins", site.origin, env=env) as server:
        yield server


@pytest.fixture(scope="module")
def admin(closed: Server) -> Iterator[Worker]:
    worker = Worker(closed.url, **{"x-api-key": ADMIN})
    with worker.http:
        yield worker


def state(worker: Worker, id: str) -> Any:
    return worker.http.get(f"/v1/jobs/{id}").raise_for_status().json()


# The pages


def test_the_pages_work_from_the_login_to_a_shared_link(
    firefox: Firefox, closed: Server, admin: Worker
) -> None:
    jobs = [admin.create(title=f"Job {n}") for n in range(4)]
    admin.http.put(f"/v1/jobs/{jobs[0]}/files/dot.gif", content=PIXEL).raise_for_status()
    tab = firefox.tab(closed.url)
    tab.until(the("h1", "A key is needed"))
    tab.click(the("#key"))
    tab.type(ADMIN + ENTER)
    _cancel_two_in_the_list(tab, admin, jobs)
    tab.click(the(".row .title", "Job 0"))
    tab.until(the("h1", "Job 0"))
    _answer_and_cancel(tab, admin, jobs[0])
    tab.click(the("[role=tab]", "Files"))
    tab.until(f"{the('.preview img')}?.naturalWidth === 1")
    tab.click(the(".file a", "dot.gif"))
    eventually(lambda: _downloaded(firefox, "dot.gif") == PIXEL)
    tab.click(the("[role=tab]", "History"))
    tab.until(the(".event", "answered question 1"))
    tab.click(the("button", "Share"))
    tab.click(the("dialog button", "Create link"))
    tab.until("document.querySelector('[data-part=address]')?.value")
    link = tab.evaluate("document.querySelector('[data-part=address]').value")
    guest = firefox.tab(link, firefox.visitor())
    guest.until(the("h1", "Job 0"))
    guest.until(the(".percent", "43%"))
    guest.until(f"!{the('button', 'Cancel')}")
    assert "token=" not in guest.evaluate("location.href")
    guest.close()
    tab.close()


def _cancel_two_in_the_list(tab: Tab, admin: Worker, jobs: list[str]) -> None:
    tab.until(the(".row", "Job 3"))
    admin.reach(jobs[0], 42)
    tab.until(the(".row", "42%"))
    for n in (1, 2):
        row = the(".row", f"Job {n}")
        tab.click(f"{row}.querySelector('.mark')")
        tab.until(f"{row}.matches('.selected')")
    tab.click(the(".selection button", "Cancel jobs"))
    tab.click(the(".selection button", "Cancel 2 jobs"))
    tab.until(the(".selection", "2 jobs cancelled"))
    assert [state(admin, id)["status"] for id in jobs] == [
        "running", "cancelled", "cancelled", "queued",
    ]  # fmt: skip


def _answer_and_cancel(tab: Tab, admin: Worker, id: str) -> None:
    admin.report(id, {"type": "ask", "prompt": "Publish?", "schema": {"type": "boolean"}})
    tab.click(the(".question button", "Yes"))
    eventually(lambda: not state(admin, id)["waiting"])
    receipt = admin.http.post(f"/v1/jobs/{id}/reports", json={"type": "heartbeat"}).json()
    assert receipt["answer"]["value"] is True
    admin.reach(id, 43)
    tab.until(the(".line", "at 43"))
    tab.click(the(".actions button", "Cancel"))
    tab.click(the(".actions button", "Really?"))
    eventually(lambda: state(admin, id)["cancel_requested"])


def _downloaded(firefox: Firefox, name: str) -> bytes:
    path = firefox.downloads / name
    return path.read_bytes() if path.exists() else b""


# The element


def test_the_element_of_a_foreign_page_renews_its_token(
    firefox: Firefox, site: Site, closed: Server, admin: Worker
) -> None:
    id = admin.create(title="City flyover")

    def token() -> tuple[str, str]:
        limits = {"jobs": [id], "scopes": ["view", "cancel"], "ttl_seconds": 2}
        return "text/plain", admin.http.post("/v1/tokens", json=limits).json()["token"]

    site.pages["/token"] = token
    script = f'<script type="module" src="{closed.url}/static/live-job.js"></script>'
    body = f'{script}<live-job job="{id}" renew="/token"></live-job>'
    tab = firefox.tab(site.write("/element", f"<!doctype html>{body}"))
    shadow = "document.querySelector('live-job').shadowRoot"
    shown = f"{shadow}?.querySelector('[role=progressbar]')?.getAttribute('aria-valuenow')"
    for percent in (10, 42):
        admin.reach(id, percent)
        tab.until(f"{shown} === '{percent}'")
    eventually(lambda: site.asked.count("/token") >= 3)
    admin.reach(id, 90)
    tab.until(f"{shown} === '90'")
    tab.click(f"{shadow}.querySelector('[part~=cancel]')")
    tab.click(f"{shadow}.querySelector('[part~=cancel]')")
    eventually(lambda: state(admin, id)["cancel_requested"])
    tab.close()


# The client


def small_page(firefox: Firefox, url: str) -> Tab:
    tab = firefox.tab(f"{url}/static/embed.css")
    tab.evaluate(EAGER)
    return tab


def watch(tab: Tab, target: Any, name: str = "it", **options: Any) -> None:
    """In the background too: only the newest tab is seen."""
    arguments = [name, target, {"logs": True, "background": True, **options}]
    tab.evaluate(f"({WATCH})({json.dumps(arguments)})")


def test_each_way_to_the_server_carries_every_line_once(firefox: Firefox, shared: Server) -> None:
    worker = Worker(shared.url)
    id = worker.create()
    with ExitStack() as stack:
        proxies = [
            stack.enter_context(Hoarder(shared.port, sockets=sockets)) for sockets in (True, False)
        ]
        tabs = [small_page(firefox, url) for url in (shared.url, *(it.url for it in proxies))]
        for tab in tabs[1:]:
            tab.evaluate(HASTY)
        for tab in tabs:
            watch(tab, id)
        for tab in tabs:
            tab.until("it.watch.state === 'live'")
        for percent in (10, 42):
            worker.reach(id, percent)
            for tab in tabs:
                tab.until(f"it.percents.at(-1) === {percent}")
        open_streams = worker.viewers()["stream"]  # the proxies hold theirs
        tabs[0].evaluate("document.dispatchEvent(new Event('freeze'))")
        eventually(lambda: worker.viewers()["stream"] < open_streams)
        worker.reach(id, 60)
        tabs[0].evaluate("document.dispatchEvent(new Event('resume'))")
        worker.report(id, {"type": "succeed"})
        for tab in tabs:
            tab.until("it.watch.state === 'ended'")
            assert tab.evaluate("it.lines") == ["at 10", "at 42", "at 60"]
            tab.close()
        assert all(proxy.held for proxy in proxies)
        assert (proxies[0].upgraded > 0, proxies[1].refused > 0) == (True, True)
    worker.http.close()


def test_ten_tabs_share_one_connection_through_a_restart_and_the_end_of_their_leader(
    firefox: Firefox, shared: Server
) -> None:
    worker = Worker(shared.url)
    worker.http.put("/v1/jobs/teaser", json={"total": 100}).raise_for_status()
    tabs = [small_page(firefox, shared.url) for _ in range(10)]
    for tab in tabs:  # the first one leads
        watch(tab, "teaser")
        tab.until("it.watch.state === 'live'")
    tabs[5].evaluate(BROKEN)
    worker.reach("teaser", 10)
    for tab in tabs:
        tab.until("it.percents.at(-1) === 10")
    eventually(lambda: worker.viewers() == {"stream": 1, "socket": 0})
    tabs.pop(0).close()
    worker.reach("teaser", 20)
    tabs[0].until("it.percents.at(-1) === 20")
    shared.kill()
    shared.restart()
    worker.reach("teaser", 30)
    for tab in tabs:
        tab.until("it.percents.at(-1) === 30")
        assert tab.evaluate("it.lines") == ["at 10", "at 20", "at 30"]
    worker.report("teaser", {"type": "succeed"})
    for tab in tabs:
        tab.until("it.watch.state === 'ended'")
    tabs[4].until("broken.state === 'ended'")
    for tab in tabs:
        tab.close()
    worker.http.close()
